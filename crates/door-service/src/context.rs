//! What a method may know about its call.

use std::os::fd::OwnedFd;
use std::time::Duration;

use door::{CredentialError, Credentials, Invocation};

/// The call a method answers, for methods with a parameter `&Context<'_>`.
#[derive(Debug)]
pub struct Context<'a> {
    call: &'a Invocation<'a>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(call: &'a Invocation<'a>) -> Self {
        Self { call }
    }

    /// Who calls, as the kernel knows it now: [`Invocation::credentials`].
    ///
    /// # Errors
    /// [`CredentialError::CallerGone`] once the caller has died or given up.
    pub fn credentials(&self) -> Result<Credentials, CredentialError> {
        self.call.credentials()
    }

    /// A descriptor of the caller's process: [`Invocation::pidfd`].
    ///
    /// # Errors
    /// [`CredentialError::CallerGone`] once the caller has died or given up.
    pub fn pidfd(&self) -> Result<OwnedFd, CredentialError> {
        self.call.pidfd()
    }

    /// True once the caller is gone or gave up: nobody waits for the result.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.call.is_cancelled()
    }

    /// Sleeps until the caller is gone or gives up, at most for `limit`; true in the first case.
    #[must_use]
    pub fn wait_cancelled(&self, limit: impl Into<Option<Duration>>) -> bool {
        self.call.wait_cancelled(limit)
    }
}
