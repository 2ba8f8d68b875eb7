//! Graphics cards: what was built in, and what drivers tell of.

use std::fmt;

use burn::tensor::Device;

use super::libraries::{self, CudaPart};

/// A way to compute on a graphics card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gpu {
    /// NVIDIA's.
    Cuda,
    /// Vulkan, Metal, DirectX 12 or OpenGL, by way of wgpu.
    Wgpu,
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cuda => "cuda",
            Self::Wgpu => "wgpu",
        })
    }
}

impl Gpu {
    /// The better one first.
    pub(super) const ALL: [Self; 2] = [Self::Cuda, Self::Wgpu];

    /// The devices that drivers tell of, real ones before those that are rendered by software; at least one. Nothing is
    /// opened: to open a device without a driver would panic on a thread of its own.
    ///
    /// # Errors
    /// If there is none: why, and the way out.
    pub(super) fn found(self) -> Result<Vec<Device>, String> {
        let mut devices = match self {
            Self::Cuda => cuda_devices()?,
            Self::Wgpu => wgpu_devices()?,
        };
        devices.sort_by_key(|device| !self.is_hardware(device));
        Ok(devices)
    }

    /// Why a device that did not compute did not, as far as files tell, and the way out.
    pub(super) fn missing_part(self) -> Option<&'static str> {
        match self {
            Self::Cuda => libraries::missing_for_cuda().map(CudaPart::way_out),
            Self::Wgpu => None,
        }
    }

    /// Whether a device is a card, and not rendered by software on the processor.
    pub(super) fn is_hardware(self, device: &Device) -> bool {
        match self {
            Self::Cuda => true,
            Self::Wgpu => !is_software(device),
        }
    }
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> Result<Vec<Device>, String> {
    use burn::tensor::DeviceType;

    match Device::enumerate(DeviceType::Cuda).into_vec() {
        devices if devices.is_empty() => {
            let driver = libraries::missing_for_cuda().filter(|part| *part == CudaPart::Driver);
            Err(driver.unwrap_or(CudaPart::Card).way_out().into())
        }
        devices => Ok(devices),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Result<Vec<Device>, String> {
    let mut reason =
        "this fpt was built without CUDA: cargo install fpt --features cuda".to_string();
    // Who builds it anew wants to know what else is missing.
    if let Some(part) = libraries::missing_for_cuda().filter(|part| *part == CudaPart::Driver) {
        reason = format!("{reason} (and {})", part.way_out());
    }
    Err(reason)
}

#[cfg(feature = "wgpu")]
fn wgpu_devices() -> Result<Vec<Device>, String> {
    use burn::tensor::DeviceType;

    match Device::enumerate(DeviceType::Wgpu).into_vec() {
        devices if devices.is_empty() => Err(
            "wgpu finds no adapter: install a driver for Vulkan, Metal, DirectX 12 or OpenGL (on Debian, to render by \
             software: libgl1-mesa-dri and libegl1)"
                .into(),
        ),
        devices => Ok(devices),
    }
}

#[cfg(not(feature = "wgpu"))]
fn wgpu_devices() -> Result<Vec<Device>, String> {
    Err("this fpt was built without wgpu: cargo install fpt --features wgpu".into())
}

/// Devices are equal where they are the same hardware; to name one does not open it.
#[cfg(feature = "wgpu")]
fn is_software(device: &Device) -> bool {
    use burn::tensor::DeviceKind;

    *device == Device::wgpu(DeviceKind::Cpu)
}

#[cfg(not(feature = "wgpu"))]
fn is_software(_device: &Device) -> bool {
    true
}
