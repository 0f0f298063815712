//! Unix sockets, as a program uses them that has no library: a thread of the server for each connection.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result, bail};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::mechanism::{Caller, Mechanism, Meeting, ready, some_descriptor, until_told};
use crate::shape::{Argument, Kind, Shape, TOKEN_BYTES};

/// What kind of socket.
pub(crate) trait Type {
    const TYPE: SocketType;
    /// The greatest piece that is sent at once.
    const PIECE: usize;
}

/// `SOCK_STREAM`.
#[derive(Debug)]
pub(crate) struct Stream;

impl Type for Stream {
    const TYPE: SocketType = SocketType::STREAM;
    const PIECE: usize = usize::MAX;
}

/// `SOCK_SEQPACKET`.
#[derive(Debug)]
pub(crate) struct Packets;

impl Type for Packets {
    const TYPE: SocketType = SocketType::SEQPACKET;
    /// Below the usual buffer of a socket, so that the next packet can be made while one is read.
    const PIECE: usize = 64 << 10;
}

const BACKLOG: i32 = 4096;

/// The mechanism.
#[derive(Debug)]
pub(crate) struct Socket<T>(PhantomData<T>);

impl<T: Type> Mechanism for Socket<T> {
    type Caller = Client<T>;

    fn serve(meeting: &Meeting) -> Result<()> {
        let shape = meeting.shape;
        let listener = socket::<T>()?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(meeting.path("socket"))?)?;
        rustix::net::listen(&listener, BACKLOG)?;
        std::thread::spawn(move || {
            while let Ok(connection) = rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
                std::thread::spawn(move || answer::<T>(&connection, shape));
            }
        });
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, _index: u32) -> Result<Client<T>> {
        let shape = meeting.shape;
        let socket = socket::<T>()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(meeting.path("socket"))?)
            .context("cannot connect")?;
        Ok(Client {
            socket,
            argument: Argument::new(shape, TOKEN_BYTES),
            result: vec![0; shape.result().max(TOKEN_BYTES)],
            descriptor: (shape.kind == Kind::Descriptor)
                .then(|| some_descriptor(&meeting.dir))
                .transpose()?,
            socket_type: PhantomData,
        })
    }
}

fn socket<T: Type>() -> Result<OwnedFd> {
    let made = rustix::net::socket_with(AddressFamily::UNIX, T::TYPE, SocketFlags::CLOEXEC, None);
    made.context("cannot make a socket")
}

/// Serves one client until it leaves.
fn answer<T: Type>(connection: &OwnedFd, shape: Shape) {
    let mut argument = vec![0; shape.argument().max(TOKEN_BYTES)];
    let mut result = vec![0; shape.result().max(TOKEN_BYTES)];
    loop {
        let received = if shape.kind == Kind::Descriptor {
            receive_descriptor(connection, &mut argument)
        } else {
            receive::<T>(connection, &mut argument)
        };
        if received.is_err() {
            return;
        }
        let sum = shape.look(&argument);
        if shape.kind == Kind::Use {
            result[..TOKEN_BYTES].copy_from_slice(&sum.to_ne_bytes());
        }
        if send::<T>(connection, &result).is_err() {
            return;
        }
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client<T> {
    socket: OwnedFd,
    argument: Argument,
    result: Vec<u8>,
    descriptor: Option<File>,
    socket_type: PhantomData<T>,
}

impl<T: Type> Caller for Client<T> {
    #[inline]
    fn call(&mut self) -> Result<()> {
        let argument = self.argument.next();
        match &self.descriptor {
            Some(descriptor) => send_descriptor(&self.socket, argument, descriptor.as_fd())?,
            None => send::<T>(&self.socket, argument)?,
        }
        receive::<T>(&self.socket, &mut self.result)?;
        self.argument.check(&self.result)
    }
}

fn send<T: Type>(socket: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let piece = &bytes[..bytes.len().min(T::PIECE)];
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(socket, piece, SendFlags::NOSIGNAL))?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn receive<T: Type>(socket: &OwnedFd, mut room: &mut [u8]) -> Result<()> {
    while !room.is_empty() {
        let piece = room.len().min(T::PIECE);
        let (got, _) =
            rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut room[..piece], RecvFlags::empty()))?;
        if got == 0 {
            bail!("the other side is gone");
        }
        room = &mut room[got..];
    }
    Ok(())
}

fn send_descriptor(socket: &OwnedFd, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Result<()> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Takes a message with one descriptor, and closes it.
fn receive_descriptor(socket: &OwnedFd, room: &mut [u8]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(room)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors: usize = ancillary
        .drain()
        .map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.map(drop).count(),
            _ => 0,
        })
        .sum();
    if got.bytes != room.len() || descriptors != 1 {
        bail!("a message without its descriptor");
    }
    Ok(())
}
