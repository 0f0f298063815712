/* DR-052 to DR-064: revocation and the end of servers. */
#include "rows.h"

static void row_052(void) {
    int door = door_create(echo, NULL, 0);
    SAME(door_revoke(door), 0);
    FAILS(close(door), EBADF);
}

/* Revokes when it hears 'r' and says 'd'. */
static void revoke_when_told(int control, door_server_procedure_t *procedure, uint_t attributes) {
    int door = door_create(procedure, NULL, attributes);
    give_fd(control, door);
    SAME(hear(control), 'r');
    SAME(door_revoke(door), 0);
    say(control, 'd');
    until_closed(control);
}

static void serve_revoked(int control) {
    revoke_when_told(control, echo, 0);
}

static void row_053(void) {
    struct peer server = serve(serve_revoked);
    char byte = 'x', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(server.door, &arg), 0);
    say(server.control, 'r');
    SAME(hear(server.control), 'd');
    arg = arg_of(&byte, 1, reply, sizeof reply);
    FAILS(door_call(server.door, &arg), EBADF);
    door_info_t info = info_of(server.door);
    CHECK(info.di_attributes & DOOR_REVOKED);
    SAME(info.di_target, server.pid);
    finish(&server);
}

static void row_054(void) {
    struct peer server = serve(serve_echo);
    char byte = 'x', reply[4];
    FAILS(door_revoke(server.door), EPERM);
    CHECK(is_open(server.door));
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(server.door, &arg), 0);
    finish(&server);
}

static void serve_revoked_slow(int control) {
    revoke_when_told(control, echo_when_told, 0);
}

static void row_055(void) {
    struct peer server = serve(serve_revoked_slow);
    struct caller caller;
    call_in_thread(&caller, server.door, -1, -1);
    await(0, 1);
    say(server.control, 'r');
    SAME(hear(server.control), 'd');
    post(1);
    join_caller(&caller);
    SAME(caller.result, 0);
    CHECK(caller.arg.data_size == 1 && caller.reply[0] == 'c');
    finish(&server);
}

static void serve_revoked_private(int control) {
    revoke_when_told(control, echo, DOOR_PRIVATE);
}

static void row_056(void) {
    struct peer server = serve(serve_revoked_private);
    struct caller caller;
    call_in_thread(&caller, server.door, 0, -1);
    await_asleep(getpid(), caller.tid, 0);
    say(server.control, 'r');
    SAME(hear(server.control), 'd');
    join_caller(&caller);
    SAME(caller.result, -1);
    SAME(caller.error, EBADF);
    finish(&server);
}

/* 907: a call that comes after the revocation finds no thread either, and does not wait for one. */
static void row_907(void) {
    struct peer server = serve(serve_revoked_private);
    struct caller caller;
    handle_signal(SIGUSR1, 0);
    call_in_thread(&caller, server.door, 0, -1); /* the client knows the door by now */
    interrupt(&caller);
    SAME(caller.error, EAGAIN);
    say(server.control, 'r');
    SAME(hear(server.control), 'd');
    FAILS(door_call(server.door, NULL), EBADF);
    pid_t stranger = fork();
    CHECK(stranger >= 0);
    if (stranger == 0) { /* and one that does not */
        FAILS(door_call(server.door, NULL), EBADF);
        _exit(0);
    }
    reap(stranger);
    finish(&server);
}

static void row_057(void) {
    int door = door_create(echo, NULL, 0), second = dup(door);
    SAME(door_revoke(door), 0);
    SAME(door_revoke(second), 0);
    CHECK(!is_open(second));
}

static void kill_self(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    kill(getpid(), SIGKILL);
}

static void serve_killed(int control) {
    serve_with(control, kill_self, 0);
}

static int is_dead(void *argument) {
    door_info_t info = info_of(*(int *)argument);
    return info.di_target == -1;
}

static void dies(struct peer *server) {
    int status;
    SAME(waitpid(server->pid, &status, 0), server->pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void row_058(void) {
    struct peer server = serve(serve_killed);
    FAILS(door_call(server.door, NULL), EINTR);
    SAME(shared->calls, 1);
    dies(&server);
}

static void row_059(void) {
    struct peer server = serve(serve_killed);
    FAILS(door_call(server.door, NULL), EINTR);
    dies(&server);
    FAILS(door_call(server.door, NULL), EBADF);
    await_state(is_dead, &server.door, "di_target becomes -1");
    CHECK(info_of(server.door).di_attributes & DOOR_REVOKED);
}

static void serve_exiting_private(int control) {
    int door = door_create(echo, NULL, DOOR_PRIVATE);
    give_fd(control, door);
    until_closed(control);
}

static void row_060(void) {
    struct peer server = serve(serve_exiting_private);
    struct caller caller;
    call_in_thread(&caller, server.door, 0, -1);
    await_asleep(getpid(), caller.tid, 0);
    finish(&server);
    join_caller(&caller);
    SAME(caller.result, -1);
    SAME(caller.error, EBADF);
}

static void exit_thread_once(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    note(argp, size, dp, n);
    if (shared->calls == 1)
        pthread_exit(NULL);
    if (shared->calls == 2)
        return;
    echo(cookie, argp, size, dp, n);
}

static void serve_exit_thread(int control) {
    serve_with(control, exit_thread_once, 0);
}

static void lost_then_served(int skip_exit) {
    struct peer server = serve(serve_exit_thread);
    char byte = 'x', reply[4];
    if (skip_exit)
        shared->calls = 1;
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    FAILS(door_call(server.door, &arg), EINTR);
    shared->calls = 2;
    SAME(door_call(server.door, &arg), 0);
    CHECK(arg.data_size == 1 && reply[0] == 'x');
    CHECK(!(info_of(server.door).di_attributes & DOOR_REVOKED));
    finish(&server);
}

static void row_061(void) {
    lost_then_served(0);
}

static void row_062(void) {
    lost_then_served(1);
}

static void exec_self(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    execl("/bin/sh", "sh", "-c", "read line", (char *)NULL);
    row_failed(__FILE__, __LINE__, "exec", 0, errno);
}

static void serve_exec(int control) {
    SAME(dup2(control, 0), 0); /* the new program reads until the client closes */
    serve_with(control, exec_self, 0);
}

static void row_063(void) {
    struct peer server = serve(serve_exec);
    FAILS(door_call(server.door, NULL), EINTR);
    FAILS(door_call(server.door, NULL), EBADF);
    say(server.control, '\n');
    reap(server.pid);
}

static void serve_closing(int control) {
    int door = door_create(echo, NULL, 0);
    give_fd(control, door);
    SAME(hear(control), 'c');
    SAME(close(door), 0);
    say(control, 'd');
    until_closed(control);
}

static void row_064(void) {
    struct peer server = serve(serve_closing);
    char byte = 'x', reply[4];
    say(server.control, 'c');
    SAME(hear(server.control), 'd');
    for (int i = 0; i < 3; i++) {
        door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
        SAME(door_call(server.door, &arg), 0);
    }
    finish(&server);
}

const struct row rows_revoke[] = {
    {52, row_052}, {53, row_053}, {54, row_054}, {55, row_055}, {56, row_056}, {57, row_057}, {58, row_058},
    {59, row_059}, {60, row_060}, {61, row_061}, {62, row_062}, {63, row_063}, {64, row_064},
    {907, row_907}, {0, NULL},
};
