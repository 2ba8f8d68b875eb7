//! Whether a run's steps fit the memory of a device, and with which settings they would.

use fpt::Devices;
use fpt::bytes::Bytes;
use fpt::memory::peaks;
pub(super) use fpt::memory::{layout, numbers, priced, settings};
use fpt_partial::shape;
use fpt_schedule::PartialSize;
use fpt_schedule::cost::BatchShape;
use fpt_schedule::memory::{Numbers, PeakBytes, Recompute, StepSettings, fit, peak};
use fpt_t5::T5Config;
use fpt_tasks::{PadTo, Tasks};
use fpt_train::{Plan, RunConfig};
use serde::Serialize;

/// The memory that a run needs, and that there is.
#[derive(Serialize)]
pub(super) struct MemoryPlan {
    settings: StepSettings,
    /// The peak of each stage's steps.
    stages: Vec<PeakBytes>,
    /// What the device has.
    device: Option<u64>,
    /// Whether that is enough.
    fits: Option<bool>,
    /// Settings that fit, where those of the run do not.
    proposed: Option<Proposal>,
}

#[derive(Serialize)]
struct Proposal {
    settings: StepSettings,
    peak: u64,
}

/// Whether the devices have the memory for a step on one example, however short it is: the prompt, and padding to fixed
/// lengths, are in all of them.
///
/// # Errors
/// If they have not: what it takes, and the way out.
pub(super) fn suffices_for_one(
    config: &RunConfig,
    model: &T5Config,
    devices: &Devices,
) -> anyhow::Result<()> {
    let plan = Plan::new(config, &*config.task(&Tasks::paper())?, &shape(model))?;
    let (source, target) = match config.lengths.pad_to {
        PadTo::Fixed { source, target } => (source, target),
        _ => (1, 1),
    };
    let one = BatchShape {
        rows: 1,
        source,
        target,
        prompt: config.prompt.length,
    };
    let settings = settings(config, devices.are_processor());
    let stages = plan.stages.iter();
    let peaks = stages.map(|stage| peak(&plan.shape, &stage.size, &one, &settings).total());
    let (needed, free) = (peaks.max().unwrap_or(0), devices.free_memory(0));
    anyhow::ensure!(
        free.is_none_or(|free| needed <= free),
        "a step on a single example needs about {} of memory, but {} are free: lower `prompt.length` ({}), \
         `lengths.pad_to` or what the model is, or use a device with more memory",
        Bytes(needed),
        Bytes(free.unwrap_or(0)),
        config.prompt.length
    );
    Ok(())
}

impl MemoryPlan {
    /// That of `plan`, on a device with so much memory, if that is known.
    pub(super) fn new(plan: &Plan, settings: StepSettings, device: Option<u64>) -> Self {
        let stages: Vec<(PartialSize, BatchShape)> = (plan.schedule.stages().iter())
            .map(|stage| (stage.size, plan.largest_batch.of_stage(stage)))
            .collect();
        let fitting = device.map(|memory| fit(&plan.shape, &stages, &settings, memory));
        Self {
            stages: peaks(plan, &settings),
            device,
            fits: fitting.map(|fitting| fitting == Some(settings)),
            proposed: (fitting.flatten())
                .filter(|fitting| *fitting != settings)
                .map(|fitting| Proposal {
                    settings: fitting,
                    peak: highest(&peaks(plan, &fitting)).total(),
                }),
            settings,
        }
    }

    /// The peak of a stage.
    pub(super) fn stage(&self, number: usize) -> Bytes {
        Bytes(self.stages.get(number).map_or(0, PeakBytes::total))
    }

    /// In lines.
    pub(super) fn describe(&self) -> Vec<String> {
        let highest = highest(&self.stages);
        let mut copies = String::new();
        if highest.copies > 0 {
            copies = format!(
                ", {} of them again for a partial model",
                Bytes(highest.copies)
            );
        }
        let mut lines = vec![format!(
            "memory  at most {} on the device in a step: {} of weights{copies}, {} of activations that are kept, {} for a \
             while; batches at their longest, {}",
            Bytes(highest.total()),
            Bytes(highest.weights),
            Bytes(highest.kept),
            Bytes(highest.transient),
            describe(&self.settings),
        )];
        lines.extend(self.verdict());
        lines
    }

    fn verdict(&self) -> Option<String> {
        let device = Bytes(self.device?);
        if self.fits == Some(true) {
            return Some(format!("        fits the {device} of the device"));
        }
        let Some(proposal) = &self.proposed else {
            return Some(format!(
                "        does not fit the {device} of the device, whatever is recomputed: take fewer examples or shorter \
                 ones (train.batch_size, lengths.max_source), or a smaller model"
            ));
        };
        Some(format!(
            "        does not fit the {device} of the device, of which a tenth stays free; it would, with {}, if {}",
            Bytes(proposal.peak),
            changes(&self.settings, &proposal.settings),
        ))
    }
}

fn highest(peaks: &[PeakBytes]) -> PeakBytes {
    let highest = peaks.iter().max_by_key(|peak| peak.total());
    highest.copied().unwrap_or_default()
}

fn describe(settings: &StepSettings) -> String {
    let mut text = precision(settings.precision).to_string();
    if settings.recompute != Recompute::None {
        text = format!("{text}, {} recomputed", recompute(settings.recompute));
    }
    if settings.accumulate > 1 {
        text = format!("{text}, in {} parts", settings.accumulate);
    }
    text
}

/// What to set.
fn changes(from: &StepSettings, to: &StepSettings) -> String {
    let mut set = Vec::new();
    if from.precision != to.precision {
        set.push(format!("--set precision={}", precision(to.precision)));
    }
    if from.recompute != to.recompute {
        set.push(format!("--set train.recompute={}", recompute(to.recompute)));
    }
    if from.accumulate != to.accumulate {
        set.push(format!("--set train.accumulate={}", to.accumulate));
    }
    set.join(" ")
}

/// A precision as configurations name it.
fn precision(numbers: Numbers) -> &'static str {
    match numbers {
        Numbers::F32 => "f32",
        Numbers::Bf16 => "bf16",
        Numbers::Int8 => "int8",
    }
}

fn recompute(recompute: Recompute) -> &'static str {
    match recompute {
        Recompute::None => "none",
        Recompute::Attention => "attention",
        Recompute::Layers => "layers",
    }
}
