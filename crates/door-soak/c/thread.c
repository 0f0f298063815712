/* The threads of a C client: those that call, some of which are cancelled, and the one that interrupts them. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_THREADS = 16 };

/* Calls until the run ends, and rests in between. */
static void *call_on(void *argument) {
    struct caller *me = argument;
    caller_sits(me);
    for (uint64_t now; (now = phase()) != END;) {
        if (now == 0) {
            caller_call_and_fork(me);
        } else {
            caller_settle(me);
            caller_rest(me, now);
        }
    }
    caller_settle(me);
    return NULL;
}

/* Calls until it is cancelled, in the middle of a call or just before one. */
_Noreturn static void *call_until_cancelled(void *argument) {
    struct caller *me = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    caller_sits(me);
    for (;;)
        caller_call(me);
}

/* Starts threads and cancels them. */
static void *cancel_on(void *argument) {
    struct caller *me = argument;
    for (uint64_t now; (now = phase()) != END;) {
        if (now != 0) {
            caller_rest(me, now);
            continue;
        }
        void *result;
        caller_renew(me);
        me->cancellable = 1;
        require(pthread_create(&me->thread, NULL, call_until_cancelled, me) == 0, "pthread_create");
        usleep(random_below(&me->random, 4000));
        require(pthread_cancel(me->thread) == 0 && pthread_join(me->thread, &result) == 0, "pthread_cancel");
        errno = 0;
        require(result == PTHREAD_CANCELED, "a cancelled thread has ended otherwise");
        count_call(CANCELLED);
        atomic_store(&shared->seats[me->seat].since, 0);
        me->cancellable = 0;
        caller_settle(me);
    }
    return NULL;
}

/* What servers call. */
static void answer_back(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n_desc) {
    uint64_t nonce;
    (void)cookie, (void)dp, (void)n_desc;
    require(size == sizeof nonce, "a call of another length");
    memcpy(&nonce, argp, size);
    nonce = ~nonce;
    door_return((char *)&nonce, sizeof nonce, NULL, 0);
    fail("door_return");
}

static void on_signal(int number) {
    (void)number;
}

int client(uint64_t seed, int seat, int threads) {
    static struct caller callers[MOST_THREADS + 1];
    static pthread_t running[MOST_THREADS + 1];
    struct seat *own = &shared->seats[seat];
    struct random random = random_of(seed, 0);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigset_t signals;
    require(threads > 0 && threads <= MOST_THREADS && seat + threads + 1 < CHILD, "too many threads");
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    atomic_store(&own->thread, (uint64_t)gettid());
    own_door = door_create(answer_back, NULL, DOOR_NO_CANCEL | DOOR_REFUSE_DESC);
    require(own_door >= 0, "door_create");
    for (int at = 0; at <= threads; at++) {
        caller_set_up(&callers[at], seat + 1 + at, random_of(seed, (uint64_t)at + 1));
        require(pthread_create(&running[at], NULL, at < threads ? call_on : cancel_on, &callers[at]) == 0, "pthread_create");
    }
    for (uint64_t now; (now = phase()) != END; usleep(500)) {
        if (now == 0) {
            pthread_kill(running[random_below(&random, (uint32_t)threads)], SIGUSR1);
            continue;
        }
        int resting = 0;
        for (int at = 0; at <= threads; at++)
            resting += atomic_load(&shared->seats[seat + 1 + at].rest) == now;
        if (resting == threads + 1) {
            struct caller me = {.seat = seat};
            atomic_store(&own->allocated, allocated());
            caller_rest(&me, now);
        }
    }
    for (int at = 0; at <= threads; at++) {
        pthread_join(running[at], NULL);
        caller_tear_down(&callers[at]);
    }
    return 0;
}
