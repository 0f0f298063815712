/* DR-001 to DR-014 and DR-042 to DR-051: making doors, information, parameters. */
#include "rows.h"

static int lowest_free(void) {
    int fd = dup(0);
    CHECK(fd >= 0);
    close(fd);
    return fd;
}

static void row_001(void) {
    int first = lowest_free();
    SAME(door_create(echo, NULL, 0), first);
    int hole = dup(0);
    int above = dup(0);
    close(hole);
    SAME(door_create(echo, NULL, 0), hole);
    close(above);
}

static void row_002(void) {
    int door = door_create(echo, NULL, 0);
    SAME(fcntl(door, F_GETFD), FD_CLOEXEC);
}

static void row_003(void) {
    FAILS(door_create(echo, NULL, 0x1000), EINVAL);
    FAILS(door_create(echo, NULL, DOOR_DESCRIPTOR), EINVAL);
}

static void row_004(void) {
    FAILS(door_create(echo, NULL, DOOR_UNREF | DOOR_UNREF_MULTI), EINVAL);
}

static void row_005(void) {
    FAILS(door_create(echo, NULL, DOOR_NO_DEPLETION_CB), EINVAL);
    FAILS(door_create(echo, NULL, DOOR_PRIVCREATE), EINVAL);
}

static void row_006(void) {
    FAILS(door_create(echo, NULL, DOOR_LOCAL), EINVAL);
    FAILS(door_create(echo, NULL, DOOR_REVOKED), EINVAL);
    FAILS(door_create(echo, NULL, DOOR_IS_UNREF), EINVAL);
}

static void row_007(void) {
    int spare = fill_table();
    FAILS(door_create(echo, NULL, 0), EMFILE);
    SAME(close(spare), 0);
    SAME(door_create(echo, NULL, 0), spare);
}

static void row_008(void) {
    int one = door_create(echo, NULL, 0);
    int two = door_create(echo, NULL, 0);
    CHECK(info_of(one).di_uniquifier != 0);
    CHECK(info_of(two).di_uniquifier > info_of(one).di_uniquifier);
}

static void row_009(void) {
    int cookie;
    int door = door_create(echo, &cookie, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    door_info_t info = info_of(door);
    SAME(info.di_target, getpid());
    SAME(info.di_proc, (uintptr_t)echo);
    SAME(info.di_data, (uintptr_t)&cookie);
    SAME(info.di_attributes, DOOR_REFUSE_DESC | DOOR_NO_CANCEL | DOOR_LOCAL | DOOR_IS_UNREF);
    for (int i = 0; i < 4; i++)
        SAME(info.di_resv[i], 0);
    door = door_create(echo, &cookie, DOOR_PRIVATE);
    SAME(info_of(door).di_attributes, DOOR_PRIVATE | DOOR_LOCAL | DOOR_IS_UNREF);
}

static int creations;
static door_info_t creation_info[4];
static int creation_null[4];

static void count_creation(door_info_t *info) {
    CHECK(creations < 4);
    creation_null[creations] = info == NULL;
    if (info != NULL)
        creation_info[creations] = *info;
    creations++;
}

static void row_010(void) {
    door_server_create(count_creation);
    CHECK(door_create(echo, NULL, 0) >= 0);
    CHECK(door_create(echo, NULL, 0) >= 0);
    SAME(creations, 1);
    CHECK(creation_null[0]);
}

static void row_011(void) {
    int one, two;
    door_server_create(count_creation);
    int first = door_create(echo, &one, DOOR_PRIVATE);
    int second = door_create(answer_empty, &two, DOOR_PRIVATE);
    SAME(creations, 2);
    CHECK(!creation_null[0] && !creation_null[1]);
    SAME(creation_info[0].di_proc, (uintptr_t)echo);
    SAME(creation_info[0].di_data, (uintptr_t)&one);
    SAME(creation_info[1].di_proc, (uintptr_t)answer_empty);
    SAME(creation_info[1].di_data, (uintptr_t)&two);
    for (int i = 0; i < 2; i++)
        SAME(creation_info[i].di_attributes, DOOR_PRIVATE | DOOR_LOCAL | DOOR_IS_UNREF);
    SAME(creation_info[0].di_uniquifier, info_of(first).di_uniquifier);
    SAME(creation_info[1].di_uniquifier, info_of(second).di_uniquifier);
}

static void serve_private(int control) {
    serve_with(control, echo, DOOR_PRIVATE);
}

static void row_012(void) {
    struct peer server = serve(serve_private);
    struct caller caller;
    handle_signal(SIGUSR1, SA_RESTART);
    call_in_thread(&caller, server.door, 0, -1);
    interrupt(&caller);
    SAME(caller.error, EAGAIN);
    CHECK(signals_handled >= 1);
    SAME(shared->calls, 0);
    finish(&server);
}

static void *bind_and_park(void *argument) {
    int door = *(int *)argument;
    SAME(door_bind(door), 0);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "parks", 0, errno);
}

static void serve_private_later(int control) {
    pthread_t thread;
    int door = door_create(echo, NULL, DOOR_PRIVATE);
    give_fd(control, door);
    SAME(hear(control), 'b');
    SAME(pthread_create(&thread, NULL, bind_and_park, &door), 0);
    until_closed(control);
}

