//! What every mechanism has: a serving side and calling sides, in processes of their own.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::shape::Shape;

/// What both sides know before they meet.
#[derive(Debug, Clone)]
pub(crate) struct Meeting {
    /// An empty folder of their own.
    pub(crate) dir: PathBuf,
    /// The calls that will be made.
    pub(crate) shape: Shape,
    /// How many clients will come. A client is one thread that calls.
    pub(crate) clients: u32,
}

impl Meeting {
    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// A way to call another process.
pub(crate) trait Mechanism {
    /// A client.
    type Caller: Caller;

    /// Serves until [`until_told`] returns; calls [`ready`] when clients can come.
    fn serve(meeting: &Meeting) -> Result<()>;

    /// Makes client number `index`, on the thread that will call.
    fn connect(meeting: &Meeting, index: u32) -> Result<Self::Caller>;
}

/// Somebody who calls.
pub(crate) trait Caller {
    /// One call of the shape agreed on, to its end.
    fn call(&mut self) -> Result<()>;
}

/// Tells whoever started this process that it is ready.
pub(crate) fn ready() -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(b"ready\n")?;
    out.flush().context("nobody listens")
}

/// Waits until whoever started this process closes its input, or ends.
pub(crate) fn until_told() {
    let mut rest = Vec::new();
    // An error means the same as the end.
    let _ = std::io::stdin().read_to_end(&mut rest);
}

/// All mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Doors, from Rust.
    Door,
    /// Doors, through the C interface.
    CDoor,
    /// Shared memory, both sides spinning: a limit.
    Memory,
    /// Shared memory and a futex each way: a limit.
    Futex,
    /// A Unix stream socket.
    Stream,
    /// A Unix socket of packets.
    Seqpacket,
    /// No call at all: what is sent is copied twice.
    Memcpy,
    /// iceoryx2, polling.
    #[cfg(feature = "peers")]
    Iceoryx2,
    /// iceoryx2, waiting for events.
    #[cfg(feature = "peers")]
    Iceoryx2Events,
    /// ipc-channel.
    #[cfg(feature = "peers")]
    IpcChannel,
    /// zbus, peer to peer.
    #[cfg(feature = "peers")]
    Zbus,
    /// tarpc over a Unix socket.
    #[cfg(feature = "peers")]
    Tarpc,
}

/// A visitor of the type that a [`Name`] stands for.
pub(crate) trait Visit {
    /// Goes there.
    fn visit<M: Mechanism>(self) -> Result<()>;
}

impl Name {
    /// Leads `visitor` to the mechanism.
    pub(crate) fn accept(self, visitor: impl Visit) -> Result<()> {
        #[cfg(feature = "peers")]
        use crate::peers;
        use crate::{doors, limits};
        match self {
            Self::Door => visitor.visit::<doors::rust::Doors>(),
            Self::CDoor => visitor.visit::<doors::c::Doors>(),
            Self::Memory => visitor.visit::<limits::memory::SharedMemory<limits::memory::Spinning>>(),
            Self::Futex => visitor.visit::<limits::memory::SharedMemory<limits::memory::Sleeping>>(),
            Self::Stream => visitor.visit::<limits::socket::Socket<limits::socket::Stream>>(),
            Self::Seqpacket => visitor.visit::<limits::socket::Socket<limits::socket::Packets>>(),
            Self::Memcpy => visitor.visit::<limits::memcpy::TwoCopies>(),
            #[cfg(feature = "peers")]
            Self::Iceoryx2 => visitor.visit::<peers::iceoryx2::RequestResponse<peers::iceoryx2::Polling>>(),
            #[cfg(feature = "peers")]
            Self::Iceoryx2Events => {
                visitor.visit::<peers::iceoryx2::RequestResponse<peers::iceoryx2::Events>>()
            }
            #[cfg(feature = "peers")]
            Self::IpcChannel => visitor.visit::<peers::ipc_channel::Channels>(),
            #[cfg(feature = "peers")]
            Self::Zbus => visitor.visit::<peers::zbus::Zbus>(),
            #[cfg(feature = "peers")]
            Self::Tarpc => visitor.visit::<peers::tarpc::Tarpc>(),
        }
    }
}

/// A descriptor that clients send: of the folder, so that it is nothing special.
pub(crate) fn some_descriptor(dir: &Path) -> Result<std::fs::File> {
    std::fs::File::open(dir).with_context(|| format!("cannot open {}", dir.display()))
}
