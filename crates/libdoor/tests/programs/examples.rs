//! The examples of `examples/doors`.

use std::os::unix::process::CommandExt;

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
