/* DR-037 to DR-041, DR-101 to DR-116, DR-160, DR-169, DR-172: descriptors. */
#define _GNU_SOURCE
#include "rows.h"

static door_desc_t entry(int fd, door_attr_t attributes) {
    door_desc_t desc;
    memset(&desc, 0, sizeof desc);
    desc.d_attributes = attributes;
    desc.d_data.d_desc.d_descriptor = fd;
    return desc;
}

/* Procedure: notes what arrived and whether it is what was sent: number[0] bit i = entry i is a file. */
static void take(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    for (uint_t i = 0; i < n && i < 8; i++) {
        int fd = dp[i].d_data.d_desc.d_descriptor;
        struct stat status;
        SAME(fstat(fd, &status), 0);
        SAME(fcntl(fd, F_GETFD), 0); /* open across exec */
        shared->number[i] = fd;
        shared->number[8 + i] = dp[i].d_attributes;
    }
    for (uint_t i = 0; i < n; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
    door_return(NULL, 0, NULL, 0);
}

static void serve_take(int control) {
    serve_with(control, take, 0);
}

static void serve_take_refusing(int control) {
    serve_with(control, take, DOOR_REFUSE_DESC);
}

static int call_with(int door, door_desc_t *desc, uint_t n) {
    door_arg_t arg = arg_of(NULL, 0, NULL, 0);
    arg.desc_ptr = desc;
    arg.desc_num = n;
    return door_call(door, &arg);
}

static void row_037(void) {
    struct peer server = serve(serve_take_refusing);
    door_desc_t desc = entry(0, DOOR_DESCRIPTOR);
    FAILS(call_with(server.door, &desc, 1), ENOTSUP);
    SAME(shared->calls, 0);
    finish(&server);
}

/* Returns a file with text, released or not, as the request byte says. */
static void give(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    int file = temporary_file();
    SAME(write(file, "0123456789", 10), 10);
    SAME(lseek(file, 3, SEEK_SET), 3);
    shared->number[0] = file;
    door_desc_t desc = entry(file, DOOR_DESCRIPTOR | (size == 1 && argp[0] == 'r' ? DOOR_RELEASE : 0));
    if (size == 1 && argp[0] == 'd')
        door_return("hello", 5, &desc, 1);
    door_return(NULL, 0, &desc, 1);
}

static void is_still_open(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    if (size == 1 && argp[0] == '?') {
        char open = (char)is_open((int)shared->number[0]);
        door_return(&open, 1, NULL, 0);
    }
    give(cookie, argp, size, dp, n);
}

static void serve_give(int control) {
    serve_with(control, is_still_open, 0);
}

static void serve_give_refusing(int control) {
    serve_with(control, is_still_open, DOOR_REFUSE_DESC);
}

static int server_has_it_open(int door) {
    char reply = 9;
    door_arg_t arg = arg_of("?", 1, &reply, 1);
    SAME(door_call(door, &arg), 0);
    return reply;
}

static void row_038(void) {
    struct peer server = serve(serve_give_refusing);
    char room[64];
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 1);
    CHECK(is_open(arg.desc_ptr[0].d_data.d_desc.d_descriptor));
    finish(&server);
}

static void serve_two_at_most(int control) {
    int door = door_create(take, NULL, 0);
    SAME(door_setparam(door, DOOR_PARAM_DESC_MAX, 2), 0);
    give_fd(control, door);
    until_closed(control);
}

static void row_039(void) {
    struct peer server = serve(serve_two_at_most);
    door_desc_t desc[3] = {entry(0, DOOR_DESCRIPTOR), entry(1, DOOR_DESCRIPTOR), entry(2, DOOR_DESCRIPTOR)};
    FAILS(call_with(server.door, desc, 3), ENFILE);
    SAME(shared->calls, 0);
    SAME(call_with(server.door, desc, 2), 0);
    SAME(shared->n_desc, 2);
    finish(&server);
}

static void row_041(void) {
    struct peer server = serve(serve_take);
    static door_desc_t desc[1025];
    int file = temporary_file();
    for (int i = 0; i < 1025; i++)
        desc[i] = entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE);
    FAILS(call_with(server.door, desc, 1025), E2BIG);
    CHECK(is_open(file));
    SAME(shared->calls, 0);
    finish(&server);
}

static void row_101(void) {
    struct peer server = serve(serve_give);
    char room[64], text[8];
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 1);
    SAME(arg.desc_ptr[0].d_attributes, 0x10000);
    int fd = arg.desc_ptr[0].d_data.d_desc.d_descriptor;
    SAME(fcntl(fd, F_GETFD), 0);
    CHECK(server_has_it_open(server.door));
    SAME(lseek(fd, 0, SEEK_CUR), 3); /* the server's offset: the same open file */
    SAME(read(fd, text, 3), 3);
    CHECK(memcmp(text, "345", 3) == 0);
    finish(&server);
}

