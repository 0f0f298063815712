/*
 * A client in a sandbox: it opens the door, gives up the right to open anything else, and reads a file all the same.
 *
 *     cc files_client.c -o files_client -ldoor -lpthread && ./files_client /tmp/files name-of-a-file
 */
#include <door.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From here on, opening by name fails with EPERM. A real sandbox has a list of what is allowed instead. */
static int enter_sandbox(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Asks for a file; a descriptor, or -1 and errno. */
static int open_through(int door, const char *name)
{
    char room[256];
    door_arg_t arg;
    int error, file = -1;

    memset(&arg, 0, sizeof arg);
    arg.data_ptr = (char *)name;
    arg.data_size = strlen(name);
    arg.rbuf = room;
    arg.rsize = sizeof room;
    if (door_call(door, &arg) < 0)
        return -1;
    memcpy(&error, arg.data_ptr, sizeof error);
    if (arg.desc_num == 1)
        file = arg.desc_ptr[0].d_data.d_desc.d_descriptor;
    if (arg.rbuf != room)
        munmap(arg.rbuf, arg.rsize);
    errno = error;
    return file;
}

int main(int argc, char **argv)
{
    char buffer[4096];
    ssize_t n;
    int door, file;

    if (argc != 3) {
        fprintf(stderr, "usage: %s DOOR NAME\n", argv[0]);
        return 2;
    }
    if ((door = open(argv[1], O_RDONLY)) < 0) {
        perror(argv[1]);
        return 1;
    }
    if (enter_sandbox() < 0) {
        perror("seccomp");
        return 1;
    }
    if (open("/dev/null", O_RDONLY) < 0)
        fprintf(stderr, "by myself: %s\n", strerror(errno));
    if ((file = open_through(door, argv[2])) < 0) {
        fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    while ((n = read(file, buffer, sizeof buffer)) > 0)
        if (write(STDOUT_FILENO, buffer, (size_t)n) != n)
            return 1;
    return n < 0;
}
