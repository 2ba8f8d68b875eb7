//! Whether a device really computes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor};

/// Let a device add two numbers, and read the sum.
///
/// Drivers that are too old for this program, or a compiler of kernels that fails, show only here: the runtimes open a
/// device lazily, on a thread of its own, and panic there. No such panic reaches the user: it is the reason.
///
/// # Errors
/// If there is no sum, or a wrong one: why.
pub(super) fn compute(device: &Device) -> Result<(), String> {
    let sum = quietly(|| {
        let ones = Tensor::<1>::ones([2], device);
        (ones + 1.0)
            .try_into_data()
            .map_err(|error| error.to_string())
    })??;
    match sum.try_to_vec::<f32>() {
        Ok(numbers) if numbers == [2.0, 2.0] => Ok(()),
        Ok(numbers) => Err(format!("1 + 1 comes out as {numbers:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The result of `work`, or the first line of what the first panic said, on whichever thread it was; nothing is printed.
///
/// The hook for panics is the process's: this is for its start, when nothing else runs that could panic.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let first = Arc::new(Mutex::new(None::<String>));
    let kept = Arc::clone(&first);
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("no reason given");
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert_with(|| first_line(message));
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(before);
    result.map_err(|_| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().unwrap_or_else(|| "no reason given".into())
    })
}

/// The first line that says something.
fn first_line(message: &str) -> String {
    let mut lines = message.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty());
    line.unwrap_or("no reason given").to_string()
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
        let work = || {
            let thread = std::thread::spawn(|| panic!("\n  no libnvrtc\nfor reasons"));
            assert!(thread.join().is_ok(), "the device is gone");
        };
        assert_eq!(quietly(work), Err("no libnvrtc".to_string()));
        assert_eq!(quietly(|| 3), Ok(3));
    }
}