static void row_102(void) {
    struct peer server = serve(serve_give);
    char room[64], text[8];
    door_arg_t arg = arg_of("r", 1, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 1);
    SAME(arg.desc_ptr[0].d_attributes, DOOR_DESCRIPTOR);
    SAME(read(arg.desc_ptr[0].d_data.d_desc.d_descriptor, text, 3), 3);
    CHECK(!server_has_it_open(server.door));
    finish(&server);
}

static void row_103(void) {
    struct peer server = serve(serve_give);
    char room[64];
    door_arg_t arg = arg_of("d", 1, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    CHECK(arg.data_ptr == room && arg.data_size == 5 && memcmp(room, "hello", 5) == 0);
    SAME((char *)arg.desc_ptr - room, 24);
    SAME(arg.desc_num, 1);
    finish(&server);
}

static void row_104(void) {
    struct peer server = serve(serve_give);
    char room[40];
    door_arg_t arg = arg_of("d", 1, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    CHECK(arg.rbuf != room && arg.data_ptr == arg.rbuf && memcmp(arg.data_ptr, "hello", 5) == 0);
    SAME((char *)arg.desc_ptr - arg.rbuf, 24);
    CHECK(arg.rsize >= 48 && is_open(arg.desc_ptr[0].d_data.d_desc.d_descriptor));
    SAME(munmap(arg.rbuf, arg.rsize), 0);
    finish(&server);
}

static int second_door = -1;

static void give_door(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    door_desc_t desc = entry(second_door, DOOR_DESCRIPTOR);
    door_return(NULL, 0, &desc, 1);
}

static void serve_give_door(int control) {
    second_door = door_create(answer_size, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    shared->number[0] = (int64_t)info_of(second_door).di_uniquifier;
    serve_with(control, give_door, 0);
}

static void row_105(void) {
    struct peer server = serve(serve_give_door);
    char room[64];
    size_t size = 3;
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 1);
    SAME(arg.desc_ptr[0].d_attributes, DOOR_DESCRIPTOR | DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    int door = arg.desc_ptr[0].d_data.d_desc.d_descriptor;
    CHECK(arg.desc_ptr[0].d_data.d_desc.d_id == info_of(door).di_uniquifier);
    SAME(arg.desc_ptr[0].d_data.d_desc.d_id, shared->number[0]);
    arg = arg_of(&size, sizeof size, room, sizeof room);
    SAME(door_call(door, &arg), 0);
    CHECK(arg.data_size == 3 && room[0] == 'x');
    finish(&server);
}

static void row_106(void) {
    struct peer server = serve(serve_take);
    door_desc_t desc = entry(server.door, DOOR_DESCRIPTOR);
    SAME(call_with(server.door, &desc, 1), 0);
    SAME(shared->number[8], DOOR_DESCRIPTOR | DOOR_LOCAL);
    CHECK(is_open(server.door));
    finish(&server);
}

static void lowest(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    shared->number[0] = dp[0].d_data.d_desc.d_descriptor;
    shared->number[1] = dp[1].d_data.d_desc.d_descriptor;
    shared->number[2] = lseek(dp[0].d_data.d_desc.d_descriptor, 0, SEEK_CUR);
    shared->number[3] = lseek(dp[1].d_data.d_desc.d_descriptor, 0, SEEK_CUR);
    door_return(NULL, 0, NULL, 0);
}

static void serve_lowest(int control) {
    int door = door_create(lowest, NULL, 0);
    int hole = dup(0), next = dup(0);
    shared->number[4] = hole;
    shared->number[5] = next;
    close(hole);
    close(next);
    give_fd(control, door);
    until_closed(control);
}

static void row_107(void) {
    struct peer server = serve(serve_lowest);
    int kept = temporary_file(), released = temporary_file();
    SAME(lseek(kept, 11, SEEK_SET), 11);
    SAME(lseek(released, 22, SEEK_SET), 22);
    door_desc_t desc[2] = {entry(kept, DOOR_DESCRIPTOR), entry(released, DOOR_DESCRIPTOR | DOOR_RELEASE)};
    SAME(call_with(server.door, desc, 2), 0);
    CHECK(is_file(kept) && !is_file(released));
    /* In order, at the lowest numbers. */
    SAME(shared->number[0], shared->number[4]);
    SAME(shared->number[1], shared->number[5]);
    SAME(shared->number[2], 11);
    SAME(shared->number[3], 22);
    finish(&server);
}

static void count_open(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    int count = open_count();
    door_return((char *)&count, sizeof count, NULL, 0);
}

static void serve_count(int control) {
    serve_with(control, count_open, 0);
}

static int open_in(int door) {
    int count = -1;
    door_arg_t arg = arg_of(NULL, 0, &count, sizeof count);
    SAME(door_call(door, &arg), 0);
    return count;
}

static void row_108(void) {
    struct peer server = serve(serve_count);
    int one = temporary_file(), two = temporary_file(), closed = dup(0);
    close(closed);
    door_desc_t desc[3] = {entry(one, DOOR_DESCRIPTOR | DOOR_RELEASE), entry(closed, DOOR_DESCRIPTOR),
                           entry(two, DOOR_DESCRIPTOR | DOOR_RELEASE)};
    int before = open_in(server.door);
    uint32_t calls = shared->calls;
    FAILS(call_with(server.door, desc, 3), EINVAL);
    CHECK(!is_file(one) && !is_file(two));
    SAME(shared->calls, calls);
    SAME(open_in(server.door), before);
    finish(&server);
}

static void row_109(void) {
    struct peer server = serve(serve_take);
    door_desc_t desc = entry(0, 0);
    FAILS(call_with(server.door, &desc, 1), EINVAL);
    SAME(shared->calls, 0);
    finish(&server);
}

static void row_110(void) {
    struct peer server = serve(serve_take);
    int file = temporary_file();
    door_desc_t desc[2] = {entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE), entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE)};
    FAILS(call_with(server.door, desc, 2), EINVAL);
    SAME(shared->calls, 0);
    CHECK(!is_file(file));
    finish(&server);
}

static void serve_full(int control) {
    int door = door_create(take, NULL, 0);
    give_fd(control, door);
    SAME(hear(control), 'f');
    int spare = fill_table();
    say(control, 'd');
    SAME(hear(control), 'e');
    close(spare);
    say(control, 'd');
    until_closed(control);
}

static void row_111(void) {
    struct peer server = serve(serve_full);
    door_desc_t desc = entry(0, DOOR_DESCRIPTOR);
    SAME(call_with(server.door, &desc, 1), 0);
    say(server.control, 'f');
    SAME(hear(server.control), 'd');
    FAILS(call_with(server.door, &desc, 1), EMFILE);
    SAME(shared->calls, 1);
    say(server.control, 'e');
    SAME(hear(server.control), 'd');
    SAME(call_with(server.door, &desc, 1), 0);
    SAME(shared->calls, 2);
    finish(&server);
}

/* Tries once with a descriptor; if that fails, waits for event 1 when asked to, and tries again or gives up. */
static void try_to_give(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    if (size == 1 && argp[0] == '?') {
        char open = (char)(shared->number[1] != 0 && is_open((int)shared->number[1]));
        door_return(&open, 1, NULL, 0);
    }
    int file = temporary_file();
    door_desc_t desc = entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE);
    shared->number[1] = file;
    FAILS(door_return(NULL, 0, &desc, 1), EMFILE);
    CHECK(is_open(file));
    post(0);
    if (size == 1 && argp[0] == 'a') {
        await(1, 1);
        door_return(NULL, 0, &desc, 1);
    }
    door_return(NULL, 0, NULL, 0);
}

