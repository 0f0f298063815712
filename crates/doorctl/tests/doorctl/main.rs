//! The program on living doors, in processes of their own.

mod bench;
mod call;
mod info;
mod ls;
mod serve;
mod support;
mod top;
mod usage;

#[test]
#[ignore = "not a test: where the process with the doors starts"]
fn role() {
    support::role();
}
