/* The C server: answers with what follows from each request, and keeps account of what it has carried out. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <unistd.h>

enum { RECENT = 64, ON_STACK = 64 << 10 };

/* The account of one caller, as in src/ledger.rs. */
static struct account {
    uint64_t life, count, recent[RECENT];
} ledger[CALLERS];
static pthread_mutex_t ledger_lock = PTHREAD_MUTEX_INITIALIZER;

/* Carries a request out as far as the ledger goes. */
static void enter(const struct request *request, uint64_t figures[2]) {
    struct account *account = &ledger[request->caller];
    int twice = 0;
    pthread_mutex_lock(&ledger_lock);
    if (request->kind == COUNT) {
        figures[0] = account->life;
        figures[1] = account->count;
    } else if (request->life >= account->life) {
        if (request->life > account->life)
            *account = (struct account){.life = request->life};
        twice = account->recent[request->serial % RECENT] == request->serial;
        account->recent[request->serial % RECENT] = request->serial;
        account->count++;
    }
    pthread_mutex_unlock(&ledger_lock);
    errno = 0;
    require(!twice, "a request was carried out twice");
}

/*
 * Memory for a large answer. door_return() does not come back, so a thread frees it when it serves again; until then it is no leak.
 */
static _Atomic uint64_t kept_bytes;

static char *large_answer(size_t len) {
    static __thread char *kept;
    if (kept != NULL)
        atomic_fetch_sub(&kept_bytes, malloc_usable_size(kept));
    free(kept);
    kept = len > 0 ? malloc(len) : NULL;
    require(len == 0 || kept != NULL, "no memory");
    if (kept != NULL)
        atomic_fetch_add(&kept_bytes, malloc_usable_size(kept));
    return kept;
}

/* Calls the caller; false if that is dead. */
static uint64_t call_back(int door, uint64_t nonce) {
    uint64_t answer = 0;
    door_arg_t arg = {(char *)&nonce, sizeof nonce, NULL, 0, (char *)&answer, sizeof answer};
    int outcome = door_call(door, &arg);
    require(outcome == 0 || errno == EBADF || errno == EINTR, "a caller cannot be called");
    require(outcome != 0 || (arg.data_size == sizeof answer && answer == ~nonce), "a caller's own answer is another's");
    close(door);
    return outcome == 0;
}

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n_desc) {
    struct request request;
    struct answer head = {0, {0, 0}};
    door_desc_t out[SOME_DESCRIPTORS + 1];
    char small[ON_STACK], *answer = small;
    (void)cookie;
    errno = 0;
    require(size >= sizeof request, "a request is too short");
    memcpy(&request, argp, sizeof request);
    require(follows(request.nonce, argp + sizeof request, size - sizeof request), "a request's bytes are not its own");
    require(request.caller < CALLERS && request.reply <= MOST && request.wanted <= SOME_DESCRIPTORS, "an odd request");
    head.nonce = request.nonce;
    large_answer(0);
    if (request.kind == ALLOCATED)
        head.figures[0] = allocated() - atomic_load(&kept_bytes);
    else
        enter(&request, head.figures);

    require(n_desc == request.given + (request.kind == CALL_BACK), "descriptors of a request are missing");
    for (uint_t at = 0; at < request.given; at++) {
        int fd = dp[at].d_data.d_desc.d_descriptor;
        require(token_read(fd) == token_there(&request, at + 1), "a descriptor is another request's");
        close(fd);
    }
    if (request.kind == CALL_BACK)
        head.figures[0] = call_back(dp[request.given].d_data.d_desc.d_descriptor, request.nonce);
    for (uint64_t until = microseconds() + request.work; request.work > 0 && microseconds() < until;)
        sched_yield();

    size_t len = sizeof head + request.reply;
    if (len > sizeof small)
        answer = large_answer(len);
    memcpy(answer, &head, sizeof head);
    fill(~request.nonce, answer + sizeof head, request.reply);
    for (uint_t at = 0; at < request.wanted; at++) {
        out[at].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
        out[at].d_data.d_desc.d_descriptor = token_make(token_back(&request, at + 1));
    }
    uint_t n_out = request.wanted;
    if (request.kind == SPAWN) {
        /* A door for this caller: released, it ends with the last that holds it. */
        out[n_out].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
        out[n_out].d_data.d_desc.d_descriptor = door_create(serve, NULL, DOOR_NO_CANCEL);
        require(out[n_out].d_data.d_desc.d_descriptor >= 0, "door_create");
        n_out++;
    }
    door_return(answer, len, out, n_out);
    fail("door_return");
}

int server(const char *path) {
    char line[16];
    int door = door_create(serve, NULL, DOOR_NO_CANCEL);
    require(door >= 0, "door_create");
    /* What a killed server left at the path goes; as in the manual, there must be a file to attach to. */
    require(fdetach(path) == 0 || errno == ENOENT || errno == EINVAL, "fdetach");
    int file = open(path, O_CREAT | O_CLOEXEC | O_RDWR, 0600);
    require(file >= 0, path);
    close(file);
    require(fattach(door, path) == 0, "fattach");
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL)
        ;
    require(fdetach(path) == 0, "fdetach");
    return 0;
}
