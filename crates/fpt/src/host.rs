//! What only a program may ask the system.

use fpt_tasks::Tasks;
use fpt_train::{Conduct, Host};

use crate::device::Devices;
use crate::model;

/// The machine as a run records it, with the devices that are really used, and how runs are conducted.
pub fn host(devices: &Devices, conduct: Conduct) -> Host {
    Host {
        revision: revision().into(),
        device: devices.name(),
        processor: processor_and_units,
        cpu_seconds,
        peak_memory,
        tasks: Tasks::paper(),
        find_model: model::find,
        conduct,
    }
}

/// The commit that this program was built from, with `-dirty` if its sources differed; `unknown` where the sources told
/// of none.
pub fn revision() -> &'static str {
    env!("FPT_REVISION")
}

/// High-water mark of this process's resident memory in bytes; only Linux tells it in a file.
pub fn peak_memory() -> Option<u64> {
    in_kibibytes("/proc/self/status", "VmHWM:")
}

/// Seconds that the threads of this process have computed so far; only Linux tells them in a file.
fn cpu_seconds() -> Option<f64> {
    /// What the file counts in, whatever the kernel does: `USER_HZ`.
    const TICKS_A_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may have spaces.
    let (_, fields) = text.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).take(2);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_A_SECOND)
}

/// Memory of this machine in bytes; only Linux tells it in a file.
pub fn system_memory() -> Option<u64> {
    in_kibibytes("/proc/meminfo", "MemTotal:")
}

/// Bytes of memory that this process may still take: what the machine has free, a container's limit leaves, and a limit
/// of the process (`ulimit -v`) leaves, whichever is least; only Linux tells them in files.
pub fn available_memory() -> Option<u64> {
    let left = |limit: Option<u64>, used: Option<u64>| Some(limit?.saturating_sub(used?));
    let number = |file: &str| std::fs::read_to_string(file).ok()?.trim().parse().ok();
    let free = in_kibibytes("/proc/meminfo", "MemAvailable:");
    let container = left(
        number("/sys/fs/cgroup/memory.max"),
        number("/sys/fs/cgroup/memory.current"),
    );
    let own = left(
        address_space(),
        in_kibibytes("/proc/self/status", "VmSize:"),
    );
    [free, container, own].into_iter().flatten().min()
}

/// The most bytes of addresses that this process may have, where that is limited.
fn address_space() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    let rest = text
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// What the processor calls itself; only Linux tells it in a file.
pub(crate) fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The processor, and those of its vector units that decide how sums are made.
fn processor_and_units() -> Option<String> {
    processor().map(|name| format!("{name} ({})", vector_units()))
}

#[cfg(target_arch = "x86_64")]
fn vector_units() -> &'static str {
    if std::is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        "AVX2"
    } else {
        "SSE2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vector_units() -> &'static str {
    std::env::consts::ARCH
}

/// The driver of NVIDIA's cards, as it calls itself, where one is loaded.
pub(crate) fn driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    text.lines().next().map(|line| line.trim().to_string())
}

fn in_kibibytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_of_memory_covers_what_was_touched() {
        let touched = vec![1u8; 64 << 20];
        assert!(std::hint::black_box(&touched).iter().all(|&byte| byte == 1));
        let peak = peak_memory();
        assert!(peak.is_some_and(|peak| peak > 64 << 20), "{peak:?}");
        let memory = system_memory();
        assert!(memory > peak, "{memory:?} of {peak:?}");
        let available = available_memory();
        assert!(available.is_some() && available < memory, "{available:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn computing_takes_time_of_processors() {
        let before = cpu_seconds().unwrap();
        let mut sum = 0.0_f64;
        // A tenth of a second and more, however fast the machine: a hundredth would be seen.
        while cpu_seconds().unwrap() < before + 0.1 {
            sum += (0..100_000).map(f64::from).map(f64::sqrt).sum::<f64>();
        }
        assert!(std::hint::black_box(sum) > 0.0);
    }
}
