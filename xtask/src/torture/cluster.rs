//! A grid on a cluster of Slurm, of four nodes on this machine, where elements meet what they do on clusters.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fpt::stop;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::campaign::{Campaign, Trial};
use super::contents::{Contents, report};
use super::mounts::missing;
use super::{Ground, place_for};
use crate::shell;

/// Starts and ends the cluster.
const LAB: &str = "scripts/slurm-lab.sh";
/// Longer than a grid takes, faults and all.
const LONGEST: Duration = Duration::from_secs(1200);
const LOOK: Duration = Duration::from_millis(500);
/// Four methods, as many times as there are seeds: twelve runs.
const METHODS: [&str; 4] = ["pt", "fpt-ld", "fpt-fr", "fpt-cr"];
const SEEDS: usize = 3;
/// Less than a run takes.
const TOO_LITTLE: &str = "mem=24M";

/// Twelve runs by way of Slurm, two at a time: first with too little memory; then again, and more of them while those are
/// running; and meanwhile a node loses its power, an element is preempted, and one is told that its time is up.
pub(super) struct Cluster<'a> {
    pub(super) ground: &'a Ground,
    /// Experiment file.
    pub(super) config: &'a Path,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    NodeLost,
    Preempted,
    TimeIsUp,
}

impl Campaign for Cluster<'_> {
    fn name(&self) -> &'static str {
        "cluster-faults"
    }

    fn missing(&self) -> Option<String> {
        let packages = "apt-get install --no-install-recommends slurm-wlm munge";
        missing(&["sbatch", "slurmctld", "munged", "unshare"])
            .map(|what| format!("{what} ({packages})"))
    }

    fn trial(
        &mut self,
        number: usize,
        left: usize,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Trial> {
        let directory = place_for(&self.ground.place, &format!("cluster-{number}"))?;
        let mut trial = Trial {
            victim: "cluster",
            directory: directory.clone(),
            faults: Vec::new(),
            said: Vec::new(),
            differences: Vec::new(),
        };
        // As undisturbed runs of this machine have it: under the same name, in a directory of its own.
        let local = directory.join("local");
        fs::create_dir(&local)?;
        let ended = self.call(&local, SEEDS, None, &[])?;
        ensure!(ended.status.success(), "the runs failed: {}", said(&ended));
        let grid = Grid {
            campaign: self,
            lab: Lab::start()?,
            place: directory.join("cluster"),
        };
        fs::create_dir(&grid.place)?;
        grid.run(left, random, &mut trial)?;
        trial
            .differences
            .extend(differences(&local.join("run"), &grid.place.join("run"))?);
        Ok(trial)
    }
}

impl Cluster<'_> {
    /// Call `fpt reproduce` in `place`, of so many seeds, with these options; on a cluster where there is one.
    fn call(
        &self,
        place: &Path,
        seeds: usize,
        lab: Option<&Lab>,
        options: &[&str],
    ) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.ground.programs.fpt);
        command.envs(lab.map(|lab| ("SLURM_CONF", lab.configuration())));
        command.arg("reproduce").arg(fs::canonicalize(self.config)?);
        command.args(["--task", "mnli", "--out", "run", "--checkpoint-steps", "5"]);
        command.args(METHODS.iter().flat_map(|method| ["--method", method]));
        command.args(["--seeds", &seeds.to_string(), "--jobs", "2"]);
        command
            .args(&self.ground.settings)
            .args(options)
            .current_dir(place);
        command
            .stdin(Stdio::null())
            .output()
            .context("failed to start fpt")
    }
}

/// The grid on a cluster.
struct Grid<'a> {
    campaign: &'a Cluster<'a>,
    lab: Lab,
    place: PathBuf,
}

