//! What `fpt doctor` found, kept for `fpt train`.
//!
//! A verdict lies in `fpt/doctor.json` in the user's cache directory, under the device, what it really is, its driver,
//! the precision, and the program that found it: another card, driver or program asks for another visit. The processor
//! has none, as it is what devices are compared with.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::cache;
use crate::host::{driver, revision};

/// The name of the processor among devices.
pub const PROCESSOR: &str = "cpu";

/// What a verdict is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    /// Its name on the command line.
    pub device: String,
    /// What it is, and what kernels are compiled for, as far as it tells.
    pub identity: Option<String>,
    /// Its driver, as far as the system tells.
    pub driver: Option<String>,
    /// The numbers that it computed with, as in a configuration.
    pub precision: String,
    /// Version and revision of the program.
    pub program: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Of what.
    pub of: Patient,
    /// The checks that failed; none if all is well.
    pub failed: Vec<String>,
}

/// All verdicts that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdicts(Vec<Verdict>);

impl Patient {
    /// The device of this name, with this precision, and this program.
    pub fn new(name: &str, device: &Device, precision: &str) -> Self {
        let on_gpu = name != PROCESSOR;
        Self {
            device: name.into(),
            identity: identity(device),
            driver: on_gpu.then(driver).flatten(),
            precision: precision.into(),
            program: format!("{} {}", env!("CARGO_PKG_VERSION"), revision()),
        }
    }
}

/// What a device says that it is.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub fn identity(device: &Device) -> Option<String> {
    let identity = device.identity()?;
    Some(format!("{}, {}", identity.name, identity.fingerprint))
}

/// What a device says that it is.
#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
pub fn identity(device: &Device) -> Option<String> {
    let _ = device;
    None
}

impl Verdicts {
    /// Those in `file`; none if it is missing or damaged, as whatever is in a cache may be.
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Keep `verdict` in the place of one of the same.
    pub fn put(&mut self, verdict: Verdict) {
        self.0.retain(|known| known.of != verdict.of);
        self.0.push(verdict);
    }

    /// Write them to `file`.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        fpt_files::create_parents(file)?;
        fpt_files::write_json(file, self)?;
        Ok(())
    }

    /// Whether to train there: an error if something was found wrong and training is not `forced`, or else what the
    /// user should know, if anything.
    ///
    /// # Errors
    /// Says what was found, and what to do.
    pub fn admit(&self, of: &Patient, forced: bool) -> anyhow::Result<Option<String>> {
        if of.device == PROCESSOR {
            return Ok(None);
        }
        let (device, precision) = (&of.device, &of.precision);
        let Some(verdict) = self.0.iter().find(|known| known.of == *of) else {
            return Ok(Some(format!(
                "warning: whether {device} computes rightly in {precision} was not checked with this program and driver; \
                 `fpt doctor --device {device} --precision {precision}` does it in a minute"
            )));
        };
        let found = verdict.failed.join(", ");
        match (verdict.failed.is_empty(), forced) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(format!(
                "warning: fpt doctor found {device} wrong in {precision} ({found}); trained all the same"
            ))),
            (false, false) => anyhow::bail!(
                "fpt doctor found {device} wrong in {precision} ({found}); choose another --device or precision, or train \
                 all the same with --force"
            ),
        }
    }
}

/// The file of the verdicts, where the user has a cache directory.
pub fn file() -> Option<PathBuf> {
    Some(cache::directory()?.join("doctor.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient(device: &str) -> Patient {
        Patient {
            device: device.into(),
            identity: Some("a card".into()),
            driver: Some("1.0".into()),
            precision: "bf16".into(),
            program: "0.1.0 abc".into(),
        }
    }

    fn verdicts(of: Patient, failed: &[&str]) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let failed = failed.iter().map(|name| (*name).to_string()).collect();
        verdicts.put(Verdict { of, failed });
        verdicts
    }

    #[test]
    fn what_was_found_wrong_is_refused_unless_forced() {
        let of = patient("cuda:0");
        let wrong = verdicts(of.clone(), &["loss"]);
        let refused = wrong.admit(&of, false).expect_err("refused").to_string();
        for part in ["cuda:0", "bf16", "loss", "--force"] {
            assert!(refused.contains(part), "{refused}");
        }
        let told = wrong.admit(&of, true).expect("forced").expect("a warning");
        assert!(told.contains("loss"), "{told}");
        let sound = verdicts(of.clone(), &[]);
        assert_eq!(sound.admit(&of, false).expect("sound"), None);
    }

    #[test]
    fn another_card_driver_program_or_precision_is_not_known() {
        let of = patient("cuda:0");
        let wrong = verdicts(of.clone(), &["loss"]);
        let others = [
            patient("cuda:1"),
            Patient {
                identity: None,
                ..of.clone()
            },
            Patient {
                driver: Some("2.0".into()),
                ..of.clone()
            },
            Patient {
                precision: "f32".into(),
                ..of.clone()
            },
            Patient {
                program: "0.2.0 abc".into(),
                ..of
            },
        ];
        for other in others {
            let told = wrong.admit(&other, false).expect("not known");
            assert!(told.is_some_and(|told| told.contains("fpt doctor --device")));
        }
    }

    #[test]
    fn the_processor_has_no_verdict() {
        let of = patient(PROCESSOR);
        let wrong = verdicts(of.clone(), &["loss"]);
        assert_eq!(wrong.admit(&of, false).expect("the processor"), None);
        let device = Device::flex();
        assert_eq!(Patient::new(PROCESSOR, &device, "f32").driver, None);
    }

    #[test]
    fn the_last_verdict_counts_and_survives_on_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("fpt/doctor.json");
        assert_eq!(Verdicts::read(&file), Verdicts::default());
        let of = patient("wgpu:0");
        let mut kept = verdicts(of.clone(), &["loss"]);
        kept.put(Verdict {
            of: of.clone(),
            failed: Vec::new(),
        });
        kept.write(&file).expect("written");
        let read = Verdicts::read(&file);
        assert_eq!(read, kept);
        assert_eq!(read.admit(&of, false).expect("sound"), None);
        std::fs::write(&file, "{").expect("written");
        assert_eq!(Verdicts::read(&file), Verdicts::default());
    }
}
