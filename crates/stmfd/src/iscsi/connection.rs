//! One connection: moves bytes between the socket and the state machine, and events between it and the target.

use super::commands::Commands;
use crate::clock;
use crate::target::{Job, Lu, Reply, Reserved, Target, Wanted};
use bytes::{Bytes, BytesMut};
use iscsi_proto::{
    Closing, Connection, ConnectionConfig, Event, Instant, SendTargets, TargetRecord, TaskManagementResponse,
};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::watch;
use tracing::info;

/// Room for what is read at once.
const READ_BYTES: usize = 256 * 1024;
/// Pieces handed to one `writev`.
const WRITE_PIECES: usize = 256;
/// An initiator that takes nothing for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// What others tell a connection.
#[derive(Debug)]
pub(crate) enum ConnectionMessage {
    /// A command has ended.
    Complete {
        tag: u32,
        reply: Reply,
        reserved: Option<Reserved>,
    },
    /// A command needs its data-out.
    NeedData { job: Box<Job>, wanted: Wanted },
    /// A task management function has been carried out.
    TaskManagementDone {
        tag: u32,
        response: TaskManagementResponse,
    },
    /// A command was aborted: it gets no answer.
    Aborted { tag: u32 },
    /// Tasks of this logical unit were aborted; some may be waiting for data here.
    Sweep(Arc<Lu>),
    /// A new session of the same identity replaces this one.
    Reinstated,
}

/// Serves a connection to its end; says why it ended.
pub(crate) async fn run(
    target: Arc<Target>,
    mut socket: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) -> String {
    if let Err(error) = socket.set_nodelay(true) {
        return error.to_string();
    }
    let portal = socket.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let (sender, mut messages) = mpsc::unbounded_channel();
    let config = ConnectionConfig {
        seed: clock::random_u64(),
        ..ConnectionConfig::default()
    };
    let mut connection = Connection::new(config, now());
    let mut commands = Commands::new(Arc::clone(&target), sender.clone());
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut ending: Option<String> = None;
    loop {
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Login(request) => {
                    let verdict = target.admit(&request, &sender);
                    if let Err(status) = &verdict {
                        info!(%peer, initiator = request.initiator, ?status, "login refused");
                    }
                    connection.login_verdict(now(), verdict);
                }
                Event::SessionOpened(session) => {
                    info!(%peer, initiator = session.initiator, discovery = session.discovery, "logged in");
                    commands.open(session);
                }
                Event::SendTargets(which) => connection.send_targets(&records(&target, &which, &portal)),
                Event::Command(command) => commands.start(&mut connection, command),
                Event::DataOut { tag, data } => commands.data(&mut connection, tag, data),
                Event::TaskManagement(request) => commands.manage(&mut connection, &request),
                Event::Logout => {}
                Event::Closed(reason) => {
                    ending.get_or_insert_with(|| reason.to_string());
                }
            }
        }
        if let Err(reason) = flush(&mut socket, &mut connection).await {
            ending.get_or_insert(reason);
        }
        if let Some(reason) = ending {
            return reason;
        }
        if take_messages(&mut messages, &mut connection, &mut commands) {
            continue;
        }
        let timeout = connection
            .poll_timeout()
            .map_or(Duration::from_secs(3600), |at| clock::until(at.0));
        if input.capacity() - input.len() < READ_BYTES / 4 {
            input.reserve(READ_BYTES);
        }
        tokio::select! {
            biased;
            Some(message) = messages.recv() => handle(message, &mut connection, &mut commands),
            read = socket.read_buf(&mut input) => match read {
                Ok(0) => ending = Some("closed by the initiator".to_owned()),
                Ok(_) => {
                    if let Err(error) = connection.handle_input(now(), &mut input) {
                        info!(%peer, %error, "protocol error");
                    }
                }
                Err(error) => ending = Some(error.to_string()),
            },
            () = tokio::time::sleep(timeout) => connection.handle_timeout(now()),
            _ = stop.changed() => {
                connection.close(Closing::Now);
                ending = Some("shutting down".to_owned());
            }
        }
    }
}

fn now() -> Instant {
    Instant(clock::now())
}

/// Takes what has arrived without waiting; true if there was anything.
fn take_messages(
    messages: &mut UnboundedReceiver<ConnectionMessage>,
    connection: &mut Connection,
    commands: &mut Commands,
) -> bool {
    let mut any = false;
    while let Ok(message) = messages.try_recv() {
        handle(message, connection, commands);
        any = true;
    }
    any
}

fn handle(message: ConnectionMessage, connection: &mut Connection, commands: &mut Commands) {
    match message {
        ConnectionMessage::Complete { tag, reply, reserved } => {
            commands.complete(connection, tag, reply, reserved);
        }
        ConnectionMessage::NeedData { job, wanted } => commands.need_data(connection, *job, wanted),
        ConnectionMessage::TaskManagementDone { tag, response } => {
            connection.complete_task_management(tag, response);
        }
        ConnectionMessage::Aborted { tag } => {
            connection.task_aborted(tag);
        }
        ConnectionMessage::Sweep(lu) => commands.sweep(&lu),
        ConnectionMessage::Reinstated => connection.close(Closing::Now),
    }
}

/// Sends everything the connection has to say, in as few system calls as it takes.
async fn flush(socket: &mut TcpStream, connection: &mut Connection) -> Result<(), String> {
    let mut pieces: Vec<Bytes> = Vec::new();
    loop {
        while pieces.len() < WRITE_PIECES
            && let Some(piece) = connection.poll_transmit()
        {
            pieces.push(piece);
        }
        if pieces.is_empty() {
            return Ok(());
        }
        match tokio::time::timeout(WRITE_TIMEOUT, write_all(socket, &pieces)).await {
            Ok(Ok(())) => pieces.clear(),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("the initiator takes no data".to_owned()),
        }
    }
}

async fn write_all(socket: &mut TcpStream, pieces: &[Bytes]) -> std::io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let written = socket.write_vectored(rest).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// What discovery answers: this node's target at the address the initiator came to.
fn records(target: &Target, which: &SendTargets, portal: &str) -> Vec<TargetRecord> {
    let name = target.port().name.clone();
    let wanted = match which {
        SendTargets::All => true,
        SendTargets::Name(asked) => *asked == name,
    };
    if wanted {
        vec![TargetRecord {
            name,
            portals: vec![(portal.to_owned(), 1)],
        }]
    } else {
        Vec::new()
    }
}
