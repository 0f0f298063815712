//! Figures of all rounds, what they mean, and how they are shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::judgement::{Standing, Verdict};
use super::rows::{ADVANTAGES, BUDGETS, Class, IDLE_AT_MOST_US, Load, Mechanism, Row};

/// What can be said about a mechanism on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Median time of a call, µs.
    P50,
    /// Time that one call in a hundred exceeds, µs.
    P99,
    /// Median of batches of 16 calls, µs a call.
    Batch,
    /// Processor time of both sides for a call, µs.
    Processor,
    /// Calls a second of all clients together.
    Rate,
    /// What the client that got least got of what the client got that got most, per cent.
    Fairness,
    /// Processor time of an idle client, µs a second.
    IdleClient,
    /// Processor time of an idle server, µs a second.
    IdleServer,
    /// Both together.
    Idle,
}

impl Metric {
    const ALL: [Self; 9] = [
        Self::P50,
        Self::P99,
        Self::Batch,
        Self::Processor,
        Self::Rate,
        Self::Fairness,
        Self::IdleClient,
        Self::IdleServer,
        Self::Idle,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::Batch => "batch us",
            Self::Processor => "CPU us",
            Self::Rate => "calls/s",
            Self::Fairness => "fair %",
            Self::IdleClient => "client us/s",
            Self::IdleServer => "server us/s",
            Self::Idle => "both us/s",
        }
    }

    /// Reads what `call-bench latency` and `call-bench idle` print.
    pub(crate) fn all_of(value: &Value) -> Result<Vec<(Self, f64)>> {
        let figure = |key: &str| value.get(key).and_then(Value::as_f64);
        let mut all = Vec::new();
        for (metric, key, scale) in [
            (Self::P50, "p50_ns", 1e-3),
            (Self::P99, "p99_ns", 1e-3),
            (Self::Batch, "batch_ns", 1e-3),
            (Self::IdleClient, "client_us_per_s", 1.0),
            (Self::IdleServer, "server_us_per_s", 1.0),
        ] {
            all.extend(figure(key).map(|figure| (metric, figure * scale)));
        }
        if let (Some(client), Some(server)) = (figure("client_us"), figure("server_us")) {
            all.push((Self::Processor, client + server));
        }
        if let (Some(client), Some(server)) = (figure("client_us_per_s"), figure("server_us_per_s")) {
            all.push((Self::Idle, client + server));
        }
        Ok(all)
    }

    /// Adds up what the processes of `call-bench throughput` print.
    pub(crate) fn of_counts(values: &[Value]) -> Result<Vec<(Self, f64)>> {
        let mut rates = Vec::new();
        for value in values {
            let seconds = value.get("seconds").and_then(Value::as_f64).context("no time")?;
            let counts = value
                .get("counts")
                .and_then(Value::as_array)
                .context("no counts")?;
            let counts = counts.iter().filter_map(Value::as_f64);
            rates.extend(counts.map(|count| count / seconds));
        }
        let (least, most) = spread(&rates);
        Ok(vec![
            (Self::Rate, rates.iter().sum()),
            (
                Self::Fairness,
                if most > 0.0 { least * 100.0 / most } else { 0.0 },
            ),
        ])
    }
}

type Key = (&'static str, &'static str, Metric);

/// All figures, by row, mechanism and metric; in each, by round.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<Key, BTreeMap<u32, f64>>);

/// How two mechanisms compare on a row: the median of the rounds' ratios, with the lowest and the highest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) lowest: f64,
    pub(super) highest: f64,
}

impl Figures {
    /// Keeps what one measurement gave.
    pub(crate) fn add(&mut self, row: &Row, mechanism: &Mechanism, round: u32, sample: &[(Metric, f64)]) {
        for (metric, value) in sample {
            let rounds = self.0.entry((row.title, mechanism.name, *metric)).or_default();
            rounds.insert(round, *value);
        }
    }

