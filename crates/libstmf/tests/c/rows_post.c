/* ST-015 to ST-021: posting what came from the peer. */
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "rows.h"

int st_015(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfPostProxyMsg(atomic_load(&server.handle), NULL, 10), STMF_ERROR_INVALID_ARG);
    CHECK_STATUS(stmfPostProxyMsg(-1, NULL, 10), STMF_ERROR_INVALID_ARG);
    server_stop(&server);
    return 0;
}

int st_016(const struct bench *bench)
{
    char message[16] = "not a message";
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfPostProxyMsg(-1, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);

    int ends[2];
    CHECK(pipe(ends) == 0);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(file >= 0);
    /* A file, a pipe nobody reads, and a door that is not a session. */
    const int foreign[] = {file, ends[0], ends[1], server.door};
    for (unsigned i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        CHECK_STATUS(stmfPostProxyMsg(foreign[i], message, sizeof message), STMF_ERROR_POST_MSG_FAILED);

    int handle = atomic_exchange(&server.handle, -1);
    close(handle);
    CHECK_STATUS(stmfPostProxyMsg(handle, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
    /* The number of the closed handle, used by another file. */
    CHECK(dup2(file, handle) == handle);
    CHECK_STATUS(stmfPostProxyMsg(handle, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
    stmfDestroyProxyDoor(handle);
    CHECK(fcntl(handle, F_GETFD) != -1);
    close(handle);
    close(file);
    close(ends[0]);
    close(ends[1]);
    server_stop(&server);
    return 0;
}

int st_017(const struct bench *bench)
{
    char message[1] = {0};
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfPostProxyMsg(atomic_load(&server.handle), message, 0), STMF_ERROR_POST_MSG_FAILED);
    server_stop(&server);
    return 0;
}

/* Descriptors this process has. */
static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

int st_018(const struct bench *bench)
{
    unsigned char message[1024];
    unsigned state = 1;
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    int handle = atomic_load(&server.handle);
    int before = 0;
    for (unsigned round = 0; round < 10000; round++) {
        for (unsigned i = 0; i < sizeof message; i++) {
            state = state * 1664525u + 1013904223u;
            message[i] = (unsigned char)(state >> 24);
        }
        CHECK_STATUS(stmfPostProxyMsg(handle, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
        if (round == 0)
            before = open_descriptors();
    }
    int after = open_descriptors();
    /* The link to the daemon has one more from its first call on that sleeps for long, which any of these may be. */
    const int waited = 1;
    if (after > before + waited)
        fprintf(stderr, "%d descriptors after the first post, %d after the last\n", before, after);
    CHECK(after <= before + waited);
    stmfState service;
    CHECK_STATUS(stmfGetState(&service), STMF_STATUS_SUCCESS);
    server_stop(&server);
    return 0;
}

int st_019(const struct bench *bench)
{
    /* Beyond the default limit of 16 MiB and any envelope. */
    const uint32_t length = 20u << 20;
    unsigned char *message = calloc(1, length);
    CHECK(message != NULL);
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfPostProxyMsg(atomic_load(&server.handle), message, length), STMF_ERROR_POST_MSG_FAILED);
    free(message);
    unsigned before = atomic_load(&server.calls);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, bench->node), STMF_STATUS_SUCCESS);
    CHECK(counter_exceeds(&server.calls, before));
    server_stop(&server);
    return 0;
}

int st_020(const struct bench *bench)
{
    NEEDS(geteuid() == 0, "root, to become somebody else");
    char message[16] = "not a message";
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    int handle = atomic_load(&server.handle);
    CHECK_STATUS(stmfPostProxyMsg(handle, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
    CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    CHECK_STATUS(stmfPostProxyMsg(handle, message, sizeof message), STMF_ERROR_PERM);
    server_stop(&server);
    return 0;
}

struct poster {
    int handle;
    struct message *message;
    int failures;
};

static void *post_a_thousand(void *argument)
{
    struct poster *poster = argument;
    for (int i = 0; i < 1000; i++)
        poster->failures += stmfPostProxyMsg(poster->handle, poster->message->bytes, poster->message->length) !=
                            STMF_STATUS_SUCCESS;
    return NULL;
}

int st_021(const struct bench *bench)
{
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    /* What the peer really said last, said again. */
    struct message *message = atomic_load(&far.last);
    CHECK(message != NULL);
    struct poster posters[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        posters[i] = (struct poster){.handle = atomic_load(&near.handle), .message = message};
        CHECK(pthread_create(&threads[i], NULL, post_a_thousand, &posters[i]) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(posters[i].failures == 0);
    }
    pair_down(bench, &near, &far);
    return 0;
}
