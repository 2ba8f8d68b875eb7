//! A run from its configuration to its directory.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use fpt_files::Fingerprint;
use fpt_partial::shape;
use fpt_t5::{T5, reads_wait};

use crate::checkpoint::{Circumstances, Keeper};
use crate::inputs::{Inputs, Session};
use crate::record::{Event, Log, RunResult};
use crate::run_dir::RunDir;
use crate::state::State;
use crate::trainer::Trainer;
use crate::unread::steps_a_read;
use crate::{Host, Plan, RunConfig, TrainError, finish};

/// Train a prompt for a frozen model, in the stages of its schedule, and leave a run directory at `out`:
/// `config.toml`, `inputs.json` (what was read, by content), `selections.json` (what each stage kept of the model),
/// `metrics.jsonl`, `adapter/` (the prompt that was best on dev, as a PEFT adapter), `predictions.<split>.jsonl` and
/// `result.json`. Until the run is complete the directory is called `<out>.partial`; it belongs to one process, and holds
/// checkpoints as `host.conduct` wants them. From one that is found there the run goes on, and comes to the same end, to
/// the bit, as if it had never been interrupted (but for seconds and memory). What
/// other runs can use again is kept in `cache`: scores of neurons and heads, and the tokens of large data, under names
/// with a hash of all that they depend on.
///
/// Batches are shared out over `devices`, which must not be autodiff devices: each holds the model, and computes its
/// parts of every batch; all else is done on the first. As many devices as there are, the results are those of one that
/// computes as many parts (`train.accumulate`), to the bit if the devices are alike.
///
/// # Errors
/// [`TrainError`]. A run that fails after its first metrics leaves them in `<out>.partial`
/// ([`TrainError::Failed`]), others leave nothing. [`TrainError::Stopped`] if `host.conduct.stop` says so, and
/// [`TrainError::Begun`] if what was begun is another run. A panic on the way, as of a device that has no memory left, is
/// [`TrainError::Device`].
pub fn train(
    config: &RunConfig,
    out: &Path,
    cache: &Path,
    host: &Host,
    devices: &[Device],
    listener: &mut dyn FnMut(&Event),
) -> Result<RunResult, TrainError> {
    let how = How::of(config, devices)?;
    train_so(config, out, cache, host, devices, &how, listener)
}

/// How steps are computed and read, which the configuration leaves open.
struct How {
    /// Parts of a batch.
    parts: usize,
    /// Steps whose numbers are read at once.
    steps_a_read: usize,
}

impl How {
    fn of(config: &RunConfig, devices: &[Device]) -> Result<Self, TrainError> {
        config.check_trainable()?;
        let parts = config
            .train
            .accumulate
            .next_multiple_of(devices.len().max(1));
        let examples = config.train.batch_size;
        if parts > examples {
            return Err(TrainError::Value {
                key: "train.batch_size",
                reason: format!(
                    "is {examples}, but {} devices share batches of at least {parts} examples; use fewer devices, or \
                     larger batches",
                    devices.len()
                ),
            });
        }
        Ok(Self {
            parts,
            steps_a_read: steps_a_read(devices.iter().any(reads_wait)),
        })
    }
}

fn train_so(
    config: &RunConfig,
    out: &Path,
    cache: &Path,
    host: &Host,
    devices: &[Device],
    how: &How,
    listener: &mut dyn FnMut(&Event),
) -> Result<RunResult, TrainError> {
    let conduct = &host.conduct;
    let directory = RunDir::open(out, config, conduct, listener)?;
    let mut log = directory.log(listener, conduct.stop)?;
    let run = || execute(config, &directory, cache, host, devices, how, &mut log);
    // Of all that a panic leaves half done, only the metrics are looked at again, whole lines of a file.
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    match outcome.unwrap_or_else(|panic| Err(TrainError::of_panic(&*panic))) {
        Ok(result) => {
            log.emit(Event::Finished {
                result: Box::new(result.clone()),
            })?;
            Ok(result)
        }
        Err(error) => {
            let has_metrics = log.length() > 0;
            Err(directory.fail(error, has_metrics))
        }
    }
}

