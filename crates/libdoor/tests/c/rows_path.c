/* DR-138 to DR-151, DR-174: names in the file system. */
#define _GNU_SOURCE
#include "rows.h"

static char path[512], other[512];

static void works(int door) {
    char byte = 'w', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
    CHECK(arg.data_size == 1 && reply[0] == 'w');
}

/* Attaches a door to `path`, then to `other` if that is set; detaches when it hears 'd'. */
static void serve_attached(int control) {
    int door = door_create(echo, NULL, 0);
    SAME(fattach(door, path), 0);
    if (other[0] != 0)
        SAME(fattach(door, other), 0);
    say(control, 'a');
    char byte;
    while (read(control, &byte, 1) == 1) {
        SAME(byte, 'd');
        SAME(fdetach(path), 0);
        say(control, 'd');
    }
}

static struct peer attached(mode_t mode) {
    make_file(scratch("attached", path, sizeof path), "content", mode);
    struct peer server = serve_silent(serve_attached);
    SAME(hear(server.control), 'a');
    return server;
}

static void row_138(void) {
    struct peer server = attached(0644);
    struct stat status;
    SAME(stat(path, &status), 0);
    CHECK(S_ISDOOR(status.st_mode));
    int door = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(door >= 0);
    SAME(fcntl(door, F_GETFD), FD_CLOEXEC);
    works(door);
    SAME(info_of(door).di_target, server.pid);
    SAME(fcntl(open(path, O_RDONLY), F_GETFD), 0);
    int directory = open(scratch("", other, sizeof other), O_RDONLY | O_DIRECTORY);
    CHECK(directory >= 0);
    int by_directory = openat(directory, "attached", O_RDWR);
    CHECK(by_directory >= 0);
    works(by_directory);
    int created = open(path, O_RDWR | O_CREAT, 0600);
    CHECK(created >= 0);
    works(created);
    FAILS(open(path, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    finish(&server);
}

static void row_139(void) {
    int door = door_create(echo, NULL, 0);
    FAILS(fattach(door, scratch("missing", path, sizeof path)), ENOENT);
    FAILS(fattach(door, ""), ENOENT);
    FAILS(fattach(door, NULL), ENOENT);
}

static void row_140(void) {
    make_file(scratch("attached", path, sizeof path), "content", 0644);
    int file = temporary_file(), closed = dup(file);
    close(closed);
    FAILS(fattach(file, path), EINVAL);
    FAILS(fattach(closed, path), EBADF);
    FAILS(fattach(-1, path), EBADF);
}

static void row_141(void) {
    struct peer server = attached(0644);
    int door = door_create(echo, NULL, 0);
    FAILS(fattach(door, path), EBUSY);
    int first = open(path, O_RDONLY);
    works(first);
    SAME(info_of(first).di_target, server.pid);
    finish(&server);
}

static void become_somebody_else(void) {
    if (geteuid() != 0)
        _exit(77); /* the driver reports a row that needs root */
    SAME(setresgid(2001, 2001, 2001), 0);
    SAME(setresuid(1001, 1001, 1001), 0);
}

static void row_142(void) {
    const char *foreign = "/etc/passwd";
    if (geteuid() == 0) { /* may be written by all, but belongs to root */
        make_file(scratch("attached", path, sizeof path), "content", 0666);
        foreign = path;
        become_somebody_else();
    }
    int door = door_create(echo, NULL, 0);
    CHECK(door >= 0);
    FAILS(fattach(door, foreign), EPERM);
}

static void row_143(void) {
    make_file(scratch("attached", path, sizeof path), "content", 0444);
    if (geteuid() == 0) {
        SAME(chown(path, 1001, 2001), 0);
        become_somebody_else();
    }
    int door = door_create(echo, NULL, 0);
    FAILS(fattach(door, path), EACCES);
}

static void row_144(void) {
    make_file(scratch("second", other, sizeof other), "", 0644);
    struct peer server = attached(0644);
    int one = open(path, O_RDONLY), two = open(other, O_RDONLY);
    CHECK(one >= 0 && two >= 0);
    works(one);
    works(two);
    CHECK(info_of(one).di_uniquifier == info_of(two).di_uniquifier);
    finish(&server);
}

static void row_145(void) {
    if (geteuid() != 0)
        _exit(77);
    struct peer server = attached(0600);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        become_somebody_else();
        FAILS(open(path, O_RDONLY), EACCES);
        FAILS(open(path, O_RDWR), EACCES);
        _exit(0);
    }
    reap(child);
    works(open(path, O_RDONLY));
    finish(&server);
}

static void row_146(void) {
    struct peer server = attached(0640);
    char text[16];
    struct stat status;
    int door = open(path, O_RDONLY);
    works(door);
    say(server.control, 'd');
    SAME(hear(server.control), 'd');
    SAME(stat(path, &status), 0);
    CHECK(S_ISREG(status.st_mode));
    SAME(status.st_mode & 07777, 0640);
    int file = open(path, O_RDONLY);
    SAME(read(file, text, sizeof text), 7);
    CHECK(memcmp(text, "content", 7) == 0);
    works(door);
    finish(&server);
}

static void row_147(void) {
    make_file(scratch("plain", path, sizeof path), "content", 0644);
    FAILS(fdetach(path), EINVAL);
    FAILS(fdetach(scratch("missing", other, sizeof other)), ENOENT);
}

static void row_148(void) {
    struct peer server = attached(0644);
    SAME(kill(server.pid, SIGKILL), 0);
    SAME(waitpid(server.pid, NULL, 0), server.pid);
    int dead = open(path, O_RDONLY);
    CHECK(dead >= 0);
    FAILS(door_call(dead, NULL), EBADF);
    door_info_t info = info_of(dead);
    SAME(info.di_target, -1);
    CHECK(info.di_attributes & DOOR_REVOKED);
    int door = door_create(echo, NULL, 0);
    FAILS(fattach(door, path), EBUSY);
    SAME(fdetach(path), 0);
    SAME(fattach(door, path), 0);
    works(open(path, O_RDONLY));
    SAME(fdetach(path), 0);
}

static void row_149(void) {
    struct peer server = attached(0644);
    struct stat status;
    int door = open(path, O_RDONLY);
    works(door);
    SAME(unlink(path), 0);
    FAILS(stat(path, &status), ENOENT);
    works(door);
    finish(&server);
}

static void row_150(void) {
    char real[512];
    make_file(scratch("real", real, sizeof real), "content", 0644);
    scratch("link", path, sizeof path);
    SAME(symlink(real, path), 0);
    struct peer server = serve_silent(serve_attached);
    SAME(hear(server.control), 'a');
    works(open(path, O_RDONLY));
    works(open(real, O_RDONLY));
    struct stat status;
    SAME(lstat(path, &status), 0);
    CHECK(S_ISLNK(status.st_mode));
    say(server.control, 'd');
    SAME(hear(server.control), 'd');
    SAME(stat(real, &status), 0);
    CHECK(S_ISREG(status.st_mode));
    finish(&server);
}

static void row_151(void) {
    make_file(scratch("attached", path, sizeof path), "", 0644);
    make_file(scratch("second", other, sizeof other), "", 0644);
    int door = door_create(echo, NULL, 0);
    SAME(fattach(door, path), 0);
    int opened = open(path, O_RDONLY);
    FAILS(fattach(opened, other), EBUSY);
    FAILS(fattach(dup(opened), other), EBUSY);
    SAME(fattach(dup(door), other), 0);
}

static void row_174(void) {
    struct peer server = attached(0644);
    works(open(path, O_RDONLY));
    works(open(path, O_WRONLY));
    finish(&server);
}

const struct row rows_path[] = {
    {138, row_138}, {139, row_139}, {140, row_140}, {141, row_141}, {142, row_142},
    {143, row_143}, {144, row_144}, {145, row_145}, {146, row_146}, {147, row_147},
    {148, row_148}, {149, row_149}, {150, row_150}, {151, row_151}, {174, row_174}, {0, NULL},
};
