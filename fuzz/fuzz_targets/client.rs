#![no_main]

#[path = "../../crates/door/tests/doors/program.rs"]
mod program;
#[path = "../../crates/door/tests/doors/wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|input: &[u8]| program::client(input));