fn execute(
    config: &RunConfig,
    directory: &RunDir,
    cache: &Path,
    host: &Host,
    devices: &[Device],
    how: &How,
    log: &mut Log<'_>,
) -> Result<RunResult, TrainError> {
    let start = Instant::now();
    let (first, further) = devices.split_first().ok_or_else(no_devices)?;
    let session = Session::load(config, &host.tasks, host.find_model, first)?;
    let replicas = further.iter().map(|device| session.replica(device));
    let replicas: Vec<T5> = replicas.collect::<Result<_, _>>()?;
    let plan = Plan::new(config, &*session.task, &shape(session.model.config()))?;
    let known = directory.selections()?;
    let inputs = Inputs::load(session, &plan, cache, known, start, log)?;
    directory.check_inputs(&inputs.fingerprints)?;
    let selections = directory.write_selections(&inputs.selections)?;

    let device = host.device.split(':').next().unwrap_or_default();
    let circumstances = Circumstances {
        device: device.to_string(),
        parts: how.parts,
        selections: Fingerprint::new().text(&selections).hex(),
    };
    let mut keeper = Keeper::new(directory, circumstances, &host.conduct);
    let mut state = begin(config, &inputs, directory, &mut keeper, log)?;
    let trainer = Trainer {
        plan: &plan,
        inputs: &inputs,
        replicas: &replicas,
        parts: how.parts,
        steps_a_read: how.steps_a_read,
    };
    trainer.without_prompt(&mut state, log)?;
    let last = trainer.run(&mut state, &mut keeper, log)?;
    let result = finish::finish(&trainer, &last, &mut state, host, directory, log)
        .or_else(|error| keeper.stopped(error, &state, log))?;
    directory.finish(&result)?;
    Ok(result)
}

/// The state that the run goes on from, or begins with.
fn begin(
    config: &RunConfig,
    inputs: &Inputs,
    directory: &RunDir,
    keeper: &mut Keeper<'_>,
    log: &mut Log<'_>,
) -> Result<State, TrainError> {
    let compute = &inputs.session.compute;
    let training = compute.training_device();
    if let Some((state, metrics)) =
        keeper.newest(&config.train, [compute.device(), &training], log)?
    {
        log.cut(metrics)?;
        log.emit(Event::Resumed {
            step: state.counters.step,
            path: directory.path().to_path_buf(),
        })?;
        return Ok(state);
    }
    // A run that was killed before its first checkpoint is repeated.
    log.cut(0)?;
    let prompt = inputs.session.fresh_prompt(config.seed, &training)?;
    Ok(State::new(prompt, &config.train))
}

