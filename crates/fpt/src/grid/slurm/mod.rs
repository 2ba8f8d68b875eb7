//! Runs as jobs of Slurm: an array of those that are missing, and a job after it that goes on.
//!
//! Nothing of this program stays while the jobs wait and run, unless it is to wait for them. What was submitted stands in
//! `slurm/jobs.json` below the directory of the runs; what became of it, Slurm tells, and the runs' own directories.

mod estimate;
mod follow;
mod kept;
mod ledger;
mod progress;
mod queue;
mod request;
mod script;
mod status;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use fpt_partial::shape;
use fpt_schedule::ModelShape;
use fpt_tasks::Tasks;
use fpt_train::Plan;

use self::follow::follow;
use self::ledger::{Element, Ledger, What};
use self::progress::State;
use self::queue::{Elements, JobId, Phase};
use self::request::Request;
use self::script::{Form, time_for_run};
use super::Ground;
use super::execute::{Executor, Submitted, note_finished};
use super::local::{Local, printed};
use super::plan::Planned;
use crate::{DeviceName, model, shell, terminal};

pub(crate) use queue::programs;
pub(crate) use status::show as show_status;

/// Has runs executed by Slurm.
pub(super) struct Slurm<'a> {
    pub(super) settings: Settings<'a>,
    pub(super) mode: Mode<'a>,
    request: Request,
    model: ModelShape,
}

/// What runs are, and where.
pub(super) struct Settings<'a> {
    /// The `fpt` program, absolute.
    pub(super) program: PathBuf,
    /// Where Slurm's programs lie, if they are here: a script can be shown elsewhere.
    pub(super) programs: Option<PathBuf>,
    /// Experiment file.
    pub(super) config: &'a Path,
    /// Directory of the runs.
    pub(super) out: &'a Path,
    /// The device of each run, as its node has it.
    pub(super) device: DeviceName,
    /// Steps between checkpoints, beside those that runs write by time.
    pub(super) checkpoint_steps: Option<NonZeroUsize>,
}

/// What becomes of what is to be done after the runs.
pub(super) enum Mode<'a> {
    /// A job does it, and nobody waits.
    Leave,
    /// This process does, and waits.
    Wait,
    /// This is that job: what takes computing is done here, and what failed is not tried again.
    Job(Local<'a>),
}

