//! What is measured: rows, mechanisms, and which goes with which.

/// What a mechanism is to doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// What is judged.
    Door,
    /// What nothing can beat: it does less than a call.
    Limit,
    /// What there is without a library.
    Socket,
    /// A library that somebody would choose instead.
    Peer,
}

/// A way to call.
#[derive(Debug)]
pub(crate) struct Mechanism {
    /// Its name for `call-bench`.
    pub(crate) name: &'static str,
    /// Its name for people.
    pub(crate) label: &'static str,
    pub(crate) class: Class,
}

/// All of them, in the order of the tables.
pub(crate) const MECHANISMS: &[Mechanism] = &[
    Mechanism {
        name: "door",
        label: "door (Rust)",
        class: Class::Door,
    },
    Mechanism {
        name: "c-door",
        label: "door (C, libdoor)",
        class: Class::Door,
    },
    Mechanism {
        name: "memory",
        label: "shared memory, spinning",
        class: Class::Limit,
    },
    Mechanism {
        name: "futex",
        label: "shared memory, futex",
        class: Class::Limit,
    },
    Mechanism {
        name: "memcpy",
        label: "two memcpy, one thread",
        class: Class::Limit,
    },
    Mechanism {
        name: "stream",
        label: "Unix stream socket",
        class: Class::Socket,
    },
    Mechanism {
        name: "seqpacket",
        label: "Unix seqpacket socket",
        class: Class::Socket,
    },
    Mechanism {
        name: "iceoryx2",
        label: "iceoryx2, polling",
        class: Class::Peer,
    },
    Mechanism {
        name: "iceoryx2-events",
        label: "iceoryx2, events",
        class: Class::Peer,
    },
    Mechanism {
        name: "ipc-channel",
        label: "ipc-channel",
        class: Class::Peer,
    },
    Mechanism {
        name: "zbus",
        label: "zbus, peer to peer",
        class: Class::Peer,
    },
    Mechanism {
        name: "tarpc",
        label: "tarpc, Unix socket",
        class: Class::Peer,
    },
];

/// How calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// One caller, one call after the other.
    Calls,
    /// One caller that sleeps a millisecond before each call.
    Asleep,
    /// So many threads of one process.
    Threads(u32),
    /// So many processes, beside so many that are connected and do nothing.
    Processes { busy: u32, idle: u32 },
    /// Nobody calls.
    Idle,
}

/// Where both sides run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the scheduler puts them.
    Anywhere,
    /// The client on one processor, the server on another.
    TwoCores,
    /// Both on one.
    OneCore,
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) title: &'static str,
    /// What a call carries, as `call-bench` calls it.
    pub(crate) kind: &'static str,
    pub(crate) bytes: u64,
    pub(crate) load: Load,
    pub(crate) place: Place,
}

const fn calls(title: &'static str, kind: &'static str, bytes: u64) -> Row {
    Row {
        title,
        kind,
        bytes,
        load: Load::Calls,
        place: Place::Anywhere,
    }
}

