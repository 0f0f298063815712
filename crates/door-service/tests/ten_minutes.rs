//! `docs/doors-in-ten-minutes.md` as a new user follows it: every block, in an empty folder outside of the repository.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A fenced block of the page: what stands behind the fence, and what is in it.
struct Block {
    language: String,
    label: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let (language, label) = info.split_once(' ').unwrap_or((info, ""));
        let text = lines.by_ref().take_while(|line| *line != "```");
        blocks.push(Block {
            language: language.to_owned(),
            label: label.to_owned(),
            text: text.fold(String::new(), |text, line| text + line + "\n"),
        });
    }
    blocks
}

/// What is said about processes without their numbers, which differ each time.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split("process ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |said, part| {
        said + "process N" + part.trim_start_matches(|character: char| character.is_ascii_digit())
    })
}

/// A program that goes on running in its own terminal. It ends, with all it started, when this is dropped.
struct Terminal {
    shell: Child,
    output: BufReader<ChildStdout>,
}

impl Terminal {
    fn end(&mut self) {
        let group = rustix::process::Pid::from_child(&self.shell);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::INT);
        // Everybody who could still serve has gone when the pipe is closed.
        let _ = std::io::copy(&mut self.output, &mut std::io::sink());
        let _ = self.shell.wait();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end();
    }
}

/// The user: a folder, and what the shell would remember.
struct User {
    folder: PathBuf,
    repository: PathBuf,
    terminal: Option<Terminal>,
}

impl User {
    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("bash");
        shell
            .args(["-euc", script])
            .current_dir(&self.folder)
            .env("LINTEL", &self.repository)
            // What cargo tells its tests is not for the cargo below.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null());
        shell
    }

    fn run(&mut self, script: &str) -> String {
        let output = self
            .shell(&format!("exec 2>&1\n{script}pwd >\"$OLD_FOLDER\"\n"))
            .env("OLD_FOLDER", self.folder_note())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}\n{said}");
        // `cd` holds for the next block.
        self.folder = PathBuf::from(std::fs::read_to_string(self.folder_note()).unwrap().trim_end());
        said
    }

    fn folder_note(&self) -> PathBuf {
        std::env::temp_dir().join(format!("ten-minutes-{}", std::process::id()))
    }

    fn open_terminal(&mut self, script: &str) {
        let mut shell = self
            .shell(script)
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        self.terminal = Some(Terminal { shell, output });
    }

    /// Waits until the other terminal shows this.
    fn read_terminal(&mut self, lines: usize) -> String {
        let terminal = self.terminal.as_mut().expect("a terminal was opened");
        let mut said = String::new();
        for _ in 0..lines {
            assert_ne!(
                terminal.output.read_line(&mut said).unwrap(),
                0,
                "it ended: {said}"
            );
        }
        said
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn every_block_of_the_page_does_what_it_says() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let page = std::fs::read_to_string(repository.join("docs/doors-in-ten-minutes.md")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut user = User {
        folder: home.path().to_owned(),
        repository: repository.clone(),
        terminal: None,
    };
    let (mut said, mut programs) = (String::new(), 0);
    let mut from_terminal = false;
    for block in blocks(&page) {
        match (block.language.as_str(), block.label.as_str()) {
            ("sh", "first terminal") => {
                user.open_terminal(&block.text);
                from_terminal = true;
            }
            ("sh", label) => {
                if label == "ends the first terminal" {
                    user.terminal = None;
                }
                said = user.run(&block.text);
                from_terminal = false;
                if block.text.contains("cargo new") {
                    // The versions this repository is tested with: a registry need not be asked.
                    std::fs::copy(repository.join("Cargo.lock"), user.folder.join("Cargo.lock")).unwrap();
                }
            }
            ("text", "") => {
                if from_terminal {
                    said = user.read_terminal(block.text.lines().count());
                }
                assert_eq!(without_numbers(&said), without_numbers(&block.text));
                programs += 1;
            }
            ("rust" | "c", file) if !file.is_empty() => user.write(file, &block.text),
            ("console", "") => assert_eq!(block.text, "$ export LINTEL=$HOME/lintel\n"),
            (language, label) => panic!("a block nobody runs: {language} {label}"),
        }
    }
    assert_eq!(programs, 6, "server, two clients, none, types, futures");
    let _ = std::fs::remove_file(user.folder_note());
}
