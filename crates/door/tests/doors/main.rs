//! Doors across real processes. Rows DR-… are those of the behavioural specification.

#![expect(
    clippy::cast_possible_truncation,
    reason = "patterns and small counts of tests"
)]

mod answers;
mod awaited;
mod calls;
mod descriptors;
mod exhaustion;
mod failures;
mod fork;
mod hostile;
mod hostile_server;
mod identity;
mod numbers;
mod paths;
mod pools;
mod program;
mod programs;
mod runtime;
mod scale;
mod starvation;
mod statistics;
mod stress;
mod support;
mod unreferenced;
mod watch;
mod wire;

#[test]
#[ignore = "not a test: where child processes start"]
fn role() {
    support::role();
}
