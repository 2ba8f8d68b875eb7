//! The `fpt` program, from outside.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod commands;
mod devices;
mod lab;
mod report;
mod run_directories;
mod schedules;
mod t5_large_layout;
