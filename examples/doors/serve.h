/* What the servers of these examples share: a door gets its name, and this thread has nothing more to do. */
#ifndef SERVE_H
#define SERVE_H

#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <stropts.h>
#include <sys/stat.h>
#include <unistd.h>

/* Attaches `door` to `path`, which everybody may open, and waits for ever: the library's threads do the work. */
static inline void serve(int door, const char *path)
{
    int file;

    if (door < 0) {
        perror("door");
        exit(1);
    }
    umask(0);
    if ((file = open(path, O_CREAT | O_RDWR, 0666)) < 0) { /* there must be something to attach to */
        perror(path);
        exit(1);
    }
    close(file);
    fdetach(path); /* whatever a server before this one has left */
    if (fattach(door, path) < 0) {
        perror(path);
        exit(1);
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

#endif