impl<'a> Slurm<'a> {
    /// To execute the runs of `ground`, each of `assignments` laid over what the experiment says of the cluster.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn new(
        settings: Settings<'a>,
        mode: Mode<'a>,
        ground: &Ground<'_>,
        assignments: &[String],
    ) -> anyhow::Result<Self> {
        let model = shape(&model::config(ground.experiment)?);
        let said = ground.experiment.slurm.with(assignments)?;
        let cores = said.cpus.map_or(1, NonZeroUsize::get);
        let on_processor = settings.device == DeviceName::Cpu;
        let estimate = || estimate::of(ground, &model, (on_processor, cores));
        let request = Request::new(said, estimate)?;
        Ok(Self {
            settings,
            mode,
            request,
            model,
        })
    }

    /// What a run of the grid is in an array.
    fn element(&self, run: &Planned) -> anyhow::Result<Element> {
        let plan = Plan::new(
            &run.config,
            &*run.config.task(&Tasks::paper())?,
            &self.model,
        )?;
        Ok(Element {
            name: run.name(),
            directory: run.directory.clone(),
            steps: plan.steps,
        })
    }

    /// The script of an array of `runs`, each of which `program` makes.
    fn array(&self, program: &Path, runs: &[&Planned], logs: &Path) -> anyhow::Result<String> {
        let Settings {
            config,
            device,
            checkpoint_steps,
            ..
        } = &self.settings;
        let mut command: Vec<String> = vec![program.display().to_string()];
        let limit = time_for_run(self.request.time).as_secs();
        command.extend(["train", "--requeue", "--time-limit"].map(Into::into));
        command.push(format!("{limit}s"));
        command.extend(["--device".into(), device.to_string()]);
        if let Some(steps) = checkpoint_steps {
            command.extend(["--checkpoint-steps".into(), steps.to_string()]);
        }
        command.extend(["--config".into(), config.display().to_string()]);
        let runs: Vec<_> = runs.iter().map(|run| run.arguments()).collect();
        self.form(logs, |form| form.array(&command, &runs))
    }

    /// The script of what comes after jobs: the command that this program was started by, told that it is in a job.
    fn going_on(&self, after: &[&JobId], ledger: &Ledger) -> anyhow::Result<String> {
        let own = std::env::current_exe().context("failed to find this program")?;
        let program = self.kept_program(ledger)?;
        let own = if own == self.settings.program {
            program.clone()
        } else {
            kept::copy(&own, &self.kept(ledger)?)?
        };
        let mut command = vec![own.display().to_string()];
        let arguments = shell::own_arguments();
        let has = |option: &str| arguments.iter().any(|it| it == option);
        if !has("--in-job") {
            command.push("--in-job".into());
        }
        if !has("--program") {
            command.extend(["--program".into(), program.display().to_string()]);
        }
        command.splice(1..1, arguments);
        let after: Vec<String> = after.iter().map(ToString::to_string).collect();
        self.form(&ledger.logs(), |form| form.single(&command, None, &after))
    }

    /// Where programs are kept, absolute.
    fn kept(&self, ledger: &Ledger) -> anyhow::Result<PathBuf> {
        absolute(&ledger.programs())
    }

    /// The program that makes runs, as jobs start it.
    fn kept_program(&self, ledger: &Ledger) -> anyhow::Result<PathBuf> {
        kept::copy(&self.settings.program, &self.kept(ledger)?)
    }

    fn form(&self, logs: &Path, write: impl FnOnce(&Form<'_>) -> String) -> anyhow::Result<String> {
        let place = std::env::current_dir().context("failed to find the working directory")?;
        let out = self.settings.out.file_name().unwrap_or_default();
        let form = Form {
            name: &format!("fpt-{}", out.to_string_lossy()),
            request: &self.request,
            logs: &absolute(logs)?,
            place: &place,
            programs: self.settings.programs.as_deref(),
            variable: |name| std::env::var(name).ok(),
        };
        Ok(write(&form))
    }

    /// Print the scripts that would be submitted for `runs`.
    ///
    /// # Errors
    /// If one can't be written.
    pub(super) fn print(&self, runs: &[&Planned]) -> anyhow::Result<()> {
        let ledger = Ledger::read(self.settings.out)?;
        let program = kept::place(&self.settings.program, &self.kept(&ledger)?)?;
        if let Some(note) = self.request.note() {
            terminal::note(&note);
        }
        let is_open = |run: &&&Planned| !progress::is_finished(&run.directory);
        let open: Vec<&Planned> = runs.iter().filter(is_open).copied().collect();
        for runs in open.chunks(queue::longest_array()) {
            terminal::print_line(self.array(&program, runs, &ledger.logs())?.trim_end())?;
        }
        terminal::note(&format!(
            "{} of {} runs are to be made",
            open.len(),
            runs.len()
        ));
        Ok(())
    }

    /// Submit `runs` as arrays, and write that down.
    fn submit(&self, runs: &[&Planned], ledger: &mut Ledger) -> anyhow::Result<()> {
        let program = self.kept_program(ledger)?;
        for runs in runs.chunks(queue::longest_array()) {
            let elements = runs.iter().map(|run| self.element(run));
            let elements = elements.collect::<anyhow::Result<Vec<_>>>()?;
            let text = self.array(&program, runs, &ledger.logs())?;
            let (job, script) = send(ledger, "runs", &text)?;
            terminal::note(&format!(
                "job {job}: {} runs, {}",
                runs.len(),
                script.display()
            ));
            ledger.add(job, What::Runs(elements))?;
        }
        Ok(())
    }

    /// Submit the job that goes on when `after` have ended, in the place of another that waits for fewer.
    fn submit_going_on(&self, after: &[&JobId], ledger: &mut Ledger) -> anyhow::Result<()> {
        cancel_going_on(ledger);
        let (job, script) = send(ledger, "then", &self.going_on(after, ledger)?)?;
        let then = if after.is_empty() { "now" } else { "then" };
        terminal::note(&format!(
            "job {job}: goes on {then}, up to the report, {}",
            script.display()
        ));
        ledger.add(job, What::GoOn)
    }

    /// Say how to look at what was submitted.
    fn note_how_to_look(&self) {
        terminal::note(
            "the same command with --status shows how it goes, --wait waits for the end",
        );
    }
}

