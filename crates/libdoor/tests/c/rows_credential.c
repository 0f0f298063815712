/* DR-117 to DR-122: who is calling; recursion. */
#define _GNU_SOURCE
#include "rows.h"

#include <grp.h>

struct who {
    int cred, ucred; /* results */
    door_cred_t c;
    uid_t euid, ruid;
    gid_t egid, rgid;
    pid_t pid;
    int groups, reused;
    gid_t first;
};

static void answer_who(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    struct who who;
    ucred_t *u = NULL;
    memset(&who, 0, sizeof who);
    who.cred = door_cred(&who.c);
    who.ucred = door_ucred(&u);
    CHECK(u != NULL);
    ucred_t *before = u;
    SAME(door_ucred(&u), 0);
    who.reused = u == before;
    who.euid = ucred_geteuid(u);
    who.ruid = ucred_getruid(u);
    who.egid = ucred_getegid(u);
    who.rgid = ucred_getrgid(u);
    who.pid = ucred_getpid(u);
    const gid_t *list = NULL;
    who.groups = ucred_getgroups(u, &list);
    who.first = who.groups > 0 ? list[0] : (gid_t)-1;
    ucred_free(u);
    door_return((char *)&who, sizeof who, NULL, 0);
}

static void serve_who(int control) {
    serve_with(control, answer_who, 0);
}

static struct who ask(int door) {
    struct who who;
    door_arg_t arg = arg_of(NULL, 0, &who, sizeof who);
    SAME(door_call(door, &arg), 0);
    SAME(arg.data_size, sizeof who);
    return who;
}

static void check_self(struct who who, pid_t pid) {
    SAME(who.cred, 0);
    SAME(who.ucred, 0);
    SAME(who.c.dc_pid, pid);
    SAME(who.c.dc_euid, geteuid());
    SAME(who.c.dc_egid, getegid());
    SAME(who.c.dc_ruid, getuid());
    SAME(who.c.dc_rgid, getgid());
    CHECK(who.euid == geteuid() && who.egid == getegid() && who.ruid == getuid() && who.rgid == getgid());
    SAME(who.pid, pid);
    CHECK(who.reused);
}

static void row_117(void) {
    struct peer server = serve(serve_who);
    if (geteuid() == 0) {
        /* Become somebody else than the server, with different real, effective and supplementary ids. */
        gid_t groups[2] = {3001, 3002};
        SAME(setgroups(2, groups), 0);
        SAME(setresgid(2001, 2002, 2002), 0);
        SAME(setresuid(1001, 1002, 1002), 0);
    }
    struct who who = ask(server.door);
    check_self(who, getpid());
    if (who.euid == 1002) {
        SAME(who.groups, 2);
        CHECK(who.first == 3001 || who.first == 3002);
    }
    finish(&server);
}

static void row_118(void) {
    door_cred_t cred;
    ucred_t *ucred = NULL;
    FAILS(door_cred(&cred), EINVAL);
    FAILS(door_ucred(&ucred), EINVAL);
    CHECK(ucred == NULL);
}

static int next_door = -1;

static void pass_on(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    struct who who = ask(next_door);
    door_return((char *)&who, sizeof who, NULL, 0);
}

static void serve_pass_on(int control) {
    give_fd(control, control); /* makes serve() return at once */
    next_door = take_fd(control);
    serve_with(control, pass_on, 0);
}

static void row_119(void) {
    struct peer last = serve(serve_who), middle = serve(serve_pass_on);
    close(middle.door);
    give_fd(middle.control, last.door);
    int door = take_fd(middle.control);
    check_self(ask(door), middle.pid);
    finish(&middle);
    finish(&last);
}

static void row_120(void) {
    struct peer server = serve(serve_who);
    struct who who = ask(server.door);
    SAME(who.ucred, 0);
    CHECK(who.reused);
    finish(&server);
}

static void answer_thread(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    door_cred_t cred;
    SAME(door_cred(&cred), 0);
    pid_t answer[2] = {thread_id(), cred.dc_pid};
    door_return((char *)answer, sizeof answer, NULL, 0);
}

static void row_121(void) {
    int door = door_create(answer_thread, NULL, 0);
    pid_t answer[2];
    door_arg_t arg = arg_of("self", 4, answer, sizeof answer);
    SAME(door_call(door, &arg), 0);
    CHECK(answer[0] != thread_id());
    SAME(answer[1], getpid());
    CHECK(info_of(door).di_attributes & DOOR_LOCAL);
}

static int recursive_door = -1;

static void recurse(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    int depth, sum = 0;
    memcpy(&depth, argp, sizeof depth);
    if (depth > 0) {
        int next = depth - 1;
        door_arg_t arg = arg_of(&next, sizeof next, &sum, sizeof sum);
        SAME(door_call(recursive_door, &arg), 0);
    }
    sum += depth;
    door_return((char *)&sum, sizeof sum, NULL, 0);
}

static void serve_recursive(int control) {
    recursive_door = door_create(recurse, NULL, 0);
    give_fd(control, recursive_door);
    until_closed(control);
}

static void row_122(void) {
    struct peer server = serve(serve_recursive);
    int depth = 20, sum = 0;
    door_arg_t arg = arg_of(&depth, sizeof depth, &sum, sizeof sum);
    SAME(door_call(server.door, &arg), 0);
    SAME(sum, 210);
    SAME(shared->calls, 21);
    finish(&server);
}

const struct row rows_credential[] = {
    {117, row_117}, {118, row_118}, {119, row_119}, {120, row_120}, {121, row_121}, {122, row_122}, {0, NULL},
};
