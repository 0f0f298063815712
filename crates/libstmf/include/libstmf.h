/*
 * The target framework on Linux: the C interface of libstmf, source compatible with libstmf(3LIB).
 *
 * Every function asks the daemon stmfd through its control door: the path in the environment variable STMF_CONTROL,
 * else /run/stmf/control.  Link with -lstmf.  All functions may be called from several threads.
 *
 * What a program can see of Linux:
 *   - the handle of stmfInitProxyDoor() is close-on-exec, and -1 after any failure;
 *   - a second stmfInitProxyDoor(), from whatever process, gets STMF_ERROR_DOOR_INSTALLED;
 *   - privilege is being root or a member of the group the daemon is told; it is looked at on each request;
 *   - when the daemon is not running, every function gets STMF_STATUS_ERROR.
 *
 * This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
 * If a copy of the MPL was not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
 */
#ifndef LINTEL_LIBSTMF_H
#define LINTEL_LIBSTMF_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Solaris types that Linux has not.  A program that has its own defines STMF_NO_SOLARIS_TYPES before. */
#ifndef STMF_NO_SOLARIS_TYPES
typedef enum { B_FALSE = 0, B_TRUE = 1 } boolean_t;
typedef unsigned char uchar_t;
#endif

/* Status: what every function returns, unless it is said otherwise. */
#define STMF_STATUS_SUCCESS 0x0000
#define STMF_STATUS_ERROR 0x8000
#define STMF_ERROR_BUSY (STMF_STATUS_ERROR | 0x01)
#define STMF_ERROR_NOT_FOUND (STMF_STATUS_ERROR | 0x02)
#define STMF_ERROR_MEMBER_NOT_FOUND (STMF_STATUS_ERROR | 0x03)
#define STMF_ERROR_GROUP_NOT_FOUND (STMF_STATUS_ERROR | 0x04)
#define STMF_ERROR_PERM (STMF_STATUS_ERROR | 0x05)
#define STMF_ERROR_NOMEM (STMF_STATUS_ERROR | 0x06)
#define STMF_ERROR_INVALID_ARG (STMF_STATUS_ERROR | 0x07)
#define STMF_ERROR_EXISTS (STMF_STATUS_ERROR | 0x08)
#define STMF_ERROR_SERVICE_NOT_FOUND (STMF_STATUS_ERROR | 0x09)
#define STMF_ERROR_SERVICE_ONLINE (STMF_STATUS_ERROR | 0x0a)
#define STMF_ERROR_SERVICE_OFFLINE (STMF_STATUS_ERROR | 0x0b)
#define STMF_ERROR_GROUP_IN_USE (STMF_STATUS_ERROR | 0x0c)
#define STMF_ERROR_LUN_IN_USE (STMF_STATUS_ERROR | 0x0d)
#define STMF_ERROR_VE_CONFLICT (STMF_STATUS_ERROR | 0x0e)
#define STMF_ERROR_CONFIG_NONE (STMF_STATUS_ERROR | 0x0f)
#define STMF_ERROR_SERVICE_DATA_VERSION (STMF_STATUS_ERROR | 0x10)
#define STMF_ERROR_INVALID_HG (STMF_STATUS_ERROR | 0x11)
#define STMF_ERROR_INVALID_TG (STMF_STATUS_ERROR | 0x12)
#define STMF_ERROR_PROV_DATA_STALE (STMF_STATUS_ERROR | 0x13)
#define STMF_ERROR_NO_PROP (STMF_STATUS_ERROR | 0x14)
#define STMF_ERROR_NO_PROP_VAL (STMF_STATUS_ERROR | 0x15)
#define STMF_ERROR_MISSING_PROP_VAL (STMF_STATUS_ERROR | 0x16)
#define STMF_ERROR_INVALID_BLOCKSIZE (STMF_STATUS_ERROR | 0x17)
#define STMF_ERROR_FILE_ALREADY (STMF_STATUS_ERROR | 0x18)
#define STMF_ERROR_INVALID_PROPSIZE (STMF_STATUS_ERROR | 0x19)
#define STMF_ERROR_INVALID_PROP (STMF_STATUS_ERROR | 0x20)
#define STMF_ERROR_PERSIST_TYPE (STMF_STATUS_ERROR | 0x21)
#define STMF_ERROR_TG_ONLINE (STMF_STATUS_ERROR | 0x22)
#define STMF_ERROR_ACCESS_STATE_SET (STMF_STATUS_ERROR | 0x23)
#define STMF_ERROR_NO_PROP_STANDBY (STMF_STATUS_ERROR | 0x24)
#define STMF_ERROR_POST_MSG_FAILED (STMF_STATUS_ERROR | 0x25)
#define STMF_POST_MSG_FAILED STMF_ERROR_POST_MSG_FAILED
#define STMF_ERROR_DOOR_INSTALLED (STMF_STATUS_ERROR | 0x26)
#define STMF_ERROR_FILE_IN_USE (STMF_STATUS_ERROR | 0x100)
#define STMF_ERROR_INVALID_BLKSIZE (STMF_STATUS_ERROR | 0x101)
#define STMF_ERROR_GUID_IN_USE (STMF_STATUS_ERROR | 0x102)
#define STMF_ERROR_META_FILE_NAME (STMF_STATUS_ERROR | 0x103)
#define STMF_ERROR_DATA_FILE_NAME (STMF_STATUS_ERROR | 0x104)
#define STMF_ERROR_SIZE_OUT_OF_RANGE (STMF_STATUS_ERROR | 0x105)
#define STMF_ERROR_LU_BUSY (STMF_STATUS_ERROR | 0x106)
#define STMF_ERROR_META_CREATION (STMF_STATUS_ERROR | 0x107)
#define STMF_ERROR_FILE_SIZE_INVALID (STMF_STATUS_ERROR | 0x108)
#define STMF_ERROR_WRITE_CACHE_SET (STMF_STATUS_ERROR | 0x109)

