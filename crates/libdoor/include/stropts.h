/*
 * fattach(3C) and fdetach(3C) for doors.  Linux has no STREAMS: nothing else of <stropts.h> is here.
 *
 * This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
 * If a copy of the MPL was not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
 */
#ifndef LINTEL_STROPTS_H
#define LINTEL_STROPTS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the door `fildes` the name `path`, which must exist and belong to the caller. */
int fattach(int fildes, const char *path);

/* Takes the name away again: `path` is once more the file it was. */
int fdetach(const char *path);

#ifdef __cplusplus
}
#endif

#endif /* LINTEL_STROPTS_H */
