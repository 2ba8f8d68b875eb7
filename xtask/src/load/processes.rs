//! What Linux tells of processes.

use std::fs;
use std::path::Path;

/// A figure of `/proc/<process>/status` in bytes, such as `VmRSS`; none once the process has ended.
pub(super) fn memory(process: u32, figure: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The command lines of all processes, this one left out, that have `place` in them.
pub(super) fn of(place: &Path) -> Vec<String> {
    let place = place.to_string_lossy();
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_other = entry.file_name().to_string_lossy() != own.as_str();
        // One that has ended meanwhile has none, and neither has one that nobody has waited for.
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if is_other && line.contains(&*place) {
            found.push(line);
        }
    }
    found
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn processes_and_their_memory_are_seen() {
        let own = std::process::id();
        assert!(memory(own, "VmRSS").unwrap() <= memory(own, "VmHWM").unwrap());
        assert_eq!(memory(own, "VmR"), None);
        let place = tempfile::tempdir().unwrap();
        assert!(of(place.path()).is_empty());
        let mut child = std::process::Command::new("tail")
            .arg("-f")
            .arg(place.path().join("file"))
            .arg("/dev/null")
            .spawn()
            .unwrap();
        while of(place.path()).is_empty() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(of(place.path()).is_empty());
    }
}
