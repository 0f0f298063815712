/* What a server thread holds is given back when its client gives up or is killed: cancellation runs its cleanup handlers. */
#include "program.h"

#include <sys/wait.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int held, given_back;

static void *serve_thread(void *argument) {
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL); /* as POSIX has it, and the library's own threads have not */
    door_return(NULL, 0, NULL, 0);
    return argument;
}

static void make_thread(door_info_t *info) {
    pthread_t thread;
    (void)info;
    if (pthread_create(&thread, NULL, serve_thread, NULL) == 0)
        pthread_detach(thread);
}

static void change(int *what, int by) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&lock);
    *what += by;
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(state, NULL);
}

static void give_back(void *unused) {
    (void)unused;
    change(&held, -1);
    change(&given_back, 1);
}

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    if (size == 1 && argp[0] == 'h') {
        change(&held, 1);
        pthread_cleanup_push(give_back, NULL);
        for (;;)
            pause(); /* a cancellation point: the client never gets an answer */
        pthread_cleanup_pop(0);
    }
    pthread_mutex_lock(&lock);
    int now[2] = {held, given_back};
    pthread_mutex_unlock(&lock);
    door_return((char *)now, sizeof now, NULL, 0);
}

static void ask(int door, int now[2]) {
    door_arg_t arg = request("?", 1, now, 2 * sizeof *now);
    MUST(door_call(door, &arg));
}

static void hold(int door) {
    door_arg_t arg = request("h", 1, NULL, 0);
    door_call(door, &arg);
}

static void wait_until(int door, int held_then, int given_back_then) {
    int now[2];
    do
        ask(door, now);
    while ((now[0] != held_then || now[1] != given_back_then) && usleep(1000) == 0);
}

static void wake(int number) {
    (void)number;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        door_server_create(make_thread);
        int door = door_create(serve, NULL, 0);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]);
    pid_t child = fork();
    if (child == 0) {
        hold(door);
        _exit(1);
    }
    wait_until(door, 1, 0);
    kill(child, SIGKILL);
    MUST(waitpid(child, NULL, 0));
    wait_until(door, 0, 1);
    puts("given back when the client was killed");
    child = fork();
    if (child == 0) {
        signal(SIGUSR1, wake);
        hold(door);
        _exit(errno == EINTR ? 0 : 1);
    }
    wait_until(door, 1, 1);
    int status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        kill(child, SIGUSR1); /* again, if it was not asleep yet */
        usleep(1000);
    }
    if (status != 0)
        return 1;
    wait_until(door, 0, 2);
    puts("given back when the client gave up");
    return 0;
}
