/*
 * A client in the manner of door_create(3C)'s example.
 *
 *     cc hello_client.c -o hello_client -ldoor -lpthread && ./hello_client /tmp/double 21
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/tmp/double";
    long number = argc > 2 ? atol(argv[2]) : 21, answer = 0;
    door_info_t info;
    door_arg_t arg;
    int door;

    if ((door = open(path, O_RDONLY)) < 0) {
        perror(path);
        return 1;
    }
    if (door_info(door, &info) < 0 || info.di_target == (pid_t)-1) {
        fprintf(stderr, "%s: nobody serves this door\n", path);
        return 1;
    }
    memset(&arg, 0, sizeof arg);
    arg.data_ptr = (char *)&number;
    arg.data_size = sizeof number;
    arg.rbuf = (char *)&answer;
    arg.rsize = sizeof answer;
    if (door_call(door, &arg) < 0) {
        perror("door_call");
        return 1;
    }
    printf("%ld\n", *(long *)(void *)arg.data_ptr);
    close(door);
    return 0;
}
