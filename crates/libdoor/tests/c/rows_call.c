/* DR-015 to DR-041 and others about arguments and results. */
#define _GNU_SOURCE
#include "rows.h"

static char *bytes(size_t size) {
    char *data = malloc(size + 1);
    CHECK(data != NULL);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 131 + i / 4096);
    return data;
}

static void row_015(void) {
    static const size_t sizes[] = {0, 1, 4095, 16384, 16385, 1 << 20};
    struct peer server = serve(serve_echo);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i], room = size + 64;
        char *data = bytes(size), *room_at = calloc(1, room);
        door_arg_t arg = arg_of(data, size, room_at, room);
        SAME(door_call(server.door, &arg), 0);
        SAME(arg.data_size, size);
        if (size > 0)
            CHECK(arg.data_ptr == room_at);
        CHECK(memcmp(room_at, data, size) == 0);
        CHECK(arg.rbuf == room_at && arg.rsize == room);
        SAME(arg.desc_num, 0);
        free(data);
        free(room_at);
    }
    finish(&server);
}

static void row_016(void) {
    struct peer server = serve(serve_empty);
    char reply[8], text[] = "not sent";
    door_arg_t arg = arg_of(text, 0, reply, sizeof reply);
    shared->argp = shared->dp = 77;
    SAME(door_call(server.door, &arg), 0);
    SAME(shared->calls, 1);
    CHECK(shared->argp == 0 && shared->arg_size == 0 && shared->dp == 0 && shared->n_desc == 0);
    finish(&server);
}

static void row_017(void) {
    struct peer server = serve(serve_empty);
    shared->argp = shared->dp = 77;
    SAME(door_call(server.door, NULL), 0);
    SAME(shared->calls, 1);
    CHECK(shared->argp == 0 && shared->arg_size == 0 && shared->dp == 0 && shared->n_desc == 0);
    finish(&server);
}

static void one_byte_then_empty(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    FAILS(door_return("x", 1, NULL, 0), E2BIG);
    shared->number[0]++;
    door_return(NULL, 0, NULL, 0);
}

static void serve_one_byte(int control) {
    serve_with(control, one_byte_then_empty, 0);
}

static void row_018(void) {
    struct peer server = serve(serve_one_byte);
    SAME(door_call(server.door, NULL), 0);
    SAME(shared->number[0], 1);
    finish(&server);
}

static void row_019(void) {
    struct peer server = serve(serve_empty);
    char data[8] = "request", reply[8];
    door_arg_t arg = arg_of(data, sizeof data, reply, sizeof reply);
    arg.desc_ptr = (door_desc_t *)(void *)data;
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.data_size, 0);
    SAME(arg.desc_num, 0);
    CHECK(arg.data_ptr == data && arg.desc_ptr == (door_desc_t *)(void *)data);
    CHECK(arg.rbuf == reply && arg.rsize == sizeof reply);
    finish(&server);
}

static void ask_for(int door, size_t size, char *rbuf, size_t rsize, door_arg_t *arg) {
    *arg = arg_of(&size, sizeof size, rbuf, rsize);
    SAME(door_call(door, arg), 0);
    SAME(arg->data_size, size);
    for (size_t i = 0; i < size; i++)
        CHECK(arg->data_ptr[i] == 'x');
}

static void row_020(void) {
    struct peer server = serve(serve_size);
    size_t page = (size_t)getpagesize();
    static const size_t sizes[] = {100, 9000, 1 << 20};
    for (int i = 0; i < 3; i++) {
        door_arg_t arg;
        ask_for(server.door, sizes[i], NULL, 0, &arg);
        CHECK(arg.rbuf != NULL && (uintptr_t)arg.rbuf % page == 0);
        CHECK(arg.rsize >= sizes[i] && arg.rsize % page == 0);
        CHECK(arg.data_ptr == arg.rbuf);
        memset(arg.rbuf, 'w', arg.rsize); /* the caller owns it, every byte */
        SAME(munmap(arg.rbuf, arg.rsize), 0);
    }
    finish(&server);
}

static void row_021(void) {
    struct peer server = serve(serve_size);
    static const size_t sizes[] = {16, 5000, 20000};
    for (int i = 0; i < 3; i++) {
        char *room = malloc(sizes[i]);
        memset(room, 0x55, sizes[i]);
        door_arg_t arg;
        ask_for(server.door, sizes[i] + 1, room, sizes[i], &arg);
        CHECK(arg.rbuf != room && arg.rsize > sizes[i]);
        for (size_t b = 0; b < sizes[i]; b++)
            CHECK(room[b] == 0x55);
        SAME(munmap(arg.rbuf, arg.rsize), 0);
        free(room);
    }
    finish(&server);
}

