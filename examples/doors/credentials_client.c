/*
 * Asks credentials_server who we are, or to stop.
 *
 *     cc credentials_client.c -o credentials_client -ldoor -lpthread && ./credentials_client /tmp/whoami [stop]
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char room[512];
    door_arg_t arg;
    int door;

    if (argc < 2) {
        fprintf(stderr, "usage: %s DOOR [stop]\n", argv[0]);
        return 2;
    }
    if ((door = open(argv[1], O_RDONLY)) < 0) {
        perror(argv[1]);
        return 1;
    }
    memset(&arg, 0, sizeof arg);
    arg.data_ptr = argc > 2 ? argv[2] : NULL;
    arg.data_size = argc > 2 ? strlen(argv[2]) : 0;
    arg.rbuf = room;
    arg.rsize = sizeof room;
    if (door_call(door, &arg) < 0) {
        perror("door_call");
        return 1;
    }
    printf("%.*s\n", (int)arg.data_size, arg.data_ptr);
    if (arg.rbuf != room)
        munmap(arg.rbuf, arg.rsize);
    return 0;
}
