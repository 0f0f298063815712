//! A process with doors, and the program run on them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::RwLock;
use std::time::{Duration, Instant};

use door::{Door, Invocation, Reply};

/// Nothing here takes that long; what does is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// To be held for writing by tests that list all doors of the machine, which opens each for a moment, and for reading by those that
/// count the clients of theirs.
pub(crate) static MACHINE: RwLock<()> = RwLock::new(());

/// The program, not yet run.
pub(crate) fn doorctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorctl"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a run of the program came to.
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap()
    }
}

/// Runs the program to its end, whatever that is.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    doorctl(arguments).output().unwrap().into()
}

/// Runs the program to its good end.
pub(crate) fn good(arguments: &[&str]) -> Outcome {
    let outcome = run(arguments);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    outcome
}

/// Runs the program with something on its standard input.
pub(crate) fn with_input(mut command: Command, input: &[u8]) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// Looks again until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// A process that was started, and is killed at the end.
pub(crate) struct Running {
    pub(crate) child: Child,
    said: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said }
    }

    /// Reads what it says until a line has `words` in it; that line.
    pub(crate) fn wait_for(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                self.said.read_line(&mut line).unwrap(),
                0,
                "it ended before it said {words:?}"
            );
            if line.contains(words) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: exit code, and what it said last.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with doors, and the process that serves them.
pub(crate) struct Doors {
    pub(crate) process: Running,
    pub(crate) folder: tempfile::TempDir,
}

impl Doors {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "role", "--ignored", "--nocapture"])
            .env("DOORCTL_TEST_FOLDER", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut process = Running::start(&mut command);
        process.wait_for("ready");
        Self { process, folder }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        path_in(self.folder.path(), name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

pub(crate) fn path_in(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

/// Serves a folder full of doors until its parent ends.
pub(crate) fn role() {
    let Some(folder) = std::env::var_os("DOORCTL_TEST_FOLDER").map(PathBuf::from) else {
        return;
    };
    let mut kept = Vec::new();
    let mut add = |name: &str, door: Door| {
        let attachment = door.attach(folder.join(name)).unwrap();
        kept.push((attachment, door));
    };
    let upper = Door::builder()
        .max_argument_bytes(4096)
        .create(|call: Invocation<'_>| Reply::bytes(call.argument().to_ascii_uppercase()));
    add("upper", upper.unwrap());
    // Answers with what can be read from the descriptors sent, and gives them back.
    let read = Door::builder()
        .refuse_descriptors(false)
        .max_descriptors(2)
        .create(|mut call: Invocation<'_>| {
            let mut text = String::new();
            let mut files: Vec<std::fs::File> = Vec::new();
            for descriptor in call.take_descriptors() {
                files.push(descriptor.into_fd().into());
            }
            for file in &mut files {
                file.read_to_string(&mut text).unwrap();
                std::io::Seek::rewind(file).unwrap();
            }
            files.into_iter().fold(Reply::bytes(text), Reply::give)
        });
    add("read", read.unwrap());
    add("fail", Door::builder().create(|_| panic!("as asked")).unwrap());
    let hang = Door::builder().create(|_| {
        loop {
            std::thread::park();
        }
    });
    add("hang", hang.unwrap());
    eprintln!("ready");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Nobody's user: runs the program without privileges. `None` if these tests have none to drop, which is said openly.
pub(crate) fn as_nobody(mut command: Command) -> Option<Command> {
    if !rustix::process::geteuid().is_root() {
        let test = std::thread::current();
        // Not by `eprintln`, whose lines are shown for failed tests only. `cargo xtask test` counts them.
        let test = test.name().unwrap_or("?");
        let line = format!("skipped: {test}: only root can run a program as somebody else\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    command.uid(65534).gid(65534);
    Some(command)
}
