//! What is printed: standard output, tables, numbers for people.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Prints to standard output, at once.
pub(crate) fn print(bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes.as_ref())?;
    Ok(out.flush()?)
}

/// Prints JSON, for a person if a person looks.
pub(crate) fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(format!("{value:#}\n"))
}

/// Says a line on standard error, in one piece: commands of `serve` write there, too. What cannot be said is lost.
pub(crate) fn say(what: impl Display) {
    let line = format!("doorctl: {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// True if an error says that nobody reads the output any more, as with `| head`.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// True if standard output is a terminal whose user wants colours.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows under headings; the last column is as wide as it likes.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// Headings; those that begin with `>` stand to the right, as numbers do.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let first = headings
            .iter()
            .map(|heading| heading.trim_start_matches('>').to_owned());
        Self {
            rows: vec![first.collect()],
            right,
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| visible(cell)).collect());
    }

    pub(crate) fn text(&self, colours: bool) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let blanks = " ".repeat(width - cell.chars().count());
                if *right {
                    line += &blanks;
                    line += cell;
                } else {
                    line += cell;
                    line += &blanks;
                }
                line += "  ";
            }
            let line = line.trim_end();
            text += &if colours && number == 0 {
                format!("\x1b[1m{line}\x1b[0m\n")
            } else {
                format!("{line}\n")
            };
        }
        text
    }
}

/// A name as it can be shown: what would move the cursor or end the line is escaped.
pub(crate) fn visible(name: &str) -> String {
    name.chars().fold(String::new(), |mut shown, c| {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// A duration with three digits or so: `850 ns`, `1.52 us`, `20.4 ms`, `3.00 s`.
pub(crate) fn duration(time: Duration) -> String {
    let ns = time.as_secs_f64() * 1e9;
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "us")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| ns >= *unit) else {
        return format!("{ns:.0} ns");
    };
    let value = ns / unit;
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {name}")
}

/// A rate or a count: `12`, `3.4k`, `5.2M`.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value >= 1e7 => format!("{:.0}M", value / 1e6),
        value if value >= 1e6 => format!("{:.1}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 1e3 => format!("{:.1}k", value / 1e3),
        value if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_show_no_control_characters() {
        let mut table = Table::new(&["PATH", ">PID", "COMMAND"]);
        table.row(vec!["/run/a".into(), "7".into(), "x".into()]);
        table.row(vec!["/b\x1b[2J".into(), "12345".into(), "y z".into()]);
        assert_eq!(
            table.text(false),
            "PATH           PID  COMMAND\n/run/a           7  x\n/b\\u{1b}[2J  12345  y z\n"
        );
        assert!(table.text(true).starts_with("\x1b[1mPATH"));
    }

    #[test]
    fn numbers_are_short() {
        let durations = [
            (5, "5 ns"),
            (1520, "1.52 us"),
            (20_400_000, "20.4 ms"),
            (3_000_000_000, "3.00 s"),
        ];
        for (ns, text) in durations {
            assert_eq!(duration(Duration::from_nanos(ns)), text);
        }
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (12.4, "12"),
            (3400.0, "3.4k"),
            (5.2e6, "5.2M"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
