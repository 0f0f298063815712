/*
 * Gives pool_server three jobs at once, and asks it how they do.
 *
 *     cc pool_client.c -o pool_client -ldoor -lpthread && ./pool_client /tmp/jobs
 */
#include "pool.h"

#include <door.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { JOBS = 3 };

static int door, jobs = -1;

static void check(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static struct status ask(void)
{
    char room[256];
    struct status status;
    door_arg_t arg;

    memset(&arg, 0, sizeof arg);
    arg.rbuf = room;
    arg.rsize = sizeof room;
    check(door_call(door, &arg) == 0 && arg.data_size == sizeof status && arg.desc_num == 1, "status");
    memcpy(&status, arg.data_ptr, sizeof status);
    if (jobs < 0)
        jobs = arg.desc_ptr[0].d_data.d_desc.d_descriptor;
    else
        close(arg.desc_ptr[0].d_data.d_desc.d_descriptor);
    return status;
}

/* One job: its input is the pipe. */
static void *job(void *input)
{
    long bytes = -1;
    door_desc_t desc;
    door_arg_t arg;

    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = *(int *)input;
    memset(&arg, 0, sizeof arg);
    arg.desc_ptr = &desc;
    arg.desc_num = 1;
    arg.rbuf = (char *)&bytes;
    arg.rsize = sizeof bytes;
    check(door_call(jobs, &arg) == 0 && bytes == 6, "job");
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[JOBS];
    int pipes[JOBS][2];
    struct status status;

    check((door = open(argc > 1 ? argv[1] : "/tmp/jobs", O_RDONLY)) >= 0, "door");
    ask();
    for (int i = 0; i < JOBS; i++) {
        check(pipe(pipes[i]) == 0, "pipe");
        check(pthread_create(&threads[i], NULL, job, &pipes[i][0]) == 0, "thread");
    }
    do
        status = ask(); /* answered though every thread for jobs will be busy soon */
    while (status.busy < status.threads && sched_yield() == 0);
    printf("%d of %d threads are busy\n", status.busy, status.threads);
    for (int i = 0; i < JOBS; i++) {
        check(write(pipes[i][1], "input\n", 6) == 6, "write");
        close(pipes[i][1]);
    }
    for (int i = 0; i < JOBS; i++)
        pthread_join(threads[i], NULL);
    status = ask();
    printf("%d jobs are done, never more than %d at once\n", JOBS, status.busiest);
    return 0;
}
