/* DR-077 to DR-100 and DR-173: server threads, pools, door_return(). */
#include "rows.h"

#include <dirent.h>
#include <setjmp.h>
#include <sys/syscall.h>

/* Posts 0 and waits for event 1. */
static void row_077(void) {
    enum { K = 6 };
    struct peer server = serve(serve_when_told);
    struct caller callers[K];
    for (int i = 0; i < K; i++)
        call_in_thread(&callers[i], server.door, -1, -1);
    await(0, K); /* all in the procedure at once */
    post(1);
    for (int i = 0; i < K; i++) {
        join_caller(&callers[i]);
        SAME(callers[i].result, 0);
    }
    finish(&server);
}

static int creations; /* of this process */

/* Parks; the first few tell their ids in number[8] and on. */
static void *park(void *argument) {
    (void)argument;
    int64_t nth = shared->number[7]++;
    if (8 + nth < 16)
        shared->number[8 + nth] = thread_id();
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    post(5);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    SAME(pthread_create(&thread, NULL, body, argument), 0);
    SAME(pthread_detach(thread), 0);
}

static void create_counting(door_info_t *info) {
    CHECK(info == NULL);
    shared->number[0]++;
    shared->number[1] = thread_id();
    shared->number[2] = shared->calls;
    start(park, NULL);
}

static void note_thread(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    if (shared->calls == 0)
        shared->number[3] = thread_id();
    note(argp, size, dp, n);
    door_return(NULL, 0, NULL, 0);
}

static void serve_counting(int control) {
    door_server_create(create_counting);
    serve_with(control, note_thread, 0);
}

static void row_078(void) {
    struct peer server = serve(serve_counting);
    SAME(door_call(server.door, NULL), 0);
    /* The thread that served and the spare one that its callback made. */
    await(5, 2);
    await_asleep(server.pid, (pid_t)shared->number[8], -1);
    await_asleep(server.pid, (pid_t)shared->number[9], -1);
    SAME(shared->number[0], 2);
    for (int i = 0; i < 200; i++)
        SAME(door_call(server.door, NULL), 0);
    SAME(shared->number[0], 2);
    finish(&server);
}

static void create_first_then_note(door_info_t *info) {
    CHECK(info == NULL);
    if (shared->number[0]++ == 0) {
        start(park, NULL);
        return;
    }
    shared->number[1] = thread_id();
    shared->number[2] = shared->calls;
}

static void serve_first_then_note(int control) {
    door_server_create(create_first_then_note);
    serve_with(control, note_thread, 0);
}

static void row_079(void) {
    struct peer server = serve(serve_first_then_note);
    SAME(door_call(server.door, NULL), 0);
    SAME(shared->number[0], 2);
    SAME(shared->number[2], 0); /* before the procedure */
    SAME(shared->number[1], shared->number[3]);
    finish(&server);
}

static void create_one(door_info_t *info) {
    (void)info;
    if (creations++ == 0)
        start(park, NULL);
}

static void serve_one_thread(int control) {
    door_server_create(create_one);
    serve_with(control, echo_when_told, 0);
}

static void row_080(void) {
    struct peer server = serve(serve_one_thread);
    struct caller first, second;
    call_in_thread(&first, server.door, -1, -1);
    await(0, 1);
    call_in_thread(&second, server.door, 2, -1);
    await_asleep(getpid(), second.tid, 2);
    SAME(shared->event[0], 1);
    post(1);
    join_caller(&first);
    join_caller(&second);
    SAME(first.result, 0);
    SAME(second.result, 0);
    finish(&server);
}

static int private_door = -1;

