/* ST-009 to ST-014: the daemon calls the door. */
#include <unistd.h>

#include "rows.h"

/* Makes the daemon call the door: by the initiator if there is one, else by enabling ALUA. */
static int provoke(const struct bench *bench)
{
    if (bench->trigger != NULL)
        return run_command(bench->trigger, 60) == -1;
    return stmfSetAluaState(B_TRUE, bench->node) != STMF_STATUS_SUCCESS;
}

/* The daemon is alive, and the door still is installed. */
static int still_installed(void)
{
    struct server other;
    stmfState state;
    CHECK(server_start(&other));
    CHECK_STATUS(stmfGetState(&state), STMF_STATUS_SUCCESS);
    int handle = 77;
    CHECK_STATUS(stmfInitProxyDoor(&handle, other.door), STMF_ERROR_DOOR_INSTALLED);
    server_stop(&other);
    return 0;
}

int st_009(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK(provoke(bench) == 0);
    CHECK(counter_exceeds(&server.calls, 0));
    CHECK(atomic_load(&server.malformed) == 0);
    server_stop(&server);
    return 0;
}

int st_010(const struct bench *bench)
{
    NEEDS(bench->trigger != NULL, "--trigger: INQUIRY to the standby logical unit");
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    CHECK(run_command(bench->trigger, 30) == 0);
    CHECK(atomic_load(&near.posted) > 0);
    CHECK(atomic_load(&far.posted) > 0);
    pair_down(bench, &near, &far);
    return 0;
}

int st_011(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    atomic_store(&server.answer, 5);
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, bench->node), STMF_STATUS_SUCCESS);
    CHECK(counter_exceeds(&server.calls, 0));
    if (bench->trigger != NULL) {
        int64_t began = now_ms();
        CHECK(run_command(bench->trigger, 30) > 0); /* the command fails, and does not time out */
        CHECK(now_ms() - began < 10000);
    }
    CHECK(still_installed() == 0);
    server_stop(&server);
    return 0;
}

int st_012(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    const size_t wrong[] = {8, 0};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        unsigned before = atomic_load(&server.calls);
        atomic_store(&server.answer_bytes, wrong[i]);
        CHECK(provoke(bench) == 0);
        CHECK(counter_exceeds(&server.calls, before));
        CHECK(still_installed() == 0);
    }
    door_revoke(server.door);
    server.door = -1;
    CHECK(provoke(bench) == 0);
    stmfState state;
    CHECK_STATUS(stmfGetState(&state), STMF_STATUS_SUCCESS);
    server_stop(&server);
    return 0;
}

int st_013(const struct bench *bench)
{
    NEEDS(bench->trigger != NULL, "--trigger: 64 concurrent commands to the standby logical unit");
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    /* Calls pile up until eight are there, then all go on. */
    atomic_store(&near.most_running, 0);
    atomic_store(&near.hold, true);
    pid_t initiator = fork();
    CHECK(initiator >= 0);
    if (initiator == 0)
        _exit(run_command(bench->trigger, 60) == 0 ? 0 : 1);
    bool piled_up = counter_exceeds(&near.most_running, 7);
    atomic_store(&near.hold, false);
    CHECK(piled_up);
    CHECK(wait_child(initiator) == 0);
    pair_down(bench, &near, &far);
    return 0;
}

int st_014(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    atomic_store(&server.hold, true);
    CHECK_STATUS(server_install(&server, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, bench->node), STMF_STATUS_SUCCESS);
    CHECK(counter_exceeds(&server.running, 0));

    int64_t began = now_ms();
    stmfState state;
    stmfGuidList *lus = NULL;
    CHECK_STATUS(stmfGetState(&state), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfGetLogicalUnitList(&lus), STMF_STATUS_SUCCESS);
    for (uint32_t i = 0; i < lus->cnt; i++) {
        stmfLogicalUnitProperties properties;
        CHECK_STATUS(stmfGetLogicalUnitProperties(&lus->guid[i], &properties), STMF_STATUS_SUCCESS);
    }
    stmfFreeMemory(lus);
    if (bench->trigger != NULL) /* I/O of a logical unit that is active here */
        CHECK(run_command(bench->trigger, 10) == 0);
    CHECK(now_ms() - began < 10000);
    CHECK(atomic_load(&server.running) > 0);
    server_stop(&server);
    return 0;
}
