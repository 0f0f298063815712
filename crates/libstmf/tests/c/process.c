/* Other processes, and what the daemon lists. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rows.h"

int proxy_targets(void)
{
    stmfDevidList *list = NULL;
    if (stmfGetTargetList(&list) != STMF_STATUS_SUCCESS)
        return -1;
    int count = 0;
    for (uint32_t i = 0; i < list->cnt && count >= 0; i++) {
        stmfTargetProperties properties;
        int status = stmfGetTargetProperties(&list->devid[i], &properties);
        if (status == STMF_STATUS_SUCCESS)
            count += strcmp(properties.providerName, "pppt") == 0;
        else if (status != STMF_ERROR_NOT_FOUND) /* it may have gone since */
            count = -1;
    }
    stmfFreeMemory(list);
    return count;
}

/* Waits for a process until the deadline; kills it then. */
static int wait_until(pid_t process, int64_t deadline)
{
    int status = 0;
    for (;;) {
        pid_t ended = waitpid(process, &status, WNOHANG);
        if (ended == process)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (ended < 0 && errno != EINTR)
            return -1;
        if (now_ms() > deadline) {
            kill(process, SIGKILL);
            waitpid(process, &status, 0);
            return -1;
        }
        pause_ms(5);
    }
}

int run_command(const char *command, unsigned seconds)
{
    pid_t process = fork();
    if (process < 0)
        return -1;
    if (process == 0) {
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return wait_until(process, now_ms() + (int64_t)seconds * 1000);
}

int start_child(const struct bench *bench, const char *what, uid_t user)
{
    char child[64];
    snprintf(child, sizeof child, "--child=%s", what);
    pid_t process = fork();
    if (process != 0)
        return process;
    if (user != 0 && (setgroups(0, NULL) != 0 || setresgid(user, user, user) != 0 || setresuid(user, user, user) != 0))
        _exit(126);
    execl(bench->program, "st_rows", child, bench->control, (char *)NULL);
    _exit(127);
}

int wait_child(int child)
{
    return wait_until(child, now_ms() + 10000);
}

/* Installs a door; 0 when the outcome is the expected one and a failure left −1. */
static int child_install(const struct bench *bench, int expected)
{
    struct server server;
    CHECK(server_start(&server));
    int handle = 77;
    CHECK_STATUS(stmfInitProxyDoor(&handle, server.door), expected);
    CHECK((handle == -1) == (expected != STMF_STATUS_SUCCESS));
    atomic_store(&server.handle, handle);
    (void)bench;
    return 0;
}

/* Installs a door and stays; or leaves a child that runs another program, and ends. */
static int child_hold(const struct bench *bench, bool leave_a_child)
{
    struct server server;
    CHECK(server_start(&server));
    /* The parent looks whether the service is taken by taking it for a moment: that is not somebody else's session. */
    int64_t deadline = now_ms() + 10000;
    int status;
    while ((status = server_install(&server, bench->control)) == STMF_ERROR_DOOR_INSTALLED && now_ms() < deadline)
        pause_ms(5);
    CHECK_STATUS(status, STMF_STATUS_SUCCESS);
    if (leave_a_child) {
        pid_t left = fork();
        if (left == 0) {
            /* Nobody is to wait for its output. */
            int nowhere = open("/dev/null", O_RDWR);
            for (int fd = 0; fd < 3; fd++)
                dup2(nowhere, fd);
            execl("/bin/sleep", "sleep", "15", (char *)NULL);
            _exit(127);
        }
        CHECK(left > 0);
    }
    if (leave_a_child)
        _exit(0);
    alarm(60);
    for (;;)
        pause();
}

int run_child(const char *what, const struct bench *bench)
{
    if (strcmp(what, "init-installed") == 0)
        return child_install(bench, STMF_ERROR_DOOR_INSTALLED);
    if (strcmp(what, "init-perm") == 0)
        return child_install(bench, STMF_ERROR_PERM);
    if (strcmp(what, "hold") == 0)
        return child_hold(bench, false);
    if (strcmp(what, "hold-and-leave-a-child") == 0)
        return child_hold(bench, true);
    return 2;
}
