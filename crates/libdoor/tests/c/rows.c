/* Shared parts of the row tests, and main(): rows NUMBER DIRECTORY. */
#define _GNU_SOURCE
#include "rows.h"

#include <dirent.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

struct shared *shared;
_Atomic int signals_handled;
static const char *directory;

void row_failed(const char *file, int line, const char *what, long result, int error) {
    fprintf(stderr, "%s:%d: [%d] not so: %s (result %ld, errno %d: %s)\n", file, line, (int)getpid(), what, result,
            error, strerror(error));
    _exit(1);
}

pid_t thread_id(void) {
    return (pid_t)syscall(SYS_gettid);
}

/* ---- waiting ---- */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void post(int event) {
    shared->event[event]++;
    syscall(SYS_futex, &shared->event[event], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void await(int event, uint32_t count) {
    double deadline = now() + 10;
    for (;;) {
        uint32_t seen = shared->event[event];
        if (seen >= count)
            return;
        if (now() > deadline) {
            fprintf(stderr, "event %d: %u of %u\n", event, seen, count);
            row_failed(__FILE__, __LINE__, "event arrives in time", event, 0);
        }
        struct timespec limit = {1, 0};
        syscall(SYS_futex, &shared->event[event], FUTEX_WAIT, seen, &limit, NULL, 0);
    }
}

void await_state(int (*condition)(void *), void *argument, const char *what) {
    double deadline = now() + 10;
    while (!condition(argument)) {
        if (now() > deadline)
            row_failed(__FILE__, __LINE__, what, 0, 0);
        struct timespec pause = {0, 1000000}; /* between two looks at the kernel's state */
        nanosleep(&pause, NULL);
    }
}

struct sleeper {
    pid_t process, thread;
    int looks;
};

static int sleeps(void *argument) {
    struct sleeper *sleeper = argument;
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)sleeper->process, (int)sleeper->thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    CHECK(length > 0);
    text[length] = 0;
    char *end = strrchr(text, ')');
    CHECK(end != NULL);
    sleeper->looks = end[2] == 'S' ? sleeper->looks + 1 : 0;
    return sleeper->looks >= 20; /* longer than any hand-over to another thread of the same machine */
}

void await_asleep(pid_t process, pid_t thread, int event) {
    struct sleeper sleeper = {process, thread, 0};
    if (event >= 0)
        await(event, 1);
    await_state(sleeps, &sleeper, "thread sleeps");
}

static void handle_signal_body(int number) {
    (void)number;
    signals_handled++;
}

void handle_signal(int signal_number, int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle_signal_body;
    action.sa_flags = flags;
    SAME(sigaction(signal_number, &action, NULL), 0);
}

/* ---- processes ---- */

void say(int control, char byte) {
    SAME(write(control, &byte, 1), 1);
}

char hear(int control) {
    char byte;
    SAME(read(control, &byte, 1), 1);
    return byte;
}

void until_closed(int control) {
    char byte;
    for (;;) {
        ssize_t got = read(control, &byte, 1);
        if (got == 0 || (got < 0 && errno != EINTR))
            return;
    }
}

void give_fd(int control, int fd) {
    char byte = 'f', space[CMSG_SPACE(sizeof fd)];
    struct iovec vector = {&byte, 1};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    memset(space, 0, sizeof space);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    SAME(sendmsg(control, &message, 0), 1);
}

int take_fd(int control) {
    char byte, space[CMSG_SPACE(sizeof(int))];
    int fd;
    struct iovec vector = {&byte, 1};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    SAME(recvmsg(control, &message, 0), 1);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    CHECK(header != NULL && header->cmsg_type == SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

struct peer serve_silent(void (*body)(int control)) {
    int pair[2];
    struct peer peer = {-1, -1, -1};
    SAME(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    peer.pid = fork();
    CHECK(peer.pid >= 0);
    if (peer.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        body(pair[1]);
        _exit(0);
    }
    close(pair[1]);
    peer.control = pair[0];
    return peer;
}

struct peer serve(void (*body)(int control)) {
    struct peer peer = serve_silent(body);
    peer.door = take_fd(peer.control);
    return peer;
}

void reap(pid_t pid) {
    int status;
    pid_t got;
    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    SAME(got, pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        row_failed(__FILE__, __LINE__, "the other process ends with 0", status, 0);
}

void finish(struct peer *peer) {
    close(peer->control);
    reap(peer->pid);
}

/* ---- server procedures ---- */

void note(char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    shared->argp = (uintptr_t)argp;
    shared->arg_size = arg_size;
    shared->dp = (uintptr_t)dp;
    shared->n_desc = n_desc;
    if (argp == DOOR_UNREF_DATA)
        shared->unreferenced++;
    else
        shared->calls++;
}

void echo(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    (void)cookie;
    note(argp, arg_size, dp, n_desc);
    door_return(argp, argp == DOOR_UNREF_DATA ? 0 : arg_size, NULL, 0);
    row_failed(__FILE__, __LINE__, "door_return does not return", 0, errno);
}

void answer_empty(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    (void)cookie;
    note(argp, arg_size, dp, n_desc);
    door_return(NULL, 0, NULL, 0);
    row_failed(__FILE__, __LINE__, "door_return does not return", 0, errno);
}

void echo_when_told(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    post(0);
    await(1, 1);
    echo(cookie, argp, arg_size, dp, n_desc);
}

void answer_size(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc) {
    (void)cookie;
    size_t size;
    note(argp, arg_size, dp, n_desc);
    SAME(arg_size, sizeof size);
    memcpy(&size, argp, sizeof size);
    char *data = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    memset(data, 'x', size);
    door_return(data, size, NULL, 0);
    row_failed(__FILE__, __LINE__, "door_return does not return", 0, errno);
}

void serve_with(int control, door_server_procedure_t *procedure, uint_t attributes) {
    int door = door_create(procedure, NULL, attributes);
    CHECK(door >= 0);
    give_fd(control, door);
    until_closed(control);
}

void serve_echo(int control) {
    serve_with(control, echo, 0);
}

void serve_empty(int control) {
    serve_with(control, answer_empty, 0);
}

void serve_when_told(int control) {
    serve_with(control, echo_when_told, 0);
}

void serve_size(int control) {
    serve_with(control, answer_size, 0);
}

/* ---- calls ---- */

door_arg_t arg_of(const void *data, size_t size, void *rbuf, size_t rsize) {
    door_arg_t arg;
    memset(&arg, 0, sizeof arg);
    arg.data_ptr = (char *)data;
    arg.data_size = size;
    arg.rbuf = rbuf;
    arg.rsize = rsize;
    return arg;
}

static void *caller_body(void *argument) {
    struct caller *caller = argument;
    caller->tid = thread_id();
    SAME(sem_post(&caller->started), 0);
    if (caller->event >= 0)
        post(caller->event);
    caller->result = door_call(caller->door, &caller->arg);
    caller->error = caller->result == -1 ? errno : 0;
    caller->over = 1;
    if (caller->answered >= 0)
        post(caller->answered);
    return NULL;
}

void call_in_thread(struct caller *caller, int door, int event, int answered) {
    caller->over = 0;
    caller->door = door;
    caller->event = event;
    caller->answered = answered;
    caller->byte = 'c';
    caller->arg = arg_of(&caller->byte, 1, caller->reply, sizeof caller->reply);
    SAME(sem_init(&caller->started, 0, 0), 0);
    SAME(pthread_create(&caller->thread, NULL, caller_body, caller), 0);
    SAME(sem_wait(&caller->started), 0);
}

void interrupt(struct caller *caller) {
    await_asleep(getpid(), caller->tid, caller->event);
    for (int looks = 0; !caller->over; looks++) {
        if (looks % 200 == 0)
            SAME(pthread_kill(caller->thread, SIGUSR1), 0);
        struct timespec pause = {0, 1000000}; /* between two looks at what nothing announces */
        nanosleep(&pause, NULL);
    }
    join_caller(caller);
    SAME(caller->result, -1);
}

void join_caller(struct caller *caller) {
    SAME(pthread_join(caller->thread, NULL), 0);
}

int is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

/* Is it one of temporary_file()? The engine's own descriptors pass through low numbers for a moment. */
int is_file(int fd) {
    char path[64], target[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "/memfd:row", 10) == 0;
}

int open_count(void) {
    DIR *list = opendir("/proc/self/fd");
    int count = 0;
    CHECK(list != NULL);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count - 3; /* ".", ".." and the directory itself */
}

int temporary_file(void) {
    int fd = memfd_create("row", MFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

const char *scratch(const char *name, char *path, size_t size) {
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

void make_file(const char *path, const char *content, mode_t mode) {
    umask(0);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
    CHECK(fd >= 0);
    SAME(write(fd, content, strlen(content)), strlen(content));
    SAME(close(fd), 0);
}

char *unmapped(void) {
    char *page = mmap(NULL, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    return page; /* mapped without access: just as bad, and nothing else can take its place */
}

int fill_table(void) {
    struct rlimit limit;
    int last = -1, fd;
    SAME(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK(limit.rlim_cur <= 4096);
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        last = fd;
    SAME(errno, EMFILE);
    CHECK(last >= 0);
    return last;
}

door_info_t info_of(int door) {
    door_info_t info;
    memset(&info, 0xff, sizeof info);
    SAME(door_info(door, &info), 0);
    return info;
}

/* ---- main ---- */

int main(int count, char **argument) {
    const struct row *tables[] = {rows_create,     rows_call,          rows_revoke, rows_abort, rows_pool, rows_descriptor,
                                  rows_credential, rows_unreferenced, rows_path,   rows_process,
                                  rows_leaving};
    CHECK(count == 3);
    int number = atoi(argument[1]);
    directory = argument[2];
    alarm(30); /* no row may hang; SIGALRM ends the process */
    struct rlimit limit = {1024, 1024};
    setrlimit(RLIMIT_NOFILE, &limit);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const struct row *row = tables[t]; row->run != NULL; row++) {
            if (row->number == number) {
                row->run();
                return 0;
            }
        }
    }
    fprintf(stderr, "no row %d\n", number);
    return 2;
}
