//! doorctl: look at and use any door from a shell.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    doorctl::main()
}
