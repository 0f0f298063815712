/* ST-022 to ST-027 and ST-029: the end of a session, and what stays. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rows.h"

/* Ends the session of the near node; afterwards it has no port of the peer. */
static int end_session(struct server *near)
{
    stmfDestroyProxyDoor(atomic_exchange(&near->handle, -1));
    CHECK(proxy_targets() == 0);
    return 0;
}

int st_022(const struct bench *bench)
{
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    CHECK(end_session(&near) == 0);
    pair_down(bench, &near, &far);
    return 0;
}

int st_023(const struct bench *bench)
{
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    CHECK(end_session(&near) == 0);
    boolean_t enabled = B_FALSE;
    uint32_t node = 77;
    CHECK_STATUS(stmfGetAluaState(&enabled, &node), STMF_STATUS_SUCCESS);
    CHECK(enabled == B_TRUE && node == bench->node);
    pair_down(bench, &near, &far);
    return 0;
}

int st_024(const struct bench *bench)
{
    NEEDS(bench->trigger != NULL, "--trigger: READ of the standby logical unit");
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    CHECK(run_command(bench->trigger, 30) == 0);
    CHECK(end_session(&near) == 0);
    CHECK(run_command(bench->trigger, 5) > 0);
    pair_down(bench, &near, &far);
    return 0;
}

int st_025(const struct bench *bench)
{
    NEEDS(bench->trigger != NULL, "--trigger: READ of the standby logical unit");
    struct server near, far;
    int up = pair_up(bench, &near, &far);
    if (up != 0)
        return up;
    CHECK(end_session(&near) == 0);
    CHECK_STATUS(server_install(&near, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, bench->node), STMF_STATUS_SUCCESS);
    use_control(bench->peer);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, 1 - bench->node), STMF_STATUS_SUCCESS);
    use_control(bench->control);
    int64_t deadline = now_ms() + 15000;
    while (run_command(bench->trigger, 10) != 0)
        CHECK(now_ms() < deadline);
    pair_down(bench, &near, &far);
    return 0;
}

/* Starts a child that installs a door, and waits until it has: a second installation is refused. */
static int child_that_holds(const struct bench *bench, const char *what, pid_t *child)
{
    struct server probe;
    *child = start_child(bench, what, 0);
    CHECK(*child > 0);
    CHECK(server_start(&probe));
    int64_t deadline = now_ms() + 10000;
    for (;;) {
        int handle = -1;
        int status = stmfInitProxyDoor(&handle, probe.door);
        if (status == STMF_ERROR_DOOR_INSTALLED)
            break;
        CHECK(status == STMF_STATUS_SUCCESS);
        stmfDestroyProxyDoor(handle);
        CHECK(now_ms() < deadline);
        pause_ms(20);
    }
    server_stop(&probe);
    return 0;
}

/* Within a second the service is free again. */
static int free_within_a_second(const struct bench *bench)
{
    struct server server;
    CHECK(server_start(&server));
    int64_t deadline = now_ms() + 1000;
    while (server_install(&server, bench->control) != STMF_STATUS_SUCCESS) {
        CHECK(now_ms() < deadline);
        pause_ms(10);
    }
    server_stop(&server);
    return 0;
}

int st_026(const struct bench *bench)
{
    pid_t child;
    CHECK(child_that_holds(bench, "hold", &child) == 0);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    return free_within_a_second(bench);
}

int st_027(const struct bench *bench)
{
    /* It installs, leaves a child of its own that runs another program for 15 s, and ends. */
    pid_t child = start_child(bench, "hold-and-leave-a-child", 0);
    CHECK(child > 0);
    CHECK(wait_child(child) == 0);
    return free_within_a_second(bench);
}

/* Number of logical units the chosen daemon has; −1 when it cannot be told. */
static int64_t logical_units(void)
{
    stmfGuidList *list = NULL;
    if (stmfGetLogicalUnitList(&list) != STMF_STATUS_SUCCESS)
        return -1;
    int64_t count = list->cnt;
    stmfFreeMemory(list);
    return count;
}

int st_029(const struct bench *bench)
{
    NEEDS(bench->peer != NULL, "--peer CONTROL, of a node with an active logical unit");
    struct server near, far;
    CHECK(server_start(&near));
    CHECK(server_start(&far));
    near.peer = &far;
    far.peer = &near;
    CHECK_STATUS(stmfSetAluaState(B_FALSE, bench->node), STMF_STATUS_SUCCESS);
    int64_t before = logical_units();
    CHECK(before >= 0);
    CHECK_STATUS(server_install(&near, bench->control), STMF_STATUS_SUCCESS);
    CHECK_STATUS(server_install(&far, bench->peer), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, 1 - bench->node), STMF_STATUS_SUCCESS);
    /* The peer says what it has, several times over while nobody answers. */
    CHECK(counter_exceeds(&far.calls, 2));
    use_control(bench->control);
    CHECK(logical_units() == before);
    pair_down(bench, &near, &far);
    return 0;
}
