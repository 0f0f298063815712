/*
 *     soak-c server PATH
 *     soak-c client FOLDER SEED SEAT THREADS
 */
#define _GNU_SOURCE
#include "soak.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct shared *map(void) {
    char path[256];
    snprintf(path, sizeof path, "%s/shared", folder);
    int file = open(path, O_RDWR | O_CLOEXEC);
    require(file >= 0, path);
    void *memory = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    require(memory != MAP_FAILED, path);
    close(file);
    return memory;
}

int main(int argc, char **argv) {
    /* It does not outlive the run. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 3 && strcmp(argv[1], "server") == 0)
        return server(argv[2]);
    if (argc == 6 && strcmp(argv[1], "client") == 0) {
        folder = argv[2];
        shared = map();
        return client(strtoull(argv[3], NULL, 10), atoi(argv[4]), atoi(argv[5]));
    }
    fprintf(stderr, "usage: soak-c server PATH | soak-c client FOLDER SEED SEAT THREADS\n");
    return 2;
}
