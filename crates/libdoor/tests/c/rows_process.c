/* DR-152 to DR-159, DR-162, DR-163: forks, threads, descriptors that travel. */
#define _GNU_SOURCE
#include "rows.h"

static void works(int door) {
    char byte = 'w', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
    CHECK(arg.data_size == 1 && reply[0] == 'w');
}

static void answer_process(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    pid_t pid = getpid();
    door_return((char *)&pid, sizeof pid, NULL, 0);
}

static pid_t process_of(int door) {
    pid_t pid = 0;
    door_arg_t arg = arg_of(NULL, 0, &pid, sizeof pid);
    SAME(door_call(door, &arg), 0);
    return pid;
}

static void in_child(void (*body)(int), int argument) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    reap(child);
}

static void child_152(int door) {
    SAME(process_of(door), getppid());
    SAME(process_of(door), getppid());
}

static void row_152(void) {
    int door = door_create(answer_process, NULL, 0);
    SAME(process_of(door), getpid());
    in_child(child_152, door);
    SAME(process_of(door), getpid());
}

static void child_153(int door) {
    door_info_t info = info_of(door);
    CHECK(!(info.di_attributes & DOOR_LOCAL));
    SAME(info.di_target, getppid());
    FAILS(door_revoke(door), EPERM);
    FAILS(door_setparam(door, DOOR_PARAM_DATA_MAX, 1), EPERM);
    CHECK(is_open(door));
}

static void row_153(void) {
    int door = door_create(answer_process, NULL, 0);
    in_child(child_153, door);
    CHECK(info_of(door).di_attributes & DOOR_LOCAL);
}

static void child_nothing(int door) {
    (void)door;
}

static void child_calls(int door) {
    process_of(door);
}

static void row_154(void) {
    int door = door_create(answer_process, NULL, 0);
    for (int i = 0; i < 3; i++) {
        in_child(i == 1 ? child_calls : child_nothing, door);
        SAME(process_of(door), getpid());
    }
    CHECK(!(info_of(door).di_attributes & DOOR_REVOKED));
}

static void child_155(int parents) {
    int door = door_create(answer_process, NULL, 0);
    CHECK(door >= 0);
    CHECK(info_of(door).di_attributes & DOOR_LOCAL);
    SAME(process_of(door), getpid());
    SAME(process_of(parents), getppid());
}

static void row_155(void) {
    int door = door_create(answer_process, NULL, 0);
    SAME(process_of(door), getpid());
    in_child(child_155, door);
}

static void row_156(void) {
    struct peer server = serve(serve_when_told);
    struct caller one, two;
    call_in_thread(&one, server.door, -1, -1);
    call_in_thread(&two, server.door, -1, -1);
    await(0, 2);
    post(1);
    join_caller(&one);
    join_caller(&two);
    CHECK(one.result == 0 && two.result == 0);
    finish(&server);
}

static void row_157(void) {
    struct peer server = serve(serve_when_told);
    struct caller caller;
    call_in_thread(&caller, server.door, -1, -1);
    await(0, 1);
    SAME(close(server.door), 0);
    post(1);
    join_caller(&caller);
    SAME(caller.result, 0);
    CHECK(caller.reply[0] == 'c');
    FAILS(door_call(server.door, NULL), EBADF);
    finish(&server);
}

static void row_158(void) {
    struct peer server = serve(serve_echo); /* serve() passes the door over SCM_RIGHTS */
    int pair[2];
    SAME(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    give_fd(pair[0], server.door);
    int again = take_fd(pair[1]);
    works(server.door);
    works(again);
    CHECK(info_of(again).di_uniquifier == info_of(server.door).di_uniquifier);
    SAME(info_of(again).di_target, server.pid);
    finish(&server);
}

static int exec_and_test(int fd) {
    char text[64];
    snprintf(text, sizeof text, "test -e /proc/self/fd/%d", fd);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        _exit(9);
    }
    int status;
    SAME(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    return WEXITSTATUS(status) == 0;
}

static int given = -1;

static void give_door(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR;
    desc.d_data.d_desc.d_descriptor = given;
    door_return(NULL, 0, &desc, 1);
}

static void serve_give(int control) {
    given = door_create(echo, NULL, 0);
    serve_with(control, give_door, 0);
}

static void row_159(void) {
    struct peer server = serve(serve_give);
    char room[64];
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    int received = arg.desc_ptr[0].d_data.d_desc.d_descriptor;
    works(received);
    int created = door_create(echo, NULL, 0);
    CHECK(!exec_and_test(created));
    CHECK(exec_and_test(received));
    SAME(fcntl(received, F_SETFD, FD_CLOEXEC), 0);
    CHECK(!exec_and_test(received));
    finish(&server);
}

static void serve_lowering(int control) {
    int door = door_create(echo_when_told, NULL, 0);
    give_fd(control, door);
    SAME(hear(control), 'l');
    SAME(door_setparam(door, DOOR_PARAM_DATA_MAX, 0), 0);
    say(control, 'd');
    until_closed(control);
}

static void row_162(void) {
    struct peer server = serve(serve_lowering);
    struct caller caller;
    call_in_thread(&caller, server.door, -1, -1);
    await(0, 1);
    say(server.control, 'l');
    SAME(hear(server.control), 'd');
    post(1);
    join_caller(&caller);
    SAME(caller.result, 0);
    door_arg_t arg = arg_of("x", 1, NULL, 0);
    FAILS(door_call(server.door, &arg), ENOBUFS);
    finish(&server);
}

static void row_163(void) {
    struct peer server = serve(serve_echo);
    works(server.door);
    int moved = fcntl(server.door, F_DUPFD_CLOEXEC, 100);
    CHECK(moved >= 100);
    SAME(close(server.door), 0);
    works(moved);
    FAILS(door_call(server.door, NULL), EBADF);
    int file = open("/dev/null", O_RDONLY); /* takes the old number */
    SAME(file, server.door);
    FAILS(door_call(file, NULL), EBADF);
    works(moved);
    finish(&server);
}

const struct row rows_process[] = {
    {152, row_152}, {153, row_153}, {154, row_154}, {155, row_155}, {156, row_156}, {157, row_157},
    {158, row_158}, {159, row_159}, {162, row_162}, {163, row_163}, {0, NULL},
};
