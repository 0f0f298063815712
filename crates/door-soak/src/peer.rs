//! A server, as one calling thread sees it.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use door::{Call, DoorHandle};

use crate::message::{Kind, Request};

/// The servers of a run, by the names of their doors in its folder. A thread calls some of them through two descriptors.
pub(crate) const NAMES: [&str; 5] = ["rust", "c", "rust", "c", MORTAL];
/// The one that is killed and comes back.
pub(crate) const MORTAL: &str = "mortal";

/// Nothing takes so long, however slow the machine: an answer that does is lost.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server, as one calling thread sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) path: PathBuf,
    pub(crate) door: Option<DoorHandle>,
    /// May be killed and come back.
    pub(crate) mortal: bool,
    /// Number of this thread's account there, and the life it is in.
    pub(crate) caller: u32,
    pub(crate) life: u64,
    /// Of the last call.
    pub(crate) serial: u64,
    pub(crate) answered: u64,
    /// Calls that may or may not have been carried out.
    pub(crate) uncertain: u64,
}

impl Peer {
    pub(crate) fn new(folder: &Path, name: &str, caller: u32, life: u64) -> Self {
        Self {
            path: folder.join(name),
            door: None,
            mortal: name == MORTAL,
            caller,
            life,
            serial: 0,
            answered: 0,
            uncertain: 0,
        }
    }

    /// Its door, opened if need be; none if the server may be dead, and is.
    pub(crate) fn door(&mut self) -> Result<Option<&DoorHandle>> {
        if self.door.is_none() {
            match DoorHandle::open(&self.path) {
                Ok(door) => self.door = Some(door),
                Err(_) if self.mortal => return Ok(None),
                Err(error) => return Err(error).with_context(|| self.path.display().to_string()),
            }
        }
        Ok(self.door.as_ref())
    }

    /// Compares what was seen here with what a server that never dies has done.
    pub(crate) fn settle(&self) -> Result<()> {
        let Some(door) = self.door.as_ref().filter(|_| !self.mortal) else {
            return Ok(());
        };
        let [life, done] = ask(door, Kind::Count, self.caller)?;
        // The account of a forked child whose parent was killed passes to the child of the next.
        let (life, done) = match life.cmp(&self.life) {
            Ordering::Greater => return Ok(()),
            Ordering::Equal => (life, done),
            Ordering::Less => (self.life, 0),
        };
        ensure!(
            (self.answered..=self.answered + self.uncertain).contains(&done),
            "{} has carried out {done} calls of life {life}; {} were answered and {} given up",
            self.path.display(),
            self.answered,
            self.uncertain
        );
        Ok(())
    }
}

/// Asks a server for figures.
pub(crate) fn ask(door: &DoorHandle, kind: Kind, caller: u32) -> Result<[u64; 2]> {
    let request = Request {
        nonce: u64::from(caller) << 8 | u64::from(kind as u32),
        life: 0,
        serial: 0,
        caller,
        kind: kind as u32,
        reply: 0,
        given: 0,
        wanted: 0,
        work: 0,
    };
    let mut bytes = Vec::new();
    request.encode(0, &mut bytes);
    let answer = door.call_with(Call::new(&bytes).timeout(PATIENCE))?;
    request.figures(answer.data())
}
