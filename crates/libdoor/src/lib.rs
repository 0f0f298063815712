//! libdoor: the C interface of doors.
