//! Requests and replies on the control door of stmfd.
