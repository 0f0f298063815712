/* What server and callers have in common. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct shared *shared;

void fail(const char *what) {
    fprintf(stderr, "SOAK, process %d (C): %s%s%s\n", (int)getpid(), what, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    abort();
}

static uint64_t word(uint64_t nonce, uint64_t number) {
    return (nonce + number * 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
}

void fill(uint64_t nonce, char *out, size_t len) {
    for (size_t at = 0; at < len; at += 8) {
        uint64_t value = word(nonce, at / 8);
        memcpy(out + at, &value, len - at < 8 ? len - at : 8);
    }
}

int follows(uint64_t nonce, const char *bytes, size_t len) {
    for (size_t at = 0; at < len; at += 8) {
        uint64_t value = word(nonce, at / 8);
        if (memcmp(bytes + at, &value, len - at < 8 ? len - at : 8) != 0)
            return 0;
    }
    return 1;
}

uint64_t token_there(const struct request *request, uint64_t number) {
    return (request->nonce >> 8) + number;
}

uint64_t token_back(const struct request *request, uint64_t number) {
    return (~request->nonce >> 8) + number;
}

int token_make(uint64_t number) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    require(fd >= 0 && write(fd, &number, sizeof number) == sizeof number, "cannot make a descriptor");
    return fd;
}

uint64_t token_read(int fd) {
    uint64_t number = 0;
    require(read(fd, &number, sizeof number) == sizeof number, "a descriptor is none of ours");
    return number;
}

void count(enum number number, uint64_t amount) {
    atomic_fetch_add(&shared->numbers[number], amount);
}

void count_call(enum number outcome) {
    count(outcome, 1);
    if (outcome != REVOKED)
        count(CALLS, 1);
}

uint64_t phase(void) {
    return atomic_load(&shared->numbers[PHASE]);
}

uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t milliseconds(void) {
    uint64_t now = microseconds() / 1000;
    return now > 0 ? now : 1;
}

uint64_t allocated(void) {
    malloc_trim(0);
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct random random_of(uint64_t seed, uint64_t who) {
    return (struct random){(seed + who * 0x9E3779B97F4A7C15u) | 1};
}

uint64_t random_next(struct random *random) {
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return random->state * 0x2545F4914F6CDD1Du >> 16;
}

uint32_t random_below(struct random *random, uint32_t limit) {
    return (uint32_t)(random_next(random) % limit);
}

uint32_t random_size(struct random *random) {
    uint32_t kind = random_below(random, 1000);
    return random_below(random, kind < 850 ? 200 : kind < 970 ? 16 << 10 : kind < 998 ? 100 << 10 : 2 << 20);
}
