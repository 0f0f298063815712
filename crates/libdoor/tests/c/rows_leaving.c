/* 901 and up, not rows of the specification: what door_return() leaves behind when it leaves a procedure. */
#include "rows.h"

#include <fenv.h>
#include <sys/time.h>

static int go_deep(int depth, char *data) {
    volatile char frame[256];
    memset((void *)frame, depth, sizeof frame);
    int result = depth > 0 ? go_deep(depth - 1, data) : door_return(data, 8, NULL, 0);
    return result + frame[3]; /* no tail call */
}

static void answer_stack(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    char marker;
    uint64_t where = (uintptr_t)&marker;
    if (size == 1 && argp[0] == 'd')
        go_deep(20, (char *)&where); /* the result lies in a frame that is about to be dropped */
    door_return((char *)&where, sizeof where, NULL, 0);
}

static uint64_t stack_of(int door, const char *how) {
    uint64_t where = 0;
    door_arg_t arg = arg_of(how, 1, &where, sizeof where);
    SAME(door_call(door, &arg), 0);
    return where;
}

static void no_creation(door_info_t *info) {
    (void)info;
}

static void *park(void *argument) {
    (void)argument;
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

/* A process pool of one thread. */
static int one_thread(door_server_procedure_t *procedure, void *(*body)(void *)) {
    pthread_t thread;
    door_server_create(no_creation);
    int door = door_create(procedure, NULL, 0);
    SAME(pthread_create(&thread, NULL, body, NULL), 0);
    return door;
}

/* 901: every procedure of a thread starts at the same stack address, however deep the last one was. */
static void row_901(void) {
    int door = one_thread(answer_stack, park);
    uint64_t first = stack_of(door, "s");
    for (int i = 0; i < 50000; i++)
        CHECK(stack_of(door, i % 2 ? "d" : "s") == first);
}

static void spoil_rounding(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    int before = fegetround();
    fesetround(FE_UPWARD);
    door_return((char *)&before, sizeof before, NULL, 0);
}

/* 902: floating-point control words are as they were when the next procedure starts. */
static void row_902(void) {
    int door = one_thread(spoil_rounding, park);
    for (int i = 0; i < 3; i++) {
        int rounding = -1;
        door_arg_t arg = arg_of(NULL, 0, &rounding, sizeof rounding);
        SAME(door_call(door, &arg), 0);
        SAME(rounding, FE_TONEAREST);
    }
}

static void count_cleanup(void *argument) {
    shared->number[(uintptr_t)argument]++;
    post(2 + (int)(uintptr_t)argument);
}

static void leave_thread(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    pthread_cleanup_push(count_cleanup, (void *)0);
    if (size == 1 && argp[0] == 'x')
        pthread_exit(NULL);
    if (size == 1 && argp[0] == 'c') {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
        pthread_cancel(pthread_self());
        for (;;)
            pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    door_return(NULL, 0, NULL, 0);
}

static void *park_with_cleanup(void *argument) {
    pthread_cleanup_push(count_cleanup, (void *)1);
    park(argument);
    pthread_cleanup_pop(0);
    return NULL;
}

static void leaves(const char *how) {
    int door = one_thread(leave_thread, park_with_cleanup);
    door_arg_t arg = arg_of("-", 1, NULL, 0);
    for (int i = 0; i < 10; i++)
        SAME(door_call(door, &arg), 0);
    arg = arg_of(how, 1, NULL, 0);
    FAILS(door_call(door, &arg), EINTR);
    await(2, 1);
    await(3, 1);
    SAME(shared->number[0], 1);
    SAME(shared->number[1], 1); /* of the frame below door_return() */
}

/* 903, 904: the clean-up handlers of the procedure and of the application's own frames below run. */
static void row_903(void) {
    leaves("x");
}

static void row_904(void) {
    leaves("c");
}

/* 905: errno of a failed call is left alone by what the library does afterwards. */
static void row_905(void) {
    int door = one_thread(answer_stack, park);
    for (int i = 0; i < 1000; i++) {
        errno = 77;
        stack_of(door, "s");
        door_arg_t arg = arg_of(NULL, 0, NULL, 0);
        FAILS(door_call(-1, &arg), EBADF);
    }
}

/* ---- 906: everything at once ---- */

enum { CALLERS = 4, ROUNDS = 3000 };
static _Atomic uint32_t answered, interrupted;

/* Echoes the request with each byte plus one, and any descriptor with it. */
static void add_one(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    for (size_t i = 0; i < size; i++)
        argp[i]++;
    for (uint_t i = 0; i < n; i++)
        dp[i].d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE;
    door_return(argp, size, dp, n);
    row_failed(__FILE__, __LINE__, "door_return does not return", 0, errno);
}

static void serve_add_one(int control) {
    serve_with(control, add_one, 0);
}

static void *call_at_random(void *argument) {
    int door = *(int *)argument;
    unsigned seed = (unsigned)thread_id();
    size_t room = 70000;
    char *data = malloc(room), *reply = malloc(room);
    for (int round = 0; round < ROUNDS; round++) {
        static const size_t sizes[] = {0, 1, 88, 89, 96, 97, 1000, 7680, 7681, 8192, 8193, 20000, 65536, 70000};
        size_t size = sizes[(size_t)rand_r(&seed) % (sizeof sizes / sizeof *sizes)];
        if (size > 8193 && round % 16 != 0)
            size = 1;
        memset(data, round & 0x3f, size);
        int fd = round % 8 == 0 ? temporary_file() : -1;
        door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE, .d_data.d_desc = {fd, 0}};
        size_t rsize = round % 5 == 0 ? size / 2 : room;
        door_arg_t arg = arg_of(data, size, reply, rsize);
        arg.desc_ptr = &desc;
        arg.desc_num = fd >= 0;
        if (door_call(door, &arg) == -1) {
            CHECK(errno == EINTR || errno == EAGAIN);
            interrupted++;
            if (fd >= 0 && errno == EAGAIN && is_open(fd))
                close(fd);
            continue;
        }
        answered++;
        SAME(arg.data_size, size);
        for (size_t i = 0; i < size; i++)
            CHECK(arg.data_ptr[i] == (round & 0x3f) + 1);
        SAME(arg.desc_num, fd >= 0);
        if (fd >= 0)
            close(arg.desc_ptr[0].d_data.d_desc.d_descriptor);
        if (arg.rbuf != reply)
            SAME(munmap(arg.rbuf, arg.rsize), 0);
    }
    free(data);
    free(reply);
    return NULL;
}

/* 906: threads call with all sizes, with descriptors, with signals all the time; every answer is the right one. */
static void row_906(void) {
    struct peer server = serve(serve_add_one);
    pthread_t threads[CALLERS];
    struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    handle_signal(SIGPROF, SA_RESTART);
    SAME(setitimer(ITIMER_PROF, &often, NULL), 0);
    for (int i = 0; i < CALLERS; i++)
        SAME(pthread_create(&threads[i], NULL, call_at_random, &server.door), 0);
    for (int i = 0; i < CALLERS; i++)
        SAME(pthread_join(threads[i], NULL), 0);
    SAME(setitimer(ITIMER_PROF, &never, NULL), 0);
    SAME(answered + interrupted, CALLERS * ROUNDS);
    CHECK(answered > CALLERS * ROUNDS / 2);
    finish(&server);
}

const struct row rows_leaving[] = {
    {901, row_901}, {902, row_902}, {903, row_903}, {904, row_904}, {905, row_905}, {906, row_906}, {0, NULL},
};
