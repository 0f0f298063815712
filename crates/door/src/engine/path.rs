//! Doors in the file system: a listening socket takes the place of the file.
//!
//! The socket is bound under a name of its own in the same directory and swapped with the file in one step. What was at the path lies
//! beside it as `.NAME.door` until the door is detached, also when the server dies: the next attachment finds it there.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::client;
use super::control::turn_away;
use super::internal::InternalFd;
use super::object::DoorObject;
use super::server::{self, mark_as_door, own_door, server_id_of, socket_pair};
use super::wait::Patience;
use crate::error::AttachError;
use crate::sys::socket;

/// What `attach` may do beyond covering a file.
#[derive(Debug, Clone, Copy)]
pub struct AttachOptions {
    /// Make the path, with mode 0600, if it does not exist. Otherwise that is `ENOENT`.
    pub create: bool,
    /// Take the place of an attachment whose server has died. Otherwise that is [`AttachError::Busy`].
    pub replace_stale: bool,
}

/// What `open` does with the attachment of a dead server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadDoor {
    /// `ECONNREFUSED`.
    Refuse,
    /// A descriptor on which calls say `Revoked`, as on Solaris.
    Yield,
}

/// The socket at a path.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The control thread's, once it has it.
    socket: OnceLock<InternalFd>,
    pub(crate) door: Arc<DoorObject>,
    path: PathBuf,
    /// Device and number of the socket's file.
    file: (u64, u64),
    /// Given up for a moment when a connection has to be taken in and no descriptor is left.
    spare: Mutex<Option<InternalFd>>,
}

impl Listener {
    /// In the control thread: what it needs to accept.
    pub(crate) fn listening(self, socket: InternalFd) -> Self {
        *super::object::lock(&self.spare) = null_file();
        Self {
            socket: OnceLock::from(socket),
            ..self
        }
    }

    pub(crate) fn socket(&self) -> &InternalFd {
        self.socket
            .get()
            .expect("a listener listens before it is watched")
    }
    /// True while the path leads to this socket.
    pub(crate) fn is_current(&self) -> bool {
        rustix::fs::lstat(&self.path).is_ok_and(|stat| identity(&stat) == self.file)
    }

    /// The next that has opened the path. One for whom there is no descriptor is turned away: it would come again for ever.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`: not even that is possible now.
    pub(crate) fn accept(&self) -> Result<Option<OwnedFd>, Errno> {
        loop {
            match rustix::net::accept_with(self.socket(), SocketFlags::CLOEXEC) {
                Ok(socket) => return Ok(Some(socket)),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                    let mut spare = super::object::lock(&self.spare);
                    drop(spare.take().or_else(null_file).ok_or(errno)?);
                    if let Ok(socket) = rustix::net::accept_with(self.socket(), SocketFlags::CLOEXEC) {
                        turn_away(&socket, &self.door, libc::EMFILE);
                    }
                    *spare = null_file();
                }
                Err(_) => return Ok(None),
            }
        }
    }
}

fn null_file() -> Option<InternalFd> {
    let file = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.ok().map(InternalFd::new)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// A path taken apart: its directory, opened, and its name there. Symbolic links at the end are followed first.
struct Place {
    directory: OwnedFd,
    name: OsString,
    path: PathBuf,
}

impl Place {
    fn of(path: &Path) -> Result<Self, AttachError> {
        if path.as_os_str().is_empty() {
            return Err(Errno::NOENT.into());
        }
        let path = std::fs::canonicalize(path).or_else(|error| {
            // It may not exist yet; its directory must. A link that leads nowhere does not count as a file.
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            if error.kind() != io::ErrorKind::NotFound || path.is_symlink() {
                return Err(error);
            }
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            Ok(std::fs::canonicalize(parent)?.join(name))
        })?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::INVAL.into());
        };
        let directory = rustix::fs::open(
            parent,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            directory,
            name: name.to_owned(),
            path,
        })
    }

    fn stat(&self, name: &OsStr) -> Result<Option<Stat>, Errno> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Where the covered file lies meanwhile.
    fn aside(&self) -> OsString {
        [OsStr::new("."), &self.name, OsStr::new(".door")]
            .iter()
            .fold(OsString::new(), |mut all, part| {
                all.push(part);
                all
            })
    }

    fn rename(&self, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.directory, from, &self.directory, to, flags)
    }

    fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())
    }
}

fn is_socket(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Socket
}

