/*
 * A session is a door with a thread of its own, which goes when the client lets go of it. One after the other, and many at once: more
 * private doors than a link between two processes has pools.
 */
#include "program.h"

enum { SESSIONS = 300, HELD = 150 };

struct session {
    int door;
    long number;
};

static int make_thread(door_info_t *info, void *(*start)(void *), void *argument, void *cookie) {
    pthread_t thread;
    (void)info, (void)cookie;
    if (pthread_create(&thread, NULL, start, argument) != 0)
        return -1;
    pthread_detach(thread);
    return 1;
}

static void serve_session(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    struct session *session = cookie;
    (void)size, (void)dp, (void)n;
    if (argp == DOOR_UNREF_DATA) {
        door_revoke(session->door);
        free(session);
        pthread_exit(NULL);
    }
    door_return((char *)&session->number, sizeof session->number, NULL, 0);
}

static void open_session(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    static _Atomic long last;
    struct session *session = malloc(sizeof *session);
    door_desc_t desc;
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    session->number = ++last;
    MUST(session->door = door_xcreate(serve_session, session, DOOR_UNREF | DOOR_NO_CANCEL | DOOR_NO_DEPLETION_CB, make_thread,
                                      NULL, NULL, 1));
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = dup(session->door);
    door_return(NULL, 0, &desc, 1);
    MUST(-1);
}

static int new_session(int door) {
    char room[64];
    door_arg_t arg = request(NULL, 0, room, sizeof room);
    MUST(door_call(door, &arg));
    if (arg.desc_num != 1)
        exit(1);
    return arg.desc_ptr->d_data.d_desc.d_descriptor;
}

static long ask(int door) {
    long number = 0;
    door_arg_t arg = request(NULL, 0, (char *)&number, sizeof number);
    MUST(door_call(door, &arg));
    return number;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(open_session, NULL, 0);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]), held[HELD];
    long last = 0, wrong = 0;
    for (int i = 0; i < SESSIONS; i++) {
        int session = new_session(door);
        wrong += ask(session) != ++last;
        close(session);
    }
    for (int i = 0; i < HELD; i++)
        held[i] = new_session(door);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < HELD; i++)
            wrong += ask(held[i]) != last + 1 + i;
    printf("%d sessions, %d at once, %ld wrong\n", SESSIONS, HELD, wrong);
    return wrong != 0;
}