    fn values(&self, row: &Row, mechanism: &str, metric: Metric) -> Vec<f64> {
        self.rounds(row, mechanism, metric)
            .map(|rounds| rounds.values().copied().collect())
            .unwrap_or_default()
    }

    fn rounds(&self, row: &Row, mechanism: &str, metric: Metric) -> Option<&BTreeMap<u32, f64>> {
        let mut found = self.0.iter();
        found
            .find(|((title, name, of), _)| *title == row.title && *name == mechanism && *of == metric)
            .map(|(_, rounds)| rounds)
    }

    fn median(&self, row: &Row, mechanism: &str, metric: Metric) -> Option<f64> {
        median(self.values(row, mechanism, metric))
    }

    /// `of` as a multiple of `to`.
    fn ratio(&self, row: &Row, of: &str, to: &str, metric: Metric) -> Option<Ratio> {
        let (of, to) = (self.rounds(row, of, metric)?, self.rounds(row, to, metric)?);
        let ratios: Vec<f64> = of
            .iter()
            .filter_map(|(round, of)| to.get(round).map(|to| (*of, *to)))
            .map(|(of, to)| match metric {
                Metric::Idle => of.max(IDLE_AT_MOST_US) / to.max(IDLE_AT_MOST_US),
                _ => of / to,
            })
            .filter(|ratio| ratio.is_finite())
            .collect();
        let (lowest, highest) = spread(&ratios);
        Some(Ratio {
            median: median(ratios)?,
            lowest,
            highest,
        })
    }

