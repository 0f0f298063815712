//! The manual pages of section 3 against the library: what they name exists, what they say can be shown.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod examples;
mod pages;
mod synopsis;
