/* DR-123 to DR-137, DR-170, DR-175: references and unreferenced invocations. */
#include "rows.h"

#include <sys/prctl.h>

/* Procedure: posts event 2 for an unreferenced invocation, echoes anything else. */
static void unref_or_echo(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (argp == DOOR_UNREF_DATA) {
        CHECK(size == 0 && dp == NULL && n == 0);
        note(argp, size, dp, n);
        shared->argp = (uintptr_t)cookie;
        post(2);
        door_return(NULL, 0, NULL, 0);
    }
    echo(cookie, argp, size, dp, n);
}

static int has_one_reference(void *argument) {
    return (info_of(*(int *)argument).di_attributes & DOOR_IS_UNREF) != 0;
}

static int has_more_references(void *argument) {
    return !has_one_reference(argument);
}

/* Waits until the server has seen the last close, then proves with a call that nothing else is queued. */
static void settle(int door) {
    await_state(has_one_reference, &door, "one reference is left");
    char byte = 's', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
}

static void row_123(void) {
    int cookie;
    int door = door_create(unref_or_echo, &cookie, DOOR_UNREF);
    int copy = dup(door);
    CHECK(copy >= 0);
    SAME(close(copy), 0);
    await(2, 1);
    CHECK(shared->argp == (uintptr_t)&cookie);
    settle(door);
    SAME(shared->unreferenced, 1);
}

static void row_124(void) {
    int once = door_create(unref_or_echo, NULL, DOOR_UNREF);
    for (int i = 0; i < 3; i++) {
        SAME(close(dup(once)), 0);
        if (i == 0)
            await(2, 1);
        settle(once);
    }
    SAME(shared->event[2], 1);
    int every = door_create(unref_or_echo, NULL, DOOR_UNREF_MULTI);
    for (uint32_t i = 0; i < 3; i++) {
        SAME(close(dup(every)), 0);
        await(2, 2 + i);
        settle(every);
    }
    SAME(shared->unreferenced, 4);
}

static void row_125(void) {
    int door = door_create(unref_or_echo, NULL, DOOR_UNREF);
    CHECK(info_of(door).di_attributes & DOOR_UNREF);
    SAME(close(dup(door)), 0);
    await(2, 1);
    CHECK(!(info_of(door).di_attributes & DOOR_UNREF));
}

static void row_126(void) {
    int alone = door_create(unref_or_echo, NULL, DOOR_UNREF);
    int other = door_create(unref_or_echo, NULL, DOOR_UNREF);
    SAME(close(alone), 0);
    /* Notifications of one process come one after the other: this one would come second. */
    SAME(close(dup(other)), 0);
    await(2, 1);
    settle(other);
    SAME(shared->unreferenced, 1);
}

static void row_127(void) {
    int door = door_create(unref_or_echo, NULL, DOOR_UNREF), pair[2];
    SAME(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(pair[0]);
        until_closed(pair[1]);
        _exit(0);
    }
    close(pair[1]);
    await_state(has_more_references, &door, "the child counts");
    SAME(shared->unreferenced, 0);
    close(pair[0]);
    reap(child);
    await(2, 1);
    settle(door);
    SAME(shared->unreferenced, 1);
}

static void row_128(void) {
    char path[512];
    make_file(scratch("attached", path, sizeof path), "", 0644);
    int door = door_create(unref_or_echo, NULL, DOOR_UNREF);
    SAME(fattach(door, path), 0);
    CHECK(has_more_references(&door));
    SAME(fdetach(path), 0);
    await(2, 1);
    settle(door);
    SAME(shared->unreferenced, 1);
}

static char attached_path[512];

static void serve_attached_unref(int control) {
    int door = door_create(unref_or_echo, NULL, DOOR_UNREF);
    SAME(fattach(door, attached_path), 0);
    say(control, 'a');
    SAME(hear(control), 'd');
    SAME(fdetach(attached_path), 0);
    say(control, 'd');
    until_closed(control);
}

static void row_129(void) {
    make_file(scratch("attached", attached_path, sizeof attached_path), "", 0644);
    struct peer server = serve_silent(serve_attached_unref);
    SAME(hear(server.control), 'a');
    int door = open(attached_path, O_RDONLY);
    CHECK(door >= 0);
    say(server.control, 'd');
    SAME(hear(server.control), 'd');
    char byte = 'b', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
    SAME(shared->unreferenced, 0);
    SAME(close(door), 0);
    await(2, 1);
    finish(&server);
    SAME(shared->unreferenced, 1);
}

static int client_door = -1;

/* svc.configd's way: a copy of the client's own door, given away with DOOR_RELEASE. */
static void give_copy(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    if (client_door < 0)
        client_door = door_create(unref_or_echo, NULL, DOOR_UNREF_MULTI | DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = dup(client_door);
    door_return(NULL, 0, &desc, 1);
}

static void serve_give_copy(int control) {
    serve_with(control, give_copy, 0);
}

static int obtain(int door) {
    char room[64];
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(door, &arg), 0);
    SAME(arg.desc_num, 1);
    return arg.desc_ptr[0].d_data.d_desc.d_descriptor;
}

static void row_130(void) {
    struct peer server = serve(serve_give_copy);
    int mine = obtain(server.door);
    char byte = 'b', reply[4];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(mine, &arg), 0);
    SAME(shared->unreferenced, 0);
    SAME(close(mine), 0);
    await(2, 1);
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        obtain(server.door);
        post(3);
        for (;;)
            pause();
    }
    await(3, 1);
    SAME(shared->unreferenced, 1);
    SAME(kill(other, SIGKILL), 0);
    SAME(waitpid(other, NULL, 0), other);
    await(2, 2);
    finish(&server);
}