    /// The best of a class on a row, by the row's headline.
    fn best<'a>(
        &self,
        row: &Row,
        mechanisms: &[&'a Mechanism],
        is: impl Fn(Class) -> bool,
    ) -> Option<&'a Mechanism> {
        let metric = headline(row);
        let candidates = mechanisms.iter().filter(|one| is(one.class));
        let mut best: Option<(&Mechanism, f64)> = None;
        for one in candidates {
            let Some(value) = self.median(row, one.name, metric) else {
                continue;
            };
            if best.is_none_or(|(_, than)| better(metric, value, than)) {
                best = Some((one, value));
            }
        }
        best.map(|(one, _)| one)
    }

    /// The tables and what follows from them.
    pub(crate) fn text(&self, rows: &[&Row], mechanisms: &[&Mechanism]) -> String {
        let mut text = String::new();
        for row in rows {
            self.table(&mut text, row, mechanisms);
        }
        text.push_str("\nbudgets (lowest and highest of the rounds in brackets)\n");
        for verdict in self.verdicts(rows, mechanisms) {
            let _ = writeln!(text, "  {verdict}");
        }
        text.push_str("\nagainst the best of the others\n");
        for standing in self.standings(rows, mechanisms) {
            let _ = writeln!(text, "  {standing}");
        }
        text
    }

    fn table(&self, text: &mut String, row: &Row, mechanisms: &[&Mechanism]) {
        let columns: Vec<Metric> = Metric::ALL
            .into_iter()
            .filter(|metric| {
                mechanisms
                    .iter()
                    .any(|one| self.rounds(row, one.name, *metric).is_some())
            })
            .collect();
        if columns.is_empty() {
            return;
        }
        let _ = write!(text, "\n{:<34}", row.title);
        for column in &columns {
            let _ = write!(text, "{:>13}", column.name());
        }
        if row.bytes > 0 {
            let _ = write!(text, "{:>13}", "MiB/s");
        }
        text.push('\n');
        for one in mechanisms {
            if columns
                .iter()
                .all(|metric| self.rounds(row, one.name, *metric).is_none())
            {
                continue;
            }
            let _ = write!(text, "  {:<32}", one.label);
            for column in &columns {
                let shown = self
                    .median(row, one.name, *column)
                    .map(|value| number(*column, value));
                let _ = write!(text, "{:>13}", shown.unwrap_or_default());
            }
            if let Some(us) = self.median(row, one.name, Metric::P50).filter(|_| row.bytes > 0) {
                let _ = write!(text, "{:>13.0}", mib_per_s(row.bytes, us));
            }
            text.push('\n');
        }
    }

    /// Each budget: met or missed.
    fn verdicts(&self, rows: &[&Row], mechanisms: &[&Mechanism]) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let doors = || mechanisms.iter().filter(|one| one.class == Class::Door);
        for budget in BUDGETS {
            let Some(row) = rows.iter().find(|row| row.title == budget.row) else {
                continue;
            };
            for door in doors() {
                if let Some(ratio) = self.ratio(row, door.name, budget.limit, headline(row)) {
                    verdicts.push(Verdict {
                        row: row.title,
                        door: door.label,
                        said: budget.said,
                        value: ratio,
                        unit: "x",
                        met: ratio.median <= budget.at_most,
                    });
                }
            }
        }
        for row in rows.iter().filter(|row| row.load == Load::Idle) {
            for door in doors() {
                let values = self.values(row, door.name, Metric::Idle);
                let (lowest, highest) = spread(&values);
                if let Some(used) = median(values) {
                    verdicts.push(Verdict {
                        row: row.title,
                        door: door.label,
                        said: "no processor time while idle",
                        value: Ratio {
                            median: used,
                            lowest,
                            highest,
                        },
                        unit: "us/s",
                        met: used <= IDLE_AT_MOST_US,
                    });
                }
            }
        }
        verdicts
    }

    /// The door of each row against the best peer and the best socket.
    fn standings(&self, rows: &[&Row], mechanisms: &[&Mechanism]) -> Vec<Standing> {
        let mut standings = Vec::new();
        for row in rows {
            let metric = headline(row);
            for door in mechanisms.iter().filter(|one| one.class == Class::Door) {
                let other = self.best(row, mechanisms, |class| {
                    matches!(class, Class::Peer | Class::Socket)
                });
                let Some(other) = other else { continue };
                let Some(ratio) = self.ratio(row, door.name, other.name, metric) else {
                    continue;
                };
                standings.push(Standing {
                    row: row.title,
                    door: door.label,
                    other: other.label,
                    why: ADVANTAGES
                        .iter()
                        .find(|one| one.row == row.title && one.of == other.name)
                        .map(|one| one.why),
                    times: if higher_is_better(metric) {
                        ratio.median
                    } else {
                        1.0 / ratio.median
                    },
                });
            }
        }
        standings
    }

    /// Everything as tab-separated values.
    pub(crate) fn tsv(&self, rows: &[&Row], mechanisms: &[&Mechanism]) -> String {
        let mut text = String::from("kind\trow\tmechanism\tmetric\tmedian\tlowest\thighest\trounds\n");
        for row in rows {
            for one in mechanisms {
                for metric in Metric::ALL {
                    let values = self.values(row, one.name, metric);
                    let (lowest, highest) = spread(&values);
                    let count = values.len();
                    if let Some(median) = median(values) {
                        let _ = writeln!(
                            text,
                            "figure\t{}\t{}\t{}\t{median:.4}\t{lowest:.4}\t{highest:.4}\t{count}",
                            row.title,
                            one.name,
                            metric.name()
                        );
                    }
                }
            }
        }
        for verdict in self.verdicts(rows, mechanisms) {
            let Ratio {
                median,
                lowest,
                highest,
            } = verdict.value;
            let _ = writeln!(
                text,
                "budget\t{}\t{}\t{}: {}\t{median:.4}\t{lowest:.4}\t{highest:.4}\t",
                verdict.row,
                verdict.door,
                verdict.said,
                verdict.word()
            );
        }
        for standing in self.standings(rows, mechanisms) {
            let _ = writeln!(
                text,
                "standing\t{}\t{}\ttimes as good as {}: {}\t{:.4}\t\t\t",
                standing.row,
                standing.door,
                standing.other,
                standing.word(),
                standing.times
            );
        }
        text
    }
}

