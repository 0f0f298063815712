/*
 * Everything at once: threads that make doors and revoke them, call, are cancelled and interrupted in calls, pass doors around until
 * nobody holds them, bind themselves to private doors and leave. Half of it in one process, half with a server process.
 * What the program itself shares is under locks, so that thread checkers can tell its races from none.
 */
#include "program.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/socket.h>

static int rounds = 30;

/* ---- what the threads report ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
    long called, revoked, cancelled, interrupted, unreferenced, bound, wrong;
} count;

static void add(long *what, long n) {
    pthread_mutex_lock(&lock);
    *what += n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void check(int good, const char *what) {
    if (!good) {
        fprintf(stderr, "%s: errno %d\n", what, errno);
        add(&count.wrong, 1);
    }
}

/* ---- procedures ---- */

static void add_one(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    for (size_t i = 0; i < size; i++)
        argp[i]++;
    for (uint_t i = 0; i < n; i++)
        dp[i].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    door_return(argp, size, dp, n);
    for (uint_t i = 0; i < n; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
    door_return(NULL, 0, NULL, 0);
}

/* Says by a byte through the descriptor sent along that it has begun, and then waits until the other end is closed. */
static void hold(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size;
    if (n == 1) {
        int end = dp->d_data.d_desc.d_descriptor;
        char byte = 'b';
        if (write(end, &byte, 1) == 1)
            while (read(end, &byte, 1) == -1 && errno == EINTR)
                ;
        close(end);
    }
    door_return(NULL, 0, NULL, 0);
}

static void notice(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)size, (void)dp, (void)n;
    if (argp == DOOR_UNREF_DATA)
        add(&count.unreferenced, 1);
    door_return(NULL, 0, NULL, 0);
}

/* ---- the doors everybody calls ---- */

enum { HERE, THERE, HOLD_HERE, HOLD_THERE, DOORS };
static int doors[DOORS]; /* written before the threads start */

static void call(int door, size_t size, char *data, char *room, size_t rsize) {
    door_arg_t arg = request(data, size, room, rsize);
    memset(data, (int)size, size);
    int result;
    while ((result = door_call(door, &arg)) == -1 && (errno == EINTR || errno == EAGAIN))
        ;
    check(result == 0 && arg.data_size == size, "call");
    if (result == -1)
        return;
    int good = 1;
    for (size_t i = 0; i < size; i++)
        good &= arg.data_ptr[i] == (char)(size + 1);
    check(good, "answer");
    if (arg.rbuf != room)
        MUST(munmap(arg.rbuf, arg.rsize));
    add(&count.called, 1);
}

static void *caller(void *unused) {
    static const size_t sizes[] = {0, 1, 100, 5000, 20000, 70000};
    char *data = malloc(70000), room[512];
    for (int i = 0; i < rounds; i++)
        call(doors[i % 2 ? HERE : THERE], sizes[(size_t)i % (sizeof sizes / sizeof *sizes)], data, room, sizeof room);
    free(data);
    return unused;
}

/* Makes a door, calls it from here, sends it to the other process and back, revokes it. */
static void *maker(void *unused) {
    char data[64], room[256];
    for (int i = 0; i < rounds; i++) {
        int door = door_create(add_one, NULL, i % 2 ? DOOR_REFUSE_DESC : DOOR_NO_CANCEL);
        MUST(door);
        call(door, sizeof data, data, room, sizeof room);
        door_desc_t desc;
        memset(&desc, 0, sizeof desc);
        desc.d_attributes = DOOR_DESCRIPTOR;
        desc.d_data.d_desc.d_descriptor = door;
        door_arg_t arg = request(NULL, 0, room, sizeof room);
        arg.desc_ptr = &desc;
        arg.desc_num = 1;
        int result;
        while ((result = door_call(doors[THERE], &arg)) == -1 && (errno == EINTR || errno == EAGAIN))
            ;
        check(result == 0 && arg.desc_num == 1, "a door there and back");
        int back = arg.desc_ptr->d_data.d_desc.d_descriptor;
        check((arg.desc_ptr->d_attributes & DOOR_LOCAL) != 0, "mine");
        call(back, sizeof data, data, room, sizeof room);
        MUST(door_revoke(door));
        door_arg_t late = request(NULL, 0, NULL, 0);
        check(door_call(back, &late) == -1 && errno == EBADF, "revoked");
        close(back);
        add(&count.revoked, 1);
    }
    return unused;
}

/* Gives references away and takes them back until there is one: each time, one unreferenced invocation. */
static void *referrer(void *unused) {
    int door = door_create(notice, NULL, DOOR_UNREF_MULTI);
    MUST(door);
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        long before = count.unreferenced;
        pthread_mutex_unlock(&lock);
        int copy = dup(door);
        MUST(copy);
        close(copy);
        pthread_mutex_lock(&lock);
        while (count.unreferenced == before)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
    }
    MUST(door_revoke(door));
    return unused;
}

/* ---- calls that are cut short ---- */

struct held {
    int door, end; /* the descriptor to send along */
    pthread_t thread;
    int result, error;
};

static void *held_call(void *argument) {
    struct held *held = argument;
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = held->end;
    door_arg_t arg = request(NULL, 0, NULL, 0);
    arg.desc_ptr = &desc;
    arg.desc_num = 1;
    held->result = door_call(held->door, &arg);
    held->error = errno;
    if (held->result == -1 && held->error == EBADF)
        close(held->end); /* nobody has taken it */
    return NULL;
}

