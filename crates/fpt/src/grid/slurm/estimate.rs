//! What a job will take, where nobody says: rough, for a job that needs more time is put back into the queue.

use std::time::Duration;

use fpt_schedule::ModelShape;
use fpt_schedule::cost::weight_bytes;
use fpt_tasks::Tasks;
use fpt_train::Plan;

use super::request::Estimate;
use crate::grid::Ground;
use crate::grid::memory::largest;
use crate::price::price;

/// FLOPs a second of one core: a third of what they reach on larger models.
const CORE: f64 = 2e10;
/// And of a graphics card: what an older one reaches in f32.
const CARD: f64 = 1e13;
/// Evaluations, and what else is not training.
const BESIDE: f64 = 2.0;
/// To load a model, and read data.
const BEGINNING: f64 = 600.0;
const TEN_MINUTES: f64 = 600.0;
/// Many queues have a limit of a day.
const LONGEST: f64 = 86_400.0;
/// The program, and data in memory.
const PROGRAM: u64 = 512 << 20;
/// What a card's driver and compiler take of the machine's memory.
const DRIVER: u64 = 4 << 30;
/// Of what is predicted, how much more is asked for.
const SPARE: f64 = 1.25;

/// That of the largest run of `ground` on a processor with so many cores, or on a graphics card.
pub(super) fn of(
    ground: &Ground<'_>,
    model: &ModelShape,
    (on_processor, cores): (bool, usize),
) -> anyhow::Result<Estimate> {
    let mut flops: f64 = 0.0;
    for config in ground.runs {
        let task = config.task(&Tasks::paper())?;
        let plan = Plan::new(config, &*task, model)?;
        flops = flops.max(price(&*task, &plan, config.precision).flops);
    }
    let pace = if on_processor {
        CORE * cores as f64
    } else {
        CARD
    };
    let seconds = BEGINNING + BESIDE * flops / pace;
    let rounded = (seconds / TEN_MINUTES).ceil() * TEN_MINUTES;
    let memory = if on_processor {
        largest(ground.experiment, ground.runs)?
    } else {
        // A checkpoint is read on its way to the card.
        weight_bytes(model, &model.full(), 4) + DRIVER
    };
    let memory = (memory as f64 * SPARE) as u64 + PROGRAM;
    Ok(Estimate {
        time: Duration::from_secs_f64(rounded.min(LONGEST)),
        memory: memory.next_multiple_of(256 << 20),
    })
}
