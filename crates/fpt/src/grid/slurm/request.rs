//! What a job asks of the cluster.

use std::time::Duration;

use anyhow::{Context, ensure};
use fpt_train::SlurmConfig;

use crate::shell::quoted;

/// What is asked for each job of a grid: what was said, and estimates where nothing was.
pub(super) struct Request {
    pub(super) said: SlurmConfig,
    pub(super) time: Duration,
    /// As Slurm takes it.
    pub(super) memory: String,
    /// Whether time and memory were estimated.
    pub(super) estimated: [bool; 2],
}

/// What the largest of the runs takes, as the cost model has it.
pub(super) struct Estimate {
    pub(super) time: Duration,
    /// Bytes.
    pub(super) memory: u64,
}

impl Request {
    /// What `said` says, and for the rest `estimate`.
    ///
    /// # Errors
    /// Which setting is none, and what would be one.
    pub(super) fn new(
        said: SlurmConfig,
        estimate: impl FnOnce() -> anyhow::Result<Estimate>,
    ) -> anyhow::Result<Self> {
        check(&said)?;
        let estimated = [said.time.is_none(), said.mem.is_none()];
        let estimate = match estimated {
            [false, false] => None,
            _ => Some(estimate()?),
        };
        let estimate = estimate.as_ref();
        let time = match (&said.time, estimate) {
            (Some(text), _) => time(text)?,
            (None, estimate) => estimate.map_or(Duration::ZERO, |estimate| estimate.time),
        };
        let megabytes = |bytes: u64| format!("{}M", bytes.div_ceil(1 << 20));
        let memory = match (&said.mem, estimate) {
            (Some(text), _) => memory(text)?,
            (None, estimate) => megabytes(estimate.map_or(0, |estimate| estimate.memory)),
        };
        Ok(Self {
            said,
            time,
            memory,
            estimated,
        })
    }

    /// Cores, and threads of the run.
    pub(super) fn cpus(&self) -> usize {
        self.said.cpus.map_or(1, std::num::NonZeroUsize::get)
    }

    /// The options of `sbatch`, a word each.
    pub(super) fn options(&self) -> Vec<String> {
        let mut options = vec![
            format!("--time={}", slurm_time(self.time)),
            format!("--mem={}", self.memory),
            format!("--cpus-per-task={}", self.cpus()),
        ];
        let SlurmConfig {
            partition,
            account,
            qos,
            gres,
            constraint,
            ..
        } = &self.said;
        for (name, value) in [
            ("partition", partition),
            ("account", account),
            ("qos", qos),
            ("gres", gres),
            ("constraint", constraint),
        ] {
            if let Some(value) = value {
                options.push(format!("--{name}={}", quoted(value)));
            }
        }
        options.extend(self.said.options.iter().cloned());
        options
    }

    /// What of it is an estimate, and how to say better.
    pub(super) fn note(&self) -> Option<String> {
        let time = || format!("time={}", slurm_time(self.time));
        let memory = || format!("mem={}", self.memory);
        let of = match self.estimated {
            [true, true] => format!("{} {}", time(), memory()),
            [true, false] => time(),
            [false, true] => memory(),
            [false, false] => return None,
        };
        Some(format!(
            "estimated by the cost model for the largest run: {of}; --slurm KEY=VALUE or [slurm] says better"
        ))
    }
}

/// What can't stand in a script as it is.
fn check(said: &SlurmConfig) -> anyhow::Result<()> {
    let lines = [
        ("partition", &said.partition),
        ("account", &said.account),
        ("qos", &said.qos),
        ("gres", &said.gres),
        ("constraint", &said.constraint),
    ];
    let lines = lines.into_iter().flat_map(|(key, value)| {
        let value = value.iter();
        value.map(move |value| (key, value))
    });
    let lists = [
        ("options", &said.options),
        ("modules", &said.modules),
        ("env", &said.env),
        ("prologue", &said.prologue),
    ];
    let lists = lists.into_iter().flat_map(|(key, values)| {
        let values = values.iter();
        values.map(move |value| (key, value))
    });
    for (key, value) in lines.chain(lists) {
        ensure!(
            !value.contains(['\n', '\r', '\0']) && !value.trim().is_empty(),
            "slurm.{key}: {value:?} should be a line"
        );
    }
    for option in &said.options {
        ensure!(
            option.starts_with('-'),
            "slurm.options: `{option}` is no option of sbatch; one begins with -, as --exclude=n7"
        );
        for taken in ["--array", "--output", "--signal", "--export", "--chdir"] {
            ensure!(
                option.split('=').next() != Some(taken),
                "slurm.options: {taken} is set by this program; the runs depend on it"
            );
        }
    }
    for name in &said.env {
        let is_name = name.bytes().enumerate().all(|(place, byte)| {
            byte == b'_' || byte.is_ascii_alphabetic() || place > 0 && byte.is_ascii_digit()
        });
        ensure!(
            is_name,
            "slurm.env: `{name}` should be the name of a variable; its value is taken from the environment"
        );
        ensure!(
            !is_secret(name),
            "slurm.env: {name} looks like a secret, and scripts of jobs are read by others. Jobs find an access token in \
             the file that `hf auth login` writes; models that are in the cache need none"
        );
    }
    Ok(())
}

/// Whether a variable of this name holds what nobody else should know.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let parts = [
        "TOKEN",
        "SECRET",
        "PASSW",
        "CREDENTIAL",
        "API_KEY",
        "ACCESS_KEY",
        "PRIVATE_KEY",
    ];
    // The place of a token is none.
    !name.ends_with("_PATH") && parts.iter().any(|part| name.contains(part))
}

