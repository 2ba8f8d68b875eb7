//! `--on slurm`, with scripts in place of Slurm's programs: what is submitted is kept, and executed when the test says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use fpt_lab::{assert_same, outcome};
use serde_json::Value;

use crate::lab::{Lab, error_of, refused, stderr, stdout, trained};

/// `sbatch` keeps the script and gives numbers; `squeue` tells what a file says, of jobs that are not known as Slurm does.
const PROGRAMS: [(&str, &str); 5] = [
    (
        "sbatch",
        r#"number=$(($(cat next 2>/dev/null || echo 6) + 1)); echo $number >next
for script; do :; done
cp "$OLDPWD/$script" $number.sh; echo "$*" >$number.arguments
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' $number.sh)
for i in $(seq 0 ${last:-0}); do echo "${number}_$i|PENDING|Priority|0|0||"; done >states
mv states states-$number
echo "Welcome to the cluster."; echo "$number;lab""#,
    ),
    (
        "squeue",
        r#"[ -e busy ] && { rm busy; echo "slurm_load_jobs error: Socket timed out on send/recv operation" >&2; exit 1; }
while [ $# -gt 0 ]; do [ "$1" = -j ] && job=$2; shift; done
[ -e states-$job ] || { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
cat states-$job"#,
    ),
    (
        "sacct",
        r#"echo "Slurm accounting storage is disabled" >&2; exit 1"#,
    ),
    (
        "scontrol",
        r#"case $1 in show) echo "MaxArraySize            = ${MOST:-1001}" ;; *) echo "$*" >>requeued ;; esac"#,
    ),
    (
        "scancel",
        "for job; do :; done; sed -i s/PENDING/CANCELLED/ states-$job",
    ),
];

struct Cluster(Lab);

impl Cluster {
    fn new() -> Self {
        let lab = Lab::new();
        fs::create_dir(lab.path("slurm's")).unwrap();
        for (name, script) in PROGRAMS {
            let path = lab.path("slurm's").join(name);
            let script = format!("#!/bin/bash\ncd \"$(dirname \"$0\")\"\n{script}\n");
            fs::write(&path, script).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(lab)
    }

    /// A grid of four runs, and what else is said.
    fn grid(&self, more: &[&str]) -> Output {
        let grid = [
            "reproduce",
            "lab.toml",
            "--out",
            "runs",
            "--task",
            "mnli",
            "--seeds",
            "2",
        ];
        let methods = ["--method", "pt", "--method", "cr-1/2", "--on", "slurm"];
        self.call(&[&grid[..], &methods, more].concat(), &[])
    }

    fn call(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.0.command(arguments);
        command
            .env("PATH", self.path())
            .env("HF_TOKEN", "hf_secret");
        command.envs(environment.iter().copied()).output().unwrap()
    }

    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.0.path("slurm's").display())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path("slurm's").join(name)).unwrap()
    }

    /// Say what is to be told of a job: lines of state, reason and code.
    fn say(&self, job: usize, lines: &[(&str, &str, i32)]) {
        let lines = lines.iter().enumerate();
        let lines: Vec<_> = lines
            .map(|(index, (state, reason, code))| {
                format!("{job}_{index}|{state}|{reason}|0|{code}|n1|\n")
            })
            .collect();
        fs::write(
            self.0.path("slurm's").join(format!("states-{job}")),
            lines.concat(),
        )
        .unwrap();
    }

    /// Execute a script as Slurm would: alone with what it says itself; element by element where it is an array.
    fn execute(&self, job: usize) {
        let script = self.0.path("slurm's").join(format!("{job}.sh"));
        let text = fs::read_to_string(&script).unwrap();
        let runs = text
            .lines()
            .find_map(|line| line.strip_prefix("#SBATCH --array=0-"));
        let last: Option<usize> =
            runs.map(|range| range.split('%').next().unwrap().parse().unwrap());
        let mut states = Vec::new();
        for index in 0..=last.unwrap_or(0) {
            let log = match last {
                Some(_) => format!("{job}_{index}.log"),
                None => format!("{job}.log"),
            };
            let log = fs::File::create(self.0.path("runs/slurm/logs").join(log)).unwrap();
            let mut command = Command::new("bash");
            command
                .arg(&script)
                .current_dir(self.0.path(""))
                .env_clear();
            // The job's own path lacks Slurm's programs, as on some nodes.
            command
                .env("PATH", "/usr/bin:/bin")
                .env("HOME", self.0.path("home"));
            command
                .env("SLURM_JOB_ID", (100 * job + index).to_string())
                .env("SLURM_CPUS_PER_TASK", "1");
            command.env("SLURM_ARRAY_TASK_ID", index.to_string());
            command.stdout(log.try_clone().unwrap()).stderr(log);
            let code = command.status().unwrap().code().unwrap();
            states.push((
                if code == 0 { "COMPLETED" } else { "FAILED" },
                "None",
                code << 8,
            ));
        }
        self.say(job, &states);
    }

    fn status(&self) -> Value {
        let output = self.grid(&["--status", "--json"]);
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)))
    }
}

