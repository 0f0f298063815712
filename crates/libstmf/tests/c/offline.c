/* What holds with no daemon running: arguments are checked first, then every function says STMF_STATUS_ERROR. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libstmf.h>

#define EXPECT(call, expected)                                                                                        \
    do {                                                                                                              \
        int status_ = (call);                                                                                         \
        if (status_ != (expected)) {                                                                                  \
            fprintf(stderr, "line %d: %s gave 0x%x, not 0x%x\n", __LINE__, #call, (unsigned)status_, (unsigned)(expected)); \
            failures++;                                                                                               \
        }                                                                                                             \
    } while (0)

int main(void)
{
    int failures = 0;
    stmfGuid guid;
    stmfState state;
    boolean_t enabled;
    uint32_t node;
    char message[] = "message";
    luResource resource = NULL;
    char text[64];
    size_t length = sizeof text;
    stmfDevid devid;
    stmfGroupName group;
    void *nothing = NULL;

    memset(&guid, 0x60, sizeof guid);

    /* ST-004, ST-005, ST-007: the handle is −1 after any failure. */
    EXPECT(stmfInitProxyDoor(NULL, 0), STMF_ERROR_INVALID_ARG);
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    int closed = dup(file);
    close(closed);
    int bad[] = {-1, closed};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int handle = 77;
        EXPECT(stmfInitProxyDoor(&handle, bad[i]), STMF_ERROR_INVALID_ARG);
        EXPECT(handle, -1);
    }
    int handle = 77;
    EXPECT(stmfInitProxyDoor(&handle, file) != STMF_STATUS_SUCCESS, 1);
    EXPECT(handle, -1);

    /* ST-015, ST-016, ST-028. */
    EXPECT(stmfPostProxyMsg(file, NULL, 10), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfPostProxyMsg(-1, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
    EXPECT(stmfPostProxyMsg(closed, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
    EXPECT(stmfPostProxyMsg(file, message, sizeof message), STMF_ERROR_POST_MSG_FAILED);
    stmfDestroyProxyDoor(-1);
    stmfDestroyProxyDoor(file);
    EXPECT(fcntl(file, F_GETFD) != -1, 1);

    /* ST-030, ST-031. */
    EXPECT(stmfSetAluaState(B_TRUE, 2), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfSetAluaState((boolean_t)2, 0), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfSetAluaState(B_FALSE, 7), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfGetAluaState(NULL, &node), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfGetAluaState(&enabled, NULL), STMF_ERROR_INVALID_ARG);

    EXPECT(stmfLuStandby(NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfImportLu(STMF_DISK, NULL, &guid), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfImportLu(7, "/x", &guid), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfGetState(NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfGetLogicalUnitList(NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfGetLogicalUnitProperties(&guid, NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfAddViewEntry(&guid, NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfGetTargetList(NULL), STMF_ERROR_INVALID_ARG);
    memset(group, 'x', sizeof group);
    EXPECT(stmfCreateHostGroup(&group), STMF_ERROR_INVALID_ARG);
    strcpy(group, "*all");
    EXPECT(stmfCreateTargetGroup(&group), STMF_ERROR_INVALID_ARG);

    /* Resources need no daemon until the logical unit is created. */
    EXPECT(stmfCreateLuResource(1, &resource), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfCreateLuResource(STMF_DISK, NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfCreateLuResource(STMF_DISK, &resource), STMF_STATUS_SUCCESS);
    EXPECT(stmfSetLuProp(resource, STMF_LU_PROP_ALIAS, NULL), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfSetLuProp(resource, 99, "x"), STMF_ERROR_INVALID_PROP);
    EXPECT(stmfSetLuProp(resource, STMF_LU_PROP_VID, "123456789"), STMF_ERROR_INVALID_PROPSIZE);
    EXPECT(stmfSetLuProp(resource, STMF_LU_PROP_BLOCK_SIZE, "4k"), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfSetLuProp(resource, STMF_LU_PROP_ALIAS, "a disk"), STMF_STATUS_SUCCESS);
    length = 6;
    EXPECT(stmfGetLuProp(resource, STMF_LU_PROP_ALIAS, text, &length), STMF_ERROR_INVALID_ARG);
    EXPECT((int)length, 7);
    EXPECT(stmfGetLuProp(resource, STMF_LU_PROP_ALIAS, text, &length), STMF_STATUS_SUCCESS);
    EXPECT(strcmp(text, "a disk"), 0);
    length = sizeof text;
    EXPECT(stmfGetLuProp(resource, STMF_LU_PROP_SERIAL_NUM, text, &length), STMF_ERROR_NO_PROP);
    EXPECT(stmfCreateLu(resource, &guid), STMF_ERROR_MISSING_PROP_VAL);
    EXPECT(stmfSetLuProp(resource, STMF_LU_PROP_FILENAME, "/x"), STMF_STATUS_SUCCESS);
    EXPECT(stmfCreateLu(resource, &guid), STMF_STATUS_ERROR);
    EXPECT(stmfFreeLuResource(resource), STMF_STATUS_SUCCESS);
    EXPECT(stmfFreeLuResource(resource), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfSetLuProp(resource, STMF_LU_PROP_ALIAS, "x"), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfFreeLuResource(NULL), STMF_ERROR_INVALID_ARG);

    /* Names. */
    EXPECT(stmfDevidFromIscsiName("iqn.2026-01.org.example:a", &devid), STMF_STATUS_SUCCESS);
    EXPECT(devid.identLength, 25);
    EXPECT(memcmp(devid.ident, "iqn.2026-01.org.example:a", 25), 0);
    EXPECT(stmfDevidFromIscsiName("IQN.2026-01.org.example:a", &devid), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfDevidFromIscsiName("abc", &devid), STMF_ERROR_INVALID_ARG);
    EXPECT(stmfDevidFromIscsiName("iqn.x", NULL), STMF_ERROR_INVALID_ARG);
    uchar_t wwn[8] = {0x21, 0, 0, 0xe0, 0x8b, 0x0a, 0x1b, 0x2c};
    EXPECT(stmfDevidFromWwn(wwn, &devid), STMF_STATUS_SUCCESS);
    EXPECT(memcmp(devid.ident, "wwn.210000E08B0A1B2C", 20), 0);

    /* Nobody serves the control door. */
    EXPECT(stmfGetState(&state), STMF_STATUS_ERROR);
    EXPECT(stmfSetAluaState(B_TRUE, 1), STMF_STATUS_ERROR);
    EXPECT(stmfGetAluaState(&enabled, &node), STMF_STATUS_ERROR);
    EXPECT(stmfLuStandby(&guid), STMF_STATUS_ERROR);
    EXPECT(stmfImportLu(STMF_DISK, "/x", NULL), STMF_STATUS_ERROR);
    EXPECT(stmfDeleteLu(&guid), STMF_STATUS_ERROR);
    EXPECT(stmfModifyLu(&guid, STMF_LU_PROP_ALIAS, "x"), STMF_STATUS_ERROR);
    EXPECT(stmfModifyLu(&guid, STMF_LU_PROP_VID, "x"), STMF_ERROR_INVALID_PROP);
    EXPECT(stmfGetTargetList((stmfDevidList **)&nothing), STMF_STATUS_ERROR);
    EXPECT(nothing == NULL, 1);
    stmfFreeMemory(NULL);
    close(file);
    return failures == 0 ? 0 : 1;
}
