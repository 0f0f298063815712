//! Servers and clients in processes of their own: this test program, run again.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use door::{Answer, Attachment, Call, CallError, Door, DoorHandle, Invocation, Reply};

/// Nothing here takes that long; what does is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process that runs `role`, started from this very program.
pub(crate) struct Process {
    pub(crate) child: Child,
    said: BufReader<ChildStderr>,
}

impl Process {
    pub(crate) fn start(role: &str, directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "role", "--ignored", "--nocapture", "--test-threads=1"])
            .env("DOOR_TEST_ROLE", role)
            .env("DOOR_TEST_DIRECTORY", directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Reads what the process says until it says `word`; returns the rest of that line.
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        let mut said = String::new();
        loop {
            let before = said.len();
            self.said.read_line(&mut said).unwrap();
            let line = &said[before..];
            assert!(
                !line.is_empty(),
                "the process ended before it said {word:?}: {said}"
            );
            if let Some(rest) = line.trim_end().strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Says something to the process.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for the end; true if the process was content.
    pub(crate) fn finished_well(&mut self) -> bool {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        let well = self.child.wait().unwrap().success();
        if !well {
            eprintln!("{rest}");
        }
        well
    }

    /// Stops the process, and waits until it stands still.
    pub(crate) fn stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let stopped = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::UNTRACED);
        assert!(stopped.unwrap().unwrap().1.stopped());
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: tells its parent something.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// In a child: waits for its parent to say something.
pub(crate) fn listen() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim().to_owned()
}