fn state(status: &Value, run: &str) -> String {
    let rows = status.as_array().unwrap();
    let row = rows.iter().find(|row| row["run"] == run).unwrap();
    row["state"].as_str().unwrap().to_string()
}

#[test]
fn what_is_missing_is_submitted_and_comes_to_the_same_end() {
    let cluster = Cluster::new();
    let shown = cluster.grid(&["--dry-run", "--slurm", "time=1h"]);
    trained(&shown);
    assert!(!cluster.0.path("runs").exists());

    let submitted = cluster.grid(&["--slurm", "time=1h"]);
    trained(&submitted);
    let said = stderr(&submitted);
    for part in ["job 7: 4 runs", "job 8: goes on then", "--status", "mem="] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(cluster.read("7.sh"), stdout(&shown));
    for script in ["7.sh", "8.sh"] {
        let script = cluster.read(script);
        assert!(
            !script.contains("hf_secret") && !script.contains("HF_TOKEN"),
            "{script}"
        );
        assert!(script.contains("#SBATCH --export=NONE\n"), "{script}");
    }
    assert!(cluster.read("8.sh").contains("--dependency=afterany:7\n"));
    let again = cluster.grid(&[]);
    trained(&again);
    assert!(
        stderr(&again).contains("4 of 4 runs wait or are running already"),
        "{}",
        stderr(&again)
    );
    assert_eq!(cluster.read("next").trim(), "8");
    fs::write(cluster.0.path("slurm's/busy"), "").unwrap();
    assert_eq!(state(&cluster.status(), "mnli-pt-s0"), "queued");
    assert!(!cluster.0.path("slurm's/busy").exists());

    cluster.execute(7);
    cluster.execute(8);
    let log = fs::read_to_string(cluster.0.path("runs/slurm/logs/8.log")).unwrap();
    assert!(
        log.contains("| CR 1/2 |") && log.contains("report: runs/index.html"),
        "{log}"
    );
    let status = cluster.grid(&["--status"]);
    assert!(
        stderr(&status).contains("4 runs: 4 finished"),
        "{}",
        stderr(&status)
    );
    assert!(
        stderr(&status).contains("up to the report: completed"),
        "{}",
        stderr(&status)
    );
    // The report does not know what executed the runs.
    let command = fs::read_to_string(cluster.0.path("runs/command.txt")).unwrap();
    assert!(
        !command.contains("slurm") && command.contains("--seeds 2"),
        "{command}"
    );
    let of_slurm = outcome(&cluster.0.path("runs"));
    let of_slurm: std::collections::BTreeMap<_, _> = of_slurm
        .into_iter()
        .filter(|(name, _)| !name.starts_with("slurm/"))
        .collect();
    fs::rename(cluster.0.path("runs"), cluster.0.path("cluster")).unwrap();
    let local = "reproduce lab.toml --out runs --task mnli --seeds 2 --method pt --method cr-1/2";
    trained(&cluster.0.fpt(&local.split(' ').collect::<Vec<_>>(), ""));
    assert_same(&outcome(&cluster.0.path("runs")), &of_slurm, "on a cluster");
}

