/* The C callers: each thread keeps account of what became of its calls, as in src/client.rs. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_CALLS = 20, BUFFER = 64 << 10 };

const char *folder;
int own_door;

void caller_set_up(struct caller *me, int seat, struct random random) {
    static const char *const names[5] = {"rust", "c", "rust", "c", "mortal"};
    *me = (struct caller){.seat = seat, .random = random};
    me->out = malloc(MOST);
    me->in = malloc(BUFFER);
    require(me->out != NULL && me->in != NULL, "no memory");
    for (int at = 0; at < 5; at++) {
        struct peer *peer = &me->peers[at];
        snprintf(peer->path, sizeof peer->path, "%s/%s", folder, names[at]);
        peer->door = -1;
        peer->mortal = at == 4;
        peer->caller = (uint32_t)(seat * PEERS + at);
    }
    caller_renew(me);
}

/* Begins a new life, with nothing carried out. */
void caller_renew(struct caller *me) {
    uint64_t life = atomic_fetch_add(&shared->numbers[LIVES], 1) + 1;
    for (int at = 0; at < 5; at++) {
        struct peer *peer = &me->peers[at];
        peer->life = life;
        peer->serial = peer->answered = peer->uncertain = 0;
    }
}

void caller_tear_down(struct caller *me) {
    for (int at = 0; at < 5; at++)
        if (me->peers[at].door >= 0)
            close(me->peers[at].door);
    free(me->out);
    free(me->in);
}

/* Says who sits there. */
void caller_sits(struct caller *me) {
    atomic_store(&shared->seats[me->seat].thread, (uint64_t)gettid());
}

static void allow_signals(int allow) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(allow ? SIG_UNBLOCK : SIG_BLOCK, &signals, NULL);
}

static void close_tokens(void *array) {
    door_desc_t *descriptors = array;
    for (int at = 0; at <= SOME_DESCRIPTORS; at++)
        if (descriptors[at].d_attributes != 0 && descriptors[at].d_data.d_desc.d_descriptor != own_door)
            close(descriptors[at].d_data.d_desc.d_descriptor);
}

/*
 * Calls a door that came with an answer. It has to answer, unless its server may be dead; or the signal of the C library that cancels
 * this thread comes late and interrupts the call, though cancellation is disabled by now.
 */
static void try_out(int door, int may_fail) {
    struct request request = {.nonce = 1, .kind = COUNT};
    struct answer answer;
    door_arg_t arg = {(char *)&request, sizeof request, NULL, 0, (char *)&answer, sizeof answer};
    int outcome = door_call(door, &arg);
    require(outcome == 0 || may_fail, "a door that came with an answer");
    require(outcome != 0 || (arg.data_size == sizeof answer && answer.nonce == 1), "the answer of such a door");
    close(door);
    count(OFFSPRING, 1);
}

/* Makes a call with the request, and a payload of its own; looks at every byte and descriptor of the answer. */
static int transact(struct caller *me, struct peer *peer, const struct request *request, size_t payload, int interruptible,
                    uint64_t figures[2]) {
    door_desc_t sent[SOME_DESCRIPTORS + 1] = {0};
    uint_t n_sent = request->given + (request->kind == CALL_BACK);
    door_arg_t arg = {me->out, sizeof *request + payload, sent, n_sent, me->in, BUFFER};
    struct answer head;
    int outcome, error;
    memcpy(me->out, request, sizeof *request);
    fill(request->nonce, me->out + sizeof *request, payload);
    for (uint_t at = 0; at < request->given; at++) {
        sent[at].d_attributes = DOOR_DESCRIPTOR;
        sent[at].d_data.d_desc.d_descriptor = token_make(token_there(request, at + 1));
    }
    if (request->kind == CALL_BACK) {
        sent[request->given].d_attributes = DOOR_DESCRIPTOR;
        sent[request->given].d_data.d_desc.d_descriptor = own_door;
    }
    pthread_cleanup_push(close_tokens, sent);
    if (interruptible)
        allow_signals(1);
    if (me->cancellable)
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    outcome = door_call(peer->door, &arg);
    error = errno;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (interruptible)
        allow_signals(0);
    pthread_cleanup_pop(1);
    if (outcome != 0)
        return error;

    errno = 0;
    require(arg.data_size == sizeof head + request->reply, "an answer has the wrong length");
    memcpy(&head, arg.data_ptr, sizeof head);
    require(head.nonce == request->nonce, "an answer is another request's");
    require(follows(~request->nonce, arg.data_ptr + sizeof head, request->reply), "an answer's bytes are not its own");
    /* Its process lives; that of a forked child's door may not. */
    require(request->kind != CALL_BACK || head.figures[0] == 1 || me->seat >= CHILD, "this process was taken for dead");
    int spawned = request->kind == SPAWN;
    require(arg.desc_num == request->wanted + (uint_t)spawned, "descriptors of an answer are missing");
    for (uint_t at = 0; at < request->wanted; at++) {
        int fd = arg.desc_ptr[at].d_data.d_desc.d_descriptor;
        require(token_read(fd) == token_back(request, at + 1), "a descriptor is another answer's");
        close(fd);
    }
    int offspring = spawned ? arg.desc_ptr[request->wanted].d_data.d_desc.d_descriptor : -1;
    memcpy(figures, head.figures, sizeof head.figures);
    if (arg.rbuf != me->in)
        munmap(arg.rbuf, arg.rsize);
    if (spawned)
        try_out(offspring, peer->mortal || me->cancellable);
    return 0;
}