const fn null(title: &'static str, load: Load, place: Place) -> Row {
    Row {
        title,
        kind: "null",
        bytes: 0,
        load,
        place,
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// All of them, in the order of the tables.
pub(crate) const ROWS: &[Row] = &[
    null(NULL, Load::Calls, Place::Anywhere),
    null("null call, two cores", Load::Calls, Place::TwoCores),
    null(ONE_CORE, Load::Calls, Place::OneCore),
    null(ASLEEP, Load::Asleep, Place::Anywhere),
    null(ASLEEP_TWO_CORES, Load::Asleep, Place::TwoCores),
    null("null call, asleep, one core", Load::Asleep, Place::OneCore),
    calls("1 KiB argument", "argument", KIB),
    calls("1 KiB result", "result", KIB),
    calls("1 KiB use", "use", KIB),
    calls("64 KiB argument", "argument", 64 * KIB),
    calls("64 KiB result", "result", 64 * KIB),
    calls("64 KiB use", "use", 64 * KIB),
    calls(ARGUMENT_1_MIB, "argument", MIB),
    calls("1 MiB result", "result", MIB),
    calls("1 MiB use", "use", MIB),
    calls("one descriptor", "descriptor", 0),
    null("1 thread", Load::Threads(1), Place::Anywhere),
    null("4 threads", Load::Threads(4), Place::Anywhere),
    null("8 threads", Load::Threads(8), Place::Anywhere),
    null(
        "4 processes",
        Load::Processes { busy: 4, idle: 0 },
        Place::Anywhere,
    ),
    null(
        "8 processes",
        Load::Processes { busy: 8, idle: 0 },
        Place::Anywhere,
    ),
    null(
        "8 processes beside 1,000 idle",
        Load::Processes { busy: 8, idle: 1000 },
        Place::Anywhere,
    ),
    null("idle", Load::Idle, Place::Anywhere),
];

const NULL: &str = "null call, spinning";
const ONE_CORE: &str = "null call, one core";
const ASLEEP: &str = "null call, asleep";
const ASLEEP_TWO_CORES: &str = "null call, asleep, two cores";
const ARGUMENT_1_MIB: &str = "1 MiB argument";

/// What a door may cost, as a multiple of a limit's time on the same row.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) row: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) at_most: f64,
    /// As it is written in the design.
    pub(crate) said: &'static str,
}

/// Section 7 of the design.
pub(crate) const BUDGETS: &[Budget] = &[
    Budget {
        row: NULL,
        limit: "memory",
        at_most: 2.0,
        said: "at most 2 x shared memory, both spinning",
    },
    Budget {
        row: ASLEEP,
        limit: "futex",
        at_most: 1.3,
        said: "at most 1.3 x futex, both asleep",
    },
    Budget {
        row: ASLEEP_TWO_CORES,
        limit: "futex",
        at_most: 1.3,
        said: "at most 1.3 x futex, both asleep",
    },
    Budget {
        row: ONE_CORE,
        limit: "futex",
        at_most: 1.3,
        said: "at most 1.3 x futex, on one core",
    },
    Budget {
        row: ARGUMENT_1_MIB,
        limit: "memcpy",
        at_most: 1.0 / 0.8,
        said: "at least 0.8 x the rate of two memcpy",
    },
];

/// What somebody has that doors go without, and why: where he is ahead, that is the reason.
#[derive(Debug)]
pub(crate) struct Advantage {
    pub(crate) row: &'static str,
    pub(crate) of: &'static str,
    pub(crate) why: &'static str,
}

/// A door's argument is the server's own: whoever wrote it cannot change it any more after it was checked.
const NO_PRIVATE_COPY: &str =
    "its server reads what the client can change meanwhile, and is a processor busy all the time";

/// Measured with one side's sleeps without a limit, and in turns with sockets for many rounds: docs/performance.md.
const WAKING: &str = "waking both sides takes nearly all of it: who does that once each is level, and which is ahead differs from run to run";

const fn wakes_as_often(row: &'static str, of: &'static str) -> Advantage {
    Advantage { row, of, why: WAKING }
}

/// All that are known.
pub(crate) const ADVANTAGES: &[Advantage] = &[
    wakes_as_often("null call, asleep", "stream"),
    wakes_as_often("null call, asleep", "seqpacket"),
    wakes_as_often("null call, asleep, two cores", "stream"),
    wakes_as_often("null call, asleep, two cores", "seqpacket"),
    wakes_as_often("null call, asleep, one core", "stream"),
    wakes_as_often("null call, asleep, one core", "seqpacket"),
    Advantage {
        row: "64 KiB argument",
        of: "iceoryx2",
        why: NO_PRIVATE_COPY,
    },
    Advantage {
        row: "64 KiB use",
        of: "iceoryx2",
        why: NO_PRIVATE_COPY,
    },
    Advantage {
        row: ARGUMENT_1_MIB,
        of: "iceoryx2",
        why: NO_PRIVATE_COPY,
    },
    Advantage {
        row: "1 MiB use",
        of: "iceoryx2",
        why: NO_PRIVATE_COPY,
    },
];

/// The budget of [`Load::Idle`], microseconds a second of both sides together: what cannot be told from nothing.
pub(crate) const IDLE_AT_MOST_US: f64 = 100.0;

impl Mechanism {
    /// Whether this mechanism can be measured on `row`, and says something there.
    pub(crate) fn belongs_to(&self, row: &Row) -> bool {
        let crowded = matches!(row.load, Load::Processes { idle: 1.., .. });
        match self.name {
            // Threads that never sleep: with more of them than processors each call takes a slice of the scheduler's time.
            "memory" => row.kind != "descriptor" && room_to_spin(row) && row.load != Load::Idle,
            "iceoryx2" => row.kind != "descriptor" && room_to_spin(row),
            "futex" => row.kind != "descriptor" && !crowded,
            // It has to be told how many clients will ever come, and files of those that are killed stay behind.
            "iceoryx2-events" => row.kind != "descriptor" && !crowded,
            "tarpc" => row.kind != "descriptor",
            "memcpy" => row.bytes > 0,
            _ => true,
        }
    }
}

/// Whether both sides have a processor of their own, and nobody is to fall asleep.
fn room_to_spin(row: &Row) -> bool {
    row.place != Place::OneCore && matches!(row.load, Load::Calls | Load::Threads(1) | Load::Idle)
}

/// Whether `name` is one of the comma-separated patterns: parts of it, in either case.
pub(crate) fn chosen(name: &str, patterns: Option<&str>) -> bool {
    let name = name.to_lowercase();
    patterns.is_none_or(|patterns| {
        patterns
            .to_lowercase()
            .split(',')
            .map(str::trim)
            .any(|pattern| !pattern.is_empty() && name.contains(pattern))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_budget_names_a_row_and_a_limit_that_is_measured_there() {
        for budget in BUDGETS {
            let row = ROWS.iter().find(|row| row.title == budget.row).expect("row");
            let limit = MECHANISMS
                .iter()
                .find(|one| one.name == budget.limit)
                .expect("limit");
            assert!(limit.belongs_to(row), "{}", budget.said);
        }
    }

    #[test]
    fn every_advantage_is_that_of_somebody_who_is_measured() {
        for advantage in ADVANTAGES {
            let row = ROWS.iter().find(|row| row.title == advantage.row).expect("row");
            let other = MECHANISMS
                .iter()
                .find(|one| one.name == advantage.of)
                .expect("other");
            assert!(other.belongs_to(row), "{}: {}", advantage.row, advantage.of);
        }
    }

    #[test]
    fn a_pattern_is_any_part_of_a_name() {
        assert!(chosen("1 MiB argument", Some("null, mib")));
        assert!(!chosen("1 MiB argument", Some("null,kib")));
        assert!(chosen("1 MiB argument", None));
    }
}
