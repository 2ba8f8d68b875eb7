//! `fpt train`: one run.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use fpt::bytes::Bytes;
use fpt::verdict::{self, Patient, Verdicts};
use fpt::{DeviceName, Devices, data, finished, host, model, notes, stop, terminal};
use fpt_t5::T5Config;
use fpt_tasks::{Split, Tasks, read_split};
use fpt_train::{Begun, Conduct, Event, MetricRecord, RunConfig, RunResult, TrainError, train};
use indicatif::ProgressBar;

use super::data::show_examples;
use super::progress::{Lines, Progress};
use super::requeue::Job;
use super::weights::WeightsName;
use super::{Parent, RunArgs, dry_run, memory, print_json, print_line};

/// Train a prompt for one task.
///
/// Leaves a directory with the resolved configuration, the metrics of every step, the prompt that was best on
/// dev as a PEFT adapter, the predictions, and the result. The directory appears when the run is complete; a finished
/// run of the same configuration and the same inputs is not repeated.
///
/// A run that was killed or stopped goes on from its last checkpoint when the same command is given again, and comes to
/// the same end, to the bit. SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGUSR1 end it after the step, with a checkpoint and
/// exit status 128 + signal; a second one ends it at once.
///
/// Example: fpt train --config configs/mini.toml --task mnli --out runs/mnli
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Directory for the run. Until it is complete it has `.partial` added to its name.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Directory where what other runs can use again is kept, scores of neurons and heads and the tokens of large
    /// data; by default `cache` beside --out.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// What the weights of the frozen model are in; by default what the configuration says (`precision`).
    #[arg(long, value_enum)]
    weights: Option<WeightsName>,

    /// Only show what would be done: model, data, stages, cost, memory, the resolved configuration, and what is missing
    /// on this machine with the command that gets it.
    #[arg(long)]
    dry_run: bool,

    /// With --dry-run: memory of the GPU that the run is meant for, such as 24GB, if it is another than --device.
    #[arg(long, value_name = "BYTES", requires = "dry_run")]
    memory: Option<Bytes>,

    /// If --out holds a finished run of another configuration or of other inputs (model, tokenizer, data: by content),
    /// move that into `set-aside` beside it and train anew.
    #[arg(long)]
    force_new: bool,

    /// Go on with an unfinished run; that there is none is an error.
    #[arg(long, conflicts_with = "restart")]
    resume: bool,

    /// Move an unfinished run into `set-aside` and begin anew.
    #[arg(long)]
    restart: bool,

    /// Write a checkpoint after so much time, such as 90s, 5min or 1h; 0s for none.
    #[arg(long, value_name = "TIME", default_value = "5min", value_parser = humantime::parse_duration)]
    checkpoint_time: Duration,

    /// Write a checkpoint after so many steps, too.
    #[arg(long, value_name = "STEPS")]
    checkpoint_steps: Option<std::num::NonZeroUsize>,

    /// Stop after so much time, such as 3h, with a checkpoint and exit status 75.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Option<Duration>,

    /// This is a job of Slurm's: when its time is up, by SIGUSR1 or --time-limit, put it back into the queue.
    #[arg(long, hide = true)]
    requeue: bool,

    #[command(flatten)]
    parent: Parent,

    /// Train on a device that `fpt doctor` found wrong.
    #[arg(long)]
    force: bool,

    /// Print every event as a line of JSON on standard output instead of showing a progress bar.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn conduct(&self) -> Conduct {
        Conduct {
            begun: match (self.resume, self.restart) {
                (true, _) => Begun::MustGoOn,
                (_, true) => Begun::SetAside,
                _ => Begun::GoOn,
            },
            every_steps: self.checkpoint_steps.map(std::num::NonZeroUsize::get),
            every: Some(self.checkpoint_time).filter(|time| !time.is_zero()),
            stop: stop::is_asked,
        }
    }

    /// Watch for what may stop the run; the job that it is, if it is one.
    fn watch(&self) -> anyhow::Result<Option<Job>> {
        let job = self.requeue.then(|| Job::new(self.time_limit));
        if let Some(job) = job {
            job.back_if_it_never_begins();
        }
        stop::listen()?;
        if let Some(limit) = self.time_limit {
            stop::after(limit);
        }
        self.parent.watch();
        Ok(job)
    }

    /// Whether the run is there, finished, which is told. A finished run of another configuration or of other inputs is an
    /// error, or, if `force_new`, set aside.
    fn is_finished(&self, config: &RunConfig, force_new: bool) -> anyhow::Result<bool> {
        // What is there now counts.
        let mut fingerprinter = model::fingerprinter();
        let Some(result) = finished(&self.out, config, &mut fingerprinter, force_new)? else {
            return Ok(false);
        };
        terminal::note(&format!(
            "{} holds this very run, finished; nothing to do",
            self.out.display()
        ));
        if self.json {
            print_json(&Event::Finished {
                result: Box::new(result),
            })?;
        }
        Ok(true)
    }

    fn cache(&self) -> PathBuf {
        let beside = || self.out.with_file_name("cache");
        self.cache.clone().unwrap_or_else(beside)
    }

    /// The device that a dry run is about. One that is missing here is told, and no reason to stop: a dry run may be of
    /// another machine.
    fn target(&self) -> dry_run::Target {
        let elsewhere = dry_run::Target {
            is_processor: false,
            memory: self.memory.map(|bytes| bytes.0),
        };
        if self.memory.is_some() {
            return elsewhere;
        }
        match self.device.open() {
            Ok(devices) => dry_run::Target {
                is_processor: devices.are_processor(),
                memory: devices.memory(),
            },
            Err(error) => {
                terminal::note(&format!(
                    "--device {}: {}",
                    self.device,
                    terminal::with_causes(&error)
                ));
                elsewhere
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut resolved = args.run.resolve()?;
    WeightsName::set(args.weights, &mut resolved.config);
    let config = &resolved.config;
    if args.dry_run {
        config.check_trainable()?;
        return dry_run::show(resolved.origin(), config, &args.target(), args.json);
    }
    anyhow::ensure!(
        args.cache() != args.out,
        "--out {} is the directory of the cache; choose another --out or --cache",
        args.out.display()
    );
    data::require_for_training(config, resolved.origin())?;
    if args.is_finished(config, args.force_new)? {
        return Ok(());
    }

    // Before a model is fetched. Who reads events needs no look at the data, which the run reads itself.
    if !args.json {
        let task = config.task(&Tasks::paper())?;
        show_examples(&*task, &read_split(&config.data, &*task, Split::Train)?);
    }

    let job = args.watch()?;
    let devices = args.device.open()?;
    let directory = model::find(&config.model)?.directory;
    let model = T5Config::from_file(directory.join("config.json"))?;
    memory::suffices_for_one(config, &model, &devices)?;
    let (cache, host) = (args.cache(), host(&devices, args.conduct()));
    admit(&devices, config, args.force)?;

    let bar = terminal::bar(1, config.task.as_str());
    // Where no bar is seen, lines tell how it goes on.
    let mut plain = (!std::io::stderr().is_terminal()).then(Plain::new);
    bar.set_message("loading");
    let mut last_printed = Ok(());
    let mut steps = Steps::default();
    let mut listen = |event: &Event| {
        if matches!(event, Event::Metric(_)) {
            stop::at_work();
        }
        steps.after(event);
        if !args.json {
            show(event, &bar);
            if let Some(line) = plain.as_mut().and_then(|plain| plain.after(event)) {
                terminal::note(&line);
            }
        } else if last_printed.is_ok() {
            last_printed = print_json(event);
            if last_printed.is_err() {
                stop::alone();
            }
        }
    };
    let result = train(config, &args.out, &cache, &host, devices.all(), &mut listen);
    bar.finish_and_clear();
    if let Err(TrainError::Stopped) = result {
        terminal::note(&format!(
            "stopped by {} after step {}; the same command goes on from there",
            stop::reason(),
            steps.taken
        ));
        if let Some(job) = job {
            job.back_if_time_is_up(steps.taken > steps.before)?;
        }
    }
    if let Err(TrainError::Taken { .. }) = result
        && args.is_finished(config, false)?
    {
        // Another process was faster.
        return Ok(());
    }
    let result = result?;
    last_printed?;
    if args.json {
        return Ok(());
    }
    print_line(&summary(&result))?;
    let adapter = args.out.join("adapter");
    print_line(&format!("adapter: {}", adapter.display()))
}

/// See that the doctor found nothing wrong with the devices, or that they are to be used nevertheless.
fn admit(devices: &Devices, config: &RunConfig, force: bool) -> anyhow::Result<()> {
    let verdicts = verdict::file().map_or_else(Verdicts::default, |file| Verdicts::read(&file));
    for (name, device) in devices.named() {
        let patient = Patient::new(&name, device, config.precision.name());
        if let Some(warning) = verdicts.admit(&patient, force)? {
            terminal::note(&warning);
        }
    }
    Ok(())
}

/// How far a run is.
#[derive(Default)]
struct Steps {
    /// Steps that were taken before it was gone on with.
    before: usize,
    /// All steps taken.
    taken: usize,
}

impl Steps {
    fn after(&mut self, event: &Event) {
        match event {
            Event::Metric(MetricRecord::Step { step, .. }) => self.taken = *step,
            Event::Resumed { step, .. } => {
                self.taken = *step;
                self.before = *step;
            }
            _ => {}
        }
    }
}

/// Lines now and then, instead of a bar.
struct Plain {
    lines: Lines,
    steps: usize,
}

impl Plain {
    fn new() -> Self {
        Self {
            lines: Lines::new(),
            steps: 0,
        }
    }

    /// The line after an event, if it is time for one.
    fn after(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Loaded { steps, .. } => {
                self.steps = *steps;
                None
            }
            Event::Metric(MetricRecord::Step {
                step, loss, tokens, ..
            }) => {
                let progress = Progress {
                    step: *step,
                    steps: self.steps,
                    loss: *loss,
                    tokens: *tokens,
                };
                self.lines.after(Instant::now(), &progress)
            }
            _ => None,
        }
    }
}

/// Let a bar follow the run.
fn show(event: &Event, bar: &ProgressBar) {
    for note in notes(event) {
        bar.suspend(|| terminal::note(&note));
    }
    match event {
        Event::Resumed { step, .. } => {
            bar.set_position(*step as u64);
            bar.reset_eta();
        }
        Event::Tokenized {
            split,
            examples,
            of,
        } => {
            bar.set_length(*of as u64);
            bar.set_position(*examples as u64);
            bar.set_message(format!("tokenizing {split}"));
        }
        Event::Loaded { steps, .. } => {
            bar.reset();
            bar.set_message("");
            bar.set_length(*steps as u64);
        }
        Event::Evaluated { .. } => bar.set_message("evaluating"),
        Event::Metric(MetricRecord::Step { step, loss, .. }) => {
            bar.set_position(*step as u64);
            bar.set_message(format!("loss {loss:.3}"));
        }
        Event::Metric(MetricRecord::Eval { step, dev, .. }) => bar.suspend(|| {
            let (name, value) = (&dev.primary, dev.primary_value());
            terminal::note(&format!("step {step}: dev {name} {value:.2}"));
        }),
        _ => {}
    }
}

/// What came out, in a line.
fn summary(result: &RunResult) -> String {
    let reported = match result.split {
        // Then it is the next figure.
        Split::Dev => String::new(),
        split => format!("{split} {:.2}, ", result.reported.primary_value()),
    };
    let no_prompt = result
        .no_prompt
        .as_ref()
        .map_or_else(String::new, |scores| {
            format!(", without prompt {:.2}", scores.primary_value())
        });
    format!(
        "{} of {} on {}: {reported}dev {:.2} (best at step {} of {}); {} {:.2}{no_prompt}",
        result.metric,
        result.method,
        result.task,
        result.dev.primary_value(),
        result.best_step,
        result.steps,
        result.baseline.name,
        result.baseline.value,
    )
}
