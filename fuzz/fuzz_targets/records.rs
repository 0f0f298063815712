#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| door::engine::fuzzing::records(input));
