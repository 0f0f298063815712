//! Descriptors that go with a call and come with its answer.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use door::ReceivedDescriptor;
use rustix::fs::FileType;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use crate::output;

/// Copies of descriptors this program was started with. To be called before it opens anything itself.
///
/// The kernel is asked for them by number, as if by another process: a number alone gives no right to use it here.
pub(crate) fn all_inherited(numbers: &[i32]) -> anyhow::Result<Vec<OwnedFd>> {
    let missing = |number: &i32| {
        format!(
            "descriptor {number}: not open; let the shell open it, as in 'doorctl call ... {number}<FILE'"
        )
    };
    // All of them first: what is opened below may get one of the numbers.
    for number in numbers {
        let open = std::fs::read_link(format!("/proc/self/fd/{number}"));
        open.ok().with_context(|| missing(number))?;
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let me = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    let copy = |number: &i32| {
        let copy = rustix::process::pidfd_getfd(&me, *number, PidfdGetfdFlags::empty());
        copy.with_context(|| missing(number))
    };
    numbers.iter().map(copy).collect()
}

/// `N=FILE`: where the content of descriptor `N` of an answer goes.
#[derive(Debug, Clone)]
pub(crate) struct Save {
    number: usize,
    file: PathBuf,
}

impl Save {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (number, file) = text
            .split_once('=')
            .ok_or_else(|| "expected N=FILE, N counting from 0".to_owned())?;
        let number = number
            .parse()
            .map_err(|_| format!("{number:?} is no number of a descriptor"))?;
        Ok(Self {
            number,
            file: file.into(),
        })
    }
}

/// One line, or one object, about a descriptor.
fn describe(descriptor: &ReceivedDescriptor) -> (&'static str, String) {
    let fd = descriptor.as_fd();
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let name = link.map_or_else(
        |_| "?".to_owned(),
        |link| output::visible(&link.to_string_lossy()),
    );
    if descriptor.is_door() {
        return ("door", name);
    }
    let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
    let kind = match kind {
        Ok(FileType::RegularFile) => "file",
        Ok(FileType::Directory) => "directory",
        Ok(FileType::Fifo) => "pipe",
        Ok(FileType::Socket) => "socket",
        Ok(FileType::CharacterDevice | FileType::BlockDevice) => "device",
        _ => "other",
    };
    (kind, name)
}

pub(crate) fn to_json(descriptors: &[ReceivedDescriptor]) -> Vec<serde_json::Value> {
    let describe = |descriptor: &ReceivedDescriptor| {
        let (kind, name) = describe(descriptor);
        serde_json::json!({ "door": descriptor.is_door(), "kind": kind, "name": name })
    };
    descriptors.iter().map(describe).collect()
}

/// Tells which descriptors came, where the answer itself does not go.
pub(crate) fn report(descriptors: &[ReceivedDescriptor]) {
    for (number, descriptor) in descriptors.iter().enumerate() {
        let (kind, name) = describe(descriptor);
        output::say(format_args!("descriptor {number} of the answer: {kind} {name}"));
    }
}

/// Copies what can be read from the descriptors into the files wished for.
pub(crate) fn save(descriptors: Vec<ReceivedDescriptor>, wishes: &[Save]) -> anyhow::Result<()> {
    let mut descriptors: Vec<Option<ReceivedDescriptor>> = descriptors.into_iter().map(Some).collect();
    for Save { number, file } in wishes {
        let count = descriptors.len();
        let Some(descriptor) = descriptors.get_mut(*number).and_then(Option::take) else {
            bail!(
                "--save-fd {number}: {count} descriptors came with the answer, counted from 0, each saved once"
            );
        };
        let mut from = File::from(descriptor.into_fd());
        if file.as_os_str() == "-" {
            let mut content = Vec::new();
            from.read_to_end(&mut content)
                .with_context(|| format!("reading descriptor {number}"))?;
            output::print(&content)?;
        } else {
            let mut to = File::create(file).with_context(|| file.display().to_string())?;
            std::io::copy(&mut from, &mut to).with_context(|| format!("reading descriptor {number}"))?;
        }
    }
    Ok(())
}
