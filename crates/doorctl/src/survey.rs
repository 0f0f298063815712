//! Which doors there are: every listener the kernel shows under the name of a door, and what each says when asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use door::{DoorHandle, DoorInfo, Statistics};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use crate::proc;
use crate::sock_diag::{self, UnixSocket};

/// What is wrong with a door that could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Alive,
    /// Nobody listens at its path any more.
    Dead,
    /// This user may not open it.
    Forbidden,
    /// Its server did not answer in time.
    Silent,
    /// Its path is not to be found from here: another mount namespace, or a directory this user may not read.
    Hidden,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Forbidden => "no permission",
            Self::Silent => "no answer",
            Self::Hidden => "path not visible",
        }
    }
}

/// A door, as far as it can be seen.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: Option<PathBuf>,
    pub(crate) state: State,
    pub(crate) info: Option<DoorInfo>,
    pub(crate) statistics: Option<Statistics>,
    /// Sockets by which others have opened the path.
    openings: Vec<u64>,
    /// Processes that hold the door by a descriptor that was not opened by the path.
    pub(crate) holders: BTreeSet<u32>,
}

impl Found {
    fn new(path: Option<PathBuf>, state: State) -> Self {
        Self {
            path,
            state,
            info: None,
            statistics: None,
            openings: Vec::new(),
            holders: BTreeSet::new(),
        }
    }

    /// Process that serves it.
    pub(crate) fn server(&self) -> Option<u32> {
        self.info.and_then(|info| info.target)
    }

    /// Descriptors that others hold. One was this program's, when it asked.
    pub(crate) fn clients(&self) -> u64 {
        match &self.statistics {
            Some(told) if self.path.is_some() => told.exports.saturating_sub(1),
            Some(told) => told.exports,
            None => self.openings.len() as u64,
        }
    }

    /// Processes that hold it, as far as this user may see them.
    pub(crate) fn who(&self, holders: &HashMap<u64, BTreeSet<u32>>) -> BTreeSet<u32> {
        let opened = self
            .openings
            .iter()
            .filter_map(|socket| holders.get(socket))
            .flatten();
        opened.chain(&self.holders).copied().collect()
    }
}

