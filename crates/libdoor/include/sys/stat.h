/*
 * The system's <sys/stat.h> and the file type of doors.  The type is Solaris's, which Linux gives to no file: a switch over
 * S_IFSOCK and S_IFDOOR compiles.  stat() and its relatives tell it in programs linked with -ldoor.
 *
 * This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
 * If a copy of the MPL was not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
 */
#ifndef LINTEL_SYS_STAT_H
#define LINTEL_SYS_STAT_H

#ifdef __GNUC__
#pragma GCC system_header /* for include_next, which -pedantic does not like */
#endif
#include_next <sys/stat.h>

#ifndef S_IFDOOR
#define S_IFDOOR 0xD000
#endif
#ifndef S_ISDOOR
#define S_ISDOOR(mode) (((mode) & 0xF000) == S_IFDOOR)
#endif

#endif /* LINTEL_SYS_STAT_H */
