/* What the programs share, as such programs did it: every call is checked, a server says when it is ready. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <door.h>
#include <stropts.h>
#include <ucred.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUST(call)                                                                                           \
    do {                                                                                                     \
        if ((call) == -1) {                                                                                  \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, strerror(errno));                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

/* Gives the door a name and says so to whoever started this server. */
static inline void publish(int door, const char *path) {
    int file = open(path, O_CREAT | O_RDWR, 0666);
    if (file != -1)
        close(file);
    if (fattach(door, path) == -1) {
        if (errno != EBUSY) {
            perror("fattach");
            exit(1);
        }
        MUST(fdetach(path));
        MUST(fattach(door, path));
    }
    puts("ready");
    fflush(stdout);
}

static inline int open_door(const char *path) {
    int door = open(path, O_RDONLY);
    door_info_t info;
    MUST(door);
    MUST(door_info(door, &info));
    return door;
}

static inline door_arg_t request(const void *data, size_t size, void *rbuf, size_t rsize) {
    door_arg_t arg;
    memset(&arg, 0, sizeof arg);
    arg.data_ptr = (char *)data;
    arg.data_size = size;
    arg.rbuf = rbuf;
    arg.rsize = rsize;
    return arg;
}

#endif