/// What a row is judged by.
fn headline(row: &Row) -> Metric {
    match row.load {
        // A single call of a quarter of a microsecond is hard to time; sixteen are not.
        Load::Calls if row.kind == "null" => Metric::Batch,
        Load::Calls | Load::Asleep => Metric::P50,
        Load::Threads(_) | Load::Processes { .. } => Metric::Rate,
        Load::Idle => Metric::Idle,
    }
}

fn higher_is_better(metric: Metric) -> bool {
    matches!(metric, Metric::Rate | Metric::Fairness)
}

fn better(metric: Metric, value: f64, than: f64) -> bool {
    if higher_is_better(metric) {
        value > than
    } else {
        value < than
    }
}

fn number(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Rate | Metric::Fairness | Metric::IdleClient | Metric::IdleServer | Metric::Idle => {
            format!("{value:.0}")
        }
        _ if value < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// The rate of something of `bytes` that takes `us`.
fn mib_per_s(bytes: u64, us: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a mebibyte")]
    let mib = bytes as f64 / f64::from(1 << 20);
    mib * 1e6 / us
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn spread(values: &[f64]) -> (f64, f64) {
    let lowest = values.iter().copied().reduce(f64::min).unwrap_or_default();
    let highest = values.iter().copied().reduce(f64::max).unwrap_or_default();
    (lowest, highest)
}

#[cfg(test)]
mod tests {
    use super::super::rows::{MECHANISMS, ROWS};
    use super::*;

    fn mechanism(name: &str) -> &'static Mechanism {
        MECHANISMS.iter().find(|one| one.name == name).expect("mechanism")
    }

    #[test]
    fn a_budget_is_judged_by_ratios_within_rounds_so_that_a_slow_round_does_not_count() {
        let row = &ROWS[0];
        let mut figures = Figures::default();
        // The machine is ten times slower in the last round, for both.
        for (round, pace) in [(1, 1.0), (2, 1.1), (3, 10.0)] {
            figures.add(row, mechanism("door"), round, &[(Metric::Batch, 0.19 * pace)]);
            figures.add(row, mechanism("memory"), round, &[(Metric::Batch, 0.1 * pace)]);
        }
        let verdicts = figures.verdicts(&[row], &[mechanism("door"), mechanism("memory")]);
        let [verdict] = verdicts.as_slice() else {
            panic!("one budget, one door")
        };
        assert!(verdict.met);
        assert!((verdict.value.highest - 1.9).abs() < 1e-9, "{verdict}");
    }

    #[test]
    fn a_door_slower_than_a_socket_is_behind() {
        let row = &ROWS[0];
        let mut figures = Figures::default();
        figures.add(row, mechanism("door"), 1, &[(Metric::Batch, 3.0)]);
        figures.add(row, mechanism("stream"), 1, &[(Metric::Batch, 2.0)]);
        figures.add(row, mechanism("seqpacket"), 1, &[(Metric::Batch, 4.0)]);
        let standings = figures.standings(
            &[row],
            &[mechanism("door"), mechanism("stream"), mechanism("seqpacket")],
        );
        assert_eq!(standings.len(), 1);
        assert_eq!(
            (standings[0].other, standings[0].word().as_str()),
            ("Unix stream socket", "BEHIND")
        );
    }

    #[test]
    fn counts_of_several_processes_are_added_and_the_least_served_is_seen() {
        let values = [
            serde_json::json!({ "counts": [100], "seconds": 0.5 }),
            serde_json::json!({ "counts": [50], "seconds": 0.5 }),
        ];
        let figures = Metric::of_counts(&values).expect("figures");
        assert_eq!(figures, [(Metric::Rate, 300.0), (Metric::Fairness, 50.0)]);
    }
}