impl Executor for Slurm<'_> {
    fn run_all(&self, runs: &[Planned]) -> anyhow::Result<Vec<String>> {
        let open: Vec<&Planned> = runs.iter().filter(|run| run.finished.is_none()).collect();
        note_finished(runs.len() - open.len(), runs.len());
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let mut ledger = Ledger::read(self.settings.out)?;
        let mut known = Known::default();
        let (mut missing, mut failures, mut live) = (Vec::new(), Vec::new(), 0);
        for run in open {
            let element = self.element(run)?;
            match known.state_after_all(&element, &ledger)? {
                State::Finished => {}
                state if state.is_live() => live += 1,
                State::New => missing.push(run),
                failed => {
                    let line = line_of_failure(&run.name(), &failed);
                    if let Mode::Job(_) = self.mode {
                        failures.push(line);
                    } else {
                        terminal::note(&format!("again: {line}"));
                        missing.push(run);
                    }
                }
            }
        }
        if live > 0 {
            terminal::note(&format!(
                "{live} of {} runs wait or are running already",
                runs.len()
            ));
        }
        if !missing.is_empty() {
            if let Some(note) = self.request.note() {
                terminal::note(&note);
            }
            self.submit(&missing, &mut ledger)?;
        }
        if let Mode::Wait = self.mode {
            // This process does that.
            cancel_going_on(&ledger);
            return follow(runs, &ledger, |run| self.element(run));
        }
        if live == 0 && missing.is_empty() {
            return Ok(failures);
        }
        if !missing.is_empty() || waiting_to_go_on(&ledger).is_none() {
            let directories: Vec<&Path> = runs.iter().map(|run| run.directory.as_path()).collect();
            let after = live_jobs(&ledger, &directories)?;
            self.submit_going_on(&after.iter().collect::<Vec<_>>(), &mut ledger)?;
        }
        self.note_how_to_look();
        Err(Submitted.into())
    }

    fn output(&self, arguments: &[String]) -> anyhow::Result<Vec<u8>> {
        let mut ledger = Ledger::read(self.settings.out)?;
        match &self.mode {
            Mode::Job(local) => local.output(arguments),
            Mode::Leave => {
                if waiting_to_go_on(&ledger).is_none() {
                    self.submit_going_on(&[], &mut ledger)?;
                }
                self.note_how_to_look();
                Err(Submitted.into())
            }
            Mode::Wait => self.output_of_job(arguments, &ledger),
        }
    }
}

impl Slurm<'_> {
    /// What a command prints that runs as a job, which is waited for.
    fn output_of_job(&self, arguments: &[String], ledger: &Ledger) -> anyhow::Result<Vec<u8>> {
        let what = "computes";
        let path = absolute(&ledger.script(what).with_extension("out"))?;
        let mut command = vec![self.kept_program(ledger)?.display().to_string()];
        command.extend(arguments.iter().cloned());
        command.extend(["--device".into(), self.settings.device.to_string()]);
        let text = self.form(&ledger.logs(), |form| {
            form.single(&command, Some(&path), &[])
        })?;
        let (job, _) = send(ledger, what, &text)?;
        let told = follow::end_of(&job)?;
        let done = told.as_ref().is_some_and(|told| told.state == "COMPLETED");
        if !done {
            let said = progress::last_lines(&ledger.log_of(&job));
            let cause = progress::cause(told.as_ref(), &said);
            bail!("job {job}: {cause}{}", quoted_lines(&said));
        }
        let said = std::fs::read(&path).with_context(|| path.display().to_string())?;
        // It goes where it belongs.
        let _ = std::fs::remove_file(&path);
        printed(said)
    }
}

/// What Slurm says, asked once a job.
#[derive(Default)]
struct Known(BTreeMap<JobId, Elements>);

