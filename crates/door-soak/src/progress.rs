//! What is said while a run goes on, and in the end.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::holdings::Holdings;
use crate::shared::{Number, Shared};

/// Tells how far a run is: in one line that changes on a terminal, now and then elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    pub(crate) began: Instant,
    next: Instant,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        Self {
            terminal: std::io::stdout().is_terminal(),
            began,
            next: began,
        }
    }

    /// Says where we are, if it is time to.
    pub(crate) fn show(&mut self, shared: Shared, calls: u64, strikes: &Strikes) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + Duration::from_secs(if self.terminal { 1 } else { 10 });
        let done = shared.get(Number::Calls);
        let line = format!(
            "{} of {} calls, {}/s; {} processes killed, {} forked children",
            grouped(done),
            grouped(calls),
            grouped(rate(done, self.began.elapsed())),
            grouped(strikes.clients + strikes.servers),
            grouped(shared.get(Number::Children))
        );
        if self.terminal {
            print!("\r\x1b[K{line}");
            let _ = std::io::stdout().flush();
        } else {
            println!("{line}");
        }
    }

    /// Ends the line that changes.
    pub(crate) fn done(&self) {
        if self.terminal {
            print!("\r\x1b[K");
            let _ = std::io::stdout().flush();
        }
    }
}

/// What was done to the processes.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    pub(crate) clients: u64,
    pub(crate) servers: u64,
    pub(crate) stops: u64,
}

/// The figures of a run.
pub(crate) fn summary(shared: Shared, strikes: &Strikes, time: Duration) -> String {
    let get = |number| grouped(shared.get(number));
    let calls = shared.get(Number::Calls);
    format!(
        "{} calls in {:.1} s, {}/s, {} MiB\n\
         \x20 answered {}, refused by a dead server's door {}\n\
         \x20 given up: deadline {}, signal or dead server {}, signal before it was taken {}, cancelled thread {}\n\
         \x20 descriptors: {} there, {} back; doors made for a caller: {}; callers called back: {}\n\
         \x20 killed in the middle: {} clients, {} servers; stopped for a while: {}; forked children: {}",
        grouped(calls),
        time.as_secs_f64(),
        grouped(rate(calls, time)),
        grouped(shared.get(Number::Bytes) >> 20),
        get(Number::Answered),
        get(Number::Revoked),
        get(Number::TimedOut),
        get(Number::Interrupted),
        get(Number::Again),
        get(Number::Cancelled),
        get(Number::There),
        get(Number::Back),
        get(Number::Offspring),
        get(Number::CalledBack),
        grouped(strikes.clients),
        grouped(strikes.servers),
        grouped(strikes.stops),
        get(Number::Children)
    )
}

/// What each process held at its first rest, and at its last.
pub(crate) fn table(processes: &[(String, Holdings, Holdings)]) -> String {
    let mut text = format!(
        "  {:<14} {:>20} {:>20} {:>13} {:>11} {:>13}\n",
        "first -> last", "resident KiB", "allocated KiB", "descriptors", "threads", "mappings"
    );
    for (name, first, last) in processes {
        let pair = |figure: fn(&Holdings) -> u64| format!("{} -> {}", figure(first), figure(last));
        let _ = writeln!(
            text,
            "  {name:<14} {:>20} {:>20} {:>13} {:>11} {:>13}",
            pair(|holdings| holdings.resident >> 10),
            pair(|holdings| holdings.allocated >> 10),
            pair(|holdings| holdings.descriptors),
            pair(|holdings| holdings.threads),
            pair(|holdings| holdings.mappings)
        );
    }
    text
}

fn rate(calls: u64, time: Duration) -> u64 {
    calls * 1000 / u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [7, 123, 1234, 1_234_567].map(grouped),
            ["7", "123", "1,234", "1,234,567"]
        );
    }
}
