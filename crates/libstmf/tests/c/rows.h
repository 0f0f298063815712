/*
 * Rows ST-001 to ST-032 as C programs see them: what the functions of a row share.
 *
 * A row returns 0 when it holds, 1 when it does not (the message says what), SKIPPED when the command line lacks what
 * it needs.  Every wait has a deadline.
 */
#ifndef ST_ROWS_H
#define ST_ROWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <door.h>
#include <libstmf.h>

#define SKIPPED 77

/* The command line. */
struct bench {
    const char *control; /* control door of the daemon under test */
    const char *peer;    /* control door of the other node, or NULL */
    const char *trigger; /* a command that makes an initiator send what the row says, or NULL */
    const char *program; /* this program, for rows that need another process */
    uint32_t node;       /* node number of the daemon under test; the peer has the other */
};

/* Ends the row with a message unless the condition holds. */
#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);        \
            return 1;                                                                             \
        }                                                                                         \
    } while (0)

/* The same for a status, which is printed. */
#define CHECK_STATUS(call, expected)                                                              \
    do {                                                                                          \
        int status_ = (call);                                                                     \
        if (status_ != (expected)) {                                                              \
            fprintf(stderr, "%s:%d: %s gave 0x%x, not 0x%x\n", __FILE__, __LINE__, #call,         \
                    (unsigned)status_, (unsigned)(expected));                                     \
            return 1;                                                                             \
        }                                                                                         \
    } while (0)

/* Ends the row as not run. */
#define NEEDS(condition, what)                                                                    \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "not run: needs %s\n", what);                                         \
            return SKIPPED;                                                                       \
        }                                                                                         \
    } while (0)

/* A door server that counts what it is called with and answers as it is told. */
struct server {
    int door;
    atomic_uint calls;        /* calls begun */
    atomic_uint running;      /* calls not answered yet */
    atomic_uint most_running; /* the largest value of `running` */
    atomic_uint malformed;    /* calls with no data or with descriptors */
    atomic_uint answer;       /* the word to answer with */
    atomic_size_t answer_bytes; /* length of the answer, 4 unless a row wants it wrong */
    atomic_bool hold;         /* while set, calls wait (30 s at most) */
    struct server *peer;      /* where a relay posts what it is called with, or NULL */
    atomic_int handle;        /* session handle, −1 while there is none */
    atomic_uint posted;       /* messages the relay posted to `peer` */
    atomic_bool cut;          /* while set, the relay answers EAGAIN */
    _Atomic(struct message *) last; /* the last message it was called with, never freed */
};

struct message {
    uint32_t length;
    unsigned char bytes[];
};

/* Makes the door; false with a message when it cannot. */
bool server_start(struct server *server);

/* Lets go of held calls, and revokes the door. */
void server_stop(struct server *server);

/* Waits until a counter exceeds `count`, at most 10 s. */
bool counter_exceeds(atomic_uint *counter, unsigned count);

/* Chooses the daemon that the following calls ask. */
void use_control(const char *control);

/* Installs the server's door with the daemon at `control`. */
int server_install(struct server *server, const char *control);

/* Number of target ports of the peer (provider pppt) the chosen daemon has; −1 when it cannot be told. */
int proxy_targets(void);

/* Runs a command; its exit status, −1 when it took longer than `seconds` or was killed. */
int run_command(const char *command, unsigned seconds);

/* Starts this program again with `--child what control`; its process id, or −1. */
int start_child(const struct bench *bench, const char *what, uid_t user);

/* Waits for a child, at most 10 s: exit status, −1 otherwise. */
int wait_child(int child);

/* What such a child does. */
int run_child(const char *what, const struct bench *bench);

/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);

/* Waits a moment between two looks at something that has a deadline. */
void pause_ms(unsigned ms);

/* Both nodes, joined by a relay in this process, doors installed and ALUA enabled. */
int pair_up(const struct bench *bench, struct server *near, struct server *far);
void pair_down(const struct bench *bench, struct server *near, struct server *far);

typedef int row_function(const struct bench *);

row_function st_001, st_002, st_003, st_004, st_005, st_006, st_007, st_008, st_009, st_010, st_011, st_012, st_013,
    st_014, st_015, st_016, st_017, st_018, st_019, st_020, st_021, st_022, st_023, st_024, st_025, st_026, st_027,
    st_028, st_029, st_030, st_031, st_032;

#endif
