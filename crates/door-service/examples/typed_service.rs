//! A service of documents: a trait on both sides, objects with doors of their own, files as results.
//!
//! Usage: `cargo run -p door-service --example typed_service`. Ends with 0 if the client in the other process got what it asked for.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use door::Door;
use door_service::Context;
use serde::{Deserialize, Serialize};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Why something cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
enum Refusal {
    #[error("there is no document {0:?}")]
    Unknown(String),
    #[error("{0}")]
    Trouble(String),
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(error.to_string())
    }
}

/// Where documents are kept.
#[door::service(version = 1)]
trait Archive {
    /// Titles of all documents.
    fn titles(&self) -> Vec<String>;
    /// A document, as an object of its own.
    fn document(&self, title: &str) -> std::result::Result<DocumentClient, Refusal>;
}

/// One document.
#[door::service(version = 1)]
trait Document {
    /// Its text, as a file to read.
    fn open(&self) -> std::result::Result<OwnedFd, Refusal>;
    /// Adds to it, in the name of the caller; returns its length.
    fn append(&self, context: &Context<'_>, text: &str) -> std::result::Result<u64, Refusal>;
}

struct Page {
    text: Mutex<String>,
}

impl Document for Page {
    fn open(&self) -> std::result::Result<OwnedFd, Refusal> {
        let mut file = tempfile::tempfile()?;
        let text = self
            .text
            .lock()
            .map_err(|error| Refusal::Trouble(error.to_string()))?;
        file.write_all(text.as_bytes())?;
        std::io::Seek::rewind(&mut file)?;
        Ok(file.into())
    }

    fn append(&self, context: &Context<'_>, text: &str) -> std::result::Result<u64, Refusal> {
        let caller = context
            .credentials()
            .map_err(|error| Refusal::Trouble(error.to_string()))?;
        let mut all = self
            .text
            .lock()
            .map_err(|error| Refusal::Trouble(error.to_string()))?;
        all.push_str(&format!("user {} adds: {text}\n", caller.euid));
        Ok(all.len() as u64)
    }
}

struct Shelf {
    title: &'static str,
    /// Keeps the document's door alive.
    page: Door,
}

impl Archive for Shelf {
    fn titles(&self) -> Vec<String> {
        vec![self.title.to_owned()]
    }

    fn document(&self, title: &str) -> std::result::Result<DocumentClient, Refusal> {
        if title != self.title {
            return Err(Refusal::Unknown(title.to_owned()));
        }
        Ok(DocumentClient::over(self.page.handle()?))
    }
}

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1) {
        Some(path) => client(&path),
        None => server(),
    }
}

fn server() -> Result<ExitCode> {
    let page = Arc::new(Page {
        text: Mutex::new("It was a dark and stormy night.\n".to_owned()),
    });
    let shelf = Shelf {
        title: "novel",
        page: DocumentServer::new(page).create()?,
    };
    let door = ArchiveServer::new(shelf).create()?;
    let folder = tempfile::tempdir()?;
    let attachment = door.attach(folder.path().join("archive.door"))?;
    let status = Command::new(std::env::current_exe()?)
        .arg(attachment.path())
        .status()?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

fn client(path: &str) -> Result<ExitCode> {
    let archive = ArchiveClient::at(path)?.within(Duration::from_secs(30));
    // The first `?` is for the transport, the second for the service's own refusal.
    println!("client: there is {:?}", archive.titles()?);
    let novel = archive.document("novel")??;
    println!("client: {} bytes now", novel.append("The end.")??);
    print!("{}", std::io::read_to_string(File::from(novel.open()??))?);
    match archive.document("sequel")? {
        Err(refusal) => println!("client: {refusal}"),
        Ok(_) => return Err("there is no sequel".into()),
    }
    Ok(ExitCode::SUCCESS)
}
