//! Doors for Linux: a descriptor that names a procedure in another process.
