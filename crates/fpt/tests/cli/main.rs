//! The `fpt` program, from outside.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod commands;
mod lab;
mod report;
mod schedules;
mod t5_large_layout;
