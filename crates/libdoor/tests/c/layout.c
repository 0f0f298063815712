/* DR-165: sizes, offsets and values of the headers. Compiled as C and as C++; compiling it is the test. */
#ifndef DOOR_HEADER
#define DOOR_HEADER <door.h>
#endif
#include DOOR_HEADER
#include <stropts.h>
#include <ucred.h>

#include <stddef.h>

#if defined __cplusplus
#define ASSERT(condition) static_assert(condition, #condition)
#elif __STDC_VERSION__ >= 201112L
#define ASSERT(condition) _Static_assert(condition, #condition)
#else
#define ASSERT_AT(condition, line) extern int assertion_##line[(condition) ? 1 : -1]
#define ASSERT_IN(condition, line) ASSERT_AT(condition, line)
#define ASSERT(condition) ASSERT_IN(condition, __LINE__)
#endif
/* Where a member of this type lies behind a char. */
#define ALIGN(type) offsetof(struct behind_##type, value)
#define BEHIND(type)                                                                                         \
    struct behind_##type {                                                                                   \
        char first;                                                                                          \
        type value;                                                                                          \
    }
BEHIND(door_desc_t);
BEHIND(door_info_t);
BEHIND(door_arg_t);
BEHIND(door_cred_t);
BEHIND(door_return_desc_t);

ASSERT(sizeof(door_ptr_t) == 8 && sizeof(door_id_t) == 8 && sizeof(door_attr_t) == 4 && sizeof(uint_t) == 4);

ASSERT(sizeof(door_desc_t) == 24 && ALIGN(door_desc_t) == 4);
ASSERT(offsetof(door_desc_t, d_attributes) == 0);
ASSERT(offsetof(door_desc_t, d_data.d_desc.d_descriptor) == 4);
ASSERT(offsetof(door_desc_t, d_data.d_desc.d_id) == 8);
ASSERT(offsetof(door_desc_t, d_data.d_resv) == 4);

ASSERT(sizeof(door_info_t) == 48 && ALIGN(door_info_t) == 4 && sizeof(struct door_info) == 48);
ASSERT(offsetof(door_info_t, di_target) == 0 && offsetof(door_info_t, di_proc) == 4);
ASSERT(offsetof(door_info_t, di_data) == 12 && offsetof(door_info_t, di_attributes) == 20);
ASSERT(offsetof(door_info_t, di_uniquifier) == 24 && offsetof(door_info_t, di_resv) == 32);

ASSERT(sizeof(door_arg_t) == 48 && ALIGN(door_arg_t) == 8);
ASSERT(offsetof(door_arg_t, data_ptr) == 0 && offsetof(door_arg_t, data_size) == 8);
ASSERT(offsetof(door_arg_t, desc_ptr) == 16 && offsetof(door_arg_t, desc_num) == 24);
ASSERT(offsetof(door_arg_t, rbuf) == 32 && offsetof(door_arg_t, rsize) == 40);

ASSERT(sizeof(door_cred_t) == 36 && ALIGN(door_cred_t) == 4);
ASSERT(offsetof(door_cred_t, dc_euid) == 0 && offsetof(door_cred_t, dc_egid) == 4);
ASSERT(offsetof(door_cred_t, dc_ruid) == 8 && offsetof(door_cred_t, dc_rgid) == 12);
ASSERT(offsetof(door_cred_t, dc_pid) == 16 && offsetof(door_cred_t, dc_resv) == 20);

ASSERT(sizeof(door_return_desc_t) == 16 && ALIGN(door_return_desc_t) == 8);
ASSERT(offsetof(door_return_desc_t, desc_ptr) == 0 && offsetof(door_return_desc_t, desc_num) == 8);

ASSERT(DOOR_CREATE_MASK == 0x3d3 && DOOR_ATTR_MASK == 0x3ff);
ASSERT(DOOR_UNREF == 1 && DOOR_PRIVATE == 2 && DOOR_LOCAL == 4 && DOOR_REVOKED == 8 && DOOR_UNREF_MULTI == 0x10);
ASSERT(DOOR_IS_UNREF == 0x20 && DOOR_REFUSE_DESC == 0x40 && DOOR_NO_CANCEL == 0x80);
ASSERT(DOOR_NO_DEPLETION_CB == 0x100 && DOOR_PRIVCREATE == 0x200 && DOOR_DEPLETION_CB == 0x400);
ASSERT(DOOR_DESCRIPTOR == 0x10000 && DOOR_RELEASE == 0x40000 && DOOR_INVAL == -1 && DOOR_QUERY == -2);
ASSERT(S_IFDOOR == 0xD000 && S_ISDOOR(0xD1FF) && !S_ISDOOR(S_IFSOCK) && !S_ISDOOR(S_IFREG) && !S_ISSOCK(S_IFDOOR));
ASSERT(DOOR_PARAM_DESC_MAX == 1 && DOOR_PARAM_DATA_MAX == 2 && DOOR_PARAM_DATA_MIN == 3);

/* Every function, by the type of the manual page. */
int (*use_create)(door_server_procedure_t *, void *, uint_t) = door_create;
int (*use_xcreate)(door_server_procedure_t *, void *, uint_t, door_xcreate_server_func_t *,
                   door_xcreate_thrsetup_func_t *, void *, int) = door_xcreate;
int (*use_call)(int, door_arg_t *) = door_call;
int (*use_return)(char *, size_t, door_desc_t *, uint_t) = door_return;
int (*use_bind)(int) = door_bind;
int (*use_unbind)(void) = door_unbind;
int (*use_info)(int, struct door_info *) = door_info;
int (*use_revoke)(int) = door_revoke;
int (*use_getparam)(int, int, size_t *) = door_getparam;
int (*use_setparam)(int, int, size_t) = door_setparam;
int (*use_cred)(door_cred_t *) = door_cred;
int (*use_ucred)(ucred_t **) = door_ucred;
door_server_func_t *(*use_server_create)(door_server_func_t *) = door_server_create;
int (*use_fattach)(int, const char *) = fattach;
int (*use_fdetach)(const char *) = fdetach;
uid_t (*use_euid)(const ucred_t *) = ucred_geteuid;
uid_t (*use_ruid)(const ucred_t *) = ucred_getruid;
uid_t (*use_suid)(const ucred_t *) = ucred_getsuid;
gid_t (*use_egid)(const ucred_t *) = ucred_getegid;
gid_t (*use_rgid)(const ucred_t *) = ucred_getrgid;
gid_t (*use_sgid)(const ucred_t *) = ucred_getsgid;
pid_t (*use_pid)(const ucred_t *) = ucred_getpid;
int (*use_groups)(const ucred_t *, const gid_t **) = ucred_getgroups;
size_t (*use_size)(void) = ucred_size;
void (*use_free)(ucred_t *) = ucred_free;

int main(void) {
    struct stat status;
    door_desc_t desc;
    status.st_mode = S_IFDOOR;
    desc.d_data.d_desc.d_descriptor = 3;
    switch (status.st_mode) {
    case S_IFSOCK: /* two types, two cases */
        return 2;
    case S_IFDOOR:
        break;
    }
    return S_ISDOOR(status.st_mode) && DOOR_UNREF_DATA == (void *)1 && desc.d_data.d_desc.d_descriptor == 3 ? 0 : 1;
}
