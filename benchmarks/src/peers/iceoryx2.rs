//! `iceoryx2` request-response: requests and responses are lent by the library and written in place, so that neither side
//! copies what it receives. Two ways to wait, as its examples show: polling, and the library's own events.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use iceoryx2::config::Config;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::client::Client as RequestPort;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::server::Server as ResponsePort;
use iceoryx2::prelude::{
    FileName, LogLevel, Path, SemanticString as _, SignalHandlingMode, ipc, set_log_level,
};
use iceoryx2::service::port_factory::event;

use crate::mechanism::{Caller, Mechanism, Meeting, ready, until_told};
use crate::shape::{Argument, Kind, TOKEN_BYTES};

type Service = ipc::Service;

/// The number of the client, so that the server knows whom to wake.
type Header = u64;

/// How a side waits for the other.
pub(crate) trait Wait: Sized + 'static {
    /// How the server waits and wakes.
    fn of_server(node: &Node<Service>, clients: u32) -> Result<Self>;
    /// How client `index` waits and wakes.
    fn of_client(node: &Node<Service>, index: u32) -> Result<Self>;
    /// Waits until there may be something, for a short time.
    fn wait(&self) -> Result<()>;
    /// Wakes `number`: of the server's clients, or 0 for the server.
    fn wake(&self, number: u64) -> Result<()>;
}

/// Looking all the time.
#[derive(Debug)]
pub(crate) struct Polling;

impl Wait for Polling {
    fn of_server(_: &Node<Service>, _: u32) -> Result<Self> {
        Ok(Self)
    }

    fn of_client(_: &Node<Service>, _: u32) -> Result<Self> {
        Ok(Self)
    }

    #[inline]
    fn wait(&self) -> Result<()> {
        std::hint::spin_loop();
        Ok(())
    }

    #[inline]
    fn wake(&self, _: u64) -> Result<()> {
        Ok(())
    }
}

/// The library's events.
#[derive(Debug)]
pub(crate) struct Events {
    own: Listener<Service>,
    others: Vec<Notifier<Service>>,
}

impl Events {
    fn of(node: &Node<Service>, name: &str) -> Result<event::PortFactory<Service>> {
        Ok(node.service_builder(&name.try_into()?).event().open_or_create()?)
    }
}

/// How long a wait lasts before the server looks whether it is to end.
const LOOK: Duration = Duration::from_millis(500);

impl Wait for Events {
    fn of_server(node: &Node<Service>, clients: u32) -> Result<Self> {
        let others = (0..clients).map(|index| {
            let event = Self::of(node, &format!("client-{index}"))?;
            Ok(event.notifier_builder().create()?)
        });
        Ok(Self {
            own: Self::of(node, "server")?.listener_builder().create()?,
            others: others.collect::<Result<_>>()?,
        })
    }

    fn of_client(node: &Node<Service>, index: u32) -> Result<Self> {
        let own = Self::of(node, &format!("client-{index}"))?;
        Ok(Self {
            own: own.listener_builder().create()?,
            others: vec![Self::of(node, "server")?.notifier_builder().create()?],
        })
    }

    fn wait(&self) -> Result<()> {
        self.own.timed_wait(|_| (), LOOK)?;
        Ok(())
    }

    fn wake(&self, number: u64) -> Result<()> {
        let number = usize::try_from(number)?;
        let other = self
            .others
            .get(number)
            .ok_or_else(|| anyhow!("no client {number}"))?;
        other.notify()?;
        Ok(())
    }
}

/// The mechanism.
#[derive(Debug)]
pub(crate) struct RequestResponse<W>(PhantomData<W>);

impl<W: Wait> Mechanism for RequestResponse<W> {
    type Caller = Client<W>;