/* States. */
#define STMF_LOGICAL_UNIT_OFFLINE 0
#define STMF_LOGICAL_UNIT_OFFLINING 1
#define STMF_LOGICAL_UNIT_ONLINE 2
#define STMF_LOGICAL_UNIT_ONLINING 3
#define STMF_LOGICAL_UNIT_UNREGISTERED 4
#define STMF_TARGET_PORT_OFFLINE 5
#define STMF_TARGET_PORT_OFFLINING 6
#define STMF_TARGET_PORT_ONLINE 7
#define STMF_TARGET_PORT_ONLINING 8
#define STMF_SERVICE_STATE_ONLINE 9
#define STMF_SERVICE_STATE_OFFLINE 10
#define STMF_SERVICE_STATE_ONLINING 11
#define STMF_SERVICE_STATE_OFFLINING 12
#define STMF_SERVICE_STATE_UNKNOWN 13
#define STMF_CONFIG_STATE_NONE 14
#define STMF_CONFIG_STATE_INIT 15
#define STMF_CONFIG_STATE_INIT_DONE 16
#define STMF_CONFIG_STATE_UNKNOWN 17
#define STMF_DEFAULT_LU_STATE 18
#define STMF_DEFAULT_TARGET_PORT_STATE 19

#define STMF_IDENT_LENGTH 255

/* Name types, provider types, persistence methods. */
#define STMF_FC_PORT_WWN 1
#define STMF_ISCSI_NAME 2
#define STMF_LU_PROVIDER_TYPE 1
#define STMF_PORT_PROVIDER_TYPE 2
#define STMF_PERSIST_SMF 1
#define STMF_PERSIST_NONE 2

/* Types of logical unit resources. */
#define STMF_DISK 0

/* Properties of a logical unit. */
enum {
    STMF_LU_PROP_ALIAS = 1,
    STMF_LU_PROP_BLOCK_SIZE = 2,
    STMF_LU_PROP_COMPANY_ID = 3,
    STMF_LU_PROP_FILENAME = 4,
    STMF_LU_PROP_GUID = 5,
    STMF_LU_PROP_META_FILENAME = 6,
    STMF_LU_PROP_MGMT_URL = 7,
    STMF_LU_PROP_NEW = 8,
    STMF_LU_PROP_SIZE = 9,
    STMF_LU_PROP_WRITE_PROTECT = 10,
    STMF_LU_PROP_WRITE_CACHE_DISABLE = 11,
    STMF_LU_PROP_VID = 12,
    STMF_LU_PROP_PID = 13,
    STMF_LU_PROP_SERIAL_NUM = 14,
    STMF_LU_PROP_ACCESS_STATE = 15,
    STMF_LU_PROP_HOST_ID = 16
};

