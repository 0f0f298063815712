/* A server that makes its own threads and never more than three; clients beyond that wait their turn. */
#include "program.h"

enum { MOST = 3 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int threads, busy, busiest;

static void *serve(void *unused) {
    (void)unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    door_return(NULL, 0, NULL, 0);
    return NULL;
}

static void make_thread(door_info_t *info) {
    (void)info;
    pthread_mutex_lock(&lock);
    int make = threads < MOST;
    threads += make;
    pthread_mutex_unlock(&lock);
    if (make) {
        pthread_t thread;
        pthread_attr_t detached;
        pthread_attr_init(&detached);
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        pthread_attr_setscope(&detached, PTHREAD_SCOPE_SYSTEM);
        pthread_create(&thread, &detached, serve, NULL);
        pthread_attr_destroy(&detached);
    }
}

static void work(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    pthread_mutex_lock(&lock);
    if (++busy > busiest)
        busiest = busy;
    pthread_mutex_unlock(&lock);
    for (volatile int i = 0; i < 200000; i++)
        ;
    pthread_mutex_lock(&lock);
    busy--;
    int seen[2] = {threads, busiest};
    pthread_mutex_unlock(&lock);
    door_return((char *)seen, sizeof seen, NULL, 0);
}

static int door, failed;

static void *call(void *unused) {
    (void)unused;
    for (int i = 0; i < 50; i++) {
        int seen[2] = {0, 0};
        door_arg_t arg = request(NULL, 0, seen, sizeof seen);
        if (door_call(door, &arg) == -1 || seen[0] > MOST || seen[1] > MOST)
            failed = 1;
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        door_server_create(make_thread);
        MUST(door = door_create(work, NULL, 0));
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    pthread_t callers[8];
    door = open_door(argv[1]);
    for (int i = 0; i < 8; i++)
        pthread_create(&callers[i], NULL, call, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(callers[i], NULL);
    puts(failed ? "more threads than there may be" : "three at most");
    return failed;
}
