//! What the kernel says about a process: its threads, descriptors, sleeps and memory.

use std::fs;

/// A process that is looked at from outside.
#[derive(Clone, Copy)]
pub(crate) struct Watched(pub(crate) u32);

impl Watched {
    pub(crate) fn of(process: &crate::support::Process) -> Self {
        Self(process.child.id())
    }

    fn tasks(self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        tasks
            .map(|task| task.unwrap().path().to_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn threads(self) -> usize {
        self.tasks().len()
    }

    /// Descriptors in the application's table, and in that of the control thread.
    pub(crate) fn descriptors(self) -> (usize, usize) {
        let count = |task: &str| fs::read_dir(format!("{task}/fd")).unwrap().count();
        let is_control =
            |task: &&String| fs::read_to_string(format!("{task}/comm")).unwrap() == "door-control\n";
        let control = self.tasks().iter().find(is_control).map_or(0, |task| count(task));
        (count(&format!("/proc/{}", self.0)), control)
    }

    /// How often its threads have gone to sleep so far.
    pub(crate) fn sleeps(self) -> u64 {
        self.tasks()
            .iter()
            .map(|task| field(&format!("{task}/status"), "voluntary_ctxt_switches:"))
            .sum()
    }

    /// KiB of memory that is nobody else's.
    pub(crate) fn anonymous_kib(self) -> u64 {
        field(&format!("/proc/{}/status", self.0), "RssAnon:")
    }

    /// KiB of addresses in use.
    pub(crate) fn addresses_kib(self) -> u64 {
        field(&format!("/proc/{}/status", self.0), "VmSize:")
    }

    /// The memory of links it has mapped: number of the file, and this process's share of the pages in KiB.
    pub(crate) fn links(self) -> Vec<(String, u64)> {
        let maps = fs::read_to_string(format!("/proc/{}/smaps", self.0)).unwrap();
        let mut links = Vec::new();
        let mut lines = maps.lines();
        while let Some(line) = lines.next() {
            if line.contains("/memfd:door") {
                let file = line.split_ascii_whitespace().nth(4).unwrap().to_owned();
                let share = lines.by_ref().find_map(|line| line.strip_prefix("Pss:")).unwrap();
                let share = share.split_ascii_whitespace().next().unwrap();
                links.push((file, share.parse().unwrap()));
            }
        }
        links
    }
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}
