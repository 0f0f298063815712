//! What a server has carried out for whom. `c/server.c` has the same.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};

use crate::message::Request;
use crate::shared::SEATS;

/// Servers a calling thread tells apart.
pub(crate) const PEERS: usize = 8;
/// Callers a server keeps account of: each seat, for each of its peers.
pub(crate) const CALLERS: usize = SEATS * PEERS;
/// Calls looked back on. One that was given up may be carried out after later ones, but not after so many.
const RECENT: usize = 64;

/// The account of one caller.
#[derive(Debug, Clone)]
struct Account {
    /// The latest that was heard of.
    life: u64,
    count: u64,
    /// The last serial numbers, each at its remainder.
    recent: [u64; RECENT],
}

/// The accounts of all callers, in memory that never grows.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Vec<Account>>);

impl Ledger {
    pub(crate) fn new() -> Self {
        let account = Account {
            life: 0,
            count: 0,
            recent: [0; RECENT],
        };
        Self(Mutex::new(vec![account; CALLERS]))
    }

    /// Enters a call; fails if it has been carried out before.
    pub(crate) fn enter(&self, request: &Request) -> Result<()> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts
            .get_mut(request.caller as usize)
            .context("a caller without an account")?;
        if request.life < account.life {
            // Its caller was killed while the call was on its way, and another has taken its place.
            return Ok(());
        }
        if request.life > account.life {
            (account.life, account.count) = (request.life, 0);
            account.recent.fill(0);
        }
        account.count += 1;
        let place = usize::try_from(request.serial % RECENT as u64)?;
        let last = std::mem::replace(&mut account.recent[place], request.serial);
        ensure!(last != request.serial, "a request was carried out twice");
        Ok(())
    }

    /// Whose account it is, and how many calls it has.
    pub(crate) fn count(&self, caller: u32) -> [u64; 2] {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts
            .get(caller as usize)
            .map_or([0; 2], |account| [account.life, account.count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(life: u64, serial: u64) -> Request {
        Request {
            nonce: 0,
            life,
            serial,
            caller: 7,
            kind: 0,
            reply: 0,
            given: 0,
            wanted: 0,
            work: 0,
        }
    }

    #[test]
    fn a_call_that_is_carried_out_twice_is_found() {
        let ledger = Ledger::new();
        for serial in 1..=10 {
            ledger.enter(&call(1, serial)).expect("it is the first time");
        }
        assert!(ledger.enter(&call(1, 4)).is_err());
        assert_eq!(ledger.count(7), [1, 11]);
    }

    #[test]
    fn what_a_killed_caller_left_on_its_way_is_not_its_successors() {
        let ledger = Ledger::new();
        ledger.enter(&call(1, 1)).expect("it is the first time");
        ledger.enter(&call(2, 1)).expect("it is another's");
        ledger.enter(&call(1, 2)).expect("it comes late");
        assert_eq!(ledger.count(7), [2, 1]);
    }
}
