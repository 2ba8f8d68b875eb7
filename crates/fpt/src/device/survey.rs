//! `fpt devices`: what is usable here, and why the rest is not.

use burn::tensor::Device;
use fpt_t5::Precision;
use serde::Serialize;

use super::properties::properties;
use super::{Gpu, open_one};
use crate::host;

/// A device, or a way to compute that has none here.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// What `--device` takes: `cpu`, `cuda:0`; of a way to compute without a device only `cuda` or `wgpu`.
    pub name: String,
    /// Whether it computes.
    pub usable: bool,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Bytes of its memory, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// What weights can be: `f32`, `bf16`, `int8`.
    pub precisions: Vec<String>,
    /// Whether it is rendered by software, on the processor.
    pub software: bool,
    /// Why it is not usable, and the way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl DeviceReport {
    fn of(name: String, device: &Device) -> Self {
        Self {
            name,
            usable: true,
            model: None,
            memory: None,
            precisions: precisions(device),
            software: false,
            reason: None,
        }
    }

    fn unusable(name: String, reason: String) -> Self {
        Self {
            name,
            usable: false,
            model: None,
            memory: None,
            precisions: Vec::new(),
            software: false,
            reason: Some(reason),
        }
    }
}

/// All ways to compute that this program knows, and their devices, which are opened for it; the processor comes last.
pub fn survey() -> Vec<DeviceReport> {
    let mut reports = Vec::new();
    for gpu in Gpu::ALL {
        match gpu.found() {
            Ok(devices) => {
                for (index, device) in devices.iter().enumerate() {
                    reports.push(card(gpu, index, device));
                }
            }
            Err(reason) => reports.push(DeviceReport::unusable(gpu.to_string(), reason)),
        }
    }
    reports.push(processor());
    reports
}

fn card(gpu: Gpu, index: usize, device: &Device) -> DeviceReport {
    let name = format!("{gpu}:{index}");
    if let Err(error) = open_one(gpu, index, device) {
        return DeviceReport::unusable(name, error.to_string());
    }
    let (model, memory) = properties(device);
    DeviceReport {
        model,
        memory,
        software: !gpu.is_hardware(device),
        ..DeviceReport::of(name, device)
    }
}

fn processor() -> DeviceReport {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = format!("{cores} {}", if cores == 1 { "core" } else { "cores" });
    let model = host::processor().map_or_else(|| cores.clone(), |it| format!("{it}, {cores}"));
    DeviceReport {
        model: Some(model),
        memory: host::system_memory(),
        ..DeviceReport::of("cpu".into(), &Device::flex())
    }
}

fn precisions(device: &Device) -> Vec<String> {
    [Precision::F32, Precision::Bf16, Precision::Int8]
        .into_iter()
        .filter(|precision| precision.check(device).is_ok())
        .map(|precision| precision.name().to_string())
        .collect()
}
