//! `zbus` without a bus: a peer-to-peer connection on a Unix socket for each client, on the library's own runtime; bytes as
//! `serde_bytes`.

use std::fs::File;
use std::os::unix::net::{UnixListener, UnixStream};

use anyhow::{Context as _, Result};
use serde_bytes::{ByteBuf, Bytes};
use zbus::connection::Builder;
use zbus::wire::{Fd, OwnedFd};
use zbus::{Connection, Guid, interface};

use crate::mechanism::{Caller, Mechanism, Meeting, ready, some_descriptor, until_told};
use crate::shape::{Argument, Kind, Shape};

const OBJECT: &str = "/calls";
const INTERFACE: &str = "org.example.Calls";

struct Calls {
    shape: Shape,
}

#[interface(name = "org.example.Calls")]
impl Calls {
    fn call(&self, argument: ByteBuf) -> ByteBuf {
        let sum = self.shape.look(&argument);
        match self.shape.kind {
            Kind::Use => ByteBuf::from(sum.to_ne_bytes()),
            _ => ByteBuf::from(vec![0; self.shape.result()]),
        }
    }

    fn take(&self, descriptor: OwnedFd) {
        drop(descriptor);
    }
}

/// The mechanism.
#[derive(Debug)]
pub(crate) struct Zbus;

impl Mechanism for Zbus {
    type Caller = Client;

    fn serve(meeting: &Meeting) -> Result<()> {
        let listener = UnixListener::bind(meeting.path("zbus"))?;
        let shape = meeting.shape;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    zbus::block_on(async move {
                        let connection = Builder::unix_stream(stream)
                            .server(Guid::generate())
                            .p2p()
                            .serve_at(OBJECT, Calls { shape })
                            .build()
                            .await?;
                        connection.closed().await;
                        anyhow::Ok(())
                    })
                });
            }
        });
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, _index: u32) -> Result<Client> {
        let stream = UnixStream::connect(meeting.path("zbus"))?;
        let connection =
            zbus::block_on(Builder::unix_stream(stream).p2p().build()).context("cannot connect")?;
        Ok(Client {
            connection,
            argument: Argument::new(meeting.shape, 0),
            descriptor: (meeting.shape.kind == Kind::Descriptor)
                .then(|| some_descriptor(&meeting.dir))
                .transpose()?,
        })
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    argument: Argument,
    descriptor: Option<File>,
}

impl Caller for Client {
    #[inline]
    fn call(&mut self) -> Result<()> {
        let none = None::<&str>;
        if let Some(descriptor) = &self.descriptor {
            let body = (Fd::from(descriptor),);
            zbus::block_on(
                self.connection
                    .call_method(none, OBJECT, Some(INTERFACE), "Take", &body),
            )?;
            return Ok(());
        }
        let body = (Bytes::new(self.argument.next()),);
        let reply =
            zbus::block_on(
                self.connection
                    .call_method(none, OBJECT, Some(INTERFACE), "Call", &body),
            )?;
        let result: ByteBuf = reply.body().deserialize()?;
        self.argument.check(&result)
    }
}
