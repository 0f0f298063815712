//! The examples of `examples/doors`.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::run::{NOBODY, Server, command, compile, example, folder, is_root, says, ways};

/// The program of door_create(3C)'s example section, with no change and no option but `-ldoor -lpthread`.
#[test]
fn the_example_of_the_manual_compiles_and_works() {
    for (compiler, level) in ways() {
        let server = compile(compiler, &[level], &[example("hello_server.c")]);
        let client = compile(compiler, &[level], &[example("hello_client.c")]);
        let folder = folder();
        let path = folder.path().join("double");
        let path = path.to_str().expect("the path is ASCII");
        let running = Server::start(&mut command(&server, &[path]));
        assert_eq!(says(&mut command(&client, &[path, "21"])), "42\n");
        drop(running); // killed: its name stays, and says so
        let output = command(&client, &[path]).output().expect("the client starts");
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("nobody serves this door"));
        let again = Server::start(&mut command(&server, &[path])); // the next one takes the name over
        assert_eq!(says(&mut command(&client, &[path, "-4"])), "-8\n");
        drop(again);
    }
}

#[test]
fn the_example_works_for_a_user_without_rights() {
    if !is_root() {
        eprintln!("this whole test run is without rights already");
        return;
    }
    let server = compile("cc", &[], &[example("hello_server.c")]);
    let client = compile("cc", &[], &[example("hello_client.c")]);
    let folder = folder();
    let path = folder.path().join("double");
    let path = path.to_str().expect("the path is ASCII");
    let as_nobody = |program, arguments: &[&str]| {
        let mut command = command(program, arguments);
        command.uid(NOBODY).gid(NOBODY);
        command
    };
    let _running = Server::start(&mut as_nobody(&server, &[path]));
    assert_eq!(says(&mut as_nobody(&client, &[path, "5"])), "10\n");
    assert_eq!(says(&mut command(&client, &[path, "6"])), "12\n");
}

/// The server and the client of an example, and where they meet.
struct Example {
    server: PathBuf,
    client: PathBuf,
    folder: tempfile::TempDir,
}

impl Example {
    fn of(name: &str, compiler: &str, level: &str) -> Self {
        let part = |part: &str| compile(compiler, &[level], &[example(&format!("{name}_{part}.c"))]);
        Self {
            server: part("server"),
            client: part("client"),
            folder: folder(),
        }
    }

    fn door(&self) -> String {
        self.path("door")
    }

    fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("the path is ASCII").to_owned()
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        let door = self.door();
        let arguments: Vec<&str> = [&*door].iter().chain(arguments).copied().collect();
        Server::start(&mut command(&self.server, &arguments))
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let door = self.door();
        let arguments: Vec<&str> = [&*door].iter().chain(arguments).copied().collect();
        command(&self.client, &arguments)
    }
}

/// What a client says that fails.
fn complains(command: &mut Command) -> String {
    let output = command.output().expect("the client starts");
    assert!(!output.status.success(), "{command:?}");
    String::from_utf8(output.stderr).expect("programs say ASCII")
}

#[test]
fn a_client_in_a_sandbox_reads_files_that_the_server_opens_for_it() {
    for (compiler, level) in ways() {
        let example = Example::of("files", compiler, level);
        let (letter, outside) = (example.path("letter"), example.path("outside"));
        std::fs::write(&letter, "for your eyes only\n").expect("a file can be made");
        std::os::unix::fs::symlink("/etc/passwd", outside).expect("a link can be made");
        let folder = example.folder.path().to_str().expect("the path is ASCII");
        let _server = example.serve(&[folder]);
        let output = crate::support::succeed(&mut example.client(&["letter"]));
        assert_eq!(output.stdout, b"for your eyes only\n");
        assert_eq!(output.stderr, b"by myself: Operation not permitted\n");
        for (name, error) in [
            ("missing", "No such file or directory"),
            ("../letter", "Permission denied"),
            ("", "Permission denied"),
            ("outside", "Too many levels of symbolic links"),
        ] {
            let said = complains(&mut example.client(&[name]));
            assert!(said.ends_with(&format!("{name}: {error}\n")), "{said}");
        }
        assert!(!complains(&mut example.client(&[&"x".repeat(300)])).is_empty());
    }
}

/// A client that holds its objects until its input ends.
struct Holder {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Holder {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("its output is ours"));
        Self { child, said }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("its output can be read");
        line
    }

    fn let_go(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("it is a child").success());
    }
}

#[test]
fn an_object_lives_as_long_as_somebody_holds_its_door() {
    for (compiler, level) in ways() {
        let example = Example::of("objects", compiler, level);
        let mut server = example.serve(&[]);
        let mut one = Holder::start(&mut example.client(&["apples", "pears"]));
        assert_eq!([one.line(), one.line()], ["apples: 1\n", "pears: 1\n"]);
        let mut other = Holder::start(&mut example.client(&["apples"]));
        assert_eq!(other.line(), "apples: 2\n", "both hold the same object");
        one.child.kill().expect("it lives");
        one.child.wait().expect("it is a child");
        assert_eq!(server.line(), "pears is gone\n");
        other.let_go();
        assert_eq!(server.line(), "apples is gone\n");
        let mut again = Holder::start(&mut example.client(&["apples"]));
        assert_eq!(again.line(), "apples: 1\n", "a new object of the old name");
        again.let_go();
    }
}

#[test]
fn a_server_tells_who_calls_and_obeys_its_own_user_only() {
    for (compiler, level) in ways() {
        let example = Example::of("credentials", compiler, level);
        let mut server = example.serve(&[]);
        // SAFETY: asks only.
        let user = unsafe { libc::geteuid() };
        let child = example
            .client(&[])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let process = child.id();
        let output = child.wait_with_output().expect("it is a child");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with(&format!("user {user}, group ")), "{said}");
        assert!(said.ends_with(&format!(", process {process}\n")), "{said}");
        if is_root() {
            let mut nobody = example.client(&["stop"]);
            nobody.uid(NOBODY).gid(NOBODY);
            assert_eq!(says(&mut nobody), "you may not stop me\n");
        }
        assert_eq!(says(&mut example.client(&["stop"])), "stopping\n");
        let (status, last) = server.wait();
        assert!(status.success(), "{status}");
        assert_eq!(last, "stopped\n");
        let door = example.door();
        assert!(Path::new(&door).is_file(), "the file is a file again");
    }
}

#[test]
fn jobs_have_two_threads_of_their_own_and_questions_are_answered_meanwhile() {
    for (compiler, level) in ways() {
        let example = Example::of("pool", compiler, level);
        let _server = example.serve(&[]);
        for _ in 0..2 {
            assert_eq!(
                says(&mut example.client(&[])),
                "2 of 2 threads are busy\n3 jobs are done, never more than 2 at once\n"
            );
        }
    }
}

/// Each begins with the one line that compiles it: these tests compile it with no more.
#[test]
fn every_example_says_how_it_is_compiled() {
    let folder = example("");
    let mut programs = 0;
    for file in std::fs::read_dir(folder).expect("the folder is there") {
        let path = file.expect("it can be read").path();
        if path.extension().is_some_and(|extension| extension == "c") {
            let name = path.file_stem().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("sources are text");
            let line = format!(" *     cc {name}.c -o {name} -ldoor -lpthread && ./{name} ");
            assert!(text.contains(&line), "{}: {line}", path.display());
            programs += 1;
        }
    }
    assert_eq!(programs, 10);
}
