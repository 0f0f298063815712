/* The door server of the rows, and the relay made of two of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rows.h"

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_ms(unsigned ms)
{
    struct timespec moment = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&moment, NULL);
}

bool counter_exceeds(atomic_uint *counter, unsigned count)
{
    int64_t deadline = now_ms() + 10000;
    while (atomic_load(counter) <= count) {
        if (now_ms() > deadline)
            return false;
        pause_ms(5);
    }
    return true;
}

void use_control(const char *control)
{
    setenv("STMF_CONTROL", control, 1);
}

/* A message is kept for as long as the program runs: another thread may be posting it. */
static void keep(struct server *server, const char *bytes, size_t length)
{
    struct message *message = malloc(sizeof *message + length);
    if (message == NULL)
        return;
    message->length = (uint32_t)length;
    memcpy(message->bytes, bytes, length);
    atomic_store(&server->last, message);
}

static uint32_t answer_of(struct server *server, char *bytes, size_t length)
{
    struct server *peer = server->peer;
    if (peer == NULL)
        return atomic_load(&server->answer);
    int handle = atomic_load(&peer->handle);
    if (handle < 0 || atomic_load(&server->cut))
        return EAGAIN;
    if (stmfPostProxyMsg(handle, bytes, (uint32_t)length) != STMF_STATUS_SUCCESS)
        return EIO;
    atomic_fetch_add(&server->posted, 1);
    return 0;
}

static void procedure(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct server *server = cookie;
    (void)dp;

    atomic_fetch_add(&server->calls, 1);
    unsigned running = atomic_fetch_add(&server->running, 1) + 1;
    unsigned most = atomic_load(&server->most_running);
    while (running > most && !atomic_compare_exchange_weak(&server->most_running, &most, running))
        ;
    if (argp == NULL || arg_size == 0 || n_desc != 0)
        atomic_fetch_add(&server->malformed, 1);
    else if (server->peer != NULL)
        keep(server, argp, arg_size);

    int64_t deadline = now_ms() + 30000;
    while (atomic_load(&server->hold) && now_ms() < deadline)
        pause_ms(2);

    struct {
        uint32_t word;
        uint32_t surplus;
    } answer = {.word = answer_of(server, argp, arg_size)};
    size_t bytes = atomic_load(&server->answer_bytes);
    atomic_fetch_sub(&server->running, 1);
    door_return((char *)&answer, bytes, NULL, 0);
}

bool server_start(struct server *server)
{
    memset(server, 0, sizeof *server);
    atomic_store(&server->answer_bytes, sizeof(uint32_t));
    atomic_store(&server->handle, -1);
    server->door = door_create(procedure, server, DOOR_REFUSE_DESC);
    if (server->door < 0)
        perror("door_create");
    return server->door >= 0;
}

void server_stop(struct server *server)
{
    atomic_store(&server->hold, false);
    int handle = atomic_exchange(&server->handle, -1);
    if (handle >= 0)
        stmfDestroyProxyDoor(handle);
    if (server->door >= 0)
        door_revoke(server->door);
    server->door = -1;
}

int server_install(struct server *server, const char *control)
{
    int handle = -1;
    use_control(control);
    int status = stmfInitProxyDoor(&handle, server->door);
    atomic_store(&server->handle, handle);
    return status;
}

int pair_up(const struct bench *bench, struct server *near, struct server *far)
{
    NEEDS(bench->peer != NULL, "--peer CONTROL");
    CHECK(server_start(near));
    CHECK(server_start(far));
    near->peer = far;
    far->peer = near;
    CHECK_STATUS(server_install(far, bench->peer), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, 1 - bench->node), STMF_STATUS_SUCCESS);
    CHECK_STATUS(server_install(near, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, bench->node), STMF_STATUS_SUCCESS);

    /* Established: the ports of each are known to the other. */
    int64_t deadline = now_ms() + 15000;
    for (;;) {
        use_control(bench->peer);
        int there = proxy_targets();
        use_control(bench->control);
        if (there > 0 && proxy_targets() > 0)
            return 0;
        CHECK(now_ms() < deadline);
        pause_ms(20);
    }
}

void pair_down(const struct bench *bench, struct server *near, struct server *far)
{
    use_control(bench->control);
    server_stop(near);
    use_control(bench->peer);
    server_stop(far);
    use_control(bench->control);
}
