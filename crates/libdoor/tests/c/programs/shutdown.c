/* A daemon whose name is its life: told to end it takes its name away, and exits when nobody holds its door any more. */
#include "program.h"

static const char *name;

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    if (argp == DOOR_UNREF_DATA) {
        puts("nobody is left");
        exit(0);
    }
    if (size == 3 && memcmp(argp, "end", 3) == 0) {
        MUST(fdetach(name));
        door_return(NULL, 0, NULL, 0); /* no answer at all means: try again, I am going */
    }
    door_return(argp, size, NULL, 0);
}

int main(int argc, char **argv) {
    if (argc == 2) {
        name = argv[1];
        int door = door_create(serve, NULL, DOOR_UNREF | DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
        MUST(door);
        publish(door, name);
        for (;;)
            pause();
    }
    struct stat status;
    char room[4096];
    int door = open_door(argv[1]);
    door_arg_t arg = request("stay", 4, room, sizeof room);
    MUST(door_call(door, &arg));
    printf("%.*s\n", (int)arg.data_size, arg.data_ptr);
    arg = request("end", 3, room, sizeof room);
    MUST(door_call(door, &arg));
    printf("%zu bytes\n", arg.data_size);
    MUST(stat(argv[1], &status));
    puts(S_ISREG(status.st_mode) ? "a file again" : "still a door");
    arg = request("bye", 3, room, sizeof room);
    MUST(door_call(door, &arg)); /* who has it open may go on */
    printf("%.*s\n", (int)arg.data_size, arg.data_ptr);
    close(door);
    return 0;
}