/* Starts a call and waits until its procedure runs; gives the end that the procedure waits for. */
static int begin(struct held *held, int door) {
    int pair[2];
    char byte;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    held->door = door;
    held->end = pair[1];
    if (pthread_create(&held->thread, NULL, held_call, held) != 0)
        exit(1);
    check(read(pair[0], &byte, 1) == 1, "the procedure begins");
    return pair[0];
}

static void *canceller(void *unused) {
    for (int i = 0; i < rounds; i++) {
        struct held held;
        void *how;
        int end = begin(&held, doors[i % 2 ? HOLD_HERE : HOLD_THERE]);
        pthread_cancel(held.thread);
        pthread_join(held.thread, &how);
        check(how == PTHREAD_CANCELED, "cancelled");
        close(end); /* the procedure goes on, and finds nobody to answer */
        add(&count.cancelled, 1);
    }
    return unused;
}

static _Atomic int ended;

static void *interrupted_call(void *argument) {
    held_call(argument);
    atomic_store(&ended, 1);
    return NULL;
}

static void on_signal(int number) {
    (void)number;
}

/* Signals until the call ends: one that comes before it sleeps does not end it. */
static void *interrupter(void *unused) {
    for (int i = 0; i < rounds; i++) {
        struct held held;
        int pair[2];
        char byte;
        MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
        held.door = doors[i % 2 ? HOLD_THERE : HOLD_HERE];
        held.end = pair[1];
        atomic_store(&ended, 0);
        if (pthread_create(&held.thread, NULL, interrupted_call, &held) != 0)
            exit(1);
        check(read(pair[0], &byte, 1) == 1, "the procedure begins");
        while (!atomic_load(&ended)) {
            pthread_kill(held.thread, SIGUSR1);
            usleep(1000);
        }
        pthread_join(held.thread, NULL);
        check(held.result == -1 && held.error == EINTR, "interrupted");
        close(pair[0]);
        add(&count.interrupted, 1);
    }
    return unused;
}

/* ---- private doors ---- */

static void leave(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)argp, (void)dp, (void)n;
    if (size == 1)
        pthread_exit(NULL); /* the caller gets EINTR */
    int result = door_unbind() == 0 && door_bind(*(int *)cookie) == 0;
    door_return((char *)&result, sizeof result, NULL, 0);
}

static void *bound(void *argument) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    MUST(door_bind(*(int *)argument));
    add(&count.bound, 1);
    door_return(NULL, 0, NULL, 0);
    return NULL;
}

static void *binder(void *unused) {
    for (int i = 0; i < rounds; i++) {
        int door, result = 0;
        pthread_t thread;
        MUST(door = door_create(leave, &door, DOOR_PRIVATE));
        if (pthread_create(&thread, NULL, bound, &door) != 0)
            exit(1);
        door_arg_t arg = request(NULL, 0, (char *)&result, sizeof result);
        check(door_call(door, &arg) == 0 && result, "a bound thread answers");
        arg = request("x", 1, NULL, 0);
        check(door_call(door, &arg) == -1 && errno == EINTR, "a bound thread ends");
        pthread_join(thread, NULL);
        MUST(door_revoke(door));
    }
    return unused;
}

/* ---- main ---- */

static int open_descriptors(void) {
    DIR *list = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(list) != NULL)
        n++;
    closedir(list);
    return n;
}

static int serve(const char *path) {
    char other[4096];
    int first = door_create(add_one, NULL, 0), second = door_create(hold, NULL, 0), file;
    snprintf(other, sizeof other, "%s.hold", path);
    MUST(first);
    MUST(second);
    MUST(file = open(other, O_CREAT | O_RDWR, 0666));
    close(file);
    fdetach(other);
    MUST(fattach(second, other));
    publish(first, path);
    for (;;)
        pause();
}

static void everything(void) {
    static void *(*const bodies[])(void *) = {caller, caller, maker, referrer, canceller, interrupter, binder};
    enum { THREADS = sizeof bodies / sizeof *bodies };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, bodies[i], NULL) != 0)
            exit(1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    char other[4096];
    if (argc == 2)
        return serve(argv[1]);
    if (argc > 3)
        rounds = atoi(argv[3]);
    snprintf(other, sizeof other, "%s.hold", argv[1]);
    signal(SIGUSR1, on_signal);
    MUST(doors[HERE] = door_create(add_one, NULL, 0));
    MUST(doors[HOLD_HERE] = door_create(hold, NULL, DOOR_NO_CANCEL));
    doors[THERE] = open_door(argv[1]);
    doors[HOLD_THERE] = open_door(other);
    everything();
    int before = open_descriptors();
    everything();
    /* Links come and go with the calls that are made at once; nothing may stay of each round. What is let go of is closed soon after. */
    int patience = 60000;
    while (open_descriptors() >= before + rounds && patience-- > 0)
        usleep(1000);
    check(patience > 0, "no descriptor is lost");
    pthread_mutex_lock(&lock);
    printf("%ld called, %ld revoked, %ld cancelled, %ld interrupted, %ld unreferenced, %ld bound, %ld wrong\n", count.called,
           count.revoked, count.cancelled, count.interrupted, count.unreferenced, count.bound, count.wrong);
    pthread_mutex_unlock(&lock);
    return count.wrong != 0;
}
