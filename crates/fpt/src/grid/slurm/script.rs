//! The scripts of jobs.

use std::path::Path;
use std::time::Duration;

use super::request::Request;
use crate::shell::quoted;

/// Seconds before the end of its time at which a job is told.
const NOTICE: u64 = 120;
/// Variables that say where caches are, which jobs share with who submits them.
const PLACES: [&str; 5] = [
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_TOKEN_PATH",
    "XDG_CACHE_HOME",
];

/// What all scripts of a grid have alike.
pub(super) struct Form<'a> {
    /// What its jobs are called.
    pub(super) name: &'a str,
    pub(super) request: &'a Request,
    /// Where logs go, absolute.
    pub(super) logs: &'a Path,
    /// Where the jobs work, which is where they are submitted.
    pub(super) place: &'a Path,
    /// Where Slurm's programs lie: a job's `PATH` may be another.
    pub(super) programs: Option<&'a Path>,
    /// The environment of who submits.
    pub(super) variable: fn(&str) -> Option<String>,
}

impl Form<'_> {
    /// An array in which element `i` does `command` with the arguments `runs[i]`. A job is told before its time is up, with
    /// the time to write down what it has, and is put back into the queue when it is preempted or its node fails.
    pub(super) fn array(&self, command: &[String], runs: &[Vec<String>]) -> String {
        let throttle = self.request.said.at_once;
        let throttle = throttle.map_or_else(String::new, |most| format!("%{most}"));
        let own = [
            format!("--array=0-{}{throttle}", runs.len().saturating_sub(1)),
            format!("--output={}/%A_%a.log", pattern(self.logs)),
            "--requeue".into(),
            format!("--signal=B:USR1@{NOTICE}"),
        ];
        let mut lines = self.head(&own);
        lines.push("case \"$SLURM_ARRAY_TASK_ID\" in".into());
        for (number, arguments) in runs.iter().enumerate() {
            lines.push(format!("{number}) set -- {} ;;", words(arguments)));
        }
        lines.push(
            "*) echo \"error: this array has no run $SLURM_ARRAY_TASK_ID\" >&2; exit 2 ;;".into(),
        );
        lines.push("esac".into());
        // What is told the end of its time must be the job's own process.
        lines.push(format!("exec {} \"$@\"", words(command)));
        lines.join("\n") + "\n"
    }

    /// A job that does `command` when `after` have ended, however they did.
    pub(super) fn single(
        &self,
        command: &[String],
        output: Option<&Path>,
        after: &[String],
    ) -> String {
        let mut own = vec![
            format!("--output={}/%j.log", pattern(self.logs)),
            "--requeue".into(),
        ];
        if !after.is_empty() {
            own.push(format!("--dependency=afterany:{}", after.join(":")));
        }
        let mut lines = self.head(&own);
        let output = output.map_or_else(String::new, |path| {
            format!(" >{}", quoted(&path.to_string_lossy()))
        });
        lines.push(format!("exec {}{output}", words(command)));
        lines.join("\n") + "\n"
    }

    fn head(&self, own: &[String]) -> Vec<String> {
        let said = &self.request.said;
        // Only a login shell has the command `module` everywhere.
        let login = if said.modules.is_empty() { "" } else { " -l" };
        let mut lines = vec![format!("#!/bin/bash{login}")];
        let place = quoted(&self.place.to_string_lossy());
        let common = [
            format!("--job-name={}", quoted(self.name)),
            format!("--chdir={place}"),
            "--open-mode=append".into(),
            "--export=NONE".into(),
        ];
        let options = self.request.options();
        let options = common.iter().chain(own).chain(&options);
        lines.extend(options.map(|option| format!("#SBATCH {option}")));
        for module in &said.modules {
            lines.push(format!("module load {} || exit", quoted(module)));
        }
        lines.extend(said.prologue.iter().cloned());
        let named = said.env.iter().map(String::as_str);
        for name in PLACES.into_iter().chain(named) {
            if let Some(value) = (self.variable)(name) {
                lines.push(format!("export {name}={}", quoted(&value)));
            }
        }
        // For what puts the job back into the queue: its own path may lack Slurm, or have another.
        if let Some(programs) = self.programs {
            let programs = quoted(&programs.to_string_lossy());
            lines.push(format!(
                "export PATH={programs}:\"${{PATH:-/usr/local/bin:/usr/bin:/bin}}\""
            ));
        }
        lines.push("export RAYON_NUM_THREADS=\"${SLURM_CPUS_PER_TASK:-1}\"".into());
        lines
    }
}

