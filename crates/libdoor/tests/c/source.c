/*
 * What a ported program does with the path and the descriptor of a door, by every name the C library has for it: source.c
 * DIRECTORY.  Built many ways by tests/source.rs.
 */
#define _GNU_SOURCE
#include <door.h>
#include <stropts.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno));    \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

/* What programs call that were compiled with headers before glibc 2.33. */
int __xstat(int version, const char *path, struct stat *status);
int __lxstat(int version, const char *path, struct stat *status);
int __fxstat(int version, int fd, struct stat *status);
int __fxstatat(int version, int directory, const char *path, struct stat *status, int flags);

static void echo(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    door_return(argp, size, NULL, 0);
}

/* The descriptor is a door that answers; closes it. */
static void answers(int door) {
    char byte = 'b', reply = 0;
    door_arg_t arg;
    door_info_t info;
    CHECK(door >= 0);
    memset(&arg, 0, sizeof arg);
    arg.data_ptr = &byte;
    arg.data_size = 1;
    arg.rbuf = &reply;
    arg.rsize = 1;
    CHECK(door_call(door, &arg) == 0 && reply == 'b');
    CHECK(door_info(door, &info) == 0 && info.di_target == getpid());
    CHECK(close(door) == 0);
}

static void opens(const char *path, const char *name, int directory) {
    volatile int read_only = O_RDONLY, read_write = O_RDWR; /* flags the compiler cannot see: the fortified names */
    answers(open(path, O_RDONLY));
    answers(open(path, O_RDWR | O_NONBLOCK));
    answers(open(path, read_only));
    answers(open(path, O_RDONLY | O_CREAT, 0644));
    answers(open64(path, O_RDONLY));
    answers(open64(path, read_write));
    answers(openat(directory, name, O_RDONLY));
    answers(openat(directory, name, read_only));
    answers(openat(AT_FDCWD, path, O_WRONLY));
    answers(openat64(directory, name, O_RDONLY));
    answers(openat64(directory, name, read_write));
    answers(creat(path, 0644));
    answers(creat64(path, 0644));
    CHECK(open(path, O_CREAT | O_EXCL | O_RDWR, 0644) == -1 && errno == EEXIST);
}

static void streams(const char *path, const char *file) {
    int pair[2];
    FILE *stream = fopen(path, "r");
    CHECK(stream != NULL);
    int number = fileno(stream);
    answers(dup(number));
    CHECK(fcntl(number, F_GETFD) == 0);
    CHECK(door_call(number, NULL) == 0);
    CHECK(fclose(stream) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0); /* takes the number behind the library's back */
    CHECK(pair[0] == number || pair[1] == number);
    CHECK(door_call(number, NULL) == -1 && errno == EBADF);
    close(pair[0]);
    close(pair[1]);
    stream = fopen64(path, "r+e");
    CHECK(stream != NULL && fcntl(fileno(stream), F_GETFD) == FD_CLOEXEC);
    answers(dup(fileno(stream)));
    fclose(stream);
    char line[16] = "";
    stream = fopen(file, "w+");
    CHECK(stream != NULL && fputs("text", stream) >= 0 && fseek(stream, 0, SEEK_SET) == 0);
    CHECK(fgets(line, sizeof line, stream) != NULL && strcmp(line, "text") == 0);
    fclose(stream);
    CHECK(fopen("/nowhere/at/all", "r") == NULL && errno == ENOENT);
}

struct seen {
    mode_t stat, lstat, at, lat, x;
};

