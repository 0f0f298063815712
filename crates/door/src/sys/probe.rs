//! Static probes for tracers, by the feature `usdt`: a note in the program's file says where each is. Without a tracer each costs a load
//! and a branch; without the feature, nothing is there. docs/door-tracing.md tells what they mean.

#[cfg(feature = "usdt")]
#[usdt::provider(provider = "door")]
mod door {
    fn call__entry(socket: u64, server: u32, bytes: u64, descriptors: u64) {}
    fn call__return(socket: u64, errno: i32, bytes: u64) {}
    fn invocation__start(door: u64, bytes: u64, descriptors: u64) {}
    fn invocation__done(door: u64, status: u32, bytes: u64) {}
    fn thread__create(token: u64) {}
    fn link__up(link: u64, client: u32, user: u32) {}
    fn link__down(link: u64, client: u32, user: u32) {}
    fn unreferenced(door: u64) {}
}

/// One function for each probe. Its arguments are not used where there are no probes.
macro_rules! probes {
    ($($(#[$doc:meta])* $name:ident = $probe:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            #[cfg_attr(
                feature = "usdt",
                allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the generated code widens to a register")
            )]
            pub(crate) fn $name($($argument: $type),*) {
                #[cfg(feature = "usdt")]
                self::door::$probe!(|| ($($argument),*));
                #[cfg(not(feature = "usdt"))]
                let _ = ($($argument),*);
            }
        )*
    };
}

probes! {
    /// A call begins, in the client. `socket` numbers the descriptor's socket.
    call_entry = call__entry(socket: u64, server: u32, bytes: u64, descriptors: u64);
    /// A call ends; `errno` is 0 if it was answered, with so many bytes.
    call_return = call__return(socket: u64, errno: i32, bytes: u64);
    /// A procedure is about to run. `door` is what `door_info` tells as unique.
    invocation_start = invocation__start(door: u64, bytes: u64, descriptors: u64);
    /// An invocation has ended; `status` is 0 if the procedure has answered, with so many bytes.
    invocation_done = invocation__done(door: u64, status: u32, bytes: u64);
    /// A thread becomes a server thread.
    thread_create = thread__create(token: u64);
    /// A client process has a link to this server.
    link_up = link__up(link: u64, client: u32, user: u32);
    /// It has gone, or its link was taken from it.
    link_down = link__down(link: u64, client: u32, user: u32);
    /// An unreferenced invocation begins.
    unreferenced = unreferenced(door: u64);
}
