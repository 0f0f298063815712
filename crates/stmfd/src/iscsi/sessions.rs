//! Sessions of this node's target port: who is logged in, and which login replaces which (RFC 7143 §6.3.5).

use super::connection::ConnectionMessage;
use iscsi_proto::{LoginGrant, LoginRequest, LoginStatus};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// Sessions at once; one more is refused with "out of resources".
const MAXIMUM_SESSIONS: usize = 1024;

/// The sessions now, by the identity of RFC 7143: initiator name and ISID (there is one target port a node).
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    pub(crate) logins: AtomicU64,
    pub(crate) login_failures: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    by_identity: HashMap<(String, [u8; 6]), Session>,
    last_tsih: u16,
}

#[derive(Debug)]
struct Session {
    tsih: u16,
    connection: UnboundedSender<ConnectionMessage>,
}

impl Sessions {
    /// Decides on a login, and ends the session it replaces.
    pub(crate) fn admit(
        &self,
        request: &LoginRequest,
        connection: &UnboundedSender<ConnectionMessage>,
    ) -> Result<LoginGrant, LoginStatus> {
        let verdict = self.decide(request, connection);
        let counter = if verdict.is_ok() {
            &self.logins
        } else {
            &self.login_failures
        };
        counter.fetch_add(1, Ordering::Relaxed);
        verdict
    }

    fn decide(
        &self,
        request: &LoginRequest,
        connection: &UnboundedSender<ConnectionMessage>,
    ) -> Result<LoginGrant, LoginStatus> {
        if request.tsih != 0 {
            // One connection a session: a further one could only join a session, and MaxConnections is 1.
            return Err(if request.discovery {
                LoginStatus::SessionTypeNotSupported
            } else if self.knows(request) {
                LoginStatus::TooManyConnections
            } else {
                LoginStatus::SessionDoesNotExist
            });
        }
        let mut table = self.lock();
        let tsih = table.next_tsih();
        if !request.discovery {
            let identity = (request.initiator.clone(), request.isid);
            if !table.by_identity.contains_key(&identity) && table.by_identity.len() >= MAXIMUM_SESSIONS {
                return Err(LoginStatus::OutOfResources);
            }
            let session = Session {
                tsih,
                connection: connection.clone(),
            };
            if let Some(old) = table.by_identity.insert(identity, session) {
                let _ = old.connection.send(ConnectionMessage::Reinstated);
            }
        }
        Ok(LoginGrant {
            tsih,
            target_alias: None,
        })
    }

    /// A session has ended; a newer one of the same identity stays.
    pub(crate) fn ended(&self, initiator: &str, isid: [u8; 6], tsih: u16) {
        let mut table = self.lock();
        let identity = (initiator.to_owned(), isid);
        if table
            .by_identity
            .get(&identity)
            .is_some_and(|session| session.tsih == tsih)
        {
            table.by_identity.remove(&identity);
        }
    }

    /// Sessions now.
    pub(crate) fn count(&self) -> usize {
        self.lock().by_identity.len()
    }

    fn knows(&self, request: &LoginRequest) -> bool {
        let identity = (request.initiator.clone(), request.isid);
        self.lock()
            .by_identity
            .get(&identity)
            .is_some_and(|session| session.tsih == request.tsih)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// A TSIH no session has; never 0.
    fn next_tsih(&mut self) -> u16 {
        loop {
            self.last_tsih = self.last_tsih.wrapping_add(1).max(1);
            let taken = self
                .by_identity
                .values()
                .any(|session| session.tsih == self.last_tsih);
            if !taken {
                return self.last_tsih;
            }
        }
    }
}
