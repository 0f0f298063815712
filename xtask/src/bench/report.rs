//! Figures of one run, their ratios, and the file they are written to.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// All samples of all measurements, in the order of their first sample, and the ratios asked for.
#[derive(Debug, Default)]
pub(crate) struct Report {
    order: Vec<&'static str>,
    samples: BTreeMap<&'static str, Samples>,
    ratios: Vec<Ratio>,
}

#[derive(Debug)]
struct Samples {
    unit: &'static str,
    values: Vec<f64>,
}

#[derive(Debug)]
struct Ratio {
    name: &'static str,
    of: &'static str,
    to: &'static str,
    budget: &'static str,
}

impl Report {
    /// One more sample of a measurement.
    pub(crate) fn add(&mut self, name: &'static str, unit: &'static str, value: f64) {
        let samples = self.samples.entry(name).or_insert_with(|| {
            self.order.push(name);
            Samples {
                unit,
                values: Vec::new(),
            }
        });
        samples.values.push(value);
    }

    /// Asks for the ratio of two medians; `budget` is what it should be, in words.
    pub(crate) fn ratio(
        &mut self,
        name: &'static str,
        of: &'static str,
        to: &'static str,
        budget: &'static str,
    ) {
        self.ratios.push(Ratio { name, of, to, budget });
    }

    fn median(&self, name: &str) -> Option<f64> {
        let mut values = self.samples.get(name)?.values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Prints medians with their spread, then the ratios.
    pub(crate) fn print(&self) {
        println!("\n{:<52} {:>12} {:>12} {:>12}", "", "median", "lowest", "highest");
        for name in &self.order {
            let Some(samples) = self.samples.get(name) else {
                continue;
            };
            let (low, high) = spread(&samples.values);
            let median = self.median(name).unwrap_or_default();
            println!(
                "{name:<52} {median:>12.2} {low:>12.2} {high:>12.2}  {}",
                samples.unit
            );
        }
        println!("\nratios of the medians");
        for ratio in &self.ratios {
            if let Some(value) = self.value(ratio) {
                println!("{:<66} {value:>8.2}  ({})", ratio.name, ratio.budget);
            }
        }
    }

    fn value(&self, ratio: &Ratio) -> Option<f64> {
        let to = self.median(ratio.to)?;
        (to > 0.0).then_some(self.median(ratio.of)? / to)
    }

    /// Writes everything as tab-separated values.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut text = String::from("kind\tname\tvalue\tunit\tlowest\thighest\tsamples\n");
        for name in &self.order {
            let Some(samples) = self.samples.get(name) else {
                continue;
            };
            let (low, high) = spread(&samples.values);
            let median = self.median(name).unwrap_or_default();
            let count = samples.values.len();
            writeln!(
                text,
                "median\t{name}\t{median:.3}\t{}\t{low:.3}\t{high:.3}\t{count}",
                samples.unit
            )?;
        }
        for ratio in &self.ratios {
            if let Some(value) = self.value(ratio) {
                writeln!(text, "ratio\t{}\t{value:.3}\t{}\t\t\t", ratio.name, ratio.budget)?;
            }
        }
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn spread(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0), |(low, high), value| {
        (value.min(low), value.max(high))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_compares_medians_and_ignores_an_outlier() {
        let mut report = Report::default();
        for value in [2.0, 2.0, 90.0] {
            report.add("ours", "us", value);
            report.add("theirs", "us", value / 2.0);
        }
        report.ratio("ours to theirs", "ours", "theirs", "at most 2");
        let value = report.value(&report.ratios[0]).expect("both measured");
        assert!((value - 2.0).abs() < 1e-9, "{value}");
    }
}