/* Values of STMF_LU_PROP_ACCESS_STATE. */
#define STMF_ACCESS_ACTIVE "0"
#define STMF_ACCESS_ACTIVE_TO_STANDBY "1"
#define STMF_ACCESS_STANDBY "2"
#define STMF_ACCESS_STANDBY_TO_ACTIVE "3"

/* Device identifiers. */
#define EUI_64_TYPE 2
#define NAA_TYPE 3
#define SCSI_NAME_TYPE 8
#define BINARY_CODE_SET 1
#define ASCII_CODE_SET 2
#define UTF_8_CODE_SET 3

typedef enum {
    STMF_PROTOCOL_FIBRE_CHANNEL = 0,
    STMF_PROTOCOL_SCSI = 1,
    STMF_PROTOCOL_SSA = 2,
    STMF_PROTOCOL_IEEE_1394 = 3,
    STMF_PROTOCOL_SRP = 4,
    STMF_PROTOCOL_ISCSI = 5,
    STMF_PROTOCOL_SAS = 6
} stmfProtocol;

typedef struct _stmfGuid {
    uchar_t guid[16];
} stmfGuid;

typedef struct _stmfGuidList {
    uint32_t cnt;
    stmfGuid guid[1];
} stmfGuidList;

typedef struct _stmfState {
    int operationalState;
    int configState;
} stmfState;

typedef struct _stmfDevid {
    uint8_t identLength;
    uint8_t ident[STMF_IDENT_LENGTH];
} stmfDevid;

typedef struct _stmfDevidList {
    uint32_t cnt;
    stmfDevid devid[1];
} stmfDevidList;

typedef char stmfGroupName[256];
typedef char stmfProviderName[256];

typedef struct _stmfGroupList {
    uint32_t cnt;
    stmfGroupName name[1];
} stmfGroupList;

typedef struct _stmfGroupProperties {
    uint32_t cnt;
    stmfDevid name[1];
} stmfGroupProperties;

typedef struct _stmfSession {
    stmfDevid initiator;
    char alias[256];
    time_t creationTime;
} stmfSession;

typedef struct _stmfSessionList {
    uint32_t cnt;
    stmfSession session[1];
} stmfSessionList;

typedef struct _stmfViewEntry {
    boolean_t veIndexValid;
    uint32_t veIndex;
    boolean_t allHosts;
    stmfGroupName hostGroup;
    boolean_t allTargets;
    stmfGroupName targetGroup;
    boolean_t luNbrValid;
    uchar_t luNbr[8];
} stmfViewEntry;

typedef struct _stmfViewEntryList {
    uint32_t cnt;
    stmfViewEntry ve[1];
} stmfViewEntryList;

typedef struct _stmfViewEntryProperties {
    stmfGuid associatedLogicalUnitGuid;
    stmfViewEntry viewEntry;
} stmfViewEntryProperties;

typedef struct _stmfTargetProperties {
    stmfProviderName providerName;
    char alias[256];
    uint16_t status;
    stmfProtocol protocol;
    stmfDevid devid;
} stmfTargetProperties;

typedef struct _stmfLogicalUnitProperties {
    char alias[256];
    uchar_t vendor[8];
    uchar_t product[16];
    uchar_t revision[4];
    uint32_t status;
    char providerName[256];
    stmfGuid luid;
} stmfLogicalUnitProperties;

typedef struct _stmfProvider {
    int providerType;
    stmfProviderName name;
} stmfProvider;

typedef struct _stmfProviderList {
    uint32_t cnt;
    stmfProvider provider[1];
} stmfProviderList;

typedef struct _stmfLogicalUnitProviderProperties {
    char providerName[1024];
    uint32_t instance;
    uint32_t status;
    uchar_t rsvd[64];
} stmfLogicalUnitProviderProperties;

