/* A thread that has disabled its cancellation, as around what must not be left half done, gets its answer although it is cancelled. */
#include "program.h"

#include <dirent.h>
#include <semaphore.h>

static sem_t begun, go;

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    if (size == 1 && argp[0] == 'w') {
        sem_post(&begun);
        while (sem_wait(&go) == -1)
            ;
    } else if (size == 1 && argp[0] == 'b') {
        while (sem_wait(&begun) == -1)
            ;
    } else {
        sem_post(&go);
    }
    door_return("answer", 7, NULL, 0);
}

static int door;

static void *call(void *failed) {
    char reply[8] = "";
    door_arg_t arg = request("w", 1, reply, sizeof reply);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (door_call(door, &arg) == -1)
        *(int *)failed = errno;
    else
        puts(reply);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
    return NULL;
}

static int threads(void) {
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks)) != NULL;)
        count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static void say(const char *what) {
    char reply[8];
    door_arg_t arg = request(what, 1, reply, sizeof reply);
    MUST(door_call(door, &arg));
}

int main(int argc, char **argv) {
    if (argc == 2) {
        sem_init(&begun, 0, 0);
        sem_init(&go, 0, 0);
        int made = door_create(serve, NULL, 0);
        MUST(made);
        publish(made, argv[1]);
        for (;;)
            pause();
    }
    door = open_door(argv[1]);
    int failed = 0;
    void *result;
    pthread_t thread;
    pthread_create(&thread, NULL, call, &failed);
    say("b"); /* the call is in its procedure */
    pthread_cancel(thread);
    while (threads() > 2) /* whatever was started to interrupt the call has done so */
        usleep(1000);
    say("g");
    pthread_join(thread, &result);
    if (failed != 0)
        printf("%s\n", strerror(failed));
    puts(result == PTHREAD_CANCELED ? "cancelled then" : "not cancelled");
    return 0;
}
