//! Cancellation: telling the thread that runs a procedure that nobody waits for it.

use std::sync::OnceLock;

use crate::engine::link::ServerLink;
use crate::sync::atomic::Ordering;
use crate::sys::futex;

static CANCEL_HOOK: OnceLock<fn(token: u64)> = OnceLock::new();

/// Installs what is called, by some server thread, when the caller of the invocation that runs on the thread with this token has
/// given up or died, unless the door is NO_CANCEL. That invocation cannot be finished while the hook runs.
pub fn set_cancel_hook(hook: fn(token: u64)) {
    // The first one stays: a process has one language runtime that cancels.
    let _ = CANCEL_HOOK.set(hook);
}

fn call_cancel_hook(token: u64) {
    if let Some(hook) = CANCEL_HOOK.get() {
        hook(token);
    }
}

/// Cancels the thread that serves a lane, if the client gave up the very request it serves.
#[inline]
pub(crate) fn cancel_if_asked(link: &ServerLink, index: usize) {
    let lane = link.lane(index);
    let given_up = lane.cancel().load(Ordering::Acquire);
    if given_up == lane.req().load(Ordering::Relaxed) {
        link.lanes[index]
            .running
            .cancel(|seq| seq == given_up, call_cancel_hook);
    }
}

/// Cancels the thread that serves a lane of a client that has died.
pub(crate) fn cancel_running(link: &ServerLink, index: usize) {
    link.lanes[index].running.cancel(|_| true, call_cancel_hook);
    // The procedure may be waiting for exactly this.
    let feed = link.lane(index).feed();
    feed.fetch_add(1, Ordering::SeqCst);
    futex::wake(feed, 1);
}
