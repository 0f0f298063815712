//! Compiling a program with nothing but `-ldoor -lpthread`, starting a server, asking it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{has, installed, source, succeed, workspace};

/// A user and group that own nothing.
pub(crate) const NOBODY: u32 = 65534;

/// `cc FILES -I<include> -L<lib> -ldoor -lpthread`, and a run path because nothing is installed.
pub(crate) fn compile(compiler: &str, options: &[&str], files: &[PathBuf]) -> PathBuf {
    let lib = installed();
    let stem = files[0]
        .file_stem()
        .expect("a source has a name")
        .to_string_lossy();
    let name = format!("{stem}-{compiler}{}", options.concat());
    let temporary = workspace().join(format!(
        "{name}.{}.{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Werror"]).args(options);
    command.arg("-I").arg(source("include")).arg("-o").arg(&temporary);
    command
        .args(files)
        .arg("-L")
        .arg(&lib)
        .args(["-ldoor", "-lpthread"]);
    command.arg(format!("-Wl,-rpath,{}", lib.display()));
    succeed(&mut command);
    let program = workspace().join(name);
    std::fs::rename(&temporary, &program).expect("the program can be moved into place");
    program
}

/// Every compiler at hand, without and with optimisation.
pub(crate) fn ways() -> impl Iterator<Item = (&'static str, &'static str)> {
    let compilers = ["gcc", "clang"].into_iter().filter(|compiler| has(compiler));
    compilers.flat_map(|compiler| ["-O0", "-O2"].map(|level| (compiler, level)))
}

/// A source of `examples/doors`.
pub(crate) fn example(name: &str) -> PathBuf {
    source("../../examples/doors").join(name)
}

/// A command without the settings of cargo's that would show another library.
pub(crate) fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("LD_LIBRARY_PATH");
    command
}

/// A server that has said it is ready; killed at the end of the test.
pub(crate) struct Server {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Server {
    /// Starts it and waits for its line `ready`.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut said = BufReader::new(child.stdout.take().expect("its output is ours"));
        let mut line = String::new();
        said.read_line(&mut line).expect("its output can be read");
        assert_eq!(line, "ready\n", "{command:?}");
        Self { child, said }
    }

    /// The next line it says.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("its output can be read");
        line
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self) -> (std::process::ExitStatus, String) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.said, &mut rest).expect("its output can be read");
        (self.child.wait().expect("it is a child"), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client says; it must succeed.
pub(crate) fn says(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).expect("programs say ASCII")
}

/// A folder everybody may enter and write.
pub(crate) fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))
        .expect("its mode can be set");
    folder
}

/// True if this test may become somebody else.
pub(crate) fn is_root() -> bool {
    // SAFETY: asks only.
    unsafe { libc::geteuid() == 0 }
}