    fn serve(meeting: &Meeting) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        let serving = {
            let (meeting, stop) = (meeting.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                answer::<W>(&meeting, &stop).inspect_err(|error| {
                    // Nobody waits for this thread before the end: whoever waits for the server must hear of it now.
                    eprintln!("call-bench: {error:#}");
                    std::process::exit(1);
                })
            })
        };
        until_told();
        stop.store(true, Ordering::Relaxed);
        serving.join().map_err(|_| anyhow!("the server panicked"))?
    }

    fn connect(meeting: &Meeting, index: u32) -> Result<Client<W>> {
        let node = node(meeting)?;
        let shape = meeting.shape;
        let factory = node
            .service_builder(&"calls".try_into()?)
            .request_response::<[u8], [u8]>()
            .request_user_header::<Header>()
            .max_clients(meeting.clients as usize)
            .max_nodes(meeting.clients as usize + 1)
            .open()
            .context("cannot open the service")?;
        let port = factory
            .client_builder()
            .initial_max_slice_len(shape.argument().max(TOKEN_BYTES))
            .create()?;
        Ok(Client {
            wait: W::of_client(&node, index)?,
            port,
            index: u64::from(index),
            argument: Argument::new(shape, TOKEN_BYTES),
            result: vec![0; shape.result()],
            _node: node,
        })
    }
}

/// A node whose files are in the folder of the meeting.
fn node(meeting: &Meeting) -> Result<Node<Service>> {
    set_log_level(LogLevel::Error);
    let mut config = Config::default();
    let root = meeting.path("i");
    config
        .global
        .set_root_path(&Path::new(root.to_string_lossy().as_bytes())?);
    // Its shared memory cannot be in the folder, but its files can have the folder's name: whoever made that removes them.
    let name = meeting.dir.file_name().unwrap_or_default().to_string_lossy();
    config.global.prefix = FileName::new(format!("{name}_").as_bytes())?;
    let node = NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<Service>()?;
    Ok(node)
}

fn answer<W: Wait>(meeting: &Meeting, stop: &AtomicBool) -> Result<()> {
    let node = node(meeting)?;
    let shape = meeting.shape;
    let factory = node
        .service_builder(&"calls".try_into()?)
        .request_response::<[u8], [u8]>()
        .request_user_header::<Header>()
        .max_clients(meeting.clients as usize)
        .max_nodes(meeting.clients as usize + 1)
        .create()
        .context("cannot make the service")?;
    let port: ResponsePort<Service, [u8], Header, [u8], ()> = factory
        .server_builder()
        .initial_max_slice_len(shape.result().max(TOKEN_BYTES))
        .create()?;
    let wait = W::of_server(&node, meeting.clients)?;
    let result = vec![0; shape.result().max(TOKEN_BYTES)];
    ready()?;
    while !stop.load(Ordering::Relaxed) {
        wait.wait()?;
        while let Some(request) = port.receive()? {
            let sum = shape.look(request.payload()).to_ne_bytes();
            let answer = if shape.kind == Kind::Use {
                &sum[..]
            } else {
                &result[..]
            };
            let client = *request.user_header();
            request
                .loan_slice_uninit(answer.len())?
                .write_from_slice(answer)
                .send()?;
            wait.wake(client)?;
        }
    }
    Ok(())
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client<W> {
    wait: W,
    port: RequestPort<Service, [u8], Header, [u8], ()>,
    index: u64,
    argument: Argument,
    result: Vec<u8>,
    _node: Node<Service>,
}

impl<W: Wait> Caller for Client<W> {
    #[inline]
    fn call(&mut self) -> Result<()> {
        let argument = self.argument.next();
        let request = self.port.loan_slice_uninit(argument.len())?;
        let mut request = request.write_from_slice(argument);
        *request.user_header_mut() = self.index;
        let pending = request.send()?;
        self.wait.wake(0)?;
        loop {
            if let Some(response) = pending.receive()? {
                let len = self.result.len();
                self.result.copy_from_slice(&response.payload()[..len]);
                return self.argument.check(&self.result);
            }
            self.wait.wait()?;
        }
    }
}
