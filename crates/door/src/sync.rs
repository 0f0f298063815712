//! What threads of one process share: the standard library's, or loom's when a model is checked (`cargo xtask model`).

#[cfg(not(loom))]
pub(crate) use std::sync::Mutex;
#[cfg(not(loom))]
pub(crate) use std::time::Instant;

#[cfg(loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(loom)]
pub(crate) use models::{Instant, lock};

/// Locks a mutex whose data stays sound even if a thread died while it held it.
#[cfg(not(any(loom, thread_sanitizer)))]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The same for `cargo xtask sanitize`. ThreadSanitizer sees what is compiled here, but not how the standard library, which was compiled
/// before, waits for a mutex: so nobody waits.
#[cfg(thread_sanitizer)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    use std::sync::TryLockError;
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
}

pub(crate) mod atomic {
    #[cfg(not(loom))]
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };

    #[cfg(loom)]
    pub(crate) use super::models::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{Ordering, fence};
}

#[cfg(loom)]
mod models {
    use std::time::Duration;

    use loom::sync::atomic::{Ordering, fence};

    /// What [`lock`] can lock: loom's mutexes, and the standard library's where no other thread of a model can come between.
    pub(crate) trait Lock {
        type Guard<'a>
        where
            Self: 'a;
        fn guard(&self) -> Self::Guard<'_>;
    }

    impl<T: 'static> Lock for loom::sync::Mutex<T> {
        type Guard<'a> = loom::sync::MutexGuard<'a, T>;
        fn guard(&self) -> Self::Guard<'_> {
            self.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    impl<T: 'static> Lock for std::sync::Mutex<T> {
        type Guard<'a> = std::sync::MutexGuard<'a, T>;
        fn guard(&self) -> Self::Guard<'_> {
            self.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    pub(crate) fn lock<M: Lock>(mutex: &M) -> M::Guard<'_> {
        mutex.guard()
    }

    /// Time stands still in a model: what happens after a while is for the model to say.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Instant;

    impl Instant {
        pub(crate) fn now() -> Self {
            Self
        }

        pub(crate) fn elapsed(self) -> Duration {
            Duration::ZERO
        }
    }

    /// Loom takes what is sequentially consistent for acquire and release only, except fences. One before each such operation
    /// gives back the order among them (it is how processors without such operations are programmed).
    fn before(order: Ordering) {
        if order == Ordering::SeqCst {
            fence(Ordering::SeqCst);
        }
    }

    macro_rules! atomic {
        ($name:ident, $value:ty, $($fetch:ident)*) => {
            #[derive(Debug)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl Default for $name {
                fn default() -> Self {
                    Self::new(<$value>::default())
                }
            }

            #[allow(dead_code, reason = "all have the same operations")]
            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    before(order);
                    self.0.load(order)
                }

                /// Loom lets a thread swap out what a store of another one has replaced by then. If that was a swap, too, it does not.
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    before(order);
                    let order = if order == Ordering::SeqCst { Ordering::Release } else { order };
                    self.0.swap(value, order);
                }

                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    before(order);
                    self.0.swap(value, order)
                }

                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    before(success);
                    self.0.compare_exchange(current, new, success, failure)
                }

                pub(crate) fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    before(success);
                    self.0.fetch_update(success, failure, change)
                }

                $(pub(crate) fn $fetch(&self, value: $value, order: Ordering) -> $value {
                    before(order);
                    self.0.$fetch(value, order)
                })*
            }
        };
    }

    atomic!(AtomicBool, bool, fetch_or fetch_and);
    atomic!(AtomicU8, u8, fetch_or fetch_and fetch_add fetch_sub);
    atomic!(AtomicU32, u32, fetch_or fetch_and fetch_add fetch_sub);
    atomic!(AtomicU64, u64, fetch_or fetch_and fetch_add fetch_sub);
    atomic!(AtomicUsize, usize, fetch_or fetch_and fetch_add fetch_sub);
}