static void row_013(void) {
    struct peer server = serve(serve_private_later);
    struct caller caller;
    call_in_thread(&caller, server.door, 0, -1);
    await_asleep(getpid(), caller.tid, 0);
    say(server.control, 'b');
    join_caller(&caller);
    SAME(caller.result, 0);
    SAME(shared->calls, 1);
    finish(&server);
}

static void row_014(void) {
    door_info_t info;
    size_t value;
    int file = temporary_file();
    int closed = dup(file);
    close(closed);
    int pair[2];
    SAME(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    int bad[] = {file, closed, -1, pair[0]};
    for (int i = 0; i < 4; i++) {
        door_arg_t arg = arg_of(NULL, 0, NULL, 0);
        FAILS(door_call(bad[i], &arg), EBADF);
        FAILS(door_info(bad[i], &info), EBADF);
        FAILS(door_revoke(bad[i]), EBADF);
        FAILS(door_getparam(bad[i], DOOR_PARAM_DATA_MAX, &value), EBADF);
        FAILS(door_setparam(bad[i], DOOR_PARAM_DATA_MAX, 1), EBADF);
        FAILS(door_bind(bad[i]), EBADF);
    }
    CHECK(is_open(file));
}

static size_t parameter(int door, int which) {
    size_t value = 12345;
    SAME(door_getparam(door, which, &value), 0);
    return value;
}

static void row_042(void) {
    int door = door_create(echo, NULL, 0);
    CHECK(parameter(door, DOOR_PARAM_DESC_MAX) == INT_MAX);
    CHECK(parameter(door, DOOR_PARAM_DATA_MAX) == SIZE_MAX);
    CHECK(parameter(door, DOOR_PARAM_DATA_MIN) == 0);
}

static void row_043(void) {
    int door = door_create(echo, NULL, DOOR_REFUSE_DESC);
    SAME(parameter(door, DOOR_PARAM_DESC_MAX), 0);
    FAILS(door_setparam(door, DOOR_PARAM_DESC_MAX, 1), ENOTSUP);
    SAME(door_setparam(door, DOOR_PARAM_DESC_MAX, 0), 0);
}

static void row_044(void) {
    int door = door_create(echo, NULL, 0);
    FAILS(door_setparam(door, DOOR_PARAM_DESC_MAX, (size_t)INT_MAX + 1), ERANGE);
    SAME(door_setparam(door, DOOR_PARAM_DESC_MAX, INT_MAX), 0);
}

static void row_045(void) {
    int door = door_create(echo, NULL, DOOR_REFUSE_DESC);
    FAILS(door_setparam(door, DOOR_PARAM_DESC_MAX, (size_t)INT_MAX + 1), ERANGE);
}

static void row_046(void) {
    int door = door_create(echo, NULL, 0);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MAX, 10), 0);
    FAILS(door_setparam(door, DOOR_PARAM_DATA_MIN, 11), EINVAL);
    SAME(parameter(door, DOOR_PARAM_DATA_MIN), 0);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MIN, 10), 0);
}

static void row_047(void) {
    int door = door_create(echo, NULL, 0);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MIN, 10), 0);
    FAILS(door_setparam(door, DOOR_PARAM_DATA_MAX, 9), EINVAL);
    CHECK(parameter(door, DOOR_PARAM_DATA_MAX) == SIZE_MAX);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MAX, 10), 0);
}

static void row_048(void) {
    int door = door_create(echo, NULL, 0), unknown[] = {0, 99};
    size_t value;
    for (int i = 0; i < 2; i++) {
        FAILS(door_getparam(door, unknown[i], &value), EINVAL);
        FAILS(door_setparam(door, unknown[i], 1), EINVAL);
    }
}

static void row_049(void) {
    struct peer server = serve(serve_echo);
    FAILS(door_setparam(server.door, DOOR_PARAM_DATA_MAX, 1), EPERM);
    CHECK(parameter(server.door, DOOR_PARAM_DATA_MAX) == SIZE_MAX);
    finish(&server);
}

static void row_050(void) {
    int door = door_create(echo, NULL, 0);
    int other = dup(door);
    SAME(door_revoke(door), 0);
    FAILS(door_setparam(other, DOOR_PARAM_DATA_MAX, 1), EBADF);
    CHECK(parameter(other, DOOR_PARAM_DATA_MAX) == SIZE_MAX);
}

static void row_051(void) {
    int door = door_create(echo, NULL, 0);
    FAILS(door_getparam(door, DOOR_PARAM_DATA_MAX, NULL), EFAULT);
    FAILS(door_getparam(door, DOOR_PARAM_DATA_MAX, (size_t *)unmapped()), EFAULT);
}

const struct row rows_create[] = {
    {1, row_001},   {2, row_002},   {3, row_003},   {4, row_004},   {5, row_005},   {6, row_006},   {7, row_007},
    {8, row_008},   {9, row_009},   {10, row_010},  {11, row_011},  {12, row_012},  {13, row_013},  {14, row_014},
    {42, row_042},  {43, row_043},  {44, row_044},  {45, row_045},  {46, row_046},  {47, row_047},  {48, row_048},
    {49, row_049},  {50, row_050},  {51, row_051},  {0, NULL},
};
