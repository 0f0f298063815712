/*
 * Uses counters of objects_server, and holds them until the end of its input.
 *
 *     cc objects_client.c -o objects_client -ldoor -lpthread && ./objects_client /tmp/counters apples pears
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The door of a counter, or -1. */
static int open_counter(int door, const char *name)
{
    char room[64];
    door_arg_t arg;

    memset(&arg, 0, sizeof arg);
    arg.data_ptr = (char *)name;
    arg.data_size = strlen(name);
    arg.rbuf = room;
    arg.rsize = sizeof room; /* enough for one descriptor: no mapping */
    if (door_call(door, &arg) < 0 || arg.desc_num != 1)
        return -1;
    return arg.desc_ptr[0].d_data.d_desc.d_descriptor;
}

int main(int argc, char **argv)
{
    char byte;
    int door, counter;

    if (argc < 3) {
        fprintf(stderr, "usage: %s DOOR NAME...\n", argv[0]);
        return 2;
    }
    if ((door = open(argv[1], O_RDONLY)) < 0) {
        perror(argv[1]);
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        long sum = 0;
        door_arg_t arg;

        memset(&arg, 0, sizeof arg);
        arg.rbuf = (char *)&sum;
        arg.rsize = sizeof sum;
        if ((counter = open_counter(door, argv[i])) < 0 || door_call(counter, &arg) < 0) {
            fprintf(stderr, "%s: no such counter can be had\n", argv[i]);
            return 1;
        }
        printf("%s: %ld\n", argv[i], sum);
        fflush(stdout);
    }
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    return 0; /* the end of this process lets go of all counters */
}