typedef stmfLogicalUnitProviderProperties stmfLocalPortProviderProperties;

/* A logical unit being described: opaque. */
typedef void *luResource;

/* The service. */
int stmfGetState(stmfState *state);
int stmfOnline(void);
int stmfOffline(void);

/* ALUA and the proxy service. */
int stmfInitProxyDoor(int *hdl, int fd);
int stmfPostProxyMsg(int hdl, void *buf, uint32_t buflen);
void stmfDestroyProxyDoor(int hdl);
int stmfSetAluaState(boolean_t enabled, uint32_t node);
int stmfGetAluaState(boolean_t *enabled, uint32_t *node);
int stmfLuStandby(stmfGuid *luGuid);

/* Logical units. */
int stmfCreateLuResource(uint16_t dType, luResource *hdl);
int stmfSetLuProp(luResource hdl, uint32_t prop, const char *propVal);
int stmfGetLuProp(luResource hdl, uint32_t prop, char *propVal, size_t *propLen);
int stmfFreeLuResource(luResource hdl);
int stmfGetLuResource(stmfGuid *luGuid, luResource *hdl);
int stmfCreateLu(luResource hdl, stmfGuid *luGuid);
int stmfImportLu(uint16_t dType, char *fname, stmfGuid *luGuid);
int stmfModifyLu(stmfGuid *luGuid, uint32_t prop, const char *propVal);
int stmfModifyLuByFname(uint16_t dType, const char *fname, uint32_t prop, const char *propVal);
int stmfDeleteLu(stmfGuid *luGuid);
int stmfGetLogicalUnitList(stmfGuidList **luList);
int stmfGetLogicalUnitProperties(stmfGuid *luGuid, stmfLogicalUnitProperties *luProps);
int stmfOnlineLogicalUnit(stmfGuid *luGuid);
int stmfOfflineLogicalUnit(stmfGuid *luGuid);

/* View entries. */
int stmfAddViewEntry(stmfGuid *luGuid, stmfViewEntry *viewEntry);
int stmfRemoveViewEntry(stmfGuid *luGuid, uint32_t viewEntryIndex);
int stmfGetViewEntryList(stmfGuid *luGuid, stmfViewEntryList **viewEntryList);
int stmfValidateView(stmfViewEntry *viewEntry);

/* Groups. */
int stmfCreateHostGroup(stmfGroupName *hostGroupName);
int stmfDeleteHostGroup(stmfGroupName *hostGroupName);
int stmfAddToHostGroup(stmfGroupName *hostGroupName, stmfDevid *initiator);
int stmfRemoveFromHostGroup(stmfGroupName *hostGroupName, stmfDevid *initiator);
int stmfGetHostGroupList(stmfGroupList **groupList);
int stmfGetHostGroupMembers(stmfGroupName *hostGroupName, stmfGroupProperties **members);
int stmfCreateTargetGroup(stmfGroupName *targetGroupName);
int stmfDeleteTargetGroup(stmfGroupName *targetGroupName);
int stmfAddToTargetGroup(stmfGroupName *targetGroupName, stmfDevid *target);
int stmfRemoveFromTargetGroup(stmfGroupName *targetGroupName, stmfDevid *target);
int stmfGetTargetGroupList(stmfGroupList **groupList);
int stmfGetTargetGroupMembers(stmfGroupName *targetGroupName, stmfGroupProperties **members);

/* Target ports, sessions, names. */
int stmfGetTargetList(stmfDevidList **targetList);
int stmfGetTargetProperties(stmfDevid *target, stmfTargetProperties *targetProps);
int stmfGetSessionList(stmfDevid *target, stmfSessionList **sessionList);
int stmfOnlineTarget(stmfDevid *target);
int stmfOfflineTarget(stmfDevid *target);
int stmfDevidFromIscsiName(char *iscsiName, stmfDevid *devid);
int stmfDevidFromWwn(uchar_t wwn[8], stmfDevid *devid);

/* Frees a list handed out by this library. */
void stmfFreeMemory(void *memory);

#ifdef __cplusplus
}
#endif

#endif /* LINTEL_LIBSTMF_H */