static void unref_or_slow(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (argp == DOOR_UNREF_DATA) {
        shared->number[0] = shared->event[1]; /* had the call been allowed to end? */
        unref_or_echo(cookie, argp, size, dp, n);
    }
    echo_when_told(cookie, argp, size, dp, n);
}

static void row_131(void) {
    int door = door_create(unref_or_slow, NULL, DOOR_UNREF), copy = dup(door);
    struct caller caller;
    call_in_thread(&caller, door, -1, -1);
    await(0, 1);
    SAME(close(copy), 0);
    await_state(has_one_reference, &door, "one reference is left");
    SAME(shared->unreferenced, 0);
    post(1);
    join_caller(&caller);
    SAME(caller.result, 0);
    await(2, 1);
    SAME(shared->number[0], 1);
}

static void unref_with_result(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (argp == DOOR_UNREF_DATA) {
        FAILS(door_return("x", 1, NULL, 0), E2BIG);
        shared->number[0]++;
    }
    unref_or_echo(cookie, argp, size, dp, n);
}

static void row_132(void) {
    int door = door_create(unref_with_result, NULL, DOOR_UNREF);
    SAME(close(dup(door)), 0);
    await(2, 1);
    SAME(shared->number[0], 1);
}

static int watched = -1;

static void unref_and_look(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (argp == DOOR_UNREF_DATA) {
        door_cred_t cred;
        shared->number[0] = info_of(watched).di_attributes;
        SAME(door_cred(&cred), 0);
        SAME(cred.dc_pid, 0);
        SAME(cred.dc_euid, geteuid());
    }
    unref_or_echo(cookie, argp, size, dp, n);
}

static void row_133(void) {
    watched = door_create(unref_and_look, NULL, DOOR_UNREF);
    SAME(close(dup(watched)), 0);
    await(2, 1);
    CHECK(shared->number[0] & DOOR_IS_UNREF);
}

static void row_134(void) {
    int door = door_create(unref_or_echo, NULL, DOOR_UNREF);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MIN, 8), 0);
    SAME(close(dup(door)), 0);
    await(2, 1);
}

static void row_135(void) {
    int door = door_create(unref_or_echo, NULL, DOOR_UNREF), copy = dup(door), third = dup(door);
    int other = door_create(unref_or_echo, NULL, DOOR_UNREF);
    SAME(door_revoke(door), 0);
    SAME(close(copy), 0);
    (void)third;
    SAME(close(dup(other)), 0); /* would come second */
    await(2, 1);
    settle(other);
    SAME(shared->unreferenced, 1);
}

static void *bind_and_park(void *argument) {
    SAME(door_bind(*(int *)argument), 0);
    post(0);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void row_136(void) {
    int door = door_create(unref_or_echo, NULL, DOOR_PRIVATE | DOOR_UNREF), copy = dup(door);
    pthread_t thread;
    for (uint32_t i = 0; i < 3; i++)
        SAME(pthread_create(&thread, NULL, bind_and_park, &door), 0);
    await(0, 3);
    SAME(close(copy), 0);
    await(2, 1);
}

static void row_137(void) {
    int door = door_create(unref_or_echo, NULL, 0);
    CHECK(has_one_reference(&door));
    int copy = dup(door);
    CHECK(!has_one_reference(&door) && !has_one_reference(&copy));
    SAME(close(copy), 0);
    await_state(has_one_reference, &door, "one reference is left");
    int high = fcntl(door, F_DUPFD_CLOEXEC, 100), chosen = dup2(door, 200);
    CHECK(high >= 100 && chosen == 200);
    CHECK(!has_one_reference(&door));
    SAME(close(high), 0);
    SAME(close(chosen), 0);
    await_state(has_one_reference, &door, "one reference is left");
}

static int held = -1;

static void release_to_nobody(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    held = door_create(unref_or_echo, NULL, DOOR_UNREF_MULTI);
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    desc.d_data.d_desc.d_descriptor = dup(held);
    shared->number[0] = desc.d_data.d_desc.d_descriptor;
    post(0);
    await(1, 1);
    door_return("late", 4, &desc, 1);
}

static void serve_release(int control) {
    int door = door_create(release_to_nobody, NULL, DOOR_NO_CANCEL);
    give_fd(control, door);
    until_closed(control);
    /* The engine's own descriptors pass through low numbers for a moment; the door would stay. */
    for (int tries = 0; tries < 1000 && is_open((int)shared->number[0]); tries++)
        sched_yield();
    CHECK(!is_open((int)shared->number[0]));
}

static void row_170(void) {
    struct peer server = serve(serve_release);
    struct caller caller;
    handle_signal(SIGUSR1, 0);
    call_in_thread(&caller, server.door, -1, -1);
    await(0, 1);
    interrupt(&caller);
    SAME(caller.error, EINTR);
    SAME(shared->unreferenced, 0);
    post(1);
    await(2, 1);
    finish(&server);
}

static void unref_slowly(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (argp == DOOR_UNREF_DATA && shared->number[0]++ == 0) {
        post(0);
        await(1, 1);
    }
    unref_or_echo(cookie, argp, size, dp, n);
}

static void row_175(void) {
    int door = door_create(unref_slowly, NULL, DOOR_UNREF_MULTI);
    SAME(close(dup(door)), 0);
    await(0, 1);
    SAME(close(dup(door)), 0);
    await_state(has_one_reference, &door, "one reference is left");
    post(1);
    await(2, 2);
}

const struct row rows_unreferenced[] = {
    {123, row_123}, {124, row_124}, {125, row_125}, {126, row_126}, {127, row_127}, {128, row_128},
    {129, row_129}, {130, row_130}, {131, row_131}, {132, row_132}, {133, row_133}, {134, row_134},
    {135, row_135}, {136, row_136}, {137, row_137}, {170, row_170}, {175, row_175}, {0, NULL},
};
