/*
 * Who is calling: everybody may ask who they are, only root and the server's own user may stop the server.
 *
 *     cc credentials_server.c -o credentials_server -ldoor -lpthread && ./credentials_server /tmp/whoami
 */
#include "serve.h"

#include <string.h>
#include <ucred.h>

static const char *path;

static void answer_text(const char *text)
{
    door_return((char *)text, strlen(text) + 1, NULL, 0);
}

static void who_am_i(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static _Thread_local ucred_t *caller; /* one for each thread, filled again by each call */
    const gid_t *groups;
    char text[256];
    uid_t user;

    (void)cookie, (void)dp, (void)n_desc;
    if (argp == DOOR_UNREF_DATA) {
        /* The path is gone and so is the last client: no call can come any more. */
        puts("stopped");
        exit(0);
    }
    if (door_ucred(&caller) < 0)
        answer_text("who you are cannot be told");
    user = ucred_geteuid(caller);
    if (arg_size == 4 && memcmp(argp, "stop", 4) == 0) {
        if (user != 0 && user != geteuid())
            answer_text("you may not stop me");
        fdetach(path); /* nobody new; who is here may stay */
        answer_text("stopping");
    }
    snprintf(text, sizeof text, "user %u, group %u, %d more groups, process %d", user, ucred_getegid(caller),
             ucred_getgroups(caller, &groups), (int)ucred_getpid(caller));
    answer_text(text);
}

int main(int argc, char **argv)
{
    path = argc > 1 ? argv[1] : "/tmp/whoami";
    serve(door_create(who_am_i, NULL, DOOR_UNREF_MULTI | DOOR_REFUSE_DESC | DOOR_NO_CANCEL), path);
}