static void row_022(void) {
    struct peer server = serve(serve_size);
    static const size_t sizes[] = {16, 96, 97, 5000, 8192, 8193, 20000};
    for (int i = 0; i < 7; i++) {
        char *room = malloc(sizes[i]);
        door_arg_t arg;
        ask_for(server.door, sizes[i], room, sizes[i], &arg);
        CHECK(arg.rbuf == room && arg.rsize == sizes[i] && arg.data_ptr == room);
        free(room);
    }
    finish(&server);
}

static void add_one(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    note(argp, size, dp, n);
    (void)cookie;
    for (size_t i = 0; i < size; i++)
        argp[i]++;
    door_return(argp, size, NULL, 0);
}

static void serve_add_one(int control) {
    serve_with(control, add_one, 0);
}

static void row_023(void) {
    struct peer server = serve(serve_add_one);
    static const size_t sizes[] = {8, 6000, 100000};
    for (int i = 0; i < 3; i++) {
        char *buffer = malloc(sizes[i]);
        memset(buffer, 'a', sizes[i]);
        door_arg_t arg = arg_of(buffer, sizes[i], buffer, sizes[i]);
        SAME(door_call(server.door, &arg), 0);
        CHECK(arg.data_ptr == buffer && arg.data_size == sizes[i] && arg.rbuf == buffer);
        for (size_t b = 0; b < sizes[i]; b++)
            CHECK(buffer[b] == 'b');
        free(buffer);
    }
    finish(&server);
}

static void row_024(void) {
    struct peer server = serve(serve_add_one);
    char data[] = "HAL", reply[8];
    door_arg_t arg = arg_of(data, 3, reply, sizeof reply);
    SAME(door_call(server.door, &arg), 0);
    CHECK(memcmp(arg.data_ptr, "IBM", 3) == 0 && arg.data_ptr == reply);
    CHECK(strcmp(data, "HAL") == 0);
    finish(&server);
}

static void serve_limited(int control) {
    int door = door_create(echo, NULL, DOOR_REFUSE_DESC);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MAX, 16), 0);
    give_fd(control, door);
    until_closed(control);
}

static void row_025(void) {
    struct peer server = serve(serve_limited);
    char data[32] = "", reply[32];
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc = {0, 0}};
    struct {
        size_t size;
        uint_t n;
        char *data, *rbuf;
        int door, error;
    } cases[] = {
        {17, 0, data, reply, server.door, ENOBUFS},      {1, 1, data, reply, server.door, ENOTSUP},
        {1, 0, unmapped(), reply, server.door, EFAULT},  {1, 0, data, unmapped(), server.door, EFAULT},
        {1, 0, data, reply, server.control, EBADF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        door_arg_t arg = arg_of(cases[i].data, cases[i].size, cases[i].rbuf, sizeof reply);
        arg.desc_ptr = &desc;
        arg.desc_num = cases[i].n;
        door_arg_t before = arg;
        FAILS(door_call(cases[i].door, &arg), cases[i].error);
        CHECK(memcmp(&arg, &before, sizeof arg) == 0);
    }
    finish(&server);
}

static void row_026(void) {
    struct peer server = serve(serve_empty);
    for (size_t size = 1; size < 20000; size = size * 3 + 1) {
        char *data = bytes(size);
        door_arg_t arg = arg_of(data, size, NULL, 0);
        SAME(door_call(server.door, &arg), 0);
        SAME(shared->argp % 16, 0);
        free(data);
    }
    finish(&server);
}

static void row_027(void) {
    FAILS(door_call(-1, (door_arg_t *)(void *)unmapped()), EFAULT);
    FAILS(door_call(0, (door_arg_t *)(void *)unmapped()), EFAULT);
}

static void still_works(int door, uint32_t calls_before) {
    char byte = 'b', reply[8];
    SAME(shared->calls, calls_before);
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
    CHECK(arg.data_size == 1 && reply[0] == 'b');
    SAME(shared->calls, calls_before + 1);
}