static struct seen look(const char *path, const char *name, int directory) {
    struct stat status;
    struct stat64 status64;
    struct statx statusx;
    struct seen seen;
    CHECK(stat(path, &status) == 0);
    seen.stat = status.st_mode;
    CHECK(stat64(path, &status64) == 0 && status64.st_mode == seen.stat);
    CHECK(__xstat(1, path, &status) == 0 && status.st_mode == seen.stat);
    CHECK(lstat(path, &status) == 0);
    seen.lstat = status.st_mode;
    CHECK(lstat64(path, &status64) == 0 && status64.st_mode == seen.lstat);
    CHECK(__lxstat(1, path, &status) == 0 && status.st_mode == seen.lstat);
    CHECK(fstatat(directory, name, &status, 0) == 0);
    seen.at = status.st_mode;
    CHECK(fstatat64(directory, name, &status64, 0) == 0 && status64.st_mode == seen.at);
    CHECK(__fxstatat(1, directory, name, &status, 0) == 0 && status.st_mode == seen.at);
    CHECK(fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0);
    seen.lat = status.st_mode;
    CHECK(statx(directory, name, 0, STATX_BASIC_STATS, &statusx) == 0);
    seen.x = statusx.stx_mode;
    return seen;
}

/* fstat by all its names. */
static mode_t type_of(int fd) {
    struct stat status;
    struct stat64 status64;
    struct statx statusx;
    CHECK(fstat(fd, &status) == 0);
    mode_t mode = status.st_mode;
    CHECK(fstat64(fd, &status64) == 0 && status64.st_mode == mode);
    CHECK(__fxstat(1, fd, &status) == 0 && status.st_mode == mode);
    CHECK(fstatat(fd, "", &status, AT_EMPTY_PATH) == 0 && status.st_mode == mode);
    CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &statusx) == 0);
    CHECK((statusx.stx_mode & S_IFMT) == (mode & S_IFMT));
    return mode;
}

static void types(int door, int directory, const char *path, const char *socket_path) {
    struct seen seen = look(path, "attached", directory);
    CHECK(S_ISDOOR(seen.stat) && S_ISDOOR(seen.lstat) && S_ISDOOR(seen.at) && S_ISDOOR(seen.lat) && S_ISDOOR(seen.x));
    CHECK(!S_ISSOCK(seen.stat) && (seen.stat & 07777) == 0644 + 0022); /* who may read may write, the sticky bit is not shown */
    seen = look("link", "link", directory);
    CHECK(S_ISDOOR(seen.stat) && S_ISLNK(seen.lstat) && S_ISDOOR(seen.at) && S_ISLNK(seen.lat) && S_ISDOOR(seen.x));
    seen = look(socket_path, "socket", directory);
    CHECK(S_ISSOCK(seen.stat) && S_ISSOCK(seen.lstat) && S_ISSOCK(seen.at) && S_ISSOCK(seen.x) && !S_ISDOOR(seen.stat));
    seen = look(".", ".", directory);
    CHECK(S_ISDIR(seen.stat) && S_ISDIR(seen.x));
    CHECK(S_ISDOOR(type_of(door)));
    int opened = open(path, O_RDONLY), by_path = open(path, O_PATH), plain = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    CHECK(S_ISDOOR(type_of(opened)) && S_ISDOOR(type_of(by_path)));
    CHECK(S_ISSOCK(type_of(plain)));
    CHECK(S_ISREG(type_of(open("file", O_RDONLY | O_CREAT, 0600))));
    struct stat status;
    CHECK(stat("missing", &status) == -1 && errno == ENOENT);
    CHECK(fstat(-1, &status) == -1 && errno == EBADF);
}

int main(int count, char **argument) {
    CHECK(count == 2 && chdir(argument[1]) == 0);
    alarm(60);
    umask(0);
    const char *path = "attached";
    CHECK(close(creat(path, 0644)) == 0);
    CHECK(symlink(path, "link") == 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), directory = open(".", O_RDONLY | O_DIRECTORY);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    int door = door_create(echo, NULL, 0);
    CHECK(door >= 0);
    fdetach(path); /* as the manual page does, whether or not anything is attached */
    CHECK(fattach(door, path) == 0);
    opens(path, "attached", directory);
    CHECK(open("socket", O_RDWR) == -1 && errno == ENXIO);
    streams(path, "stream");
    CHECK(fopen("socket", "r") == NULL && errno == ENXIO);
    types(door, directory, path, "socket");
    CHECK(fdetach(path) == 0);
    struct stat status;
    CHECK(stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 07777) == 0644);
    puts("every name leads to the door");
    return 0;
}
