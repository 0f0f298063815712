/*
 * What the row tests share: checks, a shared page, server processes and ways to wait without sleeping.
 *
 * A row runs in a process of its own (the client, C); serve() forks the server (S) before any door exists.
 */
#ifndef ROWS_H
#define ROWS_H

#include <door.h>
#include <stropts.h>
#include <ucred.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct row {
    int number;
    void (*run)(void);
};

extern const struct row rows_create[], rows_call[], rows_revoke[], rows_abort[], rows_pool[], rows_descriptor[],
    rows_credential[], rows_unreferenced[], rows_path[], rows_process[], rows_leaving[];

/* The row fails: says where, and ends this process with status 1. */
void row_failed(const char *file, int line, const char *what, long result, int error) __attribute__((noreturn));

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            row_failed(__FILE__, __LINE__, #condition, 0, errno);                                            \
    } while (0)

#define SAME(actual, expected)                                                                               \
    do {                                                                                                     \
        long actual_ = (long)(actual);                                                                       \
        if (actual_ != (long)(expected))                                                                     \
            row_failed(__FILE__, __LINE__, #actual " == " #expected, actual_, errno);                        \
    } while (0)

#define FAILS(call, expected_errno)                                                                          \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long result_ = (long)(call);                                                                         \
        int errno_ = errno;                                                                                  \
        if (result_ != -1 || errno_ != (expected_errno))                                                     \
            row_failed(__FILE__, __LINE__, #call " fails with " #expected_errno, result_, errno_);           \
    } while (0)

/* Memory that C and S share. */
struct shared {
    _Atomic uint32_t event[16]; /* counters to wait for, see post() */
    _Atomic uint32_t calls;     /* invocations of record() or echo() */
    _Atomic uint32_t unreferenced;
    _Atomic uintptr_t argp;
    _Atomic uint64_t arg_size;
    _Atomic uintptr_t dp;
    _Atomic uint32_t n_desc;
    _Atomic int64_t number[16]; /* free for the row */
    char text[4096];            /* free for the row */
};
extern struct shared *shared;

/* Adds one to an event and wakes who waits for it. */
void post(int event);
/* Waits until an event has been posted `count` times; fails the row after ten seconds. */
void await(int event, uint32_t count);
/* Waits until a thread of a process sleeps in the kernel, after it announced itself with post(event). */
void await_asleep(pid_t process, pid_t thread, int event);
/* Polls `condition(argument)` until it holds; only for state that nothing announces. */
void await_state(int (*condition)(void *), void *argument, const char *what);
pid_t thread_id(void);

/* A server process. */
struct peer {
    pid_t pid;
    int control; /* socket; the server ends when it is closed */
    int door;    /* what the server sent, -1 if it sent nothing */
};
/* Forks; `body` gets its end of the control socket and must give_fd() one descriptor. */
struct peer serve(void (*body)(int control));
/* The same without a descriptor to wait for. */
struct peer serve_silent(void (*body)(int control));
/* Ends the server and checks that it had nothing to complain about. */
void finish(struct peer *peer);
/* Waits for the end of a child that must exit with 0. */
void reap(pid_t pid);
void give_fd(int control, int fd);
int take_fd(int control);
/* Waits for the client to close its end of the control socket. */
void until_closed(int control);
/* Sends and waits for one byte. */
void say(int control, char byte);
char hear(int control);

/* Server procedures. */
void echo(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);
void answer_empty(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);
/* Posts event 0, waits for event 1, then echoes. */
void echo_when_told(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);
/* Returns as many bytes as the request says in a size_t, filled with 'x'. */
void answer_size(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);
/* Notes what it got in `shared`. */
void note(char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);

/* Server bodies: one door, no attributes, until the client closes. */
void serve_echo(int control);
void serve_empty(int control);
void serve_when_told(int control);
void serve_size(int control);
/* A door with any procedure and attributes. */
void serve_with(int control, door_server_procedure_t *procedure, uint_t attributes);

/* One call in a thread of its own, so that it may block. */
struct caller {
    pthread_t thread;
    sem_t started; /* `tid` is set */
    int door;
    int event;      /* posted just before the call */
    int answered;   /* event posted after it */
    pid_t tid;
    door_arg_t arg;
    char byte;
    char reply[64];
    int result;
    int error;
    _Atomic int over; /* the call has ended */
};
void call_in_thread(struct caller *caller, int door, int event, int answered);
void join_caller(struct caller *caller);
/* Sends SIGUSR1 to a caller once it sleeps, again if that was before it slept in its call, and waits for its call to fail. */
void interrupt(struct caller *caller);

/* Helpers for arguments. */
door_arg_t arg_of(const void *data, size_t size, void *rbuf, size_t rsize);
int is_open(int fd);
int is_file(int fd); /* open, and one of temporary_file() */
int open_count(void); /* descriptors open in this process */
/* A regular file that exists while the process runs. */
int temporary_file(void);
/* A directory of this row's own, given by the test driver. */
const char *scratch(const char *name, char *path, size_t size);
void make_file(const char *path, const char *content, mode_t mode);
/* Address of an unmapped page. */
char *unmapped(void);
/* Fills the descriptor table; returns one that can be closed to make room. */
int fill_table(void);
void handle_signal(int signal_number, int flags);
extern _Atomic int signals_handled;
door_info_t info_of(int door);

#endif