/// True if somebody listens at this socket file.
fn is_alive(path: &Path) -> io::Result<bool> {
    match connect(path, Some(Instant::now())) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => Ok(false),
        // So many wait already that there is somebody they wait for.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(true),
        // A socket of another kind: somebody's, and not ours to replace.
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Attaches a door of this process to a path. fattach(3C).
pub(crate) fn attach(door: BorrowedFd<'_>, path: &Path, options: AttachOptions) -> Result<(), AttachError> {
    let export = own_door(door).ok_or(AttachError::NotOurs)?;
    let place = Place::of(path)?;
    let covered = place.stat(&place.name)?;
    let stale = match &covered {
        None if !options.create => return Err(Errno::NOENT.into()),
        Some(stat) if is_socket(stat) => {
            if is_alive(&place.path)? || !options.replace_stale {
                return Err(AttachError::Busy);
            }
            true
        }
        _ => false,
    };
    if let Some(stat) = &covered {
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            // Everything in it would be out of reach.
            return Err(Errno::ISDIR.into());
        }
        may_cover(&place, stat)?;
    }
    let (socket, own_name) = listen(&place)?;
    let installed = install(&place, &own_name, covered.as_ref(), stale);
    let file = match installed {
        Ok(file) => file,
        Err(errno) => {
            let _ = place.unlink(&own_name);
            return Err(errno.into());
        }
    };
    let listener = Listener {
        socket: OnceLock::new(),
        door: Arc::clone(&export.door),
        path: place.path.clone(),
        file,
        spare: Mutex::new(None),
    };
    let listens = server::of_this_process().and_then(|server| server.add_listener(listener, &socket));
    if listens.is_err() && !stale {
        uninstall(&place, file, covered.is_some());
    }
    Ok(listens?)
}

/// Only the owner of a file may cover it, and only if it may be written. Root may do everything.
fn may_cover(place: &Place, stat: &Stat) -> Result<(), AttachError> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(());
    }
    if stat.st_uid != user.as_raw() {
        return Err(AttachError::NotOwner);
    }
    if !is_socket(stat) {
        rustix::fs::accessat(
            &place.directory,
            &*place.name,
            rustix::fs::Access::WRITE_OK,
            AtFlags::EACCESS,
        )?;
    }
    Ok(())
}

/// A socket that listens under a name of its own, which tells the server's id.
fn listen(place: &Place) -> Result<(OwnedFd, OsString), AttachError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let id = server::of_this_process()?.id;
    let name = OsString::from(format!(
        ".door.{id:010x}.{}",
        NUMBER.fetch_add(1, Ordering::Relaxed)
    ));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    socket::pass_credentials(socket.as_fd())?;
    // The kernel shows the address to everybody, by which the attachment can be found. Long directory names do not fit into one; a
    // number of a descriptor does.
    let short = format!("/proc/self/fd/{}/", place.directory.as_raw_fd()) + &name.to_string_lossy();
    let address = SocketAddrUnix::new(place.path.with_file_name(&name))
        .or_else(|_| SocketAddrUnix::new(short.as_str()))?;
    rustix::net::bind(&socket, &address)?;
    if let Err(errno) = rustix::net::listen(&socket, 128) {
        let _ = place.unlink(&name);
        return Err(errno.into());
    }
    Ok((socket, name))
}

/// The sticky bit, which means nothing on a socket file, tells an attached door from any other socket: libdoor's `stat` says
/// `S_IFDOOR`.
const MARK: u32 = libc::S_ISVTX;

/// Gives the socket the rights of what it covers, and swaps the two. Returns which file the socket is.
fn install(
    place: &Place,
    own_name: &OsStr,
    covered: Option<&Stat>,
    stale: bool,
) -> Result<(u64, u64), Errno> {
    let mode = covered.map_or(0o600, |stat| stat.st_mode & 0o777);
    // To call a door is to open it for reading; to connect to a socket takes the right to write.
    let mode = mode | (mode & 0o444) >> 1 | MARK;
    rustix::fs::chmodat(
        &place.directory,
        own_name,
        Mode::from_raw_mode(mode),
        AtFlags::empty(),
    )?;
    if let Some(stat) = covered {
        let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        // Only root can give a file away; the owner covers its own.
        let _ = rustix::fs::chownat(
            &place.directory,
            own_name,
            Some(user),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        );
    }
    let file = identity(&rustix::fs::statat(
        &place.directory,
        own_name,
        AtFlags::SYMLINK_NOFOLLOW,
    )?);
    match covered {
        None => place.rename(own_name, &place.name, RenameFlags::NOREPLACE)?,
        // What the dead server had covered stays aside.
        Some(_) if stale => place.rename(own_name, &place.name, RenameFlags::empty())?,
        Some(_) => {
            let aside = place.aside();
            match place.rename(own_name, &aside, RenameFlags::NOREPLACE) {
                // What an earlier door had covered, whose path was unlinked: the file goes with it, as if it had been at the path.
                Err(Errno::EXIST) => place.rename(own_name, &aside, RenameFlags::empty())?,
                other => other?,
            }
            if let Err(errno) = place.rename(&aside, &place.name, RenameFlags::EXCHANGE) {
                let _ = place.unlink(&aside);
                return Err(errno);
            }
        }
    }
    Ok(file)
}

/// Undoes [`install`] where nobody will listen: what was there comes back. In place of a dead door's socket there may be another.
fn uninstall(place: &Place, file: (u64, u64), covers: bool) {
    let is_ours = |stat: Stat| identity(&stat) == file;
    if place
        .stat(&place.name)
        .is_ok_and(|stat| stat.is_some_and(is_ours))
    {
        let _ = if covers {
            place.rename(&place.aside(), &place.name, RenameFlags::empty())
        } else {
            place.unlink(&place.name)
        };
    }
}

