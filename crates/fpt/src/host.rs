//! What only a program may ask the system.

use fpt_train::Host;

use crate::device::DeviceName;
use crate::model;

/// The machine as a run records it.
pub fn host(device: DeviceName) -> Host {
    Host {
        revision: revision(),
        device: device.name().into(),
        peak_memory,
        find_model: model::find,
    }
}

/// The commit that the program's sources were at; `unknown` outside a checkout.
fn revision() -> String {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .stderr(std::process::Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_string()
        }
        _ => "unknown".into(),
    }
}

/// High-water mark of resident memory in bytes; only Linux tells it in a file.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
