/* Both ends of an interrupted call: the server's thread ends without an answer; the client gets alarms. */
#include "program.h"

#include <sys/time.h>

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    if (size == 1 && *argp == 'x')
        pthread_exit(NULL);
    if (size == 1 && *argp == 'r')
        return;
    if (size == 1 && *argp == 's') {
        sigset_t none;
        sigemptyset(&none);
        sigsuspend(&none); /* until this process gets a signal */
    }
    door_return(argp, size, NULL, 0);
}

static void wake(int number) {
    (void)number;
}

static int call(int door, char what) {
    char answer;
    door_arg_t arg = request(&what, 1, &answer, 1);
    return door_call(door, &arg) == -1 ? errno : 0;
}

int main(int argc, char **argv) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = wake;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    if (argc == 2) {
        int door = door_create(serve, NULL, DOOR_NO_CANCEL);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    int door = open_door(argv[1]);
    printf("exit: %s\n", call(door, 'x') == EINTR ? "EINTR" : "?");
    printf("return: %s\n", call(door, 'r') == EINTR ? "EINTR" : "?");
    struct itimerval often = {{0, 100000}, {0, 100000}}, never = {{0, 0}, {0, 0}};
    MUST(setitimer(ITIMER_REAL, &often, NULL)); /* again and again: one alarm alone may be over before the call begins */
    printf("alarm: %s\n", call(door, 's') == EINTR ? "EINTR" : "?");
    MUST(setitimer(ITIMER_REAL, &never, NULL));
    int tries = 0, error;
    do {
        error = call(door, 'e');
        tries++;
    } while (error == EINTR); /* only because doing it twice does no harm */
    printf("again: %s\n", error == 0 ? "answered" : "?");
    return 0;
}