/// Detaches whatever door is attached to a path, of this process or another's. fdetach(3C).
pub(crate) fn detach(path: &Path) -> Result<(), AttachError> {
    let place = Place::of(path)?;
    let Some(stat) = place.stat(&place.name)? else {
        return uncover(&place);
    };
    if !is_socket(&stat) {
        return Err(AttachError::NotAttached);
    }
    let user = rustix::process::geteuid();
    if !user.is_root() && stat.st_uid != user.as_raw() {
        return Err(AttachError::NotOwner);
    }
    // A descriptor from before, to tell its server afterwards. One that stands still hears of it when it goes on.
    let soon = Instant::now().checked_add(Duration::from_secs(1));
    let door = connect(&place.path, soon)
        .ok()
        .filter(|door| server_id_of(door.as_fd()).is_some());
    let aside = place.aside();
    if place.stat(&aside)?.is_some() {
        place.rename(&aside, &place.name, RenameFlags::empty())?;
    } else {
        place.unlink(&place.name)?;
    }
    if let Some(door) = door {
        if let Some(server) = server::existing()
            && server_id_of(door.as_fd()) == Some(server.id)
        {
            server.check_paths()?;
        } else {
            // If it dies now, its listener dies with it.
            let _ = client::path_changed(door.as_fd(), &Patience::until(soon));
        }
    }
    Ok(())
}

/// Somebody has removed a path under which a door had covered a file: that one can still come back.
fn uncover(place: &Place) -> Result<(), AttachError> {
    let aside = place.aside();
    let stat = place
        .stat(&aside)?
        .ok_or_else(|| AttachError::from(Errno::NOENT))?;
    let user = rustix::process::geteuid();
    if !user.is_root() && stat.st_uid != user.as_raw() {
        return Err(AttachError::NotOwner);
    }
    Ok(place.rename(&aside, &place.name, RenameFlags::NOREPLACE)?)
}

/// Opens the door attached to a path. As long as very many have opened it whom its server has not taken in, others wait, until `deadline`.
pub(crate) fn open(path: &Path, dead: DeadDoor, deadline: Option<Instant>) -> io::Result<OwnedFd> {
    let file = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    if !is_socket(&rustix::fs::fstat(&file)?) {
        return Err(io::Error::from_raw_os_error(libc::ENXIO));
    }
    match connect_file(&file, deadline) {
        Ok(door) if server_id_of(door.as_fd()).is_some() => Ok(door),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::ENXIO)),
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) if dead == DeadDoor::Yield => {
                // Its other end is closed at once: a door whose server is gone.
                let (door, _) = socket_pair()?;
                mark_as_door(door.as_fd(), 0)?;
                Ok(door)
            }
            Some(libc::EPROTOTYPE) => Err(io::Error::from_raw_os_error(libc::ENXIO)),
            _ => Err(error),
        },
    }
}

fn connect(path: &Path, deadline: Option<Instant>) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    connect_file(&rustix::fs::openat(CWD, path, flags, Mode::empty())?, deadline)
}

/// Connects to a socket file. If the name it was bound to says that it is a door, so does the result.
fn connect_file(file: &OwnedFd, deadline: Option<Instant>) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let address = format!("/proc/self/fd/{}", file.as_raw_fd());
    let address = SocketAddrUnix::new(address.as_str())?;
    loop {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            // Nothing would mean for ever.
            let left = left.max(Duration::from_millis(1));
            set_socket_timeout(&socket, Timeout::Send, Some(left))?;
        }
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if deadline.is_some() => return Err(io::ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    set_socket_timeout(&socket, Timeout::Send, None)?;
    let peer = rustix::net::getpeername(&socket)?.and_then(|peer| SocketAddrUnix::try_from(peer).ok());
    let bound = peer
        .and_then(|peer| peer.path_bytes().map(<[u8]>::to_vec))
        .unwrap_or_default();
    if let Some(id) = server_id_in(&bound) {
        mark_as_door(socket.as_fd(), id)?;
    }
    Ok(socket)
}

/// The server's id from the name a listener was bound to: `…/.door.ID.NUMBER`.
pub(crate) fn server_id_in(bound: &[u8]) -> Option<u64> {
    let path = PathBuf::from(OsString::from_vec(bound.to_vec()));
    let name = path.file_name()?.as_bytes().strip_prefix(b".door.")?;
    let digits = std::str::from_utf8(name.split(|byte| *byte == b'.').next()?).ok()?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    (id != 0 && id < 1 << 40).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_name_tells_the_server() {
        assert_eq!(server_id_in(b"/proc/self/fd/9/.door.00000000ff.3"), Some(255));
        assert_eq!(server_id_in(b"/tmp/.door.zz.3"), None);
        assert_eq!(server_id_in(b"/tmp/.door.fffffffffff.3"), None);
        assert_eq!(server_id_in(b""), None);
    }
}
