/* ST-168: sizes as on illumos LP64, values, and every function of the header linked. */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include <libstmf.h>

static_assert(sizeof(stmfGuid) == 16, "stmfGuid");
static_assert(sizeof(stmfDevid) == 256, "stmfDevid");
static_assert(sizeof(stmfSession) == 520, "stmfSession");
static_assert(sizeof(stmfViewEntry) == 540, "stmfViewEntry");
static_assert(sizeof(stmfLogicalUnitProperties) == 560, "stmfLogicalUnitProperties");
static_assert(sizeof(stmfTargetProperties) == 776, "stmfTargetProperties");
static_assert(sizeof(boolean_t) == 4, "boolean_t");
static_assert(sizeof(stmfState) == 8, "stmfState");
static_assert(sizeof(stmfGuidList) == 20 && offsetof(stmfGuidList, guid) == 4, "stmfGuidList");
static_assert(sizeof(stmfDevidList) == 260 && offsetof(stmfDevidList, devid) == 4, "stmfDevidList");
static_assert(sizeof(stmfGroupList) == 260 && offsetof(stmfGroupList, name) == 4, "stmfGroupList");
static_assert(sizeof(stmfGroupProperties) == 260, "stmfGroupProperties");
static_assert(sizeof(stmfSessionList) == 528 && offsetof(stmfSessionList, session) == 8, "stmfSessionList");
static_assert(sizeof(stmfViewEntryList) == 544 && offsetof(stmfViewEntryList, ve) == 4, "stmfViewEntryList");
static_assert(sizeof(stmfViewEntryProperties) == 556, "stmfViewEntryProperties");
static_assert(sizeof(stmfProvider) == 260, "stmfProvider");
static_assert(sizeof(stmfLogicalUnitProviderProperties) == 1096, "stmfLogicalUnitProviderProperties");
static_assert(offsetof(stmfTargetProperties, protocol) == 516, "protocol");
static_assert(offsetof(stmfTargetProperties, devid) == 520, "devid");
static_assert(offsetof(stmfLogicalUnitProperties, status) == 284, "status");
static_assert(offsetof(stmfLogicalUnitProperties, luid) == 544, "luid");
static_assert(offsetof(stmfViewEntry, luNbr) == 532, "luNbr");
static_assert(offsetof(stmfSession, creationTime) == 512, "creationTime");
static_assert(STMF_ERROR_DOOR_INSTALLED == 0x8026 && STMF_POST_MSG_FAILED == 0x8025, "status");
static_assert(STMF_ERROR_WRITE_CACHE_SET == 0x8109, "status");
static_assert(STMF_LU_PROP_HOST_ID == 16 && STMF_LU_PROP_ACCESS_STATE == 15, "property");

typedef void (*function)(void);

static const function functions[] = {
    (function)stmfGetState,
    (function)stmfOnline,
    (function)stmfOffline,
    (function)stmfInitProxyDoor,
    (function)stmfPostProxyMsg,
    (function)stmfDestroyProxyDoor,
    (function)stmfSetAluaState,
    (function)stmfGetAluaState,
    (function)stmfLuStandby,
    (function)stmfCreateLuResource,
    (function)stmfSetLuProp,
    (function)stmfGetLuProp,
    (function)stmfFreeLuResource,
    (function)stmfGetLuResource,
    (function)stmfCreateLu,
    (function)stmfImportLu,
    (function)stmfModifyLu,
    (function)stmfModifyLuByFname,
    (function)stmfDeleteLu,
    (function)stmfGetLogicalUnitList,
    (function)stmfGetLogicalUnitProperties,
    (function)stmfOnlineLogicalUnit,
    (function)stmfOfflineLogicalUnit,
    (function)stmfAddViewEntry,
    (function)stmfRemoveViewEntry,
    (function)stmfGetViewEntryList,
    (function)stmfValidateView,
    (function)stmfCreateHostGroup,
    (function)stmfDeleteHostGroup,
    (function)stmfAddToHostGroup,
    (function)stmfRemoveFromHostGroup,
    (function)stmfGetHostGroupList,
    (function)stmfGetHostGroupMembers,
    (function)stmfCreateTargetGroup,
    (function)stmfDeleteTargetGroup,
    (function)stmfAddToTargetGroup,
    (function)stmfRemoveFromTargetGroup,
    (function)stmfGetTargetGroupList,
    (function)stmfGetTargetGroupMembers,
    (function)stmfGetTargetList,
    (function)stmfGetTargetProperties,
    (function)stmfGetSessionList,
    (function)stmfOnlineTarget,
    (function)stmfOfflineTarget,
    (function)stmfDevidFromIscsiName,
    (function)stmfDevidFromWwn,
    (function)stmfFreeMemory,
};

int main(void)
{
    size_t count = sizeof functions / sizeof functions[0];
    for (size_t i = 0; i < count; i++)
        if (functions[i] == NULL)
            return 1;
    printf("%zu functions\n", count);
    return 0;
}
