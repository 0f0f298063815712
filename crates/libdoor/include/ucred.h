/*
 * Reading the credentials that door_ucred(3C) returns.
 *
 * This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
 * If a copy of the MPL was not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
 */
#ifndef LINTEL_UCRED_H
#define LINTEL_UCRED_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef LINTEL_UCRED_T
#define LINTEL_UCRED_T
typedef struct ucred_s ucred_t;
#endif

/* Each returns (uid_t)-1, (gid_t)-1 or (pid_t)-1 and sets errno to EINVAL if the value is not known. */
uid_t ucred_geteuid(const ucred_t *uc);
uid_t ucred_getruid(const ucred_t *uc);
uid_t ucred_getsuid(const ucred_t *uc);
gid_t ucred_getegid(const ucred_t *uc);
gid_t ucred_getrgid(const ucred_t *uc);
gid_t ucred_getsgid(const ucred_t *uc);
pid_t ucred_getpid(const ucred_t *uc);

/* Sets *groups to the supplementary groups, which live as long as `uc`; returns how many there are. */
int ucred_getgroups(const ucred_t *uc, const gid_t **groups);

/* Bytes of a buffer that door_ucred() can fill. */
size_t ucred_size(void);

/* Frees what door_ucred() allocated. */
void ucred_free(ucred_t *uc);

#ifdef __cplusplus
}
#endif

#endif /* LINTEL_UCRED_H */
