//! What no call can beat, and what everybody has without a library.

pub(crate) mod memcpy;
pub(crate) mod memory;
pub(crate) mod socket;
