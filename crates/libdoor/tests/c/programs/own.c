/* Threads with asynchronous cancellation are cancelled by their own signal handlers, at whatever moment of a call that is. */
#include "program.h"

#include <stdatomic.h>

static int door;
static atomic_long calls;

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    door_return("a", 1, NULL, 0);
}

static char ask(void) {
    char reply = 0;
    door_arg_t arg = request("q", 1, &reply, 1);
    MUST(door_call(door, &arg));
    return reply;
}

static void handler(int number) {
    (void)number;
    pthread_cancel(pthread_self());
}

static void *call(void *unused) {
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (;;) {
        char reply;
        door_arg_t arg = request("q", 1, &reply, 1);
        atomic_fetch_add(&calls, 1);
        door_call(door, &arg); /* EINTR, as often as not */
    }
    return unused;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int made = door_create(serve, NULL, 0);
        MUST(made);
        publish(made, argv[1]);
        for (;;)
            pause();
    }
    door = open_door(argv[1]);
    struct sigaction action = {.sa_handler = handler};
    MUST(sigaction(SIGUSR1, &action, NULL));
    alarm(60);
    int cancelled = 0, wrong = 0;
    unsigned number = 1;
    for (int round = 0; round < 500; round++) {
        void *result;
        pthread_t thread;
        atomic_store(&calls, 0);
        if (pthread_create(&thread, NULL, call, NULL) != 0)
            return 1;
        while (atomic_load(&calls) < 5)
            ;
        number = number * 1103515245 + 12345;
        for (unsigned wait = number / 65536 % 2000; wait > 0; wait--)
            atomic_load(&calls);
        pthread_kill(thread, SIGUSR1);
        pthread_join(thread, &result);
        cancelled += result == PTHREAD_CANCELED;
        wrong += ask() != 'a';
    }
    printf("%d cancelled, %d wrong\n", cancelled, wrong);
    return 0;
}