impl Grid<'_> {
    fn run(&self, left: usize, random: &mut ChaCha8Rng, trial: &mut Trial) -> anyhow::Result<()> {
        self.submit(1, &["--slurm", TOO_LITTLE])?;
        self.wait_for_end()?;
        let status = self.status()?;
        let killed = status.matches("| failed").count();
        trial
            .faults
            .extend(vec!["had too little memory".to_string(); killed]);
        if killed != METHODS.len() {
            trial.differences.push(format!(
                "{killed} of {} elements had too little memory: {status}",
                METHODS.len()
            ));
        }
        let second = self.submit(2, &[])?;
        if second.matches("out of memory").count() != METHODS.len() {
            trial.differences.push(format!(
                "the second call does not say what failed: {second}"
            ));
        }
        let mut hit = BTreeSet::new();
        let faults = [Fault::NodeLost, Fault::Preempted, Fault::TimeIsUp];
        for (number, fault) in faults.into_iter().take(left).enumerate() {
            if let Some(line) = self.meet(fault, &mut hit, random)? {
                trial.faults.push(line);
            }
            if number == 0 {
                let third = self.submit(SEEDS, &[])?;
                if !third.contains("wait or are running already") || !third.contains(": 4 runs") {
                    trial
                        .differences
                        .push(format!("a call while others run: {third}"));
                }
            }
        }
        self.wait_for_end()?;
        let status = self.status()?;
        if !status.contains("12 runs: 12 finished") {
            trial.differences.push(status);
        }
        for element in hit {
            let record = self.lab.ask("scontrol", &["-o", "show", "job", &element])?;
            if !record.contains(" Restarts=1 ") && !record.contains(" Restarts=2 ") {
                trial.differences.push(format!(
                    "{element} was not put back into the queue: {record}"
                ));
            }
        }
        Ok(())
    }

    /// Submit what is missing of so many seeds; what that says.
    fn submit(&self, seeds: usize, options: &[&str]) -> anyhow::Result<String> {
        let options = [&["--on", "slurm"], options].concat();
        let lab = Some(&self.lab);
        let ended = self.campaign.call(&self.place, seeds, lab, &options)?;
        ensure!(
            ended.status.success(),
            "submitting failed: {}",
            said(&ended)
        );
        Ok(said(&ended))
    }

    fn status(&self) -> anyhow::Result<String> {
        self.submit(SEEDS, &["--status"])
    }

    /// Let a fault happen to an element that is running and has a checkpoint; nothing if none is left.
    fn meet(
        &self,
        fault: Fault,
        hit: &mut BTreeSet<String>,
        random: &mut ChaCha8Rng,
    ) -> anyhow::Result<Option<String>> {
        let start = Instant::now();
        let (element, node) = loop {
            let running = self.running()?;
            let running: Vec<_> = running
                .into_iter()
                .filter(|(id, _)| !hit.contains(id))
                .collect();
            if let Some(chosen) = running.choose(random) {
                break chosen.clone();
            }
            if self.lab.ask("squeue", &["-h"])?.trim().is_empty() {
                return Ok(None);
            }
            self.pause(start)?;
        };
        match fault {
            Fault::NodeLost => {
                self.lab.script(&["kill-node", &self.lab.place(), &node])?;
                self.until(|| {
                    Ok(self
                        .lab
                        .ask("sinfo", &["-h", "-n", &node, "-p", "normal", "-o", "%T"])?
                        .contains("down"))
                })?;
                self.lab.script(&["start-node", &self.lab.place(), &node])?;
            }
            Fault::Preempted => {
                let nodelist = format!("--nodelist={node}");
                let urgent = [
                    "-p",
                    "urgent",
                    "--exclusive",
                    &nodelist,
                    "-o",
                    "/dev/null",
                    "--wrap",
                    "sleep 3",
                ];
                self.lab.ask("sbatch", &urgent)?;
            }
            Fault::TimeIsUp => {
                self.lab
                    .ask("scancel", &["--batch", "--signal=USR1", &element])?;
            }
        }
        hit.insert(element.clone());
        let when = start.elapsed().as_secs_f64();
        Ok(Some(format!(
            "{fault:?}: {element} on {node}, after {when:.1} s"
        )))
    }

    /// Elements that are running and have a checkpoint, and where.
    fn running(&self) -> anyhow::Result<Vec<(String, String)>> {
        let said = self
            .lab
            .ask("squeue", &["-h", "-r", "-t", "R", "-o", "%i %N"])?;
        let jobs = fs::read_to_string(self.place.join("run/slurm/jobs.json"))?;
        let jobs: serde_json::Value = serde_json::from_str(&jobs)?;
        let directory = |id: &str| {
            let (job, index) = id.split_once('_')?;
            let of = |it: &&serde_json::Value| it["job"]["number"] == job;
            let submission = jobs.as_array()?.iter().find(of)?;
            let element = &submission["what"]["runs"][index.parse::<usize>().ok()?];
            Some(format!(
                "{}.partial/checkpoints",
                element["directory"].as_str()?
            ))
        };
        let has_checkpoint = |id: &str| {
            let entries = directory(id).and_then(|it| fs::read_dir(self.place.join(it)).ok());
            entries.is_some_and(|mut entries| entries.next().is_some())
        };
        let pairs = said.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs
            .filter(|(id, _)| has_checkpoint(id))
            .map(|(id, node)| (id.into(), node.into()))
            .collect())
    }

    /// Until nothing waits or runs.
    fn wait_for_end(&self) -> anyhow::Result<()> {
        self.until(|| Ok(self.lab.ask("squeue", &["-h"])?.trim().is_empty()))
    }

    fn until(&self, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let start = Instant::now();
        while !is_so()? {
            self.pause(start)?;
        }
        Ok(())
    }

    fn pause(&self, since: Instant) -> anyhow::Result<()> {
        ensure!(!stop::is_asked(), "stopped");
        if since.elapsed() > LONGEST {
            bail!("the grid does not come to its end:\n{}", self.status()?);
        }
        std::thread::sleep(LOOK);
        Ok(())
    }
}

/// What of the grid on the cluster is not as on this machine.
fn differences(local: &Path, cluster: &Path) -> anyhow::Result<Vec<String>> {
    let own = |directory: &Path| Ok::<_, anyhow::Error>(Contents::of(directory)?.without("slurm"));
    let mut differences = own(local)?.differences(&own(cluster)?);
    let report = |directory: &Path| -> anyhow::Result<Vec<u8>> {
        let path = directory.join("results.json");
        report(&fs::read(&path).with_context(|| path.display().to_string())?)
    };
    if report(local)? != report(cluster)? {
        differences.push("the report differs".into());
    }
    Ok(differences)
}

/// A running cluster, which ends with this value.
struct Lab {
    directory: tempfile::TempDir,
}

impl Lab {
    fn start() -> anyhow::Result<Self> {
        // Sockets' paths are short, and all may enter their directories.
        let directory = tempfile::Builder::new().prefix("lab").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let lab = Self { directory };
        lab.script(&["start", &lab.place()])?;
        Ok(lab)
    }

    fn place(&self) -> String {
        self.directory.path().join("slurm").display().to_string()
    }

    /// Call the script of the cluster.
    fn script(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(LAB);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        shell::call(&mut command)
    }

    /// What one of Slurm's programs says.
    fn ask(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SLURM_CONF", self.configuration());
        let output = command
            .output()
            .with_context(|| format!("failed to start {program}"))?;
        ensure!(output.status.success(), "{program}: {}", said(&output));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn configuration(&self) -> String {
        format!("{}/slurm.conf", self.place())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.script(&["stop", &self.place()]);
    }
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).trim().to_string()
}
