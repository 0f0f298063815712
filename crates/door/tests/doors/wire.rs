//! The wire by hand, for peers that do not keep to the rules: records, and where the words of a link's memory are.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use door::DoorHandle;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

pub(crate) const LANES: usize = 64;
pub(crate) const WINDOW_BYTES: usize = 256 << 10;
/// Step of a stream.
pub(crate) const CHUNK_BYTES: u64 = 64 << 10;
/// Size of the memory of a link: header, 64 lanes and 64 windows.
pub(crate) const LINK_BYTES: usize = 4096 + LANES * ((16 << 10) + WINDOW_BYTES);
/// Magic and version, in front of the kind of each record.
const HEAD: [u8; 6] = *b"DRLN\x01\x00";

/// In the word that says whether a thread keeps to a lane: it sleeps there.
pub(crate) const DOZES: u32 = 1 << 31;

/// Words of a lane, by their offset.
pub(crate) mod word {
    pub(crate) const REQ: usize = 0;
    pub(crate) const REQUEST_DESCRIPTORS: usize = 8;
    pub(crate) const HANDLE: usize = 16;
    pub(crate) const REQUEST_LEN: usize = 24;
    pub(crate) const ARGUMENT_INLINE: usize = 32;
    pub(crate) const REP: usize = 128;
    pub(crate) const STATUS: usize = 132;
    pub(crate) const REPLY_DESCRIPTORS: usize = 136;
    pub(crate) const REPLY_LEN: usize = 144;
    pub(crate) const PLACE: usize = 152;
    pub(crate) const RESULT_INLINE: usize = 160;
    pub(crate) const ACC: usize = 256;
    pub(crate) const RD: usize = 384;
    pub(crate) const TICK: usize = 392;
    pub(crate) const NOTICE: usize = 396;
    pub(crate) const STALLED: usize = 400;
    pub(crate) const MADE: usize = 408;
    pub(crate) const SPILLED: usize = 416;
    pub(crate) const SETTLED: usize = 424;
    pub(crate) const SLEEP: usize = 512;
    pub(crate) const WR: usize = 520;
    pub(crate) const EATEN: usize = 536;
}

/// A record's first eight bytes.
pub(crate) fn head(kind: u16) -> [u8; 8] {
    let mut head = [0; 8];
    head[..6].copy_from_slice(&HEAD);
    head[6..].copy_from_slice(&kind.to_le_bytes());
    head
}

/// A well-formed HELLO.
pub(crate) fn hello() -> [u8; 32] {
    let mut record = [0; 32];
    record[..8].copy_from_slice(&head(1));
    record
}

/// A note: 1 descriptors, 2 file, 3 wake, 4 challenge.
pub(crate) fn note(kind: u16, lane: u32, seq: u32, first: u32, len: u64) -> [u8; 32] {
    let mut record = [0; 32];
    record[..8].copy_from_slice(&head(kind));
    record[8..12].copy_from_slice(&lane.to_le_bytes());
    record[12..16].copy_from_slice(&seq.to_le_bytes());
    record[16..20].copy_from_slice(&first.to_le_bytes());
    record[24..].copy_from_slice(&len.to_le_bytes());
    record
}

/// `bytes` of stream `seq`, as a word of progress.
pub(crate) fn progress(seq: u32, bytes: u64) -> u64 {
    u64::from(seq) << 40 | bytes
}

pub(crate) fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    // A full queue is as good as a sent record here.
    let _ = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
    );
}

/// Waits for a record; `None` at the end of the file.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253), ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 256];
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let received = rustix::net::recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    bytes.truncate(received.bytes);
    (received.bytes > 0).then_some((bytes, fds))
}

