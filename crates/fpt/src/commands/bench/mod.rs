//! `fpt bench`: times of training steps and of matrix products on a device.

pub(crate) mod products;
mod stages;
pub(crate) mod step;

use std::time::{Duration, Instant};

use burn::tensor::Device;
use clap::Subcommand;
use fpt::peak_memory;
use serde::Serialize;

/// Time training steps and matrix products on a device, with random weights and tokens.
#[derive(Subcommand)]
pub(crate) enum Command {
    Step(step::Args),
    Products(products::Args),
}

pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Step(args) => step::run(args),
        Command::Products(args) => products::run(args),
    }
}

/// Times of something that was done again and again, in milliseconds.
#[derive(Serialize)]
struct Times {
    median: f64,
    least: f64,
    most: f64,
}

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |place: usize| {
            times
                .get(place)
                .map_or(f64::NAN, |time| 1e3 * time.as_secs_f64())
        };
        let last = times.len().saturating_sub(1);
        Self {
            median: (at(last / 2) + at(times.len() / 2)) / 2.0,
            least: at(0),
            most: at(last),
        }
    }
}

/// Wait until the device has done all that it was told to.
fn finish(device: &Device) -> anyhow::Result<()> {
    device
        .sync()
        .map_err(|error| anyhow::anyhow!("the device failed: {error:?}"))
}

/// How long `work` takes, until the device has done it.
fn timed<T>(device: &Device, work: impl FnOnce() -> T) -> anyhow::Result<(T, Duration)> {
    finish(device)?;
    let clock = Instant::now();
    let done = work();
    finish(device)?;
    Ok((done, clock.elapsed()))
}

/// Memory that is taken, in bytes, as far as it can be told.
#[derive(Serialize)]
struct MemoryUse {
    /// In use on the device now.
    device_in_use: Option<u64>,
    /// Held by the device's allocator, which gives nothing back: about the highest that was in use.
    device_reserved: Option<u64>,
    /// High-water mark of this process on the host.
    process_peak: Option<u64>,
}

impl MemoryUse {
    fn now(device: &Device) -> Self {
        let pools = device.memory_pool_usage();
        Self {
            device_in_use: pools.as_ref().map(|usage| usage.bytes_in_use),
            device_reserved: pools.as_ref().map(|usage| usage.bytes_reserved),
            process_peak: peak_memory(),
        }
    }
}
