/* DR-065 to DR-076: callers that give up. */
#include "rows.h"

static void serve_slow_no_cancel(int control) {
    serve_with(control, echo_when_told, DOOR_NO_CANCEL);
}

static void row_065(void) {
    struct peer server = serve(serve_slow_no_cancel);
    struct caller caller;
    handle_signal(SIGUSR1, SA_RESTART);
    call_in_thread(&caller, server.door, -1, -1);
    await(0, 1);
    interrupt(&caller);
    SAME(caller.error, EINTR);
    CHECK(signals_handled >= 1);
    post(1);
    finish(&server);
}

static void row_066(void) {
    struct peer server = serve(serve_slow_no_cancel);
    struct caller caller;
    signal(SIGUSR1, SIG_IGN);
    call_in_thread(&caller, server.door, 2, -1);
    await(0, 1);
    await_asleep(getpid(), caller.tid, 2);
    SAME(pthread_kill(caller.thread, SIGUSR1), 0);
    SAME(pthread_kill(caller.thread, SIGCHLD), 0); /* ignored by default */
    post(1);
    join_caller(&caller);
    SAME(caller.result, 0);
    finish(&server);
}

static void row_067(void) {
    struct peer server = serve(serve_slow_no_cancel);
    pid_t client = fork();
    CHECK(client >= 0);
    if (client == 0) {
        char byte = 'x', reply[4];
        door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
        SAME(door_call(server.door, &arg), 0);
        CHECK(reply[0] == 'x');
        _exit(0);
    }
    await(0, 1);
    await_asleep(client, client, -1);
    int status;
    SAME(kill(client, SIGSTOP), 0);
    SAME(waitpid(client, &status, WUNTRACED), client);
    CHECK(WIFSTOPPED(status));
    SAME(kill(client, SIGCONT), 0);
    SAME(waitpid(client, &status, WCONTINUED), client);
    CHECK(WIFCONTINUED(status));
    await_asleep(client, client, -1);
    post(1);
    reap(client);
    finish(&server);
}

static void serve_nobody(int control) {
    serve_with(control, echo, DOOR_PRIVATE);
}

static void row_068(void) {
    struct peer server = serve(serve_nobody);
    struct caller caller;
    handle_signal(SIGUSR1, SA_RESTART);
    call_in_thread(&caller, server.door, 0, -1);
    interrupt(&caller);
    SAME(caller.error, EAGAIN);
    finish(&server);
}