static void row_028(void) {
    struct peer server = serve(serve_echo);
    door_arg_t arg = arg_of(unmapped(), 10, NULL, 0);
    FAILS(door_call(server.door, &arg), EFAULT);
    still_works(server.door, 0);
    /* Good at the start, bad further on. */
    size_t page = (size_t)getpagesize();
    char *half = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SAME(mprotect(half + 32 * page, page, PROT_NONE), 0);
    arg = arg_of(half, 64 * page, NULL, 0);
    FAILS(door_call(server.door, &arg), EFAULT);
    arg = arg_of(half + 32 * page - 5, 10, NULL, 0);
    FAILS(door_call(server.door, &arg), EFAULT);
    /* A file that is shorter than its mapping. */
    int file = memfd_create("short", MFD_CLOEXEC);
    SAME(ftruncate(file, 16 * (off_t)page), 0);
    char *mapped = mmap(NULL, 32 * page, PROT_READ, MAP_SHARED, file, 0);
    arg = arg_of(mapped, 32 * page, NULL, 0);
    FAILS(door_call(server.door, &arg), EFAULT);
    still_works(server.door, 1);
    arg = arg_of(mapped, 16 * page, NULL, 0);
    SAME(door_call(server.door, &arg), 0);
    finish(&server);
}

static void row_029(void) {
    struct peer server = serve(serve_echo);
    door_arg_t arg = arg_of(NULL, 0, NULL, 0);
    arg.desc_ptr = (door_desc_t *)(void *)unmapped();
    arg.desc_num = 1;
    FAILS(door_call(server.door, &arg), EFAULT);
    still_works(server.door, 0);
    finish(&server);
}

static void row_030(void) {
    struct peer server = serve(serve_size);
    static const size_t sizes[] = {100, 20000};
    for (int i = 0; i < 2; i++) {
        size_t size = sizes[i];
        door_arg_t arg = arg_of(&size, sizeof size, unmapped(), 1 << 16);
        FAILS(door_call(server.door, &arg), EFAULT);
        char room[256];
        ask_for(server.door, 50, room, sizeof room, &arg);
    }
    /* It can be read, but not written. */
    size_t page = (size_t)getpagesize(), size = 40 * page;
    char *constant = mmap(NULL, 64 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    door_arg_t arg = arg_of(&size, sizeof size, constant, 64 * page);
    FAILS(door_call(server.door, &arg), EFAULT);
    finish(&server);
}

static void serve_unref_echo(int control) {
    serve_with(control, echo, DOOR_UNREF);
}

static void row_031(void) {
    struct peer server = serve(serve_unref_echo);
    door_arg_t arg = arg_of((void *)1, 0, NULL, 0);
    SAME(door_call(server.door, &arg), 0);
    SAME(shared->unreferenced, 0);
    CHECK(shared->calls == 1 && shared->argp == 0);
    arg = arg_of((void *)1, 1, NULL, 0);
    FAILS(door_call(server.door, &arg), EFAULT);
    finish(&server);
}

static void row_032(void) {
    /* DEVIATION allowed by the row: no stack limit, so a request far above any server stack is served. */
    struct peer server = serve(serve_empty);
    size_t size = (size_t)64 << 20;
    char *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(data != MAP_FAILED);
    door_arg_t arg = arg_of(data, size, NULL, 0);
    errno = 0;
    int result = door_call(server.door, &arg);
    CHECK(result == 0 ? shared->arg_size == size : errno == E2BIG && shared->calls == 0);
    finish(&server);
}

static void serve_parameters(int control) {
    int door = door_create(answer_size, NULL, 0), sized = door_create(echo, NULL, 0);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MAX, 16), 0);
    SAME(door_setparam(door, DOOR_PARAM_DATA_MIN, 8), 0);
    SAME(door_setparam(sized, DOOR_PARAM_DATA_MAX, 16), 0);
    give_fd(control, door);
    give_fd(control, sized);
    if (hear(control) == '0')
        SAME(door_setparam(sized, DOOR_PARAM_DATA_MAX, 0), 0);
    say(control, 'k');
    until_closed(control);
}

static void limits(size_t size, int sized, int error) {
    static struct peer server;
    static int second;
    if (server.pid == 0) {
        server = serve(serve_parameters);
        second = take_fd(server.control);
        say(server.control, '-');
        SAME(hear(server.control), 'k');
    }
    char data[32] = "", reply[64];
    uint32_t before = shared->calls;
    size_t want = 16;
    memcpy(data, &want, sizeof want);
    door_arg_t arg = arg_of(data, size, reply, sizeof reply);
    if (error != 0) {
        FAILS(door_call(sized ? second : server.door, &arg), error);
        SAME(shared->calls, before);
    } else {
        SAME(door_call(sized ? second : server.door, &arg), 0);
        SAME(shared->calls, before + 1);
    }
}

static void row_033(void) {
    limits(7, 0, ENOBUFS);
    limits(8, 0, 0);
}

static void row_034(void) {
    limits(17, 1, ENOBUFS);
    limits(16, 1, 0);
}

