//! `tarpc` over a Unix socket with its `bincode` transport; bytes as `serde_bytes`. The server runs on tokio's threads, each
//! client has a runtime on its own thread, which is faster for one call at a time.

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use serde_bytes::ByteBuf;
use tarpc::server::{BaseChannel, Channel as _};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::{client, context, serde_transport};
use tokio::runtime::Runtime;

use crate::mechanism::{Caller, Mechanism, Meeting, ready, until_told};
use crate::shape::{Argument, Kind, Shape};

#[tarpc::service]
trait Calls {
    /// The only call.
    async fn call(argument: ByteBuf) -> ByteBuf;
}

#[derive(Debug, Clone)]
struct Server {
    shape: Shape,
}

impl Calls for Server {
    async fn call(self, _: context::Context, argument: ByteBuf) -> ByteBuf {
        let sum = self.shape.look(&argument);
        match self.shape.kind {
            Kind::Use => ByteBuf::from(sum.to_ne_bytes()),
            _ => ByteBuf::from(vec![0; self.shape.result()]),
        }
    }
}

/// The mechanism.
#[derive(Debug)]
pub(crate) struct Tarpc;

impl Mechanism for Tarpc {
    type Caller = Client;

    fn serve(meeting: &Meeting) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let server = Server { shape: meeting.shape };
        let path = meeting.path("tarpc");
        let mut incoming = runtime.block_on(serde_transport::unix::listen(path, Bincode::default))?;
        incoming.config_mut().max_frame_length(usize::MAX);
        runtime.spawn(async move {
            while let Some(Ok(transport)) = incoming.next().await {
                let requests = BaseChannel::with_defaults(transport).execute(server.clone().serve());
                tokio::spawn(requests.for_each(|answer| async {
                    tokio::spawn(answer);
                }));
            }
        });
        ready()?;
        until_told();
        Ok(())
    }

    fn connect(meeting: &Meeting, _index: u32) -> Result<Client> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut connecting = serde_transport::unix::connect(meeting.path("tarpc"), Bincode::default);
        connecting.config_mut().max_frame_length(usize::MAX);
        let transport = runtime.block_on(connecting).context("cannot connect")?;
        let client = {
            let _inside = runtime.enter();
            CallsClient::new(client::Config::default(), transport).spawn()
        };
        Ok(Client {
            runtime,
            client,
            argument: Argument::new(meeting.shape, 0),
        })
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    client: CallsClient,
    argument: Argument,
}

impl Caller for Client {
    #[inline]
    fn call(&mut self) -> Result<()> {
        let argument = ByteBuf::from(self.argument.next());
        let result = self
            .runtime
            .block_on(self.client.call(context::current(), argument))?;
        self.argument.check(&result)
    }
}