static void serve_try(int control) {
    serve_with(control, try_to_give, 0);
}

static void row_112(void) {
    struct peer server = serve(serve_try);
    char room[64];
    SAME(server_has_it_open(server.door), 0);
    fill_table();
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 0);
    SAME(shared->event[0], 1);
    finish(&server);
}

struct again {
    int door;
    door_arg_t arg;
    char room[64];
};

static void *call_again(void *argument) {
    struct again *again = argument;
    again->arg = arg_of("a", 1, again->room, sizeof again->room);
    SAME(door_call(again->door, &again->arg), 0);
    return NULL;
}

static void row_169(void) {
    struct peer server = serve(serve_try);
    struct again again = {.door = server.door};
    pthread_t thread;
    SAME(server_has_it_open(server.door), 0);
    int spare = fill_table();
    SAME(pthread_create(&thread, NULL, call_again, &again), 0);
    await(0, 1); /* the server has got its EMFILE */
    close(spare);
    post(1);
    SAME(pthread_join(thread, NULL), 0);
    SAME(again.arg.desc_num, 1);
    SAME(again.arg.desc_ptr[0].d_data.d_desc.d_descriptor, spare);
    SAME(server_has_it_open(server.door), 0);
    finish(&server);
}

static void row_113(void) {
    struct peer server = serve(serve_take_refusing);
    int file = temporary_file();
    door_desc_t desc = entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE);
    FAILS(call_with(server.door, &desc, 1), ENOTSUP);
    CHECK(is_open(file));
    finish(&server);
}

