//! What happens when the library is loaded: the engine takes the few descriptors a server needs, with high numbers, so that the first
//! `door_create` needs no more than the one it returns.
#![allow(unsafe_code)]

use engine::engine as doors;

extern "C" fn at_load() {
    // A table that is full already is none of our business until there is a door.
    let _ = crate::errno::caught(|| Ok(doors::prepare()?));
}

/// Run by the loader. Referred to by `door_create`, so that it is there in programs that are linked to the archive, too.
#[used]
// SAFETY: an array of functions without arguments is what the section is for.
#[unsafe(link_section = ".init_array")]
pub(crate) static AT_LOAD: extern "C" fn() = at_load;