fn no_devices() -> TrainError {
    TrainError::Value {
        key: "devices",
        reason: "are none; name at least one".into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use fpt_lab::Lab;
    use fpt_tasks::{TaskName, Tasks};

    use super::*;
    use crate::{Conduct, Experiment, MetricRecord, model_directory};

    /// A run that reads so many steps at once: its outcome, and the metrics without times.
    fn run(
        lab: &Lab,
        out: &str,
        settings: &[&str],
        steps_a_read: usize,
    ) -> (Result<RunResult, TrainError>, Vec<MetricRecord>) {
        let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
        let settings: Vec<String> = settings.iter().map(|s| (*s).to_string()).collect();
        let config = experiment.run(&TaskName::MNLI, 0, &settings).unwrap();
        let host = Host {
            revision: "none".into(),
            device: "cpu".into(),
            processor: || None,
            cpu_seconds: || None,
            peak_memory: || None,
            tasks: Tasks::paper(),
            find_model: model_directory,
            conduct: Conduct::default(),
        };
        let how = How {
            parts: 1,
            steps_a_read,
        };
        let (mut metrics, mut last) = (Vec::new(), 0.0);
        let mut listener = |event: &Event| {
            let Event::Metric(record) = event else {
                return;
            };
            let mut record = record.clone();
            if let MetricRecord::Step { seconds, .. } = &mut record {
                assert!(*seconds > last);
                last = std::mem::take(seconds);
            }
            metrics.push(record);
        };
        let (out, cache, devices) = (lab.path(out), lab.path("cache"), [Device::flex()]);
        let result = train_so(&config, &out, &cache, &host, &devices, &how, &mut listener);
        (result, metrics)
    }

    #[test]
    fn late_reads_change_nothing_but_times() {
        let lab = Lab::new();
        let settings = [
            "schedule.stages=[{steps=5}, {}]",
            "train.steps=14",
            "eval.every=11",
        ];
        let (result, metrics) = run(&lab, "early", &settings, 1);
        let early = result.unwrap();
        for (out, steps_a_read) in [("three", 3), ("eight", 8), ("all", 99)] {
            let (result, late) = run(&lab, out, &settings, steps_a_read);
            assert_eq!(metrics, late);
            let result = result.unwrap();
            assert_eq!(early.final_loss, result.final_loss);
            assert_eq!(early.flops, result.flops);
            // All time is some stage's.
            let total: f64 = result.stages.iter().map(total).sum();
            assert!((result.seconds.train - total).abs() < 1e-6);
            let prompt = |out: &str| {
                fs::read(lab.path(out).join("adapter/adapter_model.safetensors")).unwrap()
            };
            assert!(prompt("early") == prompt(out));
        }
    }

    /// While a run is at work, another machine takes its directory, as if this process had been suspended.
    #[test]
    fn a_run_that_is_taken_over_stops_before_its_next_checkpoint() {
        let lab = Lab::new();
        let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
        let settings = ["train.steps=30".to_string(), "eval.every=15".to_string()];
        let config = experiment.run(&TaskName::MNLI, 0, &settings).unwrap();
        let partial = lab.path("run.partial");
        // Of each run: when it is taken, and the last step that it may take.
        for (taken, last) in [(6, 10), (28, 30)] {
            let mut host = Host::new(model_directory);
            host.conduct.every_steps = Some(5);
            let mut steps = Vec::new();
            let mut listener = |event: &Event| {
                let Event::Metric(MetricRecord::Step { step, .. }) = event else {
                    return;
                };
                steps.push(*step);
                if *step == taken {
                    let text = "process 7 on host n1 (a/b/c), beat 1\n";
                    fpt_files::write(partial.join("lock"), text).unwrap();
                }
            };
            let (out, cache) = (lab.path("run"), lab.path("cache"));
            let result = train(
                &config,
                &out,
                &cache,
                &host,
                &[Device::flex()],
                &mut listener,
            );
            let error = result.unwrap_err();
            assert!(
                error.to_string().contains("to process 7 on host n1"),
                "{error}"
            );
            assert!(matches!(error, TrainError::Lost { .. }), "{error}");
            assert_eq!(steps.last(), Some(&last));
            assert!(!out.exists() && !partial.join("adapter").exists());
            let checkpoints = fs::read_dir(partial.join("checkpoints")).unwrap();
            let newest = checkpoints.map(|it| it.unwrap().file_name()).max().unwrap();
            let newest = newest.into_string().unwrap();
            assert!(newest.contains(&format!("{}.", taken / 5 * 5)), "{newest}");
            fs::remove_dir_all(&partial).unwrap();
        }
    }

    fn total(stage: &crate::StageRecord) -> f64 {
        stage.seconds + stage.expansion_seconds
    }

    #[test]
    fn late_reads_name_the_step_that_diverged() {
        let lab = Lab::new();
        let settings = ["train.learning_rate=1e37", "train.steps=9", "eval.every=9"];
        let (early, metrics) = run(&lab, "early", &settings, 1);
        let (late, late_metrics) = run(&lab, "late", &settings, 8);
        assert_eq!(metrics, late_metrics);
        let steps = metrics
            .iter()
            .filter(|record| matches!(record, MetricRecord::Step { .. }))
            .count();
        assert!(steps > 0);
        for result in [early, late] {
            let TrainError::Failed { source, kept } = result.unwrap_err() else {
                panic!("it kept no metrics");
            };
            assert!(!kept.join("adapter").exists());
            let TrainError::Diverged { step, .. } = *source else {
                panic!("{source}");
            };
            assert_eq!(step, steps + 1);
        }
    }

    #[test]
    fn a_processor_is_read_after_every_step() {
        let lab = Lab::new();
        let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
        let config = experiment.run(&TaskName::MNLI, 0, &[]).unwrap();
        let how = How::of(&config, &[Device::flex()]).unwrap();
        assert_eq!((how.parts, how.steps_a_read), (1, 1));
        assert!(steps_a_read(true) > 1);
    }
}
