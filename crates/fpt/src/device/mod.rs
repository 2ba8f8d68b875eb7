//! Devices: named by the user, found on this machine, opened.

mod gpu;
mod libraries;
mod name;
mod probe;
mod properties;
mod survey;

use anyhow::{bail, ensure};
use burn::tensor::Device;

use crate::{host, terminal};

pub use gpu::Gpu;
pub use name::DeviceName;
pub use survey::{DeviceReport, survey};

/// Devices that were opened, and have computed something.
#[derive(Clone, Debug)]
pub struct Devices {
    name: DeviceName,
    devices: Vec<Device>,
}

impl Devices {
    /// All of them, the primary one first.
    pub fn all(&self) -> &[Device] {
        &self.devices
    }

    /// The first of them, which holds what there is one of.
    pub fn primary(&self) -> &Device {
        // There is one at least: see `DeviceName::open`.
        &self.devices[0]
    }

    /// Bytes of memory that each of them has, where that can be told: those of the smallest.
    pub fn memory(&self) -> Option<u64> {
        if self.are_processor() {
            return host::system_memory();
        }
        let memories = self.devices.iter();
        let memories = memories.map(|device| properties::properties(device).1);
        memories.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// Bytes of memory that may still be taken on each of them, where that can be told, `taken` of a card's memory being
    /// in use.
    pub fn free_memory(&self, taken: u64) -> Option<u64> {
        if self.are_processor() {
            return host::available_memory();
        }
        Some(self.memory()?.saturating_sub(taken))
    }

    /// Each of them, with its name.
    pub fn named(&self) -> impl Iterator<Item = (String, &Device)> {
        let names = self.name.each().into_iter();
        names.map(|name| name.to_string()).zip(&self.devices)
    }

    /// Whether this is the processor.
    pub fn are_processor(&self) -> bool {
        self.name == DeviceName::Cpu
    }

    /// What they are called in records: `cpu`, `cuda:0`, `cuda:0,1`; never `auto`.
    pub fn name(&self) -> String {
        self.name.to_string()
    }
}

impl DeviceName {
    /// The devices that are meant on this machine: `auto` is decided, an index that is left out is 0. They exist, as far
    /// as drivers tell; nothing is opened.
    ///
    /// # Errors
    /// If a feature, driver, compiler, card or index is missing: which, and the way out.
    pub fn resolve(&self) -> anyhow::Result<Self> {
        match self {
            Self::Auto => {
                let usable = |gpu: &Gpu| gpu.found().is_ok_and(|found| gpu.is_hardware(&found[0]));
                let gpu = Gpu::ALL.into_iter().find(usable);
                Ok(gpu.map_or(Self::Cpu, |gpu| Self::Gpu(gpu, vec![0])))
            }
            Self::Cpu => Ok(Self::Cpu),
            Self::Gpu(gpu, indices) => {
                let found = gpu.found().map_err(anyhow::Error::msg)?;
                let indices = if indices.is_empty() {
                    vec![0]
                } else {
                    indices.clone()
                };
                for index in &indices {
                    ensure!(
                        *index < found.len(),
                        "device {gpu}:{index}: there {}; `fpt devices` lists what is usable",
                        count(*gpu, found.len())
                    );
                }
                Ok(Self::Gpu(*gpu, indices))
            }
        }
    }

    /// A name for each of the devices; of `auto`, which is not decided, itself.
    pub fn each(&self) -> Vec<Self> {
        match self {
            Self::Gpu(gpu, indices) if !indices.is_empty() => {
                let one = |index: &usize| Self::Gpu(*gpu, vec![*index]);
                indices.iter().map(one).collect()
            }
            other => vec![other.clone()],
        }
    }

