/* Events one at a time and in order: a door with exactly one thread of its own, made by door_xcreate(). */
#include "program.h"

static int last, wrong;

static int make_thread(door_info_t *info, void *(*start)(void *), void *argument, void *cookie) {
    pthread_t thread;
    (void)info, (void)cookie;
    if (pthread_create(&thread, NULL, start, argument) != 0)
        return -1;
    pthread_detach(thread);
    return 1;
}

static void set_up(void *cookie) {
    *(int *)cookie += 1;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

/* No lock: there is one thread. */
static void deliver(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    int number, answer[2];
    if (size == sizeof number) {
        memcpy(&number, argp, sizeof number);
        if (number != 0)
            last++;
        wrong += number < 0;
    }
    answer[0] = last;
    answer[1] = wrong;
    door_return((char *)answer, sizeof answer, NULL, 0);
}

static const char *path;

static void *publisher(void *argument) {
    for (int i = 1; i <= 100; i++) {
        int door = open_door(path), answer[2]; /* opened and closed for each event */
        door_arg_t arg = request(&i, sizeof i, answer, sizeof answer);
        while (door_call(door, &arg) == -1)
            if (errno != EINTR && errno != EAGAIN)
                MUST(-1);
        close(door);
    }
    return argument;
}

int main(int argc, char **argv) {
    path = argv[1];
    if (argc == 2) {
        static int set_ups;
        int door = door_xcreate(deliver, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL | DOOR_NO_DEPLETION_CB, make_thread, set_up,
                                &set_ups, 1);
        MUST(door);
        if (set_ups != 1)
            return 1;
        publish(door, path);
        for (;;)
            pause();
    }
    pthread_t publishers[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&publishers[i], NULL, publisher, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(publishers[i], NULL);
    int zero = 0, answer[2], door = open_door(path);
    door_arg_t arg = request(&zero, sizeof zero, answer, sizeof answer);
    MUST(door_call(door, &arg));
    printf("%d events, %d wrong\n", answer[0], answer[1]);
    return 0;
}
