/*
 * Doors for Linux: the C interface of libdoor, source compatible with door_create(3C).
 *
 * A door is a file descriptor that names a procedure in another process.  Link with -ldoor.
 *
 * Differences from Solaris that a program can see:
 *   - S_ISDOOR() holds for what stat(), fstat() and their relatives tell in programs linked with -ldoor; to the kernel, and to
 *     programs that do not know doors, a door is a socket;
 *   - struct door_desc and struct door_info are packed to 4 bytes on every 64-bit architecture, as on amd64.
 *
 * This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
 * If a copy of the MPL was not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
 */
#ifndef LINTEL_DOOR_H
#define LINTEL_DOOR_H

#include <stddef.h>
#include <sys/stat.h> /* the one beside this file: S_IFDOOR, S_ISDOOR() */
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Solaris spells it so; the C library of Linux only knows uint. */
typedef unsigned int uint_t;

typedef unsigned long long door_ptr_t; /* an address of the owner: 64 bits whatever the peer's size */
typedef unsigned long long door_id_t;  /* system-wide identity of a door, never used again; 0 is no door */
typedef unsigned int door_attr_t;      /* DOOR_* bits */

/* Opaque credentials of a caller; <ucred.h> declares what reads them. */
#ifndef LINTEL_UCRED_T
#define LINTEL_UCRED_T
typedef struct ucred_s ucred_t;
#endif

/* Attributes given to door_create() and door_xcreate(), reported by door_info(). */
#define DOOR_UNREF 0x01           /* tell the server once when only one reference is left */
#define DOOR_PRIVATE 0x02         /* own pool of server threads, joined with door_bind() */
#define DOOR_UNREF_MULTI 0x10     /* tell the server every time only one reference is left */
#define DOOR_REFUSE_DESC 0x40     /* calls may not carry descriptors */
#define DOOR_NO_CANCEL 0x80       /* a caller that gives up does not cancel the server thread */
#define DOOR_NO_DEPLETION_CB 0x100 /* door_xcreate() only: a pool of fixed size */

/* Attributes only reported, never given. */
#define DOOR_LOCAL 0x04         /* the door belongs to this process */
#define DOOR_REVOKED 0x08       /* nobody can call it any more */
#define DOOR_IS_UNREF 0x20      /* exactly one reference is left */
#define DOOR_PRIVCREATE 0x200   /* made by door_xcreate() */
#define DOOR_DEPLETION_CB 0x400 /* in the argument of a creation function: called because the pool ran dry */

#define DOOR_CREATE_MASK                                                                                     \
    (DOOR_UNREF | DOOR_PRIVATE | DOOR_UNREF_MULTI | DOOR_REFUSE_DESC | DOOR_NO_CANCEL | DOOR_NO_DEPLETION_CB | \
     DOOR_PRIVCREATE)
#define DOOR_ATTR_MASK (DOOR_CREATE_MASK | DOOR_LOCAL | DOOR_REVOKED | DOOR_IS_UNREF)

/* d_attributes of a door_desc_t. */
#define DOOR_DESCRIPTOR 0x10000 /* the entry is a file descriptor */
#define DOOR_RELEASE 0x40000    /* close the sender's copy */

#define DOOR_INVAL (-1) /* no descriptor */
#define DOOR_QUERY (-2) /* door_info(): the door the calling thread is bound to */

#define DOOR_UNREF_DATA ((void *)1) /* argp of an unreferenced invocation */

/* Parameters of door_getparam() and door_setparam(). */
#define DOOR_PARAM_DESC_MAX 1 /* descriptors one call may carry */
#define DOOR_PARAM_DATA_MAX 2 /* bytes one call may carry */
#define DOOR_PARAM_DATA_MIN 3 /* bytes one call must carry */

#pragma pack(push, 4)

/* One descriptor of a call or of a result: 24 bytes, aligned to 4. */
typedef struct door_desc {
    door_attr_t d_attributes;
    union {
        struct {
            int d_descriptor;
            door_id_t d_id;
        } d_desc;
        int d_resv[5];
    } d_data;
} door_desc_t;

/* What door_info() tells about a door: 48 bytes, aligned to 4. */
typedef struct door_info {
    pid_t di_target;           /* the owner, -1 once it is gone */
    door_ptr_t di_proc;        /* address of the server procedure in the owner */
    door_ptr_t di_data;        /* cookie */
    door_attr_t di_attributes; /* DOOR_* bits */
    door_id_t di_uniquifier;   /* identity */
    int di_resv[4];            /* zero */
} door_info_t;

#pragma pack(pop)

/* Argument and result of door_call(): every member is read and written. */
typedef struct door_arg {
    char *data_ptr;
    size_t data_size;
    door_desc_t *desc_ptr;
    uint_t desc_num;
    char *rbuf;   /* where results go; replaced by a new mapping (munmap(2) it) if they do not fit */
    size_t rsize; /* bytes at rbuf */
} door_arg_t;

/* Credentials of a caller, the short form. */
typedef struct door_cred {
    uid_t dc_euid;
    gid_t dc_egid;
    uid_t dc_ruid;
    gid_t dc_rgid;
    pid_t dc_pid;
    int dc_resv[4];
} door_cred_t;

/* The descriptors of a result, as Solaris hands them to its kernel; kept for programs that name it. */
typedef struct door_return_desc {
    door_desc_t *desc_ptr;
    uint_t desc_num;
} door_return_desc_t;

typedef void door_server_procedure_t(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc);
typedef void door_server_func_t(door_info_t *);
typedef int door_xcreate_server_func_t(door_info_t *, void *(*startf)(void *), void *startfarg, void *crcookie);
typedef void door_xcreate_thrsetup_func_t(void *crcookie);

int door_create(door_server_procedure_t *server_procedure, void *cookie, uint_t attributes);
int door_xcreate(door_server_procedure_t *server_procedure, void *cookie, uint_t attributes,
                 door_xcreate_server_func_t *thr_create_func, door_xcreate_thrsetup_func_t *thr_setup_func,
                 void *crcookie, int nthread);
int door_call(int d, door_arg_t *params);
int door_return(char *data_ptr, size_t data_size, door_desc_t *desc_ptr, uint_t num_desc);
int door_bind(int did);
int door_unbind(void);
int door_info(int d, door_info_t *info);
int door_revoke(int d);
int door_getparam(int d, int param, size_t *out);
int door_setparam(int d, int param, size_t val);
int door_cred(door_cred_t *info);
int door_ucred(ucred_t **info);
door_server_func_t *door_server_create(door_server_func_t *create_proc);

#ifdef __cplusplus
}
#endif

#endif /* LINTEL_DOOR_H */