    /// Open the devices, and let each compute something small. `auto` is the first that does: CUDA, then wgpu on a real
    /// GPU, then the processor; a card that is there and does not compute is told on standard error.
    ///
    /// # Errors
    /// As [`Self::resolve`], and if a device does not compute: why.
    pub fn open(&self) -> anyhow::Result<Devices> {
        if *self == Self::Auto {
            return Ok(open_best());
        }
        let name = self.resolve()?;
        let devices = match &name {
            Self::Gpu(gpu, indices) => {
                let found = gpu.found().map_err(anyhow::Error::msg)?;
                let mut devices = Vec::with_capacity(indices.len());
                for index in indices {
                    // Cards don't vanish between two lists of them, but it costs nothing to be sure.
                    let Some(device) = found.get(*index) else {
                        bail!("device {gpu}:{index} is gone; `fpt devices` lists what is usable");
                    };
                    open_one(*gpu, *index, device)?;
                    devices.push(device.clone());
                }
                devices
            }
            Self::Auto | Self::Cpu => vec![Device::flex()],
        };
        Ok(Devices { name, devices })
    }

    /// [`Self::open`], where one device is used.
    ///
    /// # Errors
    /// As [`Self::open`], and if several are named.
    pub fn open_single(&self) -> anyhow::Result<Device> {
        Ok(self.open_one()?.primary().clone())
    }

    /// The same, with its name.
    ///
    /// # Errors
    /// As [`Self::open_single`].
    pub fn open_one(&self) -> anyhow::Result<Devices> {
        let count = self.each().len();
        ensure!(
            count == 1,
            "--device {self} names {count} devices, but this command uses one; only `fpt train` uses several"
        );
        self.open()
    }
}

/// `are 2, cuda:0 to cuda:1`.
fn count(gpu: Gpu, count: usize) -> String {
    match count {
        1 => format!("is 1, {gpu}:0"),
        count => format!("are {count}, {gpu}:0 to {gpu}:{}", count - 1),
    }
}

fn open_best() -> Devices {
    for gpu in Gpu::ALL {
        let Ok(found) = gpu.found() else { continue };
        let device = &found[0];
        if !gpu.is_hardware(device) {
            continue;
        }
        match open_one(gpu, 0, device) {
            Ok(()) => {
                return Devices {
                    name: DeviceName::Gpu(gpu, vec![0]),
                    devices: vec![device.clone()],
                };
            }
            Err(error) => terminal::note(&format!("--device auto: {error}")),
        }
    }
    Devices {
        name: DeviceName::Cpu,
        devices: vec![Device::flex()],
    }
}

/// The device itself decides whether it computes; files tell why it does not, where they can: they may lie where nobody
/// looked.
fn open_one(gpu: Gpu, index: usize, device: &Device) -> anyhow::Result<()> {
    probe::compute(device).map_err(|reason| {
        let reason = gpu.missing_part().map_or(reason, Into::into);
        anyhow::anyhow!("device {gpu}:{index} does not compute: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        let devices = DeviceName::Cpu.open().expect("the processor");
        assert_eq!(devices.name(), "cpu");
        assert_eq!(devices.all(), [Device::flex()]);
        assert_eq!(devices.primary(), &Device::flex());
        assert_eq!(devices.memory(), host::system_memory());
        let single = DeviceName::Cpu.open_single().expect("one device");
        assert_eq!(single, Device::flex());
        let single = DeviceName::Cpu.open_one().expect("one device");
        assert!(single.are_processor());
        let named: Vec<_> = single.named().collect();
        assert_eq!(named, [("cpu".to_string(), &Device::flex())]);
    }

    #[test]
    fn what_is_decided_is_never_auto() {
        let resolved = DeviceName::Auto.resolve().expect("some device");
        assert_ne!(resolved, DeviceName::Auto);
        let opened = DeviceName::Auto.open().expect("some device");
        assert_ne!(opened.name(), "auto");
    }

    #[test]
    fn several_devices_are_refused_where_one_is_used() {
        let name: DeviceName = "cuda:0,1".parse().expect("a name");
        let error = name.open_single().expect_err("two devices").to_string();
        assert!(
            error.contains("--device cuda:0,1 names 2 devices"),
            "{error}"
        );
    }

    #[test]
    fn counts_of_devices_in_words() {
        assert_eq!(count(Gpu::Cuda, 1), "is 1, cuda:0");
        assert_eq!(count(Gpu::Cuda, 2), "are 2, cuda:0 to cuda:1");
    }
}
