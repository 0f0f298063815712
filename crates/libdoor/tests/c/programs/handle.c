/*
 * A library with a handle that keeps its daemon's door open: when the daemon was started again, it opens the door once more; results that
 * are larger than the caller's room are told by their size; results that live in the daemon's memory are freed by a second call, by
 * clients that the daemon has reason to trust.
 */
#include "program.h"

struct handle {
    const char *path;
    int door;
};

enum { LIST = 1, FREE = 2, RESULTS = 64 };

struct query {
    int what;
    int count;        /* LIST: names wanted */
    unsigned to_free; /* FREE: what LIST said */
};

struct names {
    unsigned to_free;
    int process;
    char text[];
};

/* ---- the daemon ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct names *results[RESULTS];
static unsigned last;

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    struct query query;
    (void)cookie, (void)dp, (void)n;
    if (size != sizeof query)
        door_return(NULL, 0, NULL, 0);
    memcpy(&query, argp, sizeof query);
    if (query.what == FREE) {
        /* A number, not the pointer: clients may say anything. */
        pthread_mutex_lock(&lock);
        free(results[query.to_free % RESULTS]);
        results[query.to_free % RESULTS] = NULL;
        pthread_mutex_unlock(&lock);
        door_return(NULL, 0, NULL, 0);
    }
    if (query.count < 0 || query.count > 100000)
        door_return(NULL, 0, NULL, 0);
    size_t length = sizeof(struct names) + (size_t)query.count * 8;
    struct names *names = calloc(1, length);
    names->process = getpid();
    memset(names->text, 'n', (size_t)query.count * 8);
    pthread_mutex_lock(&lock);
    names->to_free = ++last; /* a procedure cannot free its result: the client has it freed, or whoever gets the number again */
    free(results[last % RESULTS]);
    results[last % RESULTS] = names;
    pthread_mutex_unlock(&lock);
    door_return((char *)names, length, NULL, 0);
}

/* ---- the library ---- */

static int call(struct handle *handle, door_arg_t *arg) {
    for (int tries = 0; tries < 2; tries++) {
        door_arg_t once = *arg;
        if (handle->door == -1 && (handle->door = open(handle->path, O_RDONLY | O_CLOEXEC)) == -1)
            return -1;
        if (door_call(handle->door, &once) == 0) {
            *arg = once;
            return 0;
        }
        if (errno != EBADF)
            return -1;
        close(handle->door); /* the daemon is another one by now */
        handle->door = -1;
    }
    errno = EBADF;
    return -1;
}

/* The result in `room`, or -1: with ENOSPC and the size it takes, or with the error of the call. */
static ssize_t ask(struct handle *handle, struct query *query, void *room, size_t size) {
    door_arg_t arg = request(query, sizeof *query, room, size);
    if (call(handle, &arg) == -1)
        return -1;
    if (query->what == LIST && arg.data_size >= sizeof(struct names)) {
        struct query also = {FREE, 0, ((struct names *)(void *)arg.data_ptr)->to_free};
        door_arg_t second = request(&also, sizeof also, NULL, 0);
        if (call(handle, &second) == -1)
            return -1;
    }
    if (arg.rbuf != room) {
        MUST(munmap(arg.rbuf, arg.rsize));
        query->count = (int)arg.data_size;
        errno = ENOSPC;
        return -1;
    }
    return (ssize_t)arg.data_size;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(serve, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    struct handle handle = {argv[1], -1};
    char line[16];
    int last = 0;
    union {
        struct names names;
        char bytes[256];
    } room;
    while (fgets(line, sizeof line, stdin) != NULL) { /* how many names, until the end of the input */
        struct query query = {LIST, atoi(line), 0};
        ssize_t got = ask(&handle, &query, &room, sizeof room);
        if (got == -1 && errno == ENOSPC)
            printf("%d bytes are needed\n", query.count);
        else if (got == -1)
            printf("%s\n", strerror(errno));
        else
            printf("%zd bytes from %s\n", got, room.names.process == last ? "the same" : "another");
        if (got != -1)
            last = room.names.process;
        fflush(stdout);
    }
    return 0;
}
