/*
 * Threads are cancelled at whatever moment of a call it hits: while it is answered at once, or about to sleep, with signal handlers that have
 * cancellation points of their own. All end as cancelled threads do, and what they called with is not lost.
 */
#include "program.h"

#include <stdatomic.h>

enum { QUICK, SLOW, KINDS };

static int door;
static atomic_long calls;
static int sink;

/* "q" is answered at once, "s" when the caller has given up; "c" how often that was. */
static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    static atomic_int given_up;
    char answer = 'a';
    (void)cookie, (void)dp, (void)n;
    if (size == 1 && argp[0] == 's') {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        atomic_fetch_add(&given_up, 1);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        for (;;)
            pause(); /* cancelled with its caller */
    }
    if (size == 1 && argp[0] == 'c')
        answer = (char)(atomic_load(&given_up) > 0);
    door_return(&answer, 1, NULL, 0);
}

static char ask(char what) {
    char reply = 0;
    door_arg_t arg = request(&what, 1, &reply, 1);
    int result;
    while ((result = door_call(door, &arg)) == -1 && (errno == EINTR || errno == EAGAIN))
        ;
    MUST(result);
    return reply;
}

static void handler(int number) {
    (void)number;
    if (write(sink, "", 1) != 1)
        _exit(3);
}

static void *call(void *kind) {
    for (;;) {
        atomic_fetch_add(&calls, 1);
        ask(*(int *)kind == SLOW ? 's' : 'q');
    }
    return NULL;
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
    sink = open("/dev/null", O_WRONLY);
    struct sigaction action = {.sa_handler = handler};
    MUST(sigaction(SIGUSR1, &action, NULL));
    alarm(60);
    int cancelled[KINDS] = {0}, wrong = 0;
    unsigned number = 1;
    for (int round = 0; round < 600; round++) {
        int kind = round % KINDS;
        void *result;
        pthread_t thread;
        atomic_store(&calls, 0);
        if (pthread_create(&thread, NULL, call, &kind) != 0)
            return 1;
        number = number * 1103515245 + 12345;
        long enough = kind == SLOW ? 1 : 1 + number / 65536 % 50;
        while (atomic_load(&calls) < enough)
            ;
        for (unsigned wait = number / 65536 % 2000; wait > 0; wait--)
            atomic_load(&calls);
        if (round % 2 == 0)
            pthread_kill(thread, SIGUSR1);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        cancelled[kind] += result == PTHREAD_CANCELED;
        wrong += ask('q') != 'a';
    }
    printf("%d and %d cancelled, %d wrong\n", cancelled[QUICK], cancelled[SLOW], wrong);
    puts(ask('c') == 1 ? "some were in their procedure" : "none was in its procedure");
    return 0;
}
