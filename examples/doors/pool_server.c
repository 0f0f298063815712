/*
 * Two doors with threads of different kinds: jobs, which may take long, have exactly two threads of their own; questions about them
 * are answered by the library's threads, at once, whatever the jobs do.
 *
 *     cc pool_server.c -o pool_server -ldoor -lpthread && ./pool_server /tmp/jobs
 *
 * A call to the door at the path gives a struct status and the door for jobs. A job reads its input, which comes as a
 * descriptor, to the end, and gives the number of bytes.
 */
#include "serve.h"
#include "pool.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct status status = { .threads = 2 };
static int jobs;

/* For door_xcreate(): one thread that runs `start`. 1 says that it is there; 0 would mean that we decline. */
static int make_thread(door_info_t *info, void *(*start)(void *), void *argument, void *cookie)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int made;

    (void)info, (void)cookie;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    made = pthread_create(&thread, &attributes, start, argument) == 0;
    pthread_attr_destroy(&attributes);
    return made ? 1 : -1;
}

static void do_job(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char buffer[4096];
    long bytes = 0;
    ssize_t n = 0;

    (void)cookie, (void)argp, (void)arg_size;
    pthread_mutex_lock(&lock);
    if (++status.busy > status.busiest)
        status.busiest = status.busy;
    pthread_mutex_unlock(&lock);
    if (n_desc == 1)
        while ((n = read(dp[0].d_data.d_desc.d_descriptor, buffer, sizeof buffer)) > 0)
            bytes += n;
    for (uint_t i = 0; i < n_desc; i++)
        close(dp[i].d_data.d_desc.d_descriptor); /* what has come is ours to close */
    pthread_mutex_lock(&lock);
    status.busy--;
    pthread_mutex_unlock(&lock);
    door_return((char *)&bytes, sizeof bytes, NULL, 0);
}

static void tell_status(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct status now;
    door_desc_t desc;

    (void)cookie, (void)argp, (void)arg_size, (void)dp, (void)n_desc;
    pthread_mutex_lock(&lock);
    now = status;
    pthread_mutex_unlock(&lock);
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR; /* no DOOR_RELEASE: everybody gets a copy */
    desc.d_data.d_desc.d_descriptor = jobs;
    door_return((char *)&now, sizeof now, &desc, 1);
    door_return(NULL, 0, NULL, 0);
}

int main(int argc, char **argv)
{
    jobs = door_xcreate(do_job, NULL, DOOR_NO_CANCEL | DOOR_NO_DEPLETION_CB, make_thread, NULL, NULL, status.threads);
    if (jobs < 0 || door_setparam(jobs, DOOR_PARAM_DATA_MAX, 0) < 0 || door_setparam(jobs, DOOR_PARAM_DESC_MAX, 1) < 0) {
        perror("jobs");
        return 1;
    }
    serve(door_create(tell_status, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL), argc > 1 ? argv[1] : "/tmp/jobs");
}
