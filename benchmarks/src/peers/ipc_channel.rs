//! `ipc-channel`: a channel each way, made known through a one-shot server; bytes travel unserialized, as its
//! documentation advises for bytes. A thread of the server for each client.

use anyhow::{Context as _, Result};
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender, bytes_channel, channel,
};
use serde::{Deserialize, Serialize};

use crate::mechanism::{Caller, Mechanism, Meeting, ready, until_told};
use crate::shape::{Argument, Kind, Shape, TOKEN_BYTES};

/// What a client says first: the server's ends of its channels.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    requests: IpcBytesReceiver,
    descriptors: IpcReceiver<IpcSender<()>>,
    replies: IpcBytesSender,
}

/// The mechanism.
#[derive(Debug)]
pub(crate) struct Channels;

impl Mechanism for Channels {
    type Caller = Client;

    fn serve(meeting: &Meeting) -> Result<()> {
        for index in 0..meeting.clients {
            let (server, name) = IpcOneShotServer::<Hello>::new()?;
            std::fs::write(meeting.path(&format!("channel-{index}")), name)?;
            let shape = meeting.shape;
            std::thread::spawn(move || {
                // A client that leaves ends its thread.
                if let Ok((_, hello)) = server.accept() {
                    let _ = answer(&hello, shape);
                }
            });
        }
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, index: u32) -> Result<Client> {
        let name = std::fs::read_to_string(meeting.path(&format!("channel-{index}")))?;
        let (requests, server_requests) = bytes_channel()?;
        let (descriptors, server_descriptors) = channel()?;
        let (server_replies, replies) = bytes_channel()?;
        let (sample, kept) = channel()?;
        IpcSender::connect(name)?
            .send(Hello {
                requests: server_requests,
                descriptors: server_descriptors,
                replies: server_replies,
            })
            .context("the server is gone")?;
        Ok(Client {
            requests,
            descriptors,
            replies,
            argument: Argument::new(meeting.shape, TOKEN_BYTES),
            sample: (meeting.shape.kind == Kind::Descriptor).then_some((sample, kept)),
        })
    }
}

fn answer(hello: &Hello, shape: Shape) -> Result<()> {
    let mut result = vec![0; shape.result().max(TOKEN_BYTES)];
    loop {
        if shape.kind == Kind::Descriptor {
            drop(hello.descriptors.recv()?);
        } else {
            let sum = shape.look(&hello.requests.recv()?);
            if shape.kind == Kind::Use {
                result[..TOKEN_BYTES].copy_from_slice(&sum.to_ne_bytes());
            }
        }
        hello.replies.send(&result)?;
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    requests: IpcBytesSender,
    descriptors: IpcSender<IpcSender<()>>,
    replies: IpcBytesReceiver,
    argument: Argument,
    /// What is sent as a descriptor, and its other end.
    sample: Option<(IpcSender<()>, IpcReceiver<()>)>,
}

impl Caller for Client {
    #[inline]
    fn call(&mut self) -> Result<()> {
        match &self.sample {
            Some((sample, _)) => self.descriptors.send(sample.clone())?,
            None => self.requests.send(self.argument.next())?,
        }
        let result = self.replies.recv()?;
        self.argument.check(&result)
    }
}
