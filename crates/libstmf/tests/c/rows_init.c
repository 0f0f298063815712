/* ST-001 to ST-008 and ST-028: installing the door, and what is refused. */
#include <fcntl.h>
#include <unistd.h>

#include "rows.h"

/* An ordinary installation succeeds: whatever came before has left nothing behind. */
static int installs_now(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    server_stop(&server);
    return 0;
}

/* The daemon calls the door after ALUA has been enabled. */
static int is_called(const struct bench *bench, struct server *server)
{
    unsigned before = atomic_load(&server->calls);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, bench->node), STMF_STATUS_SUCCESS);
    CHECK(counter_exceeds(&server->calls, before));
    return 0;
}

int st_001(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    int handle = -1;
    CHECK_STATUS(stmfInitProxyDoor(&handle, server.door), STMF_STATUS_SUCCESS);
    CHECK(handle >= 0);
    CHECK(fcntl(handle, F_GETFD) & FD_CLOEXEC);
    CHECK(proxy_targets() == 0);
    atomic_store(&server.handle, handle);
    server_stop(&server);
    (void)bench;
    return 0;
}

int st_002(const struct bench *bench)
{
    struct server first, second;
    CHECK(server_start(&first));
    CHECK(server_start(&second));
    CHECK_STATUS(server_install(&first, bench->control), STMF_STATUS_SUCCESS);
    int handle = 77;
    CHECK_STATUS(stmfInitProxyDoor(&handle, second.door), STMF_ERROR_DOOR_INSTALLED);
    CHECK(handle == -1);
    CHECK(is_called(bench, &first) == 0);
    CHECK(atomic_load(&second.calls) == 0);
    server_stop(&first);
    server_stop(&second);
    return 0;
}

int st_003(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK(wait_child(start_child(bench, "init-installed", 0)) == 0);
    CHECK(is_called(bench, &server) == 0);
    server_stop(&server);
    return 0;
}

int st_004(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(stmfInitProxyDoor(NULL, server.door), STMF_ERROR_INVALID_ARG);
    server_stop(&server);
    return installs_now(bench);
}

/* Descriptors that are no door; `*handle` is −1 after each (ST-007). */
static int bad_descriptors_are_refused(void)
{
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int closed = dup(file);
    CHECK(file >= 0 && closed >= 0);
    close(closed);
    const int bad[] = {-1, file, closed};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int handle = 77;
        CHECK_STATUS(stmfInitProxyDoor(&handle, bad[i]), STMF_ERROR_INVALID_ARG);
        CHECK(handle == -1);
    }
    close(file);
    return 0;
}

int st_005(const struct bench *bench)
{
    CHECK(bad_descriptors_are_refused() == 0);
    return installs_now(bench);
}

int st_006(const struct bench *bench)
{
    NEEDS(geteuid() == 0, "root, to become somebody else");
    CHECK(wait_child(start_child(bench, "init-perm", 65534)) == 0);
    return installs_now(bench);
}

int st_007(const struct bench *bench)
{
    CHECK(bad_descriptors_are_refused() == 0);
    CHECK(st_002(bench) == 0); /* presets 77 and looks */
    return st_003(bench);      /* its child does the same */
}

int st_008(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    close(server.door);
    server.door = -1;
    CHECK(is_called(bench, &server) == 0);
    server_stop(&server);
    return 0;
}

int st_028(const struct bench *bench)
{
    stmfDestroyProxyDoor(-1);
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    int handle = atomic_exchange(&server.handle, -1);
    stmfDestroyProxyDoor(handle);
    CHECK(fcntl(handle, F_GETFD) == -1);
    stmfDestroyProxyDoor(handle);
    /* The number now belongs to somebody else, who keeps it. */
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(other >= 0);
    stmfDestroyProxyDoor(other);
    CHECK(fcntl(other, F_GETFD) != -1);
    close(other);
    server_stop(&server);
    return installs_now(bench);
}