/// A time as Slurm says it, `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes`,
/// `days-hours:minutes:seconds`, or as people do, `4h`, `1day 2h`.
fn time(text: &str) -> anyhow::Result<Duration> {
    let hint = || {
        format!(
            "slurm.time: `{text}` is no time; one is 90 (minutes), 1:30:00, 2-12:00:00, 4h or 90min"
        )
    };
    let is_slurms = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b':' || b == b'-');
    let time = if is_slurms {
        of_slurm(text).with_context(hint)?
    } else {
        humantime::parse_duration(text).with_context(hint)?
    };
    ensure!(
        time >= Duration::from_secs(60),
        "slurm.time: `{text}` is less than a minute, which is the least that Slurm knows"
    );
    Ok(time)
}

fn of_slurm(text: &str) -> Option<Duration> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(days.parse::<u64>().ok()?), rest),
        None => (None, text),
    };
    let numbers = rest.split(':').map(|number| number.parse::<u64>().ok());
    let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
    let [hours, minutes, seconds] = match (days.is_some(), &numbers[..]) {
        (true, &[hours]) => [hours, 0, 0],
        (true, &[hours, minutes]) => [hours, minutes, 0],
        (false, &[minutes]) => [0, minutes, 0],
        (false, &[minutes, seconds]) => [0, minutes, seconds],
        (_, &[hours, minutes, seconds]) => [hours, minutes, seconds],
        _ => return None,
    };
    let hours = days.unwrap_or(0).checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    let seconds = minutes.checked_mul(60)?.checked_add(seconds)?;
    Some(Duration::from_secs(seconds))
}

/// `days-hours:minutes:seconds`, and hours at least.
pub(super) fn slurm_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let rest = format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60);
    match days {
        0 => rest,
        days => format!("{days}-{rest}"),
    }
}

/// Memory as Slurm takes it: a whole number, and K, M, G or T, of which M is meant where none is given.
fn memory(text: &str) -> anyhow::Result<String> {
    let units = ['K', 'M', 'G', 'T', 'k', 'm', 'g', 't'];
    // `24GB` and `24GiB` are what people write.
    let short = text.strip_suffix("iB").or_else(|| text.strip_suffix('B'));
    let short = short.unwrap_or(text);
    let digits = short.strip_suffix(units).unwrap_or(short);
    ensure!(
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        "slurm.mem: `{text}` is no memory; it is a whole number of MB, or one with K, M, G or T, such as 24G"
    );
    Ok(short.to_ascii_uppercase())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(text: &str) -> anyhow::Result<Request> {
        let estimate = || {
            Ok(Estimate {
                time: Duration::from_secs(5400),
                memory: (3 << 20) - 1,
            })
        };
        Request::new(toml::from_str(text).unwrap(), estimate)
    }

    #[test]
    fn what_is_not_said_is_estimated() {
        let none = request("").unwrap();
        assert_eq!(
            none.options(),
            ["--time=01:30:00", "--mem=3M", "--cpus-per-task=1"]
        );
        let note = none.note().unwrap();
        assert!(note.contains("time=01:30:00 mem=3M"), "{note}");
        let text = "time = \"90\"\nmem = \"24GB\"\ncpus = 4\ngres = \"gpu:1\"\nconstraint = \"a&b\"\noptions = [\"-x n7\"]";
        let all = request(text).unwrap();
        assert_eq!(
            all.options(),
            [
                "--time=01:30:00",
                "--mem=24G",
                "--cpus-per-task=4",
                "--gres=gpu:1",
                "--constraint='a&b'",
                "-x n7"
            ]
        );
        assert!(all.note().is_none());
    }

    #[test]
    fn times_are_those_of_slurm_and_of_people() {
        for (text, seconds) in [
            ("90", 5400),
            ("1:30", 90),
            ("1:30:00", 5400),
            ("2-12", 216_000),
            ("1-0:30", 88_200),
            ("1-00:00:01", 86_401),
            ("4h", 14_400),
            ("1h 30min", 5400),
        ] {
            let read = time(text).unwrap();
            assert_eq!(read.as_secs(), seconds, "{text}");
            assert_eq!(of_slurm(&slurm_time(read)), Some(read));
        }
        for text in [
            "",
            "-",
            "1:2:3:4",
            "soon",
            "1-2-3",
            "0",
            "30s",
            "99999999999999999999",
        ] {
            let error = time(text).unwrap_err().to_string();
            assert!(error.contains("slurm.time"), "{error}");
        }
    }

    #[test]
    fn what_makes_no_script_is_refused() {
        for (text, part) in [
            ("mem = \"lots\"", "24G"),
            ("mem = \"1.5G\"", "whole number"),
            ("partition = \"a\\nrm -rf /\"", "should be a line"),
            ("options = [\"exclude=n7\"]", "begins with -"),
            ("options = [\"--array=0-3\"]", "set by this program"),
            ("env = [\"HF_TOKEN\"]", "looks like a secret"),
            ("env = [\"aws_secret_access_key\"]", "looks like a secret"),
            ("env = [\"A=b\"]", "name of a variable"),
        ] {
            let error = request(text).err().unwrap().to_string();
            assert!(error.contains("slurm.") && error.contains(part), "{error}");
        }
        assert!(request("env = [\"HF_TOKEN_PATH\", \"NCCL_DEBUG\"]").is_ok());
    }
}
