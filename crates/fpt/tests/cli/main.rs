//! The `fpt` program, from outside.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod bench;
mod commands;
mod convert;
mod determinism;
mod devices;
mod doctor;
#[cfg(unix)]
mod guide;
mod hostile_text;
mod hub;
mod lab;
mod memory;
mod numbers;
mod own_task;
mod report;
mod reproduce;
mod run_directories;
mod schedules;
#[cfg(unix)]
mod slurm;
mod stops;
mod sweep;
mod t5_large_layout;
mod terminal;
mod whole_files;
mod wild;
