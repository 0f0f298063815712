//! What a process holds of the system: what must not grow.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// What a process holds, as /proc and its own allocator tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Bytes.
    pub(crate) resident: u64,
    /// Bytes the allocator has given out.
    pub(crate) allocated: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Pieces of memory that are mapped.
    pub(crate) mappings: u64,
    /// Doors a server has made for callers and not seen the end of.
    pub(crate) offspring: u64,
}

/// What a pool of threads, its stacks and its buffers explain: how much more there may be than at the first rest, however long the run.
const ALLOWANCE: Holdings = Holdings {
    resident: 48 << 20,
    allocated: 1 << 20,
    descriptors: 16,
    threads: 16,
    mappings: 128,
    offspring: 0,
};

impl Holdings {
    /// Of another process, which must be at rest; `allocated` and `offspring` are what it says itself.
    pub(crate) fn of(pid: u32, allocated: u64, offspring: u64) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(process.join("status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok())
            .context("no VmRSS")?;
        // A thread may have a table of descriptors of its own.
        let (mut threads, mut tables) = (0, BTreeSet::new());
        for task in fs::read_dir(process.join("task"))? {
            // A thread that has just ended holds nothing.
            let Ok(table) = table(&task?.path().join("fd")) else {
                continue;
            };
            threads += 1;
            tables.insert(table);
        }
        ensure!(threads > 0, "the descriptors of process {pid} cannot be read");
        Ok(Self {
            resident: resident << 10,
            allocated,
            descriptors: tables.iter().map(|table| table.len() as u64).sum(),
            threads,
            mappings: fs::read_to_string(process.join("maps"))?.lines().count() as u64,
            offspring,
        })
    }

    /// Fails if there is more than there was, beyond the allowance.
    pub(crate) fn no_more_than(&self, before: &Self) -> Result<()> {
        let pairs = [
            (
                self.descriptors,
                before.descriptors,
                ALLOWANCE.descriptors,
                "descriptors left open",
            ),
            (
                self.threads,
                before.threads,
                ALLOWANCE.threads,
                "threads that do not end",
            ),
            (
                self.mappings,
                before.mappings,
                ALLOWANCE.mappings,
                "mappings left behind",
            ),
            (
                self.allocated,
                before.allocated,
                ALLOWANCE.allocated,
                "memory that is not given back",
            ),
            (
                self.resident,
                before.resident,
                ALLOWANCE.resident,
                "more and more memory",
            ),
        ];
        // All who were given one are dead, or have let go of it.
        ensure!(
            self.offspring == 0,
            "{} doors that nobody holds and that were not told so",
            self.offspring
        );
        for (now, before, allowance, what) in pairs {
            if now > before + allowance {
                bail!("{what}: {before} at the first rest, {now} now");
            }
        }
        Ok(())
    }
}

/// The descriptors of one table, with what they refer to.
fn table(folder: &Path) -> Result<Vec<(OsString, PathBuf)>> {
    let mut table = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let target = fs::read_link(entry.path()).unwrap_or_default();
        table.push((entry.file_name(), target));
    }
    table.sort_unstable();
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_seen_and_what_stays_is_none() {
        let before = Holdings::of(std::process::id(), 0, 0).expect("this process is there");
        before.no_more_than(&before).expect("nothing has grown");
        // Other tests of this process close a few meanwhile.
        let _files: Vec<_> = (0..=ALLOWANCE.descriptors + 100)
            .map(|_| fs::File::open("/dev/null").expect("it can be opened"))
            .collect();
        let after = Holdings::of(std::process::id(), 0, 0).expect("this process is there");
        assert!(after.no_more_than(&before).is_err());
        for leak in [
            Holdings {
                resident: before.resident + ALLOWANCE.resident + 1,
                ..before
            },
            Holdings {
                allocated: before.allocated + ALLOWANCE.allocated + 1,
                ..before
            },
            Holdings {
                threads: before.threads + ALLOWANCE.threads + 1,
                ..before
            },
            Holdings {
                mappings: before.mappings + ALLOWANCE.mappings + 1,
                ..before
            },
            Holdings {
                offspring: 1,
                ..before
            },
        ] {
            assert!(leak.no_more_than(&before).is_err(), "{leak:?}");
        }
    }
}
