/*
 * Errors that the manual pages list and no row of the specification provokes.  tests/manual reads the FAILS of this file and of the
 * rows: each (function, errno) of a page must stand in one.  Each case runs in a process of its own.
 */
#define _GNU_SOURCE
#include "programs/program.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define FAILS(call, expected)                                                                                \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long result_ = (long)(call);                                                                         \
        int errno_ = errno;                                                                                  \
        if (result_ != -1 || errno_ != (expected)) {                                                         \
            fprintf(stderr, "%s:%d: %s gives %ld, %s, not %s\n", __FILE__, __LINE__, #call, result_,         \
                    strerror(errno_), #expected);                                                            \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static const char *folder;

static const char *in_folder(const char *name) {
    static char path[2][PATH_MAX];
    static int next;
    next = !next;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static const char *file_in_folder(const char *name) {
    const char *path = in_folder(name);
    int file = open(path, O_CREAT | O_RDWR, 0666);
    MUST(file);
    close(file);
    return path;
}

static void *nowhere(void) {
    void *page = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        exit(1);
    return page;
}

static void echo(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)dp, (void)n;
    door_return(argp, size, NULL, 0);
}

static int new_door(uint_t attributes) {
    int door = door_create(echo, NULL, attributes);
    MUST(door);
    return door;
}

/* Someone else than root, and than the owner of what root has made. */
static void become_somebody_else(void) {
    if (geteuid() == 0) {
        MUST(setresgid(2001, 2001, 2001));
        MUST(setresuid(1001, 1001, 1001));
    }
}

static void no_thread_can_be_made(void) {
    struct rlimit one = {1, 1};
    become_somebody_else();
    MUST(setrlimit(RLIMIT_NPROC, &one));
    FAILS(door_create(echo, NULL, 0), EAGAIN);
}

static int make_thread(door_info_t *info, void *(*start)(void *), void *argument, void *cookie) {
    pthread_t thread;
    (void)info, (void)cookie;
    if (pthread_create(&thread, NULL, start, argument) != 0)
        return -1;
    pthread_detach(thread);
    return 1;
}

static void no_descriptor_is_left(void) {
    struct rlimit few = {64, 64};
    close(new_door(0));
    MUST(setrlimit(RLIMIT_NOFILE, &few));
    while (dup(0) != -1)
        ;
    FAILS(door_xcreate(echo, NULL, 0, make_thread, NULL, NULL, 1), EMFILE);
}

static void answer_a_lot(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    static char lot[64 << 20];
    door_return(lot, sizeof lot, NULL, 0);
}

static void no_memory_for_results(void) {
    int door = door_create(answer_a_lot, NULL, 0);
    door_arg_t arg = request(NULL, 0, NULL, 0);
    struct rlimit limit;
    FILE *sizes = fopen("/proc/self/statm", "r");
    unsigned long pages;
    MUST(door_call(door, &arg)); /* everything else that takes memory is there now */
    MUST(munmap(arg.rbuf, arg.rsize));
    if (sizes == NULL || fscanf(sizes, "%lu", &pages) != 1)
        exit(1);
    limit.rlim_cur = limit.rlim_max = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (32 << 20);
    MUST(setrlimit(RLIMIT_AS, &limit));
    arg = request(NULL, 0, NULL, 0);
    FAILS(door_call(door, &arg), EOVERFLOW);
}

static void more_than_a_call_carries(void) {
    size_t size = ((size_t)1 << 30) + 4096;
    int door = new_door(0);
    char *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        exit(1);
    door_arg_t arg = request(data, size, NULL, 0);
    FAILS(door_call(door, &arg), E2BIG);
}

static void bad_answers(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)argp, (void)size, (void)dp, (void)n;
    door_desc_t entry;
    memset(&entry, 0, sizeof entry);
    entry.d_data.d_desc.d_descriptor = 0;
    FAILS(door_return(NULL, 0, &entry, 1), EINVAL);
    entry.d_attributes = DOOR_DESCRIPTOR;
    entry.d_data.d_desc.d_descriptor = 1000000;
    FAILS(door_return(NULL, 0, &entry, 1), EINVAL);
    FAILS(door_cred(nowhere()), EFAULT);
    FAILS(door_ucred(nowhere()), EFAULT);
    door_return(NULL, 0, NULL, 0);
}

static void answers_that_cannot_be_given(void) {
    int door = door_create(bad_answers, NULL, 0);
    MUST(door_call(door, NULL));
}

static void ask_one_that_is_stopped(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    (void)cookie, (void)size, (void)dp, (void)n;
    pid_t caller;
    int status;
    door_cred_t cred;
    ucred_t *who = NULL;
    memcpy(&caller, argp, sizeof caller);
    MUST(kill(caller, SIGSTOP));
    MUST(waitpid(caller, &status, WUNTRACED));
    FAILS(door_cred(&cred), EAGAIN);
    FAILS(door_ucred(&who), EAGAIN);
    MUST(kill(caller, SIGCONT));
    door_return(NULL, 0, NULL, 0);
}

/* Only of root the library wants a proof that a process gives while it waits. */
static void callers_that_do_not_prove_who_they_are(void) {
    int door = door_create(ask_one_that_is_stopped, NULL, 0), status;
    if (geteuid() != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        pid_t self = getpid();
        door_arg_t arg = request(&self, sizeof self, NULL, 0);
        MUST(door_call(door, &arg));
        _exit(0);
    }
    MUST(waitpid(child, &status, 0));
    if (status != 0)
        exit(1);
}

static void bound_in_another_life(void) {
    int door = new_door(DOOR_PRIVATE), status;
    MUST(door_bind(door));
    pid_t child = fork();
    if (child == 0) {
        FAILS(door_return(NULL, 0, NULL, 0), EINVAL);
        MUST(door_unbind()); /* takes it off */
        FAILS(door_unbind(), EBADF);
        _exit(0);
    }
    MUST(waitpid(child, &status, 0));
    if (status != 0)
        exit(1);
}

static void nothing_to_write_to(void) {
    int door = new_door(0);
    FAILS(door_info(door, NULL), EFAULT);
    FAILS(door_info(door, nowhere()), EFAULT);
}

static void revoked_comes_before_not_permitted(void) {
    int door = new_door(0), status;
    pid_t child = fork();
    if (child == 0) {
        FAILS(door_revoke(door), EPERM);
        FAILS(door_setparam(door, DOOR_PARAM_DATA_MAX, 1), EPERM);
        raise(SIGSTOP);
        FAILS(door_setparam(door, DOOR_PARAM_DATA_MAX, 1), EBADF);
        _exit(0);
    }
    MUST(waitpid(child, &status, WUNTRACED));
    MUST(door_revoke(door));
    kill(child, SIGCONT);
    MUST(waitpid(child, &status, 0));
    if (status != 0)
        exit(1);
}

static void credentials_that_are_not_there(void) {
    const gid_t *groups;
    FAILS((int)ucred_geteuid(NULL), EINVAL);
    FAILS((int)ucred_getruid(NULL), EINVAL);
    FAILS((int)ucred_getsuid(NULL), EINVAL);
    FAILS((int)ucred_getegid(NULL), EINVAL);
    FAILS((int)ucred_getrgid(NULL), EINVAL);
    FAILS((int)ucred_getsgid(NULL), EINVAL);
    FAILS(ucred_getpid(NULL), EINVAL);
    FAILS(ucred_getgroups(NULL, &groups), EINVAL);
}

static void names_that_lead_nowhere(void) {
    int door = new_door(0);
    static char too_long[PATH_MAX + 2];
    memset(too_long, 'a', sizeof too_long - 1);
    MUST(symlink("loop", in_folder("loop")));
    file_in_folder("file");
    FAILS(fattach(door, in_folder("file/below")), ENOTDIR);
    FAILS(fdetach(in_folder("file/below")), ENOTDIR);
    MUST(mkdir(in_folder("folder"), 0700));
    FAILS(fattach(door, in_folder("folder")), EISDIR);
    MUST(symlink("missing", in_folder("dangling")));
    FAILS(fattach(door, in_folder("dangling")), ENOENT);
    FAILS(fattach(door, in_folder("loop")), ELOOP);
    FAILS(fdetach(in_folder("loop")), ELOOP);
    FAILS(fattach(door, too_long), ENAMETOOLONG);
    FAILS(fdetach(too_long), ENAMETOOLONG);
    FAILS(fattach(door, nowhere()), EFAULT);
    FAILS(fdetach(nowhere()), EFAULT);
}

static void folders_that_may_not_be_searched(void) {
    MUST(mkdir(in_folder("closed"), 0755));
    file_in_folder("closed/file");
    MUST(chmod(in_folder("closed"), 0));
    become_somebody_else();
    int door = new_door(0);
    FAILS(fattach(door, in_folder("closed/file")), EACCES);
    FAILS(fdetach(in_folder("closed/file")), EACCES);
}

static void attachments_of_others(void) {
    const char *path = file_in_folder("attached");
    int door = new_door(0);
    MUST(fattach(door, path));
    if (geteuid() == 0) {
        become_somebody_else();
        FAILS(fdetach(path), EPERM);
    }
}

static int failed;

static void run(void (*body)(void)) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        body();
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "a case ends with status %#x\n", (unsigned)status);
        failed = 1;
    }
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    folder = argv[1];
    run(no_thread_can_be_made);
    run(no_descriptor_is_left);
    run(no_memory_for_results);
    run(more_than_a_call_carries);
    run(answers_that_cannot_be_given);
    run(callers_that_do_not_prove_who_they_are);
    run(bound_in_another_life);
    run(nothing_to_write_to);
    run(revoked_comes_before_not_permitted);
    run(credentials_that_are_not_there);
    run(names_that_lead_nowhere);
    run(folders_that_may_not_be_searched);
    run(attachments_of_others);
    return failed;
}
