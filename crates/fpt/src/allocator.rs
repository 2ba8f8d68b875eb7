//! The allocator, and how it treats freed memory.

/// Allocations of activations come and go at every step: a caching allocator spares page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After so many milliseconds freed memory goes back to the system; never, if -1. mimalloc reads it from the
/// environment before `main`.
#[cfg(unix)]
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// Start this program anew as one that keeps the memory that it frees, unless the environment says what to do with it.
///
/// Steps need the same memory again and again, and the system clears every page that it gives: without this a training
/// step takes 3 to 7 % longer (`docs/decisions/0013-memory-is-kept.md`). The process and its input and output stay the
/// same. It goes on as it is where it can't find itself.
#[cfg(unix)]
pub(crate) fn keep_freed_memory() {
    use std::os::unix::process::CommandExt;

    // An empty one would mean no delay at all, which nobody asks for in this way.
    if std::env::var_os(PURGE_DELAY).is_some_and(|delay| !delay.is_empty()) {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) else {
        return;
    };
    // A loader that was asked to run this program counts as the program itself.
    if program.file_name() != std::path::Path::new(&name).file_name() {
        return;
    }
    // Comes back only with an error.
    let _ = std::process::Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(PURGE_DELAY, "-1")
        .exec();
}

#[cfg(not(unix))]
pub fn keep_freed_memory() {}