/// The memory of a link, mapped by somebody who writes there what it likes.
#[derive(Clone, Copy)]
pub(crate) struct LinkMemory(&'static [AtomicU8]);

impl LinkMemory {
    pub(crate) fn map(memory: &OwnedFd) -> Self {
        let protection = rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE;
        let flags = rustix::mm::MapFlags::SHARED;
        // SAFETY: a fresh mapping of a file that cannot shrink; it is never unmapped, and only accessed atomically.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), LINK_BYTES, protection, flags, memory, 0).unwrap()
        };
        // SAFETY: as above.
        Self(unsafe { std::slice::from_raw_parts(base.cast::<AtomicU8>(), LINK_BYTES) })
    }

    pub(crate) fn lane(index: usize) -> usize {
        4096 + index * (16 << 10)
    }

    pub(crate) fn write(self, offset: usize, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            self.0[offset + at].store(*byte, Ordering::SeqCst);
        }
    }

    pub(crate) fn byte(self, offset: usize) -> u8 {
        self.0[offset].load(Ordering::SeqCst)
    }

    /// A word of a lane.
    pub(crate) fn word(self, lane: usize, offset: usize) -> &'static AtomicU32 {
        let place = self.0[Self::lane(lane) + offset..][..4].as_ptr();
        assert!(place.cast::<u32>().is_aligned());
        // SAFETY: aligned, inside the mapping, and only accessed atomically.
        unsafe { &*place.cast::<AtomicU32>() }
    }

    pub(crate) fn double_word(self, lane: usize, offset: usize) -> &'static AtomicU64 {
        let place = self.0[Self::lane(lane) + offset..][..8].as_ptr();
        assert!(place.cast::<u64>().is_aligned());
        // SAFETY: aligned, inside the mapping, and only accessed atomically.
        unsafe { &*place.cast::<AtomicU64>() }
    }

    /// Whether a server thread keeps to a lane, and sleeps on it.
    pub(crate) fn attending(self, lane: usize) -> &'static AtomicU32 {
        let place = self.0[1024 + 4 * lane..][..4].as_ptr();
        assert!(place.cast::<u32>().is_aligned());
        // SAFETY: aligned, inside the mapping, and only accessed atomically.
        unsafe { &*place.cast::<AtomicU32>() }
    }

    /// Gives a page back to the system: it reads as zeros afterwards.
    pub(crate) fn punch(self, page: usize) {
        let base = self.0[page * 4096..][..4096].as_ptr().cast_mut().cast();
        // SAFETY: inside the mapping; only its content changes, which is accessed atomically.
        let _ = unsafe { rustix::mm::madvise(base, 4096, rustix::mm::Advice::LinuxRemove) };
    }
}

/// A client made by hand: its socket, the link's memory, the bell, and the handle of the door.
pub(crate) struct RogueClient {
    /// As long as it is held the handle is good.
    _door: DoorHandle,
    pub(crate) socket: OwnedFd,
    pub(crate) memory: LinkMemory,
    pub(crate) bell: OwnedFd,
    pub(crate) handle: u64,
    token: [u8; 16],
    bells: Vec<OwnedFd>,
}

impl RogueClient {
    pub(crate) fn new(door: DoorHandle) -> Self {
        let (ours, theirs) = pair(SocketType::SEQPACKET);
        send(door.as_fd(), &hello(), &[theirs.as_fd()]);
        drop(theirs);
        let (answer, mut fds) = receive(ours.as_fd()).unwrap();
        let bell = fds.pop().unwrap();
        let memory = LinkMemory::map(&fds.pop().unwrap());
        let handle = u64::from_le_bytes(answer[16..24].try_into().unwrap());
        Self {
            _door: door,
            socket: ours,
            memory,
            bell,
            handle,
            token: answer[24..40].try_into().unwrap(),
            bells: Vec::new(),
        }
    }

    /// Makes another door of the same server known to the link; its handle there.
    pub(crate) fn attach(&mut self, door: &DoorHandle) -> u64 {
        let (ours, theirs) = pair(SocketType::SEQPACKET);
        let mut record = [0; 32];
        record[..8].copy_from_slice(&head(2));
        record[16..].copy_from_slice(&self.token);
        send(door.as_fd(), &record, &[theirs.as_fd()]);
        drop(theirs);
        let (answer, bells) = receive(ours.as_fd()).unwrap();
        self.bells.extend(bells);
        u64::from_le_bytes(answer[16..24].try_into().unwrap())
    }