#[test]
fn what_failed_is_told_and_tried_again() {
    let cluster = Cluster::new();
    trained(&cluster.grid(&[]));
    let logs = cluster.0.path("runs/slurm/logs");
    fs::write(logs.join("7_2.log"), "step 3\nerror: the disk is full\n").unwrap();
    cluster.say(
        7,
        &[
            ("OUT_OF_MEMORY", "OutOfMemory", 253),
            ("RUNNING", "None", 0),
            ("FAILED", "NonZeroExitCode", 256),
            ("TIMEOUT", "TimeLimit", 15),
        ],
    );
    let status = cluster.status();
    assert_eq!(state(&status, "mnli-cr-1of2-s0"), "running");
    assert_eq!(state(&status, "mnli-pt-s1"), "failed");
    let again = cluster.grid(&["--slurm", "mem=8G"]);
    trained(&again);
    let said = stderr(&again);
    for part in [
        "again: mnli-pt-s0: out of memory; --slurm mem=",
        "again: mnli-pt-s1: exit status 1; log runs/slurm/logs/7_2.log\n  | step 3\n  | error: the disk is full\n",
        "again: mnli-cr-1of2-s1: its time limit; --slurm time=",
        "1 of 4 runs wait or are running already",
        "job 9: 3 runs",
        "job 10: goes on then",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // After both, and in the place of the one that waited for the first.
    assert!(
        cluster
            .read("10.sh")
            .contains("--dependency=afterany:7:9\n"),
        "{}",
        cluster.read("10.sh")
    );
    assert!(cluster.read("states-8").contains("CANCELLED"));

    // What failed then is a hole in the report, and not tried by the job that makes it.
    cluster.execute(9);
    cluster.say(
        7,
        &[
            ("OUT_OF_MEMORY", "", 253),
            ("CANCELLED", "None", 15),
            ("FAILED", "", 256),
            ("TIMEOUT", "", 15),
        ],
    );
    cluster.execute(10);
    let log = fs::read_to_string(logs.join("10.log")).unwrap();
    assert!(
        log.contains("error: 1 of 4 runs failed") && log.contains("mnli-cr-1of2-s0: cancelled"),
        "{log}"
    );
    assert!(cluster.0.path("runs/index.html").is_file());
    assert_eq!(cluster.read("next").trim(), "10");
    // Of what is gone from the queue the runs' own directories tell.
    fs::remove_file(cluster.0.path("slurm's/states-9")).unwrap();
    assert_eq!(state(&cluster.status(), "mnli-pt-s0"), "finished");
}

/// So that nobody waits for a job that nothing executes.
struct Cancel<'a>(&'a Cluster);

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            for job in [7, 8] {
                self.0.say(job, &[("CANCELLED", "None", 15); 4]);
            }
        }
    }
}

#[test]
fn who_waits_gets_the_report() {
    let cluster = Cluster::new();
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let _guard = Cancel(&cluster);
            // An array, and what compares its prompts.
            for job in [7, 8] {
                let states = cluster.0.path("slurm's").join(format!("states-{job}"));
                // It comes, or the command has ended before.
                for _ in 0..2000 {
                    if states.exists() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(50));
                }
                cluster.execute(job);
            }
        });
        cluster.grid(&["--wait"])
    });
    trained(&output);
    assert!(
        stdout(&output).contains("| CR 1/2 |"),
        "{}",
        stdout(&output)
    );
    assert!(cluster.read("8.sh").contains(" similarity --json "));
    assert!(cluster.0.path("runs/similarity-mnli.json").is_file());
    assert_eq!(cluster.read("next").trim(), "8");
}

#[test]
fn arrays_are_as_long_as_the_cluster_takes() {
    let cluster = Cluster::new();
    let grid =
        "reproduce lab.toml --out runs --task mnli --seeds 5 --method pt --on slurm --jobs 1";
    let output = cluster.call(&grid.split(' ').collect::<Vec<_>>(), &[("MOST", "2")]);
    trained(&output);
    assert!(
        cluster.read("7.sh").contains("--array=0-1%1\n"),
        "{}",
        cluster.read("7.sh")
    );
    assert!(
        cluster.read("9.sh").contains("--array=0-0%1\n"),
        "{}",
        cluster.read("9.sh")
    );
    assert!(
        cluster
            .read("10.sh")
            .contains("--dependency=afterany:7:8:9\n")
    );
}

#[test]
fn a_sweep_goes_to_the_cluster_too() {
    let cluster = Cluster::new();
    let sweep = "\n[sweep]\n\"train.learning_rate\" = [0.01, 0.3]\n[slurm]\npartition = \"long\"\nenv = [\"SITE\"]\n";
    cluster.0.edit("lab.toml", |text| text + sweep);
    let arguments = [
        "sweep", "lab.toml", "--out", "runs", "--task", "mnli", "--on", "slurm",
    ];
    trained(&cluster.call(&arguments, &[("SITE", "a b")]));
    let script = cluster.read("7.sh");
    assert!(
        script.contains("#SBATCH --partition=long\n") && script.contains("export SITE='a b'\n"),
        "{script}"
    );
    cluster.execute(7);
    cluster.execute(8);
    let log = fs::read_to_string(cluster.0.path("runs/slurm/logs/8.log")).unwrap();
    assert!(log.contains("best on dev: "), "{log}");
}

