//! What is measured.

pub(crate) mod c;
pub(crate) mod rust;
