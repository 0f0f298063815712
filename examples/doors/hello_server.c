/*
 * A server in the manner of door_create(3C)'s example: it doubles the numbers it is sent.
 *
 *     cc hello_server.c -o hello_server -ldoor -lpthread && ./hello_server /tmp/double
 *
 * Nothing in here is for Linux only: it compiles on Solaris as it is.
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <stropts.h>
#include <sys/stat.h>
#include <unistd.h>

static void twice(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    long number = 0;

    (void)cookie, (void)dp, (void)n_desc;
    if (arg_size == sizeof number)
        number = *(long *)(void *)argp * 2;
    /* The result lies on this stack: it is copied before the stack is gone. door_return() does not return. */
    door_return((char *)&number, sizeof number, NULL, 0);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "/tmp/double";
    struct stat status;
    int door, file;

    if ((door = door_create(twice, NULL, 0)) < 0) {
        perror("door_create");
        return 1;
    }
    /* The path must exist. Who may read it may call the door. */
    if (stat(path, &status) < 0) {
        if ((file = creat(path, 0444 | S_IWUSR)) < 0) {
            perror(path);
            return 1;
        }
        close(file);
    }
    fdetach(path); /* whatever a server before us has left there */
    if (fattach(door, path) < 0) {
        perror("fattach");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        pause(); /* the library's threads do the work */
}
