/*
 * Many questions in one call, each with its own answer, and some that are not everybody's: who asks is looked at once for each call. Clients of a
 * version that the server does not know are told so.
 */
#define _GNU_SOURCE
#include "program.h"

#include <stddef.h>
#include <sys/wait.h>

enum { VERSION = 1, GET = 1, SET = 2, FLUSH = 3, ENTRIES = 32 };

struct question {
    int what, key, value;
};

struct batch {
    uint32_t version, count;
    struct question questions[];
};

struct answer {
    int error, value;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int table[ENTRIES];

static int may_change(void) {
    static _Thread_local ucred_t *caller;
    if (door_ucred(&caller) == -1)
        return 0;
    return ucred_geteuid(caller) == geteuid() && ucred_getpid(caller) != getpid();
}

static struct answer answer(const struct question *question, int allowed) {
    struct answer result = {0, 0};
    if (question->key < 0 || question->key >= ENTRIES)
        result.error = ERANGE;
    else if (question->what == GET)
        result.value = table[question->key];
    else if (!allowed)
        result.error = EPERM;
    else if (question->what == SET)
        table[question->key] = question->value;
    else if (question->what == FLUSH)
        memset(table, 0, sizeof table);
    else
        result.error = EINVAL;
    return result;
}

static void serve(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n) {
    const struct batch *batch = (const void *)argp;
    struct answer answers[ENTRIES];
    (void)cookie, (void)dp, (void)n;
    /* Everything the client says is checked against what has really come. */
    if (size < sizeof *batch || batch->version != VERSION || batch->count > ENTRIES ||
        size != offsetof(struct batch, questions) + batch->count * sizeof batch->questions[0]) {
        answers[0].error = EPROTO;
        answers[0].value = VERSION;
        door_return((char *)answers, sizeof answers[0], NULL, 0);
    }
    int allowed = may_change();
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < batch->count; i++)
        answers[i] = answer(&batch->questions[i], allowed);
    pthread_mutex_unlock(&lock);
    door_return((char *)answers, batch->count * sizeof answers[0], NULL, 0);
}

static size_t ask(int door, uint32_t version, const struct question *questions, uint32_t count, struct answer *answers) {
    size_t size = offsetof(struct batch, questions) + count * sizeof *questions;
    struct batch *batch = malloc(size);
    batch->version = version;
    batch->count = count;
    memcpy(batch->questions, questions, count * sizeof *questions);
    door_arg_t arg = request(batch, size, answers, ENTRIES * sizeof *answers);
    MUST(door_call(door, &arg));
    free(batch);
    if (arg.rbuf != (char *)answers)
        exit(1);
    return arg.data_size / sizeof *answers;
}

int main(int argc, char **argv) {
    if (argc == 2) {
        int door = door_create(serve, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
        MUST(door);
        publish(door, argv[1]);
        for (;;)
            pause();
    }
    static const struct question questions[] = {{SET, 3, 33}, {GET, 3, 0}, {GET, 99, 0}, {FLUSH, 0, 0}, {GET, 3, 0}, {9, 1, 0}};
    struct answer answers[ENTRIES];
    int door = open_door(argv[1]);
    if (ask(door, VERSION + 1, questions, 1, answers) != 1 || answers[0].error != EPROTO)
        return 1;
    printf("version %d is wanted\n", answers[0].value);
    size_t n = ask(door, VERSION, questions, 6, answers);
    for (size_t i = 0; i < n; i++)
        printf("%s%d", i == 0 ? "" : ", ", answers[i].error == 0 ? answers[i].value : -answers[i].error);
    puts("");
    pid_t child = fork();
    if (child == 0) { /* of another user, where this one may become one */
        if (geteuid() != 0)
            _exit(0);
        MUST(setresgid(2001, 2001, 2001));
        MUST(setresuid(1001, 1001, 1001));
        ask(door, VERSION, questions, 2, answers);
        _exit(answers[0].error == EPERM && answers[1].error == 0 ? 0 : 1);
    }
    int status;
    MUST(waitpid(child, &status, 0));
    puts(status == 0 ? "others may look" : "others may more");
    return 0;
}