    /// Rings for these lanes, a bit each.
    pub(crate) fn ring(&self, lanes: u64) {
        self.memory.write(256, &lanes.to_le_bytes());
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Posts request `seq` of `len` bytes on a lane, without ringing.
    pub(crate) fn post(&self, lane: usize, seq: u32, len: u64) {
        let memory = self.memory;
        memory
            .double_word(lane, word::HANDLE)
            .store(self.handle, Ordering::SeqCst);
        memory
            .double_word(lane, word::REQUEST_LEN)
            .store(len, Ordering::SeqCst);
        memory.word(lane, word::REQ).store(seq, Ordering::SeqCst);
    }
}

/// A server made by hand, for one client process: nothing is answered unless a test does it.
pub(crate) struct RogueServer {
    _control: OwnedFd,
    /// Its end of the client's link, once there is one.
    pub(crate) link: OwnedFd,
    pub(crate) memory: LinkMemory,
    _bell: OwnedFd,
    seen: [AtomicU32; LANES],
}

impl RogueServer {
    /// A door descriptor, and the end its server holds.
    pub(crate) fn door() -> (OwnedFd, OwnedFd) {
        use std::sync::atomic::AtomicI64;
        static NEXT: AtomicI64 = AtomicI64::new(1);
        let (door, control) = pair(SocketType::SEQPACKET);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = std::time::Duration::from_secs(((0x1D0A << 40) | id).cast_unsigned());
        rustix::net::sockopt::set_socket_timeout(&door, rustix::net::sockopt::Timeout::Recv, Some(mark))
            .unwrap();
        (door, control)
    }

    /// Waits for a HELLO on `control` and answers it with `bell`.
    pub(crate) fn welcome(control: OwnedFd, bell: OwnedFd) -> Self {
        use rustix::fs::{MemfdFlags, SealFlags};
        let (record, mut fds) = receive(control.as_fd()).unwrap();
        assert_eq!(record[..8], head(1));
        let link = fds.pop().unwrap();
        let memfd =
            rustix::fs::memfd_create("rogue", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&memfd, LINK_BYTES as u64).unwrap();
        rustix::fs::fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
        let mut answer = [0; 104];
        answer[..8].copy_from_slice(&head(0x8000));
        answer[16..24].copy_from_slice(&(1u64 << 32).to_le_bytes());
        answer[96..].copy_from_slice(&(LINK_BYTES as u64).to_le_bytes());
        let memory = LinkMemory::map(&memfd);
        send(link.as_fd(), &answer, &[memfd.as_fd(), bell.as_fd()]);
        Self {
            _control: control,
            link,
            memory,
            _bell: bell,
            seen: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// The same with a proper bell.
    pub(crate) fn serve(control: OwnedFd) -> Self {
        use rustix::event::EventfdFlags;
        let bell = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        Self::welcome(control, bell)
    }

    /// Waits for a request this has not told yet: its lane and number.
    pub(crate) fn request(&self) -> (usize, u32) {
        loop {
            for (lane, seen) in self.seen.iter().enumerate() {
                let seq = self.memory.word(lane, word::REQ).load(Ordering::SeqCst);
                if seen.swap(seq, Ordering::Relaxed) != seq {
                    self.memory.word(lane, word::ACC).store(seq, Ordering::SeqCst);
                    return (lane, seq);
                }
            }
            std::thread::yield_now();
        }
    }

    /// Answers with nothing but `descriptors`, which were sent before.
    pub(crate) fn answer(&self, lane: usize, seq: u32, descriptors: u32) {
        let memory = self.memory;
        memory.word(lane, word::STATUS).store(0, Ordering::SeqCst);
        memory
            .word(lane, word::REPLY_DESCRIPTORS)
            .store(descriptors, Ordering::SeqCst);
        memory
            .double_word(lane, word::REPLY_LEN)
            .store(0, Ordering::SeqCst);
        memory.word(lane, word::PLACE).store(0, Ordering::SeqCst);
        self.complete(lane, seq);
    }

    /// Publishes the answer that was put together before.
    pub(crate) fn complete(&self, lane: usize, seq: u32) {
        self.memory.word(lane, word::REP).store(seq, Ordering::SeqCst);
        self.wake(lane);
    }

    pub(crate) fn wake(&self, lane: usize) {
        let tick = self.memory.word(lane, word::TICK);
        if self.memory.word(lane, word::SLEEP).load(Ordering::SeqCst) == 2 {
            send(
                self.link.as_fd(),
                &note(3, u32::try_from(lane).unwrap(), 0, 0, 0),
                &[],
            );
        }
        tick.fetch_add(1, Ordering::SeqCst);
        let _ = rustix::thread::futex::wake(tick, rustix::thread::futex::Flags::empty(), 1);
    }
}
