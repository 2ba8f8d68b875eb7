//! Whether a device really computes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor};

/// Let a device add two numbers, and read the sum.
///
/// Drivers that are too old for this program, or a compiler of kernels that is missing, show only here: the runtimes open a
/// device lazily, on a thread of its own, and panic there. No such panic reaches the user: it is the reason.
///
/// # Errors
/// If there is no sum, or a wrong one: why.
pub(super) fn compute(device: &Device) -> Result<(), String> {
    let (sum, panic) = quietly(|| {
        let ones = Tensor::<1>::ones([2], device);
        (ones + 1.0)
            .try_into_data()
            .map_err(|error| error.to_string())
    });
    let wrong = match sum.map(|sum| sum.map(|sum| sum.try_to_vec::<f32>())) {
        Some(Ok(Ok(numbers))) if numbers == [2.0, 2.0] => return Ok(()),
        Some(Ok(Ok(numbers))) => format!("1 + 1 comes out as {numbers:?}"),
        Some(Ok(Err(error))) => error.to_string(),
        Some(Err(error)) => error,
        None => NO_REASON.into(),
    };
    // What went wrong first is the cause.
    Err(panic.unwrap_or(wrong))
}

const NO_REASON: &str = "no reason is given";

/// The result of `work`, unless it panicked, and the first line of what the first panic said, on whichever thread it was;
/// nothing is printed.
///
/// The hook for panics is the process's: this is for its start, when nothing else runs that could panic.
fn quietly<T>(work: impl FnOnce() -> T) -> (Option<T>, Option<String>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let first = Arc::new(Mutex::new(None::<String>));
    let kept = Arc::clone(&first);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or(NO_REASON);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert_with(|| first_line(message));
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(before);
    let message = first.lock().unwrap_or_else(PoisonError::into_inner).take();
    (result.ok(), message)
}

/// The first line that says something.
fn first_line(message: &str) -> String {
    let mut lines = message.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty());
    line.unwrap_or(NO_REASON).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_computes() {
        assert_eq!(compute(&Device::flex()), Ok(()));
    }

    #[test]
    fn a_panic_on_any_thread_is_a_reason() {
        let failing = || std::thread::spawn(|| panic!("\n  no libnvrtc\nfor reasons")).join();
        let reason = Some("no libnvrtc".to_string());
        let (result, message) = quietly(|| assert!(failing().is_ok(), "the device is gone"));
        assert_eq!((result, message), (None, reason.clone()));
        // A device may go on and answer nonsense.
        let (result, message) = quietly(|| failing().is_err());
        assert_eq!((result, message), (Some(true), reason));
        assert_eq!(quietly(|| 3), (Some(3), None));
    }
}
