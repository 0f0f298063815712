/* ST-030 to ST-032: the ALUA state. */
#include "rows.h"

int st_030(const struct bench *bench)
{
    boolean_t before = B_FALSE, after = B_FALSE;
    uint32_t node_before = 77, node_after = 78;
    CHECK_STATUS(stmfGetAluaState(&before, &node_before), STMF_STATUS_SUCCESS);
    CHECK_STATUS(stmfSetAluaState(B_TRUE, 2), STMF_ERROR_INVALID_ARG);
    CHECK_STATUS(stmfSetAluaState((boolean_t)2, 0), STMF_ERROR_INVALID_ARG);
    CHECK_STATUS(stmfSetAluaState(B_FALSE, 7), STMF_ERROR_INVALID_ARG);
    CHECK_STATUS(stmfGetAluaState(&after, &node_after), STMF_STATUS_SUCCESS);
    CHECK(before == after && node_before == node_after);
    (void)bench;
    return 0;
}

int st_031(const struct bench *bench)
{
    boolean_t enabled;
    uint32_t node;
    CHECK_STATUS(stmfGetAluaState(NULL, &node), STMF_ERROR_INVALID_ARG);
    CHECK_STATUS(stmfGetAluaState(&enabled, NULL), STMF_ERROR_INVALID_ARG);
    (void)bench;
    return 0;
}

/* Of a daemon that has just been started; with --node as it was started. */
int st_032(const struct bench *bench)
{
    boolean_t enabled = B_TRUE;
    uint32_t node = 77;
    CHECK_STATUS(stmfGetAluaState(&enabled, &node), STMF_STATUS_SUCCESS);
    CHECK(enabled == B_FALSE);
    CHECK(node == bench->node);
    return 0;
}
