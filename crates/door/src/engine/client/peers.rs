//! Servers this process has called, and the links to them.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};

use super::introduction::{attach, hello};
use super::lanes::{self, Taken, forget_unusable_lanes};
use super::{ClientLink, Target, has_hung_up};
use crate::engine::object::lock;
use crate::engine::wait::Patience;
use crate::error::CallError;
use crate::sys::fork::PerProcess;

/// Links a process makes to one server: 64 calls at a time each.
const LINKS_PER_SERVER: usize = 64;

/// The server behind a door descriptor, as the kernel and the mark tell: equal ones share links. A wrong guess only costs an
/// answer that says so.
pub(super) type ServerName = (u32, u64);

/// One server, and the links to it.
#[derive(Debug, Default)]
struct Peer {
    links: Mutex<Vec<Arc<ClientLink>>>,
}

static PEERS: PerProcess<Mutex<HashMap<ServerName, Arc<Peer>>>> = PerProcess::new();

/// A lane to `target`'s server, and the door's handle there. `fd` is only used if the door is not known on that link yet.
#[inline]
pub(crate) fn lane_to(
    fd: BorrowedFd<'_>,
    target: &Target,
    patience: &Patience<'_>,
) -> Result<(Taken, u64), CallError> {
    let wanted = target.route.link();
    if wanted != 0
        && let Some(taken) = lanes::kept_on(wanted)
    {
        if let Some(handle) = target.route.handle_on(wanted) {
            return Ok((taken, handle));
        }
        taken.keep();
    }
    slow_lane_to(fd, target, patience)
}

/// The same without asking anybody, if that can be: over the link by which the door was reached last.
#[inline]
pub(crate) fn lane_at_hand(target: &Target) -> Option<(Taken, u64)> {
    let wanted = target.route.link();
    let handle = target.route.handle_on(wanted).filter(|_| wanted != 0)?;
    let taken = lanes::kept_on(wanted).or_else(|| other_lane_on(wanted, target))?;
    Some((taken, handle))
}

/// A lane this thread has not kept.
#[cold]
fn other_lane_on(wanted: u64, target: &Target) -> Option<Taken> {
    let peer = lock(PEERS.existing()?).get(&target.server).cloned()?;
    let link = lock(&peer.links).iter().find(|link| link.id == wanted).cloned()?;
    link.is_usable().then(|| Taken::on(&link))?
}

#[cold]
fn slow_lane_to(
    fd: BorrowedFd<'_>,
    target: &Target,
    patience: &Patience<'_>,
) -> Result<(Taken, u64), CallError> {
    let peers = PEERS.get_or_make(|| Mutex::new(HashMap::new()));
    let peer = Arc::clone(lock(peers).entry(target.server).or_default());
    // No lock is held while a server is waited for. Two threads may make a link each; both will be used.
    let links = peer.living_links();
    for link in &links {
        let Some(taken) = Taken::on(link) else { continue };
        let known = target
            .route
            .handle_on(link.id)
            .or_else(|| lock(&link.handles).get(&target.cookie).copied());
        if let Some(handle) = known {
            target.route.set(link.id, handle);
            return Ok((taken, handle));
        }
        match attach(fd, link, patience) {
            Ok(handle) => {
                lock(&link.handles).insert(target.cookie, handle);
                target.route.set(link.id, handle);
                return Ok((taken, handle));
            }
            Err(error) => {
                taken.keep();
                // This server does not know this link: the guess was wrong. Or the link has no room for another pool of threads.
                let is_about_the_link = matches!(
                    &error,
                    CallError::Os(error) if matches!(error.raw_os_error(), Some(libc::ESTALE | libc::ENFILE))
                );
                if !is_about_the_link {
                    return Err(error);
                }
            }
        }
    }
    if links.len() >= LINKS_PER_SERVER {
        return Err(CallError::Again);
    }
    forget_the_dead(&mut lock(peers));
    let (link, handle) = hello(fd, patience)?;
    let link = Arc::new(link);
    let taken = Taken::on(&link).ok_or(CallError::Again)?;
    lock(&link.handles).insert(target.cookie, handle);
    lock(&peer.links).push(Arc::clone(&link));
    target.route.set(link.id, handle);
    Ok((taken, handle))
}

/// A descriptor is no longer called, over whatever link.
pub(super) fn forget_everywhere(server: ServerName, cookie: u64) {
    if let Some(peers) = PEERS.existing() {
        let peer = lock(peers).get(&server).cloned();
        for link in peer.iter().flat_map(|peer| lock(&peer.links).clone()) {
            lock(&link.handles).remove(&cookie);
        }
    }
}

/// Lets go of what belongs to servers that have died, which may never be called again.
fn forget_the_dead(peers: &mut HashMap<ServerName, Arc<Peer>>) {
    peers.retain(|_, peer| {
        let mut links = lock(&peer.links);
        retain_living(&mut links);
        // A thread that is making the first link holds its own.
        !links.is_empty() || Arc::strong_count(peer) > 1
    });
    forget_unusable_lanes();
}

fn retain_living(links: &mut Vec<Arc<ClientLink>>) {
    links.retain(|link| {
        if has_hung_up(&link.socket) {
            link.set_dead();
        }
        !link.is_dead()
    });
}

impl Peer {
    /// The links that can be used.
    fn living_links(&self) -> Vec<Arc<ClientLink>> {
        let mut links = lock(&self.links);
        retain_living(&mut links);
        let living = links.clone();
        drop(links);
        forget_unusable_lanes();
        living
    }
}