/// A server with the doors of [`serve`].
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) directory: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_as("serve")
    }

    /// With as many descriptors as this user may have.
    pub(crate) fn start_large() -> Self {
        Self::start_as("serve_many")
    }

    fn start_as(role: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Process::start(role, directory.path());
        process.wait_for("ready");
        Self { process, directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn open(&self, name: &str) -> DoorHandle {
        DoorHandle::open(self.path(name)).unwrap()
    }
}

/// A call that must not take for ever.
pub(crate) fn call(door: &DoorHandle, argument: &[u8]) -> Result<Answer, CallError> {
    Ok(door.call_with(Call::new(argument).timeout(PATIENCE))?)
}

/// A call with descriptors that must not take for ever.
pub(crate) fn call_with(door: &DoorHandle, argument: &[u8], fds: Vec<OwnedFd>) -> Result<Answer, CallError> {
    let call = fds
        .into_iter()
        .fold(Call::new(argument).timeout(PATIENCE), Call::give);
    Ok(door.call_with(call)?)
}

pub(crate) fn number(answer: &Answer) -> u64 {
    u64::from_le_bytes(answer.data().try_into().unwrap())
}

/// Bytes that differ everywhere and for every seed.
pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// A file that reads as `text`.
pub(crate) fn file_with(text: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.into()
}

pub(crate) fn text_of(fd: OwnedFd) -> String {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::read_to_string(path).unwrap()
}

/// True if this is root; if not, says openly that this test is skipped, and what it would have needed.
pub(crate) fn is_root(needed: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        let test = std::thread::current();
        // Not by `eprintln`, whose lines are shown for failed tests only. `cargo xtask test` counts them.
        let line = format!("skipped: {}: {needed}\n", test.name().unwrap_or("?"));
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    is_root
}

/// Looks again until it has happened.
pub(crate) fn wait_until(mut event: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !event() {
        assert!(Instant::now() < end, "it did not happen");
        std::thread::yield_now();
    }
}

/// A count one can wait for.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<(Mutex<u64>, Condvar)>);

impl Counter {
    pub(crate) fn add(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }

    pub(crate) fn value(&self) -> u64 {
        *self.0.0.lock().unwrap()
    }

    /// Waits until it is at least `least`; its value then.
    pub(crate) fn wait(&self, least: u64) -> u64 {
        let count = self.0.0.lock().unwrap();
        *self
            .0
            .1
            .wait_timeout_while(count, PATIENCE, |count| *count < least)
            .unwrap()
            .0
    }
}

/// How many threads of this process have this name.
pub(crate) fn threads_named(name: &str) -> usize {
    let named = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.unwrap().path().join("comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| named(entry).then_some(()))
        .count()
}

/// A door that counts its unreferenced invocations.
pub(crate) fn counting_door() -> (Door, Counter) {
    let seen = Counter::default();
    let count = seen.clone();
    let door = Door::builder()
        .on_unreferenced(move || count.add())
        .create(|_| Reply::empty())
        .unwrap();
    (door, seen)
}

/// Every child process starts here; without a role there is nothing to do.
pub(crate) fn role() {
    let Ok(role) = std::env::var("DOOR_TEST_ROLE") else {
        return;
    };
    let directory = PathBuf::from(std::env::var_os("DOOR_TEST_DIRECTORY").unwrap());
    match role.as_str() {
        "serve" => serve(&directory),
        "serve_many" => {
            crate::scale::raise_limit();
            serve(&directory);
        }
        "many_doors" => crate::scale::many_doors(&directory),
        "flood" => crate::exhaustion::flood(&directory),
        "little_memory" => crate::exhaustion::little_memory(&directory),
        "few_threads" => crate::exhaustion::few_threads(&directory),
        "cramped" => crate::exhaustion::cramped(&directory),
        "visitors" => crate::scale::visitors(&directory),
        "crowd" => crate::scale::crowd(&directory),
        "hold" => crate::unreferenced::hold(&directory),
        "hammer" => crate::stress::hammer(&directory),
        "drop_privileges" => crate::identity::drop_privileges(&directory),
        "bounded" => crate::pools::bounded(&directory),
        "call_once" => crate::answers::call_once(&directory),
        "execute" => crate::failures::execute(&directory),
        "forks_anywhere" => crate::fork::forks_anywhere(&directory),
        "forks_beside" => {
            let forks = crate::fork::fork_beside();
            serve(&directory);
            drop(forks);
        }
        "renumber" => crate::numbers::renumber(&directory),
        "abandon" => crate::failures::abandon(&directory),
        "chain" => crate::calls::chain(&directory),
        "serve_alone" => crate::starvation::serve_alone(&directory),
        "stand_still" => crate::failures::stand_still(&directory),
        "visit" => crate::hostile_server::visit(&directory),
        "meet" => crate::awaited::meet(&directory),
        "await_and_drop" => crate::awaited::await_and_drop(&directory),
        "retire" => crate::descriptors::retire(&directory),
        "last_number" => crate::descriptors::last_number(&directory),
        "starve" => crate::descriptors::starve(&directory),
        other => panic!("no role {other}"),
    }
}

/// Tells the caller, through the first descriptor it sent, that the procedure has begun.
fn announce(call: &mut Invocation<'_>) {
    for descriptor in call.take_descriptors() {
        std::fs::File::from(descriptor.into_fd()).write_all(b"!").unwrap();
    }
}

/// One process with a door for each thing a server can do.
fn serve(directory: &Path) {
    let mut attachments: Vec<Attachment> = Vec::new();
    let mut doors: Vec<Door> = Vec::new();
    let mut add = |name: &str, door: Door| {
        attachments.push(door.attach(directory.join(name)).unwrap());
        doors.push(door);
    };
    let open = || Door::builder().refuse_descriptors(false);
    add(
        "echo",
        open()
            .create(|mut call| {
                let fds = call.take_descriptors();
                let reply = Reply::bytes(call.argument());
                fds.into_iter().fold(reply, |reply, fd| reply.give(fd))
            })
            .unwrap(),
    );
    add(
        "aligned",
        open()
            .create(|call| Reply::bytes((call.argument().as_ptr() as u64 % 16).to_le_bytes()))
            .unwrap(),
    );
    add(
        "length",
        open()
            .create(|call| Reply::bytes((call.argument().len() as u64).to_le_bytes()))
            .unwrap(),
    );
    add(
        "big",
        open()
            .create(|call| {
                let len = u64::from_le_bytes(call.argument().try_into().unwrap()) as usize;
                Reply::bytes(pattern(len, len as u64))
            })
            .unwrap(),
    );
    add(
        "limits",
        open()
            .min_argument_bytes(8)
            .max_argument_bytes(16)
            .max_descriptors(2)
            .create(|call| Reply::bytes(vec![7; call.argument().len() * 1000]))
            .unwrap(),
    );
    add(
        "empty",
        open().max_argument_bytes(0).create(|_| Reply::empty()).unwrap(),
    );
    add(
        "refuse",
        Door::builder()
            .create(|_| Reply::empty().give(file_with("given")))
            .unwrap(),
    );
    add(
        "text",
        open()
            .create(|mut call| {
                Reply::bytes(
                    call.take_descriptors()
                        .into_iter()
                        .map(|fd| text_of(fd.into_fd()))
                        .collect::<Vec<_>>()
                        .join(","),
                )
            })
            .unwrap(),
    );
    add(
        "many",
        open()
            .create(|_| {
                let null = std::fs::File::open("/dev/null").unwrap();
                (0..200).fold(Reply::empty(), |reply, _| match null.try_clone() {
                    Ok(file) => reply.give(file),
                    Err(_) => reply,
                })
            })
            .unwrap(),
    );
    add("panic", open().create(|_| panic!("as asked")).unwrap());
    add(
        "die",
        open()
            .create(|mut call| {
                announce(&mut call);
                std::process::abort()
            })
            .unwrap(),
    );
    add(
        "execute",
        open()
            .create(|mut call| {
                announce(&mut call);
                panic!("{}", std::process::Command::new("cat").exec())
            })
            .unwrap(),
    );
    add(
        "hang",
        open()
            .create(|mut call| {
                announce(&mut call);
                loop {
                    std::thread::park();
                }
            })
            .unwrap(),
    );
    let cancelled = Counter::default();
    let seen = cancelled.clone();
    add(
        "patient",
        open()
            .create(move |mut call| {
                announce(&mut call);
                while !call.is_cancelled() {
                    std::thread::yield_now();
                }
                assert!(matches!(
                    call.credentials(),
                    Err(door::CredentialError::CallerGone)
                ));
                seen.add();
                Reply::bytes(*b"nobody reads this")
            })
            .unwrap(),
    );
    add(
        "cancelled",
        open()
            .create(move |call| {
                Reply::bytes(
                    cancelled
                        .wait(u64::from_le_bytes(call.argument().try_into().unwrap()))
                        .to_le_bytes(),
                )
            })
            .unwrap(),
    );
    add(
        "who",
        open()
            .create(|call| {
                let who = call.credentials().unwrap();
                Reply::bytes(format!(
                    "{} {} {} {} {} {:?}",
                    who.uid, who.gid, who.euid, who.egid, who.pid, who.groups
                ))
            })
            .unwrap(),
    );
    add(
        "proven",
        open()
            .create(|call| Reply::bytes(if call.credentials().is_ok() { "yes" } else { "no" }))
            .unwrap(),
    );

    let unreferenced = Counter::default();
    let seen = unreferenced.clone();
    let object = Arc::new(
        Door::builder()
            .on_unreferenced(move || seen.add())
            .create(|call| Reply::bytes(call.argument()))
            .unwrap(),
    );
    let lent = Arc::clone(&object);
    add(
        "lend",
        open()
            // Without a descriptor for want of room.
            .create(move |_| match lent.lend() {
                Ok(lent) => Reply::empty().give(lent),
                Err(_) => Reply::empty(),
            })
            .unwrap(),
    );
    add(
        "unreferenced",
        open()
            .create(move |call| {
                Reply::bytes(
                    unreferenced
                        .wait(u64::from_le_bytes(call.argument().try_into().unwrap()))
                        .to_le_bytes(),
                )
            })
            .unwrap(),
    );
    let revocable = Arc::new(Mutex::new(Vec::<Door>::new()));
    let created = Arc::clone(&revocable);
    add(
        "revocable",
        open()
            .create(move |_| {
                let door = Door::builder()
                    .refuse_descriptors(false)
                    .create(|mut call| {
                        announce(&mut call);
                        if call.argument() == b"wait for the end" {
                            while !call.is_cancelled() {
                                std::thread::yield_now();
                            }
                        }
                        Reply::bytes(call.argument())
                    })
                    .unwrap();
                let lent = door.lend().unwrap();
                created.lock().unwrap().push(door);
                Reply::empty().give(lent)
            })
            .unwrap(),
    );
    add(
        "revoke",
        open()
            .create(move |_| {
                revocable.lock().unwrap().clear();
                Reply::empty()
            })
            .unwrap(),
    );
    add(
        "sizes",
        open()
            .create(|_| {
                let count = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
                Reply::bytes(count.to_le_bytes())
            })
            .unwrap(),
    );

    say("ready");
    // Ends with its parent, or when told nothing.
    crate::exhaustion::obey();
}
