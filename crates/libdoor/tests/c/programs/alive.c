/* An empty call as a sign of life, to a door that takes no data at all; never to oneself. */
#include "program.h"

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    door_return(NULL, 0, NULL, 0);
}

static const char *alive(const char *path) {
    door_info_t info;
    door_arg_t arg;
    int door = open(path, O_RDONLY);
    if (door == -1)
        return "no name";
    memset(&arg, 0, sizeof arg);
    const char *answer = "alive";
    if (door_info(door, &info) == -1)
        answer = "dead";
    else if (info.di_target == getpid())
        answer = "myself";
    else if (door_call(door, &arg) == -1)
        answer = "dead";
    close(door);
    return answer;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(serve, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
        MUST(door);
        MUST(door_setparam(door, DOOR_PARAM_DATA_MAX, 0));
        publish(door, argv[1]);
        puts(alive(argv[1]));
        fflush(stdout);
        for (;;)
            pause();
    }
    puts(alive(argv[1]));
    int door = open_door(argv[1]);
    door_arg_t arg = request("x", 1, NULL, 0);
    puts(door_call(door, &arg) == -1 && errno == ENOBUFS ? "no data, please" : "?");
    door_info_t info;
    MUST(door_info(door, &info));
    kill(info.di_target, SIGKILL);
    while (door_info(door, &info) == 0 && info.di_target != -1)
        usleep(1000);
    puts(alive(argv[1]));
    return 0;
}
