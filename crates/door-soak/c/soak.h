/*
 * The C half of the soak of doors: a server and callers that do what src/server.rs and src/client.rs do, written against
 * <door.h> alone.
 */
#ifndef SOAK_H
#define SOAK_H

#include <door.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stddef.h>

/* ---- What processes share, as in src/shared.rs ---- */

enum { SEATS = 64, CHILD = SEATS / 2, PEERS = 8, CALLERS = SEATS * PEERS };

/* Numbers that are counted together. */
enum number {
    PHASE, CALLS, ANSWERED, INTERRUPTED, AGAIN, REVOKED, TIMED_OUT, CANCELLED, CHILDREN, THERE, BACK, BYTES, LIVES,
    OFFSPRING, CALLED_BACK
};

/* What a thread does now. */
struct seat {
    _Atomic uint64_t thread, since, peer, serial, rest, allocated, unused[2];
};

struct shared {
    _Atomic uint64_t numbers[64];
    struct seat seats[SEATS];
};

extern struct shared *shared;

/* Phases: 0 calls are made, END the run ends, any other one a rest. */
#define END UINT64_MAX

/* ---- What calls carry, as in src/message.rs ---- */

enum kind { CALL, COUNT, ALLOCATED, SPAWN, CALL_BACK };

struct request {
    uint64_t nonce, life, serial;
    uint32_t caller, kind, reply, given, wanted, work;
};

struct answer {
    uint64_t nonce, figures[2];
};

_Static_assert(sizeof(struct request) == 48 && sizeof(struct answer) == 24, "the heads of messages");

enum { MOST = 4 << 20, SOME_DESCRIPTORS = 4 };

/* Bytes that follow from a number; whether some do. */
void fill(uint64_t nonce, char *out, size_t len);
int follows(uint64_t nonce, const char *bytes, size_t len);

/* What the numberth descriptor of a request, of its answer, holds. */
uint64_t token_there(const struct request *request, uint64_t number);
uint64_t token_back(const struct request *request, uint64_t number);
int token_make(uint64_t number);
uint64_t token_read(int fd);

/* ---- The rest of common.c ---- */

_Noreturn void fail(const char *what);
#define require(condition, what) do { if (!(condition)) fail(what); } while (0)

void count(enum number number, uint64_t amount);
/* Counts a call. A dead server's door is none that was called. */
void count_call(enum number outcome);
uint64_t phase(void);
/* Of the clock all processes share; never 0. */
uint64_t milliseconds(void);
uint64_t microseconds(void);
/* Bytes the allocator has given out; what it keeps for later goes back to the system first. */
uint64_t allocated(void);

/* Small numbers that look random, as in src/random.rs. */
struct random {
    uint64_t state;
};
struct random random_of(uint64_t seed, uint64_t who);
uint64_t random_next(struct random *random);
uint32_t random_below(struct random *random, uint32_t limit);
uint32_t random_size(struct random *random);

/* ---- client.c ---- */

/* A server, as one calling thread sees it. */
struct peer {
    char path[256];
    int door, mortal;
    uint32_t caller;
    uint64_t life, serial, answered, uncertain;
};

/* One thread that calls. */
struct caller {
    pthread_t thread;
    struct random random;
    int seat;
    int cancellable; /* calls may be cut off by pthread_cancel() */
    char *out, *in;
    struct peer peers[5];
};

extern const char *folder;
/* A door of this process for servers to call. */
extern int own_door;

void caller_set_up(struct caller *me, int seat, struct random random);
void caller_renew(struct caller *me);
void caller_tear_down(struct caller *me);
void caller_sits(struct caller *me);
void caller_settle(struct caller *me);
void caller_rest(struct caller *me, uint64_t rest);
/* One call of some server; now and then in a forked child. */
void caller_call(struct caller *me);
void caller_call_and_fork(struct caller *me);

/* ---- Roles ---- */

int server(const char *path);                            /* server.c */
int client(uint64_t seed, int seat, int threads);        /* thread.c */

#endif