static void serve_revoked(int control) {
    int door = door_create(take, NULL, 0);
    give_fd(control, door);
    SAME(hear(control), 'r');
    SAME(door_revoke(door), 0);
    say(control, 'd');
    until_closed(control);
}

static void row_114(void) {
    struct peer server = serve(serve_revoked);
    int file = temporary_file();
    door_desc_t desc = entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE);
    say(server.control, 'r');
    SAME(hear(server.control), 'd');
    FAILS(call_with(server.door, &desc, 1), EBADF);
    CHECK(is_open(file));
    finish(&server);
}

static void take_when_told(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    post(0);
    await(1, 1);
    take(cookie, argp, size, dp, n);
}

static void serve_take_slowly(int control) {
    serve_with(control, take_when_told, DOOR_NO_CANCEL);
}

static void *interrupt_main(void *argument) {
    await(0, 1);
    await_asleep(getpid(), getpid(), -1);
    SAME(pthread_kill(*(pthread_t *)argument, SIGUSR1), 0);
    return NULL;
}

static void row_115(void) {
    struct peer server = serve(serve_take_slowly);
    pthread_t me = pthread_self(), thread;
    sigset_t set;
    int file = temporary_file();
    door_desc_t desc = entry(file, DOOR_DESCRIPTOR | DOOR_RELEASE);
    handle_signal(SIGUSR1, 0);
    sigemptyset(&set);
    SAME(pthread_create(&thread, NULL, interrupt_main, &me), 0);
    FAILS(call_with(server.door, &desc, 1), EINTR);
    SAME(pthread_join(thread, NULL), 0);
    CHECK(!is_file(file));
    post(1);
    finish(&server);
}

static void serve_give_revoked(int control) {
    int door = door_create(echo, NULL, 0);
    second_door = dup(door);
    SAME(door_revoke(door), 0);
    serve_with(control, give_door, 0);
}

static void row_116(void) {
    struct peer server = serve(serve_give_revoked);
    char room[64];
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 1);
    SAME(arg.desc_ptr[0].d_attributes, DOOR_DESCRIPTOR | DOOR_REVOKED);
    FAILS(door_call(arg.desc_ptr[0].d_data.d_desc.d_descriptor, NULL), EBADF);
    finish(&server);
}

static void give_three(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    door_desc_t desc[3];
    for (int i = 0; i < 3; i++)
        desc[i] = entry(temporary_file(), DOOR_DESCRIPTOR | DOOR_RELEASE);
    door_return("data", 4, desc, 3);
}

static void serve_three(int control) {
    serve_with(control, give_three, 0);
}

static void row_160(void) {
    struct peer server = serve(serve_three);
    char room[4];
    int fds[3];
    door_arg_t arg = arg_of(NULL, 0, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.desc_num, 3);
    CHECK(arg.rbuf != room);
    for (int i = 0; i < 3; i++)
        fds[i] = arg.desc_ptr[i].d_data.d_desc.d_descriptor;
    SAME(munmap(arg.rbuf, arg.rsize), 0);
    for (int i = 0; i < 3; i++)
        SAME(write(fds[i], "x", 1), 1);
    finish(&server);
}

static void row_172(void) {
    struct peer server = serve(serve_give);
    unsigned char room[4096];
    memset(room, 0xAA, sizeof room);
    door_arg_t arg = arg_of("d", 1, room, sizeof room);
    SAME(door_call(server.door, &arg), 0);
    CHECK(arg.data_size == 5 && arg.desc_num == 1 && arg.rbuf == (char *)room);
    for (size_t i = 5; i < sizeof room; i++)
        CHECK((i >= 24 && i < 48) || room[i] == 0xAA);
    finish(&server);
}

const struct row rows_descriptor[] = {
    {37, row_037},   {38, row_038},   {39, row_039},   {41, row_041},   {101, row_101}, {102, row_102},
    {103, row_103},  {104, row_104},  {105, row_105},  {106, row_106},  {107, row_107}, {108, row_108},
    {109, row_109},  {110, row_110},  {111, row_111},  {112, row_112},  {113, row_113}, {114, row_114},
    {115, row_115},  {116, row_116},  {160, row_160},  {169, row_169},  {172, row_172}, {0, NULL},
};