/* A pool of application threads with cancellation enabled. */
static void *parking(void *argument) {
    (void)argument;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void create_cancellable(door_info_t *info) {
    pthread_t thread;
    (void)info;
    SAME(pthread_create(&thread, NULL, parking, NULL), 0);
    SAME(pthread_detach(thread), 0);
}

static void cleaned(void *argument) {
    (void)argument;
    shared->number[0]++;
    post(2);
}

static int told(void *argument) {
    (void)argument;
    return shared->event[1] != 0;
}

/* Waits for event 1 in a system call that is a cancellation point. */
static void sleeping(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    note(argp, size, dp, n);
    pthread_cleanup_push(cleaned, NULL);
    if (shared->calls == 1) {
        post(0);
        await_state(told, NULL, "told to go on"); /* nanosleep() in a loop */
        post(3);
    }
    pthread_cleanup_pop(0);
    echo(cookie, argp, size, dp, n);
}

static void serve_cancellable(int control) {
    door_server_create(create_cancellable);
    serve_with(control, sleeping, 0);
}

static void serve_uncancellable(int control) {
    door_server_create(create_cancellable);
    serve_with(control, sleeping, DOOR_NO_CANCEL);
}

static void aborted_call(int door) {
    struct caller caller;
    handle_signal(SIGUSR1, 0);
    call_in_thread(&caller, door, -1, -1);
    await(0, 1);
    interrupt(&caller);
    SAME(caller.error, EINTR);
}

static void another_call(int door) {
    char byte = 'y', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
    CHECK(reply[0] == 'y');
}

static void row_069(void) {
    struct peer server = serve(serve_uncancellable);
    aborted_call(server.door);
    post(1);
    await(3, 1);
    another_call(server.door);
    SAME(shared->number[0], 0);
    finish(&server);
}

static void row_070(void) {
    struct peer server = serve(serve_cancellable);
    aborted_call(server.door);
    await(2, 1);
    SAME(shared->number[0], 1);
    another_call(server.door);
    finish(&server);
}

static void serve_default(int control) {
    serve_with(control, sleeping, 0);
}

static void row_071(void) {
    struct peer server = serve(serve_default);
    aborted_call(server.door);
    post(1);
    await(3, 1); /* came to its end */
    SAME(shared->number[0], 0);
    another_call(server.door);
    finish(&server);
}

/* After an abort: credentials are gone, and what is returned goes nowhere. */
static void return_to_nobody(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    if (shared->calls > 1)
        echo(cookie, argp, size, dp, n);
    post(0);
    await(1, 1);
    door_cred_t cred;
    ucred_t *ucred = NULL;
    FAILS(door_cred(&cred), EINVAL);
    FAILS(door_ucred(&ucred), EINVAL);
    CHECK(ucred == NULL);
    int released = temporary_file(), kept = temporary_file();
    door_desc_t desc[2] = {{.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE, .d_data.d_desc = {released, 0}},
                           {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc = {kept, 0}}};
    shared->number[1] = released;
    shared->number[2] = kept;
    door_return("late", 4, desc, 2);
    row_failed(__FILE__, __LINE__, "does not return", 0, errno);
}

static void check_released(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (shared->number[1] != 0 && shared->calls == 1) {
        CHECK(!is_file((int)shared->number[1]));
        CHECK(is_open((int)shared->number[2]));
    }
    return_to_nobody(cookie, argp, size, dp, n);
}

static void serve_aborted(int control) {
    serve_with(control, check_released, DOOR_NO_CANCEL);
}

static void row_072(void) {
    struct peer server = serve(serve_aborted);
    aborted_call(server.door);
    post(1);
    another_call(server.door);
    finish(&server);
}

static int was_released(void *argument) {
    (void)argument;
    return shared->number[1] != 0;
}

static void row_073(void) {
    struct peer server = serve(serve_aborted);
    aborted_call(server.door);
    post(1);
    await_state(was_released, NULL, "the procedure ends");
    another_call(server.door);
    finish(&server);
}

static void row_074(void) {
    struct peer server = serve(serve_aborted);
    pid_t client = fork();
    CHECK(client >= 0);
    if (client == 0) {
        door_call(server.door, NULL);
        _exit(1);
    }
    await(0, 1);
    SAME(kill(client, SIGKILL), 0);
    SAME(waitpid(client, NULL, 0), client);
    /* The server notices by itself; then the procedure may go on. */
    await_asleep(server.pid, server.pid, -1);
    post(1);
    another_call(server.door);
    finish(&server);
}

static void query_cancel_state(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    int state = -1, type = -1;
    (void)cookie;
    note(argp, size, dp, n);
    SAME(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state), 0);
    SAME(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type), 0);
    shared->number[0] = state == PTHREAD_CANCEL_DISABLE;
    shared->number[1] = type == PTHREAD_CANCEL_DEFERRED;
    door_return(NULL, 0, NULL, 0);
}

static void serve_query(int control) {
    serve_with(control, query_cancel_state, 0);
}

static void row_075(void) {
    struct peer server = serve(serve_query);
    SAME(door_call(server.door, NULL), 0);
    SAME(shared->number[0], 1);
    finish(&server);
}

static void row_076(void) {
    struct peer server = serve(serve_aborted);
    struct caller caller;
    void *result;
    call_in_thread(&caller, server.door, 3, -1);
    await(0, 1);
    await_asleep(getpid(), caller.tid, 3);
    SAME(pthread_cancel(caller.thread), 0);
    SAME(pthread_join(caller.thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
    post(1); /* the procedure checks that it has been left alone */
    another_call(server.door);
    finish(&server);
}

const struct row rows_abort[] = {
    {65, row_065}, {66, row_066}, {67, row_067}, {68, row_068}, {69, row_069}, {70, row_070}, {71, row_071},
    {72, row_072}, {73, row_073}, {74, row_074}, {75, row_075}, {76, row_076}, {0, NULL},
};