/// The name a door's listener is bound to: `.door.ID.NUMBER`.
fn is_doors_name(name: &Path) -> bool {
    let name = name.file_name().and_then(|name| name.to_str());
    let parts = name.and_then(|name| name.strip_prefix(".door.")?.split_once('.'));
    parts.is_some_and(|(id, number)| {
        id.len() == 10
            && id.bytes().all(|digit| digit.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// The doors that are attached to paths; with `places`, those there alone, and with them attachments whose server has died.
pub(crate) fn attached(places: &[PathBuf], patience: Duration) -> anyhow::Result<Vec<Found>> {
    let sockets = sock_diag::sockets()?;
    let mut of_name: BTreeMap<&Path, Vec<&UnixSocket>> = BTreeMap::new();
    for socket in &sockets {
        if let Some(name) = socket.name.as_deref().filter(|name| is_doors_name(name)) {
            of_name.entry(name).or_default().push(socket);
        }
    }
    // Names other sockets are bound to: not to be disturbed by asking whether they are doors.
    let strangers: HashSet<&Path> = sockets
        .iter()
        .filter_map(|socket| socket.name.as_deref())
        .collect();
    let places: Vec<PathBuf> = places
        .iter()
        .map(|place| std::fs::canonicalize(place).or_else(|_| std::path::absolute(place)))
        .collect::<Result<_, _>>()?;
    // Doors elsewhere are left alone: to ask one is to open it.
    let wanted = |path: &Path| places.is_empty() || places.iter().any(|place| path.starts_with(place));
    let holds_wanted =
        |directory: &Path| wanted(directory) || places.iter().any(|place| place.parent() == Some(directory));
    let mut directories = Directories::default();
    let mut found = Vec::new();
    for (name, sockets) in of_name {
        let Some(listener) = sockets.iter().find(|socket| socket.listens) else {
            continue;
        };
        let path = name
            .parent()
            .filter(|directory| holds_wanted(directory))
            .and_then(|directory| directories.find(directory, name, listener, &strangers));
        if !path.as_deref().map_or(places.is_empty(), wanted) {
            continue;
        }
        let mut door = match path {
            Some(path) => ask(path, patience),
            None => Found::new(None, State::Hidden),
        };
        let connections = sockets.iter().filter(|socket| !socket.listens);
        door.openings = connections.filter_map(|socket| socket.peer).collect();
        found.push(door);
    }
    let known: HashSet<PathBuf> = found.iter().filter_map(|door| door.path.clone()).collect();
    for place in &places {
        found.extend(dead_in(place, &known)?);
    }
    found.sort_by(|one, other| (one.path.is_none(), &one.path).cmp(&(other.path.is_none(), &other.path)));
    found.dedup_by(|one, other| one.path.is_some() && one.path == other.path);
    Ok(found)
}

/// The sockets in the directories looked at: number and path.
#[derive(Default)]
struct Directories(HashMap<PathBuf, Vec<(u64, PathBuf)>>);

impl Directories {
    fn entries(&mut self, directory: &Path) -> &[(u64, PathBuf)] {
        self.0.entry(directory.to_owned()).or_insert_with(|| {
            let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
            let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
            sockets
                .filter_map(|entry| Some((entry.metadata().ok()?.ino(), entry.path())))
                .collect()
        })
    }

    /// The path at which a listener is now that was bound to `name` in `directory`: the file has kept its number, unless the file
    /// system makes numbers up as it goes; then the sockets there are asked for the name they were bound to.
    fn find(
        &mut self,
        directory: &Path,
        name: &Path,
        listener: &UnixSocket,
        strangers: &HashSet<&Path>,
    ) -> Option<PathBuf> {
        let entries = self.entries(directory);
        if let Some(file) = listener.file
            && let Some((_, path)) = entries.iter().find(|(number, _)| *number == file)
        {
            return Some(path.clone());
        }
        let candidates = entries.iter().map(|(_, path)| path);
        candidates
            .filter(|path| !strangers.contains(path.as_path()))
            .find(|path| {
                let fd = open_soon(path);
                fd.is_ok_and(|fd| bound_name(&fd).as_deref() == Some(name))
            })
            .cloned()
    }
}

fn bound_name(fd: &OwnedFd) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let peer = rustix::net::getpeername(fd).ok()??;
    let peer = rustix::net::SocketAddrUnix::try_from(peer).ok()?;
    let bytes = peer.path_bytes()?;
    Some(Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned())
}

/// Opens a path, of which nobody knows whether its server takes anybody in.
fn open_soon(path: &Path) -> std::io::Result<OwnedFd> {
    let soon = Instant::now().checked_add(Duration::from_secs(1));
    door::engine::open_by(path, door::engine::DeadDoor::Refuse, soon)
}

/// Opens a door and asks it about itself.
fn ask(path: PathBuf, patience: Duration) -> Found {
    let handle = match DoorHandle::open_within(&path, patience) {
        Ok(handle) => handle,
        Err(error) => {
            let state = match error.kind() {
                std::io::ErrorKind::PermissionDenied => State::Forbidden,
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => State::Dead,
                std::io::ErrorKind::TimedOut => State::Silent,
                _ => State::Hidden,
            };
            return Found::new(Some(path), state);
        }
    };
    question(Some(path), &handle, patience)
}

fn question(path: Option<PathBuf>, handle: &DoorHandle, patience: Duration) -> Found {
    let mut found = Found::new(path, State::Alive);
    match handle.info_within(patience) {
        Ok(info) if info.target.is_none() => found.state = State::Dead,
        Ok(info) => found.info = Some(info),
        Err(_) => found.state = State::Silent,
    }
    if found.state == State::Alive {
        found.statistics = handle.statistics(patience).ok();
    }
    found
}

/// Sockets at or in `place` at which nobody listens.
fn dead_in(place: &Path, known: &HashSet<PathBuf>) -> anyhow::Result<Vec<Found>> {
    let kind = std::fs::symlink_metadata(place)
        .map_err(|error| anyhow::Error::from(error).context(place.display().to_string()))?
        .file_type();
    let paths = if kind.is_dir() {
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let sockets = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
        sockets.map(|entry| entry.path()).collect()
    } else if kind.is_socket() {
        vec![place.to_owned()]
    } else {
        anyhow::bail!("{}: no door and no directory", place.display());
    };
    let paths = paths.into_iter().filter(|path| !known.contains(path));
    let dead = |path: &PathBuf| {
        let opened = open_soon(path);
        opened.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    Ok(paths
        .filter(dead)
        .map(|path| Found::new(Some(path), State::Dead))
        .collect())
}

/// Doors that processes hold without a path, as far as this user may look into their tables of descriptors. A process that holds a door
/// `known` already is added to its holders.
pub(crate) fn unattached(known: &mut Vec<Found>, patience: Duration) {
    let me = std::process::id();
    let mut by_id: HashMap<u64, usize> = known
        .iter()
        .enumerate()
        .filter_map(|(index, door)| Some((door.info?.unique, index)))
        .collect();
    let mut seen: HashMap<u64, Option<u64>> = HashMap::new();
    for pid in proc::processes().into_iter().filter(|pid| *pid != me) {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = number.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        let Some(process) = process else { continue };
        for (fd, socket) in proc::sockets_of(pid, false) {
            let unique = *seen.entry(socket).or_insert_with(|| {
                let copy = rustix::process::pidfd_getfd(&process, fd, PidfdGetfdFlags::empty()).ok()?;
                if !door::engine::is_door(copy.as_fd()) {
                    return None;
                }
                let found = question(None, &DoorHandle::from_fd(copy).ok()?, patience);
                let unique = found.info?.unique;
                by_id.entry(unique).or_insert_with(|| {
                    known.push(found);
                    known.len() - 1
                });
                Some(unique)
            });
            if let Some(index) = unique.and_then(|unique| by_id.get(&unique))
                && known[*index].server() != Some(pid)
            {
                known[*index].holders.insert(pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_doors_are_taken_for_doors() {
        for (name, expected) in [
            ("/run/.door.00000000ff.3", true),
            ("/proc/self/fd/9/.door.ffffffffff.12", true),
            ("/run/.door.ff.3", false),
            ("/run/.door.00000000ff.", false),
            ("/run/x.door", false),
        ] {
            assert_eq!(is_doors_name(Path::new(name)), expected, "{name}");
        }
    }
}