/* Compares what was seen here with what a server that never dies has done. */
static void settle(struct caller *me, struct peer *peer) {
    struct request request = {.nonce = (uint64_t)peer->caller << 8 | COUNT, .caller = peer->caller, .kind = COUNT};
    uint64_t figures[2];
    if (peer->door < 0 || peer->mortal)
        return;
    errno = transact(me, peer, &request, 0, 0, figures);
    require(errno == 0, "a server does not tell what it has done");
    /* The account of a forked child whose parent was killed passes to the child of the next. */
    if (figures[0] > peer->life)
        return;
    uint64_t done = figures[0] == peer->life ? figures[1] : 0;
    if (done < peer->answered || done > peer->answered + peer->uncertain) {
        fprintf(stderr, "SOAK, process %d (C): %s has carried out %llu calls; %llu were answered and %llu given up\n",
                (int)getpid(), peer->path, (unsigned long long)done, (unsigned long long)peer->answered,
                (unsigned long long)peer->uncertain);
        abort();
    }
}

void caller_settle(struct caller *me) {
    for (int at = 0; at < 5; at++)
        settle(me, &me->peers[at]);
}

void caller_rest(struct caller *me, uint64_t rest) {
    atomic_store(&shared->seats[me->seat].rest, rest);
    while (phase() == rest)
        usleep(1000);
}

/* Opens the door of a server; 0 if it is dead, and may be. */
static int opened(struct peer *peer) {
    if (peer->door < 0)
        peer->door = open(peer->path, O_RDONLY | O_CLOEXEC);
    require(peer->door >= 0 || peer->mortal, peer->path);
    return peer->door >= 0;
}

/* Keeps account of a call that failed. */
static void failed(struct peer *peer, int error, int interruptible) {
    errno = error;
    if (error == EINTR && (peer->mortal || interruptible)) {
        peer->uncertain++;
        count_call(INTERRUPTED);
    } else if (error == EAGAIN && interruptible) {
        count_call(AGAIN);
    } else if (error == EBADF && peer->mortal) {
        count_call(REVOKED);
        close(peer->door);
        peer->door = -1;
        sched_yield();
    } else {
        fail(peer->path);
    }
}

static enum kind any_kind(struct caller *me) {
    uint32_t number = random_below(&me->random, 100);
    return number == 0 ? SPAWN : number == 1 ? CALL_BACK : CALL;
}

void caller_call(struct caller *me) {
    int number = (int)random_below(&me->random, 5), interruptible = random_below(&me->random, 100) == 0;
    struct peer *peer = &me->peers[number];
    struct seat *seat = &shared->seats[me->seat];
    uint64_t figures[2];
    if (!opened(peer)) {
        sched_yield();
        return;
    }
    struct request request = {
        .nonce = random_next(&me->random) << 16 ^ peer->caller,
        .life = peer->life,
        .serial = ++peer->serial,
        .caller = peer->caller,
        .kind = any_kind(me),
        .reply = random_size(&me->random),
        .given = random_below(&me->random, 20) == 0 ? random_below(&me->random, SOME_DESCRIPTORS) : 0,
        .wanted = random_below(&me->random, 20) == 0 ? random_below(&me->random, SOME_DESCRIPTORS) : 0,
        .work = interruptible || random_below(&me->random, 200) == 0 ? random_below(&me->random, 2000) : 0,
    };
    size_t payload = random_size(&me->random);
    atomic_store(&seat->peer, (uint64_t)number);
    atomic_store(&seat->serial, request.serial);
    atomic_store(&seat->since, milliseconds());
    /* A cancelled thread does not come back from the call. */
    peer->uncertain += me->cancellable;
    int error = transact(me, peer, &request, payload, interruptible, figures);
    peer->uncertain -= me->cancellable;
    atomic_store(&seat->since, 0);
    if (error != 0) {
        failed(peer, error, interruptible);
        return;
    }
    peer->answered++;
    count_call(ANSWERED);
    count(CALLED_BACK, request.kind == CALL_BACK);
    count(BYTES, sizeof request + payload + request.reply);
    count(THERE, request.given);
    count(BACK, request.wanted);
}

/* A forked child that calls. */
static void fork_and_call(struct caller *me) {
    struct random random = random_of(random_next(&me->random), 0);
    struct caller own;
    int status;
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        caller_set_up(&own, me->seat + CHILD, random);
        caller_sits(&own);
        /* By a descriptor it inherits. */
        settle(me, &me->peers[0]);
        for (int round = 0; round < CHILD_CALLS; round++)
            caller_call(&own);
        caller_settle(&own);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        require(errno == EINTR, "waitpid");
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a forked child failed");
    count(CHILDREN, 1);
}

void caller_call_and_fork(struct caller *me) {
    caller_call(me);
    if (random_below(&me->random, 4000) == 0)
        fork_and_call(me);
}