impl Known {
    /// How a run is doing.
    ///
    /// # Errors
    /// If Slurm does not answer.
    fn state(&mut self, element: &Element, ledger: &Ledger) -> anyhow::Result<State> {
        let Some((job, index)) = ledger.last_of(&element.directory) else {
            return Ok(progress::state(element, ledger, None));
        };
        if progress::is_finished(&element.directory) {
            return Ok(State::Finished);
        }
        let known = match self.0.get(job) {
            Some(known) => known,
            None => {
                let told = queue::told(job)?;
                self.0.entry(job.clone()).or_insert(told)
            }
        };
        Ok(progress::state(element, ledger, known.get(&index)))
    }

    /// The same, where a result that Slurm says must be there is waited for.
    fn state_after_all(&mut self, element: &Element, ledger: &Ledger) -> anyhow::Result<State> {
        let state = self.state(element, ledger)?;
        let completed = |(job, index): (&JobId, usize)| {
            let told = self.0.get(job)?.get(&index)?;
            Some(told.state == "COMPLETED")
        };
        let completed = ledger.last_of(&element.directory).and_then(completed);
        if matches!(state, State::Failed { .. })
            && completed == Some(true)
            && progress::appears(&element.directory)
        {
            return Ok(State::Finished);
        }
        Ok(state)
    }
}

/// Write the next script, by what it is for, and submit it. Slurm writes no log where there is no directory.
fn send(ledger: &Ledger, what: &str, text: &str) -> anyhow::Result<(JobId, PathBuf)> {
    fpt_files::create_directory(ledger.logs())?;
    let script = ledger.script(what);
    fpt_files::write(&script, text)?;
    let job = queue::submit(&script).with_context(|| script.display().to_string())?;
    Ok((job, script))
}

/// The job that waits for others to go on.
fn waiting_to_go_on(ledger: &Ledger) -> Option<&JobId> {
    // Of older ones Slurm need not be asked.
    let last = ledger.newest_first().find(|it| it.what == What::GoOn)?;
    let told = queue::told(&last.job).unwrap_or_default();
    let waits = told.values().any(|told| told.phase() == Phase::Waits);
    waits.then_some(&last.job)
}

/// Take that job out of the queue.
fn cancel_going_on(ledger: &Ledger) {
    if let Some(job) = waiting_to_go_on(ledger) {
        queue::cancel(job);
    }
}

/// The jobs that have these runs, and go on.
fn live_jobs(ledger: &Ledger, runs: &[&Path]) -> anyhow::Result<Vec<JobId>> {
    let mut jobs: Vec<JobId> = Vec::new();
    for (job, _) in runs.iter().filter_map(|run| ledger.last_of(run)) {
        if !jobs.contains(job) {
            jobs.push(job.clone());
        }
    }
    jobs.sort_by_key(|job| (job.number.len(), job.number.clone()));
    let mut live = Vec::new();
    for job in jobs {
        // A new one is not in any account yet, but the controller knows it.
        if queue::told(&job)?
            .values()
            .any(|told| told.phase() != Phase::Over)
        {
            live.push(job);
        }
    }
    Ok(live)
}

/// `NAME: why; its log LOG`, and below that its last lines.
fn line_of_failure(name: &str, state: &State) -> String {
    match state {
        State::Failed { cause, log, said } => {
            format!(
                "{name}: {cause}; log {}{}",
                log.display(),
                quoted_lines(said)
            )
        }
        other => format!("{name}: {other:?}"),
    }
}

fn quoted_lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  | {line}")).collect()
}

/// A path that jobs find wherever they work.
pub(super) fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("failed to find where {} is", path.display()))
}

/// The device as a node has it: Slurm shows each job its own cards, counted from 0.
///
/// # Errors
/// If it can only be told on the node, or is another than its first.
pub(super) fn device(name: &DeviceName) -> anyhow::Result<&DeviceName> {
    match name {
        DeviceName::Auto => bail!(
            "--device auto would be decided on each node, and runs be made on different devices; say which, such as \
             --device cuda"
        ),
        DeviceName::Gpu(gpu, indices) => {
            ensure!(
                matches!(indices[..], [] | [0]),
                "with --on slurm each run has the cards that Slurm gives its job, the first of which is {gpu}; say \
                 --device {gpu}, and --slurm gres=gpu:1"
            );
            Ok(name)
        }
        DeviceName::Cpu => Ok(name),
    }
}
