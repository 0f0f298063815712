//! What /proc tells about processes. It shows of others' processes only what this user may see.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// What a process was started as.
pub(crate) fn command(pid: u32) -> Option<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(String::from_utf8_lossy)
        .collect();
    if words.is_empty() {
        // A kernel thread, or a process that is just ending.
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        return Some(format!("[{}]", name.trim_end()));
    }
    Some(words.join(" "))
}

/// The processes there are.
pub(crate) fn processes() -> Vec<u32> {
    let numbers = |folder: &Path| -> Vec<u32> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    };
    numbers(Path::new("/proc"))
}

/// The sockets a process has open: descriptor and number of the socket. A thread may have a table of descriptors of its own, as the
/// engine of a door server has; `threads` looks there too.
pub(crate) fn sockets_of(pid: u32, threads: bool) -> Vec<(i32, u64)> {
    let mut found = sockets_in(Path::new(&format!("/proc/{pid}/fd")));
    if threads {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            found.extend(sockets_in(&task.path().join("fd")));
        }
    }
    found
}

fn sockets_in(folder: &Path) -> Vec<(i32, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let socket = |entry: std::fs::DirEntry| {
        let link = std::fs::read_link(entry.path()).ok()?;
        let number = link
            .to_str()?
            .strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse()
            .ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, number))
    };
    entries.filter_map(socket).collect()
}

/// Who has which socket open.
pub(crate) fn holders() -> HashMap<u64, BTreeSet<u32>> {
    let mut holders: HashMap<u64, BTreeSet<u32>> = HashMap::new();
    for pid in processes() {
        for (_, socket) in sockets_of(pid, true) {
            holders.entry(socket).or_default().insert(pid);
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_its_socket() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        use std::os::fd::AsRawFd as _;
        let me = std::process::id();
        let sockets = sockets_of(me, false);
        let (_, number) = sockets.iter().find(|(fd, _)| *fd == one.as_raw_fd()).unwrap();
        assert!(holders()[number].contains(&me));
        assert!(processes().contains(&me));
        assert!(command(me).unwrap().contains("doorctl"));
    }
}
