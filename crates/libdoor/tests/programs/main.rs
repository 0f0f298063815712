//! Whole programs: the examples, and programs in the manner of books and of Solaris's own daemons, compiled as a user would and run.

#[path = "../support/mod.rs"]
mod support;

mod debugger;
mod examples;
mod manner;
mod run;
mod sanitizer;
mod valgrind;