static void *bind_and_park(void *argument) {
    (void)argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    await(6, 1); /* the door is published */
    SAME(door_bind(private_door), 0);
    post(5);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void create_private(door_info_t *info) {
    CHECK(info != NULL);
    if (creations++ == 0) {
        CHECK(!(info->di_attributes & DOOR_DEPLETION_CB));
        start(bind_and_park, NULL);
        return;
    }
    shared->number[0] = info->di_attributes;
    shared->number[1] = info->di_proc == (uintptr_t)answer_empty;
}

static void serve_private(int control) {
    door_server_create(create_private);
    private_door = door_create(answer_empty, NULL, DOOR_PRIVATE);
    post(6);
    await(5, 1);
    give_fd(control, private_door);
    until_closed(control);
}

static void row_081(void) {
    struct peer server = serve(serve_private);
    SAME(door_call(server.door, NULL), 0);
    CHECK(shared->number[0] & DOOR_DEPLETION_CB);
    CHECK(shared->number[0] & DOOR_PRIVATE);
    SAME(shared->number[1], 1);
    finish(&server);
}

static void function_f(door_info_t *info) {
    (void)info;
}

static void function_g(door_info_t *info) {
    (void)info;
}

static void row_082(void) {
    CHECK(door_server_create(function_f) != NULL);
    CHECK(door_server_create(function_g) == function_f);
    CHECK(door_server_create(function_f) == function_g);
}

/* Answers with the id of the thread that ran the procedure. */
static void answer_thread(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    pid_t tid = thread_id();
    door_return((char *)&tid, sizeof tid, NULL, 0);
}

static pid_t thread_of(int door) {
    pid_t tid = 0;
    door_arg_t arg = arg_of(NULL, 0, &tid, sizeof tid);
    SAME(door_call(door, &arg), 0);
    SAME(arg.data_size, sizeof tid);
    return tid;
}

struct binding {
    int door;
    int then; /* event to post when bound */
    pid_t tid;
};

static void *bind_then_park(void *argument) {
    struct binding *binding = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    binding->tid = thread_id();
    SAME(door_bind(binding->door), 0);
    post(binding->then);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void row_083(void) {
    int private = door_create(answer_thread, NULL, DOOR_PRIVATE);
    int ordinary = door_create(answer_thread, NULL, 0);
    struct binding binding = {private, 0, 0};
    start(bind_then_park, &binding);
    await(0, 1);
    for (int i = 0; i < 50; i++) {
        SAME(thread_of(private), binding.tid);
        CHECK(thread_of(ordinary) != binding.tid);
    }
}

static void row_084(void) {
    int door = door_create(echo, NULL, 0);
    FAILS(door_bind(door), EINVAL);
}

static void serve_private_echo(int control) {
    serve_with(control, echo, DOOR_PRIVATE);
}

static void row_085(void) {
    struct peer server = serve(serve_private_echo);
    FAILS(door_bind(server.door), EINVAL);
    finish(&server);
}

static void row_086(void) {
    FAILS(door_unbind(), EBADF);
    int door = door_create(echo, NULL, DOOR_PRIVATE);
    SAME(door_bind(door), 0);
    SAME(door_unbind(), 0);
    FAILS(door_unbind(), EBADF);
}

static void *bind_twice(void *argument) {
    int *doors = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    SAME(door_bind(doors[0]), 0);
    SAME(door_bind(doors[1]), 0);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void row_087(void) {
    int doors[2] = {door_create(answer_thread, NULL, DOOR_PRIVATE), door_create(answer_thread, NULL, DOOR_PRIVATE)};
    struct caller caller;
    start(bind_twice, doors);
    thread_of(doors[1]);
    handle_signal(SIGUSR1, 0);
    call_in_thread(&caller, doors[0], 0, -1);
    await_asleep(getpid(), caller.tid, 0);
    thread_of(doors[1]);
    interrupt(&caller);
    SAME(caller.error, EAGAIN);
}

static void answer_query(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    door_info_t info;
    memset(&info, 0, sizeof info);
    if (door_info(DOOR_QUERY, &info) != 0)
        info.di_target = -errno;
    door_return((char *)&info, sizeof info, NULL, 0);
}

static door_info_t query(int door) {
    door_info_t info;
    door_arg_t arg = arg_of(NULL, 0, &info, sizeof info);
    SAME(door_call(door, &arg), 0);
    SAME(arg.data_size, sizeof info);
    return info;
}

static void row_088(void) {
    int private = door_create(answer_query, NULL, DOOR_PRIVATE), ordinary = door_create(answer_query, NULL, 0);
    struct binding binding = {private, 0, 0};
    door_info_t info;
    start(bind_then_park, &binding);
    SAME(query(private).di_uniquifier, info_of(private).di_uniquifier);
    SAME(query(ordinary).di_target, -EBADF);
    FAILS(door_info(DOOR_QUERY, &info), EBADF);
}

static void unbind_and_answer(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    SAME(door_unbind(), 0);
    door_return("left", 4, NULL, 0);
}

static void no_creation(door_info_t *info) {
    (void)info;
}

static void row_089(void) {
    door_server_create(no_creation); /* the process pool has no thread of its own */
    int private = door_create(unbind_and_answer, NULL, DOOR_PRIVATE), ordinary = door_create(answer_thread, NULL, 0);
    struct binding binding = {private, 0, 0};
    char reply[8];
    start(bind_then_park, &binding);
    door_arg_t arg = arg_of(NULL, 0, reply, sizeof reply);
    SAME(door_call(private, &arg), 0);
    CHECK(arg.data_size == 4 && memcmp(reply, "left", 4) == 0);
    SAME(thread_of(ordinary), binding.tid);
}

static void serve_by_main(int control) {
    door_server_create(no_creation);
    int door = door_create(answer_thread, NULL, 0);
    give_fd(control, door);
    door_return(NULL, 0, NULL, 0);
}

static void row_090(void) {
    struct peer server = serve(serve_by_main);
    for (int i = 0; i < 100; i++)
        SAME(thread_of(server.door), server.pid);
    SAME(kill(server.pid, SIGKILL), 0);
    SAME(waitpid(server.pid, NULL, 0), server.pid);
}

static void serve_with_bogus(int control) {
    door_server_create(no_creation);
    int door = door_create(answer_thread, NULL, 0);
    give_fd(control, door);
    door_return(unmapped(), 5, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void row_091(void) {
    struct peer server = serve(serve_with_bogus);
    SAME(thread_of(server.door), server.pid);
    SAME(kill(server.pid, SIGKILL), 0);
    SAME(waitpid(server.pid, NULL, 0), server.pid);
}

static void bad_then_good(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    FAILS(door_return(unmapped(), 10, NULL, 0), EFAULT);
    FAILS(door_return(unmapped(), 20000, NULL, 0), EFAULT);
    FAILS(door_return("x", 1, (door_desc_t *)(void *)unmapped(), 1), EFAULT);
    door_return("good", 4, NULL, 0);
}

static void serve_bad_then_good(int control) {
    serve_with(control, bad_then_good, 0);
}

static void row_092(void) {
    struct peer server = serve(serve_bad_then_good);
    char reply[8];
    door_arg_t arg = arg_of(NULL, 0, reply, sizeof reply);
    SAME(door_call(server.door, &arg), 0);
    CHECK(arg.data_size == 4 && memcmp(reply, "good", 4) == 0);
    finish(&server);
}

static void too_many(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    static door_desc_t desc[1025];
    int file = temporary_file();
    for (int i = 0; i < 1025; i++) {
        desc[i].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
        desc[i].d_data.d_desc.d_descriptor = file;
    }
    FAILS(door_return(NULL, 0, desc, 1025), E2BIG);
    CHECK(is_open(file));
    door_return("good", 4, NULL, 0);
}

static void serve_too_many(int control) {
    serve_with(control, too_many, 0);
}

static void row_093(void) {
    struct peer server = serve(serve_too_many);
    char reply[8];
    door_arg_t arg = arg_of(NULL, 0, reply, sizeof reply);
    SAME(door_call(server.door, &arg), 0);
    CHECK(arg.data_size == 4 && arg.desc_num == 0);
    finish(&server);
}

static void handled_in_server(int number) {
    (void)number;
    shared->number[0]++;
    post(4);
}

static void serve_signalled(int control) {
    sigset_t set;
    signal(SIGUSR1, handled_in_server);
    door_server_create(no_creation);
    int door = door_create(answer_thread, NULL, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    start(park, NULL); /* inherits the open mask */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    give_fd(control, door);
    until_closed(control);
}

static void row_094(void) {
    struct peer server = serve(serve_signalled);
    pid_t worker = thread_of(server.door);
    for (uint32_t i = 1; i <= 3; i++) {
        await_asleep(server.pid, worker, -1);
        SAME(syscall(SYS_tgkill, server.pid, worker, SIGUSR1), 0);
        await(4, i);
        SAME(thread_of(server.door), worker);
    }
    SAME(shared->number[0], 3);
    finish(&server);
}

/* ---- door_xcreate ---- */

static _Atomic int xcreations, xsetups;
static int xanswer = 1, xcookie;
static uint_t xlast_attributes;

static int xcreate_thread(door_info_t *info, void *(*body)(void *), void *argument, void *cookie) {
    CHECK(info != NULL && cookie == &xcookie);
    xcreations++;
    shared->number[0] = xcreations;
    xlast_attributes = info->di_attributes;
    shared->number[1] = info->di_attributes;
    if (xanswer == 1)
        start(body, argument);
    return xanswer;
}

static void xsetup(void *cookie) {
    CHECK(cookie == &xcookie);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    xsetups++;
}

static void row_095(void) {
    int before = open_count();
    FAILS(door_xcreate(echo, NULL, 0, xcreate_thread, NULL, &xcookie, 0), EINVAL);
    FAILS(door_xcreate(echo, NULL, 0, xcreate_thread, NULL, &xcookie, -1), EINVAL);
    FAILS(door_xcreate(echo, NULL, 0, NULL, NULL, &xcookie, 1), EINVAL);
    FAILS(door_xcreate(echo, NULL, DOOR_PRIVCREATE, xcreate_thread, NULL, &xcookie, 1), EINVAL);
    FAILS(door_xcreate(echo, NULL, 0x1000, xcreate_thread, NULL, &xcookie, 1), EINVAL);
    SAME(open_count(), before);
    SAME(xcreations, 0);
}

static void row_096(void) {
    CHECK(door_create(echo, NULL, 0) >= 0); /* what the library itself opens is open now */
    int before = dup(0);
    close(before);
    xanswer = 0;
    FAILS(door_xcreate(echo, NULL, 0, xcreate_thread, NULL, &xcookie, 1), EINVAL);
    xanswer = -1;
    FAILS(door_xcreate(echo, NULL, 0, xcreate_thread, NULL, &xcookie, 1), EPIPE);
    SAME(xcreations, 2);
    int after = dup(0);
    SAME(after, before);
}

static void row_097(void) {
    int door = door_xcreate(answer_thread, NULL, DOOR_NO_CANCEL, xcreate_thread, xsetup, &xcookie, 3);
    CHECK(door >= 0);
    SAME(xcreations, 3);
    SAME(xsetups, 3);
    SAME(info_of(door).di_attributes, DOOR_PRIVATE | DOOR_PRIVCREATE | DOOR_NO_CANCEL | DOOR_LOCAL | DOOR_IS_UNREF);
    SAME(fcntl(door, F_GETFD), FD_CLOEXEC);
    CHECK(thread_of(door) != thread_id());
}

static void answer_cancel_state(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    int state[2] = {-1, -1};
    (void)cookie;
    note(argp, size, dp, n);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state[0]);
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &state[1]);
    door_return((char *)state, sizeof state, NULL, 0);
}

static void row_098(void) {
    int door = door_xcreate(answer_cancel_state, NULL, 0, xcreate_thread, NULL, &xcookie, 1), state[2];
    CHECK(door >= 0);
    door_arg_t arg = arg_of(NULL, 0, state, sizeof state);
    SAME(door_call(door, &arg), 0);
    SAME(state[0], PTHREAD_CANCEL_DISABLE);
    SAME(state[1], PTHREAD_CANCEL_DEFERRED);
}

static void serve_fixed(int control) {
    int door = door_xcreate(echo_when_told, NULL, DOOR_NO_DEPLETION_CB, xcreate_thread, NULL, &xcookie, 1);
    CHECK(door >= 0);
    give_fd(control, door);
    until_closed(control);
}

static void row_099(void) {
    struct peer server = serve(serve_fixed);
    struct caller first, second;
    call_in_thread(&first, server.door, -1, -1);
    await(0, 1);
    call_in_thread(&second, server.door, 2, -1);
    await_asleep(getpid(), second.tid, 2);
    SAME(shared->event[0], 1);
    post(1);
    join_caller(&first);
    join_caller(&second);
    CHECK(first.result == 0 && second.result == 0);
    SAME(shared->number[0], 1);
    finish(&server);
}

/* Holds on to calls of call_in_thread() until told; echoes others at once. */
static void echo_or_wait(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    if (arg_size == 1 && *argp == 'c')
        echo_when_told(cookie, argp, arg_size, dp, n_desc);
    echo(cookie, argp, arg_size, dp, n_desc);
}

static void serve_two(int control) {
    int door = door_xcreate(echo_or_wait, NULL, DOOR_NO_DEPLETION_CB, xcreate_thread, NULL, &xcookie, 2);
    CHECK(door >= 0);
    give_fd(control, door);
    until_closed(control);
}

/* A thread that has served one client over and over sleeps close to it; it must come when it is wanted elsewhere. */
static void row_950(void) {
    SAME(setenv("DOORS_SPIN", "0", 1), 0);
    struct peer server = serve(serve_two);
    char request = 'e', reply[8];
    for (uint32_t round = 1; round <= 20; round++) {
        for (int i = 0; i < 40; i++) {
            door_arg_t arg = arg_of(&request, 1, reply, sizeof reply);
            SAME(door_call(server.door, &arg), 0);
        }
        struct caller first, second;
        call_in_thread(&first, server.door, -1, -1);
        call_in_thread(&second, server.door, -1, -1);
        await(0, 2 * round); /* both run at the same time */
        post(1);
        join_caller(&first);
        join_caller(&second);
        CHECK(first.result == 0 && second.result == 0);
        shared->event[1] = 0;
    }
    finish(&server);
}

static void serve_growing(int control) {
    int door = door_xcreate(echo_when_told, NULL, 0, xcreate_thread, NULL, &xcookie, 1);
    CHECK(door >= 0);
    give_fd(control, door);
    until_closed(control);
}

static void row_100(void) {
    struct peer server = serve(serve_growing);
    struct caller first, second;
    call_in_thread(&first, server.door, -1, -1);
    await(0, 1);
    CHECK(shared->number[0] >= 2);
    CHECK(shared->number[1] & DOOR_DEPLETION_CB);
    call_in_thread(&second, server.door, -1, -1);
    await(0, 2);
    post(1);
    join_caller(&first);
    join_caller(&second);
    CHECK(first.result == 0 && second.result == 0);
    finish(&server);
}

/* ---- set-up functions that end their thread ---- */

static enum { EXITS, IS_CANCELLED, JUMPS_OUT } xway;
static int xspared; /* so many threads are left alone */

struct xthread {
    void *(*body)(void *);
    void *argument;
};

static _Thread_local jmp_buf xout;

static void *xrun(void *argument) {
    struct xthread thread = *(struct xthread *)argument;
    free(argument);
    return setjmp(xout) == 0 ? thread.body(thread.argument) : NULL;
}

static int xcreate_running(door_info_t *info, void *(*body)(void *), void *argument, void *cookie) {
    struct xthread *thread = malloc(sizeof *thread);
    (void)info, (void)cookie;
    CHECK(thread != NULL);
    *thread = (struct xthread){body, argument};
    xcreations++;
    start(xrun, thread);
    return 1;
}

static void xsetup_that_ends(void *cookie) {
    (void)cookie;
    if (xsetups++ < xspared)
        return;
    switch (xway) {
    case EXITS:
        pthread_exit(NULL);
    case IS_CANCELLED:
        pthread_cancel(pthread_self());
        pthread_testcancel();
        break;
    case JUMPS_OUT:
        longjmp(xout, 1);
    }
}

static int task_count(void) {
    DIR *list = opendir("/proc/self/task");
    int count = 0;
    CHECK(list != NULL);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count - 2; /* "." and ".." */
}

struct counts {
    int open, tasks;
};

static int counts_are(void *before) {
    const struct counts *counts = before;
    return open_count() == counts->open && task_count() == counts->tasks;
}

static void row_951(void) {
    CHECK(door_create(echo, NULL, 0) >= 0); /* what the library itself opens is open now, its threads run */
    struct counts before = {open_count(), task_count()};
    for (xspared = 0; xspared <= 2; xspared++) {
        for (xway = EXITS; xway <= JUMPS_OUT; xway++) {
            xsetups = 0;
            FAILS(door_xcreate(echo, NULL, 0, xcreate_running, xsetup_that_ends, NULL, 3), EBADF);
            await_state(counts_are, &before, "nothing is left of the door");
        }
    }
}

/* The thread that would make the pool larger ends: the pool serves on as it is. */
static void row_952(void) {
    xspared = 1;
    int door = door_xcreate(answer_thread, NULL, 0, xcreate_running, xsetup_that_ends, NULL, 1);
    CHECK(door >= 0);
    pid_t first = thread_of(door);
    SAME(thread_of(door), first);
    SAME(xsetups, xcreations);
    CHECK(xcreations >= 2);
}

static void row_173(void) {
    door_server_create(no_creation);
    int door = door_create(answer_thread, NULL, DOOR_PRIVATE);
    struct binding first = {door, 0, 0}, second = {door, 1, 0};
    start(bind_then_park, &first);
    await(0, 1);
    await_asleep(getpid(), first.tid, -1);
    start(bind_then_park, &second);
    await(1, 1);
    await_asleep(getpid(), second.tid, -1);
    SAME(thread_of(door), second.tid);
}

const struct row rows_pool[] = {
    {77, row_077}, {78, row_078}, {79, row_079}, {80, row_080}, {81, row_081}, {82, row_082},   {83, row_083},
    {84, row_084}, {85, row_085}, {86, row_086}, {87, row_087}, {88, row_088}, {89, row_089},   {90, row_090},
    {91, row_091}, {92, row_092}, {93, row_093}, {94, row_094}, {95, row_095}, {96, row_096},   {97, row_097},
    {98, row_098}, {99, row_099}, {100, row_100}, {173, row_173}, {950, row_950},
    {951, row_951}, {952, row_952}, {0, NULL},
};