static void row_035(void) {
    struct peer server = serve(serve_parameters);
    int door = take_fd(server.control);
    say(server.control, '0');
    SAME(hear(server.control), 'k');
    char data[1] = "", reply[4];
    door_arg_t arg = arg_of(data, 0, reply, sizeof reply);
    SAME(door_call(door, &arg), 0);
    arg = arg_of(data, 1, reply, sizeof reply);
    FAILS(door_call(door, &arg), ENOBUFS);
    finish(&server);
}

static void row_036(void) {
    struct peer server = serve(serve_parameters);
    say(server.control, '-');
    door_arg_t arg;
    ask_for(server.door, 1 << 20, NULL, 0, &arg);
    SAME(munmap(arg.rbuf, arg.rsize), 0);
    finish(&server);
}

static void row_040(void) {
    struct peer server = serve(serve_limited);
    char data[32] = "";
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc = {0, 0}};
    door_arg_t arg = arg_of(data, 17, NULL, 0);
    arg.desc_ptr = &desc;
    arg.desc_num = 1;
    FAILS(door_call(server.door, &arg), ENOBUFS);
    finish(&server);
}

static void row_161(void) {
    struct peer server = serve(serve_size);
    long before = 0, after = 0;
    for (int i = 0; i < 1000; i++) {
        door_arg_t arg;
        ask_for(server.door, 100, NULL, 0, &arg);
        SAME(munmap(arg.rbuf, arg.rsize), 0);
        FILE *file = i == 99 || i == 999 ? fopen("/proc/self/statm", "re") : NULL;
        if (file != NULL) {
            SAME(fscanf(file, "%ld", i == 99 ? &before : &after), 1);
            fclose(file);
        }
    }
    SAME(after, before);
    finish(&server);
}

static void row_164(void) {
    struct peer server = serve(serve_empty);
    char byte = 0, reply[8];
    door_arg_t arg = arg_of(&byte, 1, reply, sizeof reply);
    arg.desc_num = 0;
    SAME(door_call(server.door, &arg), 0);
    SAME(arg.data_size, 0);
    finish(&server);
}

static void row_166(void) {
    struct peer server = serve(serve_size);
    size_t size = 100;
    door_arg_t arg = arg_of(&size, sizeof size, NULL, 4096);
    FAILS(door_call(server.door, &arg), EFAULT);
    char room[256];
    ask_for(server.door, 100, room, sizeof room, &arg);
    SAME(shared->calls, 2);
    finish(&server);
}

static void row_167(void) {
    struct peer server = serve(serve_size);
    char room[64];
    door_arg_t arg;
    ask_for(server.door, 1, room, 0, &arg);
    CHECK(arg.rbuf != room && arg.rsize >= 1);
    SAME(munmap(arg.rbuf, arg.rsize), 0);
    finish(&server);
}

static void compare_when_told(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie;
    note(argp, size, dp, n);
    char *copy = malloc(size);
    memcpy(copy, argp, size);
    post(0);
    await(1, 1);
    shared->number[0] = memcmp(copy, argp, size) == 0 && argp[0] == 'a' && argp[size - 1] == 'a';
    free(copy);
    door_return(NULL, 0, NULL, 0);
}

static void serve_compare(int control) {
    serve_with(control, compare_when_told, 0);
}

static void *rewrite(void *argument) {
    door_arg_t *arg = argument;
    await(0, 1);
    memset(arg->data_ptr, 'z', 20000);
    post(1);
    return NULL;
}

static void row_168(void) {
    struct peer server = serve(serve_compare);
    pthread_t thread;
    char *data = malloc(20000);
    memset(data, 'a', 20000);
    door_arg_t arg = arg_of(data, 20000, NULL, 0), copy = arg;
    SAME(pthread_create(&thread, NULL, rewrite, &copy), 0);
    SAME(door_call(server.door, &arg), 0);
    SAME(pthread_join(thread, NULL), 0);
    SAME(shared->number[0], 1);
    free(data);
    finish(&server);
}

static void row_171(void) {
    door_arg_t arg = arg_of("x", 1, NULL, 0);
    FAILS(door_call(-1, &arg), EBADF);
    FAILS(door_call(DOOR_QUERY, &arg), EBADF);
}

const struct row rows_call[] = {
    {15, row_015},   {16, row_016},   {17, row_017},   {18, row_018},   {19, row_019},   {20, row_020},
    {21, row_021},   {22, row_022},   {23, row_023},   {24, row_024},   {25, row_025},   {26, row_026},
    {27, row_027},   {28, row_028},   {29, row_029},   {30, row_030},   {31, row_031},   {32, row_032},
    {33, row_033},   {34, row_034},   {35, row_035},   {36, row_036},   {40, row_040},   {161, row_161},
    {164, row_164},  {166, row_166},  {167, row_167},  {168, row_168},  {171, row_171},  {0, NULL},
};
