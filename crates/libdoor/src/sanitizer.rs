//! AddressSanitizer, in programs that are compiled with it.
//!
//! It marks the gaps between the variables of a function and takes the marks off when the function returns. Procedures do not return:
//! `door_return` leaves their frames behind, and the next procedure, or a destructor at the end of the thread, would be told off for using
//! stack that is free. As longjmp(3) and exceptions do in its presence, `door_return` tells it before.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicUsize, Ordering};

/// Where `__asan_handle_no_return` is; 0 if there is none.
static HANDLE_NO_RETURN: AtomicUsize = AtomicUsize::new(0);

/// Looks for the sanitizer. Once, before anything is served.
pub(crate) fn look() {
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__asan_handle_no_return".as_ptr()) };
    HANDLE_NO_RETURN.store(found.expose_provenance(), Ordering::Relaxed);
}

/// The frames above this one on the stack are about to be left without returning through them.
#[inline]
pub(crate) fn leaving_frames() {
    let address = HANDLE_NO_RETURN.load(Ordering::Relaxed);
    if address != 0 {
        let function = std::ptr::with_exposed_provenance::<()>(address);
        // SAFETY: the sanitizer's function of this name has this type.
        let function = unsafe { std::mem::transmute::<*const (), extern "C" fn()>(function) };
        function();
    }
}
