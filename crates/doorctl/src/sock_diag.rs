//! The Unix sockets of this machine, as the kernel lists them: sock_diag(7), or /proc/net/unix where that is not to be had.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

/// One record socket that has a name, or a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnixSocket {
    /// Number of the socket, as in the links of /proc/PID/fd.
    pub(crate) inode: u64,
    pub(crate) listens: bool,
    /// The name it was bound to; for a connection, that of the listener it came to.
    pub(crate) name: Option<PathBuf>,
    /// Number of the file that binding made.
    pub(crate) file: Option<u64>,
    /// Number of the socket at the other end.
    pub(crate) peer: Option<u64>,
}

/// All record sockets of this network namespace.
pub(crate) fn sockets() -> anyhow::Result<Vec<UnixSocket>> {
    ask_kernel().or_else(|_| Ok(parse_proc(&std::fs::read("/proc/net/unix")?)))
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const UNIX: u8 = 1;
const SEQPACKET: u8 = 5;
const LISTEN: u8 = 10;
const SHOW_NAME_VFS_PEER: u32 = 1 | 2 | 4;

/// sock_diag(7), `unix_diag_req`.
fn request() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(40u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and sender
    bytes.extend([UNIX, 0, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes()); // all states
    bytes.extend(0u32.to_ne_bytes()); // all sockets
    bytes.extend(SHOW_NAME_VFS_PEER.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes
}

fn ask_kernel() -> anyhow::Result<Vec<UnixSocket>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let mut sockets = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (len, _) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = &buffer[..len];
        while let Some((kind, body)) = next_message(&mut rest) {
            match kind {
                NLMSG_DONE => return Ok(sockets),
                NLMSG_ERROR => anyhow::bail!("the kernel lists no Unix sockets"),
                SOCK_DIAG_BY_FAMILY => sockets.extend(parse(body)),
                _ => {}
            }
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Splits the next message off: its kind and its body. Lengths are padded to 4.
fn next_message<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let len = usize::try_from(u32_at(rest, 0)?).ok()?;
    let kind = u16_at(rest, 4)?;
    let body = rest.get(16..len)?;
    *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body))
}

/// `unix_diag_msg` and its attributes; `None` for other than record sockets.
fn parse(body: &[u8]) -> Option<UnixSocket> {
    let (kind, state) = (*body.get(1)?, *body.get(2)?);
    if kind != SEQPACKET {
        return None;
    }
    let mut socket = UnixSocket {
        inode: u32_at(body, 4)?.into(),
        listens: state == LISTEN,
        name: None,
        file: None,
        peer: None,
    };
    let mut rest = body.get(16..)?;
    while let (Some(len), Some(attribute)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let Some(value) = rest.get(4..len.into()) else {
            break;
        };
        match attribute {
            0 => socket.name = path_of(value),
            1 => socket.file = u32_at(value, 0).map(Into::into),
            2 => socket.peer = u32_at(value, 0).map(Into::into),
            _ => {}
        }
        rest = rest
            .get(usize::from(len).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(socket)
}

/// A name in the file system; abstract ones begin with 0.
fn path_of(name: &[u8]) -> Option<PathBuf> {
    let name = name.split(|byte| *byte == 0).next()?;
    (!name.is_empty()).then(|| OsString::from_vec(name.to_vec()).into())
}

/// `Num RefCount Protocol Flags Type St Inode Path`, proc_net(5).
fn parse_proc(text: &[u8]) -> Vec<UnixSocket> {
    const ACCEPTS: u32 = 0x0001_0000;
    let parse = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        let mut words = text.split_ascii_whitespace();
        let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        let kind = u32::from_str_radix(words.next()?, 16).ok()?;
        let inode: u64 = words.nth(1)?.parse().ok()?;
        // The path may have blanks in it: it is the rest, after the word before it.
        let at = text
            .rfind(&format!(" {inode} "))
            .map(|at| at + format!(" {inode} ").len());
        let name = at.and_then(|at| path_of(line.get(at..)?));
        (kind == u32::from(SEQPACKET)).then_some(UnixSocket {
            inode,
            listens: flags & ACCEPTS != 0,
            name,
            file: None,
            peer: None,
        })
    };
    text.split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_proc_tell_of_the_same_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("with blank");
        let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        let address = rustix::net::SocketAddrUnix::new(&path).unwrap();
        rustix::net::bind(&socket, &address).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        let find = |all: Vec<UnixSocket>| {
            all.into_iter()
                .find(|one| one.name.as_ref() == Some(&path))
                .unwrap()
        };
        let told = find(ask_kernel().unwrap());
        let read = find(parse_proc(&std::fs::read("/proc/net/unix").unwrap()));
        assert!(told.listens && read.listens);
        assert_eq!(told.inode, read.inode);
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(told.file, Some(std::fs::metadata(&path).unwrap().ino()));
        assert_eq!(told.peer, None);
    }

    #[test]
    fn what_is_cut_short_is_left_out() {
        assert_eq!(parse(&[1, SEQPACKET, LISTEN]), None);
        let mut rest: &[u8] = &[200, 0, 0, 0, 20, 0];
        assert!(next_message(&mut rest).is_none());
        assert!(parse_proc(b"Num\nx y\n").is_empty());
    }
}