/// How long a run may take of a job's `time`: it ends by itself, should the notice not come.
pub(super) fn time_for_run(time: Duration) -> Duration {
    let spared = Duration::from_secs(NOTICE).min(time / 2);
    time.saturating_sub(spared * 3 / 4)
}

/// A path in which Slurm finds no pattern.
fn pattern(path: &Path) -> String {
    quoted(&path.to_string_lossy().replace('%', "%%"))
}

fn words(words: &[String]) -> String {
    let words = words.iter().map(|word| quoted(word));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "HF_HOME" => Some("/scratch/my models".into()),
            "SITE" => Some("it's here".into()),
            "HF_TOKEN" => Some("hf_secret".into()),
            _ => None,
        }
    }

    fn scripts(settings: &str) -> [String; 2] {
        let said = toml::from_str(settings).unwrap();
        let request = Request::new(said, || unreachable!()).unwrap();
        let form = Form {
            name: "fpt-mini",
            request: &request,
            logs: Path::new("/runs/a b/100%/logs"),
            place: Path::new("/home/me"),
            programs: Some(Path::new("/opt/slurm/bin")),
            variable,
        };
        let words = |text: &str| -> Vec<String> { text.split(' ').map(Into::into).collect() };
        let command = words("/opt/fpt train --config c.toml");
        let runs = [
            words("--task mnli"),
            vec!["--set".into(), "a={b = 1}".into()],
        ];
        let after = ["7".to_string(), "9".to_string()];
        [
            form.array(&command, &runs),
            form.single(&command, Some(Path::new("out.json")), &after),
        ]
    }

    #[test]
    fn a_script_is_what_it_does() {
        let settings = "time = \"60\"\nmem = \"2G\"\nat_once = 2\nmodules = [\"cuda/13.0\"]\nenv = [\"SITE\", \"ABSENT\"]\n\
             prologue = [\"ulimit -c 0\"]";
        let [array, single] = scripts(settings);
        assert_eq!(
            array,
            r#"#!/bin/bash -l
#SBATCH --job-name=fpt-mini
#SBATCH --chdir=/home/me
#SBATCH --open-mode=append
#SBATCH --export=NONE
#SBATCH --array=0-1%2
#SBATCH --output='/runs/a b/100%%/logs'/%A_%a.log
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --time=01:00:00
#SBATCH --mem=2G
#SBATCH --cpus-per-task=1
module load cuda/13.0 || exit
ulimit -c 0
export HF_HOME='/scratch/my models'
export SITE='it'\''s here'
export PATH=/opt/slurm/bin:"${PATH:-/usr/local/bin:/usr/bin:/bin}"
export RAYON_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
case "$SLURM_ARRAY_TASK_ID" in
0) set -- --task mnli ;;
1) set -- --set 'a={b = 1}' ;;
*) echo "error: this array has no run $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;
esac
exec /opt/fpt train --config c.toml "$@"
"#
        );
        assert!(
            single.contains("#SBATCH --dependency=afterany:7:9\n"),
            "{single}"
        );
        assert!(
            single.ends_with("exec /opt/fpt train --config c.toml >out.json\n"),
            "{single}"
        );
        assert!(
            !single.contains("USR1") && !single.contains("hf_secret"),
            "{single}"
        );
    }

    #[test]
    fn shells_take_the_scripts() {
        for script in scripts("time = \"60\"\nmem = \"2G\"") {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("job.sh");
            std::fs::write(&path, &script).unwrap();
            let status = std::process::Command::new("bash")
                .arg("-n")
                .arg(&path)
                .status();
            assert!(status.unwrap().success(), "{script}");
        }
    }

    #[test]
    fn a_run_ends_before_its_job() {
        let seconds = |time| time_for_run(Duration::from_secs(time)).as_secs();
        assert_eq!(seconds(3600), 3510);
        assert_eq!(seconds(60), 37);
    }
}
