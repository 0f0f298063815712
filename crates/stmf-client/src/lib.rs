//! Blocking client of the control door of stmfd.