#[test]
fn a_run_whose_time_is_up_goes_back_into_the_queue() {
    let cluster = Cluster::new();
    let job = [("SLURM_JOB_ID", "41")];
    let train = |more: &[&str]| {
        let run = [
            "train",
            "--config",
            "lab.toml",
            "--task",
            "mnli",
            "--out",
            "run",
            "--requeue",
        ];
        cluster.call(&[&run[..], more].concat(), &job)
    };
    let stopped = train(&["--time-limit", "3s", "--set", "train.steps=100000"]);
    assert_eq!(stopped.status.code(), Some(75), "{}", stderr(&stopped));
    assert_eq!(cluster.read("requeued"), "requeue 41\n");
    // Not for ever, if it comes no further.
    let stuck = train(&["--time-limit", "1ms", "--set", "train.steps=100000"]);
    assert!(!stuck.status.success());
    assert_eq!(cluster.read("requeued"), "requeue 41\n");
}

/// As clusters do that tell jobs in this way, too, that they are preempted: at any time.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_told_early_goes_back_into_the_queue() {
    let cluster = Cluster::new();
    let words = "train --config lab.toml --task mnli --out run --requeue --time-limit 1h --set train.steps=100000";
    let mut child = Command::new(env!("CARGO_BIN_EXE_fpt"))
        .args(words.split(' '))
        .current_dir(cluster.0.path(""))
        .env("PATH", cluster.path())
        .env("SLURM_JOB_ID", "41")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let listens = || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << 9) != 0
    };
    while !listens() {
        thread::sleep(Duration::from_millis(1));
    }
    let kill = Command::new("kill")
        .args(["-USR1", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(138));
    assert_eq!(cluster.read("requeued"), "requeue 41\n");
}

#[test]
fn what_is_wrong_is_told_before_anything_is_submitted() {
    let cluster = Cluster::new();
    for (arguments, parts) in [
        (&["--slurm", "tim=1h"][..], &["--slurm", "`tim`"][..]),
        (&["--slurm", "time=soon"], &["slurm.time", "4h"]),
        (&["--slurm", "mem=much"], &["slurm.mem", "24G"]),
        (
            &["--slurm", "env=[\"HF_TOKEN\"]"],
            &["HF_TOKEN", "hf auth login"],
        ),
        (&["--device", "auto"], &["--device auto", "--device cuda"]),
        (&["--device", "cuda:1"], &["gres=gpu:1"]),
        (&["--restart"], &["--restart", ".partial"]),
        (&["--status"], &["nothing was submitted"]),
    ] {
        refused(&cluster.grid(arguments), parts);
    }
    assert!(!cluster.0.path("slurm's/next").exists());
    let local = |more: &str| {
        let words = format!("reproduce lab.toml --task mnli {more}");
        cluster.call(&words.split(' ').collect::<Vec<_>>(), &[])
    };
    refused(&local("--wait"), &["--wait is of --on slurm"]);
    refused(&local("--slurm mem=1G"), &["--slurm is of --on slurm"]);

    let grid = "reproduce lab.toml --out runs --task mnli --method pt --on slurm";
    let grid: Vec<_> = grid.split(' ').collect();
    let elsewhere = cluster.call(&grid, &[("PATH", "/nowhere")]);
    refused(&elsewhere, &["there is no `sbatch` here", "without --on"]);
    // A busy controller may have heard.
    let sbatch = cluster.0.path("slurm's/sbatch");
    let busy = "#!/bin/bash\necho 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2\nexit 1\n";
    fs::write(&sbatch, busy).unwrap();
    refused(
        &cluster.call(&grid, &[]),
        &["Socket timed out", "squeue --me"],
    );
    // What sbatch says stands in the message, with the script.
    let refusal = "#!/bin/bash\necho 'sbatch: error: invalid partition specified: nope' >&2\n\
         echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2; exit 1\n";
    fs::write(&sbatch, refusal).unwrap();
    let refused_there = cluster.call(&grid, &[]);
    let error = error_of(&refused_there);
    assert!(
        error.contains("runs/slurm/001-runs.sh: sbatch: invalid partition specified: nope"),
        "{error}"
    );
    assert!(!cluster.0.path("runs/slurm/jobs.json").exists());
    fs::write(cluster.0.path("runs/slurm/jobs.json"), "[{").unwrap();
    refused(
        &cluster.call(&grid, &[]),
        &["jobs.json is damaged", "squeue --me"],
    );
    assert!(Path::new(&cluster.0.path("lab.toml")).exists());
}
