//! What the targets share: files for readers that want some, a limit of memory, and what an error must be.

mod experiment;
mod scratch;
mod task;

use std::alloc::System;
use std::fmt::Display;
use std::path::Path;

use cap::Cap;

pub use experiment::plan;
pub use scratch::Scratch;
pub use task::read_task;

/// More memory than this a reader may not take for a file of some kilobytes: what it asks for beyond is refused, which
/// ends the process.
const MOST_MEMORY: usize = 256 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, MOST_MEMORY);

/// What was read. An error can be shown.
pub fn told<T>(result: Result<T, impl Display>) -> Option<T> {
    result.map_err(|error| error.to_string()).ok()
}

/// What was read of `path`. An error names it.
///
/// # Panics
/// If it does not.
pub fn named<T>(result: Result<T, impl Display>, path: &Path) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error.to_string(),
    };
    let name = path.display().to_string();
    assert!(error.contains(&name), "without {name}: {error}");
    None
}

/// Keeps quiet about panics that a reader catches, and goes on: libFuzzer's own hook would end the process. One that is
/// not caught ends it anyway.
pub fn let_panics_be_caught() {
    std::panic::set_hook(Box::new(|_| {}));
}
