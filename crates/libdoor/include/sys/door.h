/*
 * The name under which Solaris keeps the types and constants of doors.
 *
 * This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
 * If a copy of the MPL was not distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/.
 */
#ifndef LINTEL_SYS_DOOR_H
#define LINTEL_SYS_DOOR_H

#include <door.h>

#endif /* LINTEL_SYS_DOOR_H */
