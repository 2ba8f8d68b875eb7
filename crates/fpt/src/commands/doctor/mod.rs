//! `fpt doctor`: whether a device computes rightly.

mod again;
mod check;
mod checks;
mod pair;

use burn::tensor::{DType, Device};
use clap::Args as ClapArgs;
use fpt::verdict::{self, PROCESSOR, Patient, Verdict, Verdicts};
use fpt::{DeviceName, Devices, terminal};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

use self::check::Check;
use super::synthetic::PrecisionName;
use super::{print_json, print_line};

/// Check that a device computes what the processor does: small T5s with random weights, forward, backward, ten steps of
/// training, cached greedy decoding and beam search, token by token against all at once, and a partial model.
///
/// Exit status 2 if anything is wrong. `fpt train` then refuses the device, unless it is told --force; it warns where
/// no check was made. The verdict is kept in `fpt/doctor.json` in the user's cache directory (XDG_CACHE_HOME or
/// ~/.cache), for this card, driver and program. The processor is what others are compared with, and has none.
///
/// Example: fpt doctor --device cpu
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// Check only with these numbers; by default with all that the device has.
    #[arg(long, value_enum)]
    precision: Option<PrecisionName>,

    /// Make all checks once more in another process, with as few kernels tried as autotune allows.
    #[arg(long)]
    isolate: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// This is that other process.
    #[arg(long, hide = true)]
    child: bool,
}

/// What was found.
#[derive(Serialize, Deserialize)]
struct Report {
    device: String,
    identity: Option<String>,
    fusion: String,
    autotune: String,
    examinations: Vec<Examination>,
    safe: bool,
    conclusion: String,
}

impl Report {
    fn heading(&self) -> String {
        let identity = (self.identity.as_ref()).map_or_else(String::new, |it| format!(": {it}"));
        format!(
            "{}{identity}\nfusion {}; autotune {}",
            self.device, self.fusion, self.autotune
        )
    }
}

/// The checks with one kind of numbers.
#[derive(Serialize, Deserialize)]
struct Examination {
    precision: String,
    ok: bool,
    checks: Vec<Check>,
}

impl Examination {
    fn failed(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|check| !check.ok);
        failed.map(|check| check.name.clone()).collect()
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let devices = args.device.open_one()?;
    let precisions = precisions(args, &devices)?;
    let autotune = has_autotune() && !devices.are_processor();
    let mut report = Report {
        device: devices.name(),
        identity: verdict::identity(devices.primary()),
        fusion: "not built in: operations are fused by hand".into(),
        autotune: autotune_text(autotune, args.isolate).into(),
        examinations: Vec::new(),
        safe: false,
        conclusion: String::new(),
    };
    let told = Told {
        bar: terminal::bar(checks::COUNT * precisions.len(), "doctor"),
        aloud: !args.json,
    };
    told.say(&report.heading())?;
    // Panics are checks that failed.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = precisions.into_iter().map(|precision| {
        let examination = examine(args, devices.primary(), precision, &told)?;
        report.examinations.push(examination);
        Ok(())
    });
    let found: anyhow::Result<()> = found.collect();
    std::panic::set_hook(hook);
    told.bar.finish_and_clear();
    found?;
    report.safe = report.examinations.iter().all(|it| it.ok);
    report.conclusion = conclusion(&report.device, &report.examinations);
    if !args.child {
        keep(&report, devices.primary());
    }
    if args.json {
        print_json(&report)?;
    }
    anyhow::ensure!(report.safe, "{}", report.conclusion);
    told.say(&report.conclusion)
}

/// What is told while checks are made: each as it is done, so that one that hangs takes none of the others with it.
struct Told {
    bar: ProgressBar,
    aloud: bool,
}

impl Told {
    fn say(&self, line: &str) -> anyhow::Result<()> {
        if self.aloud {
            self.bar.suspend(|| print_line(line))?;
        }
        Ok(())
    }

    fn checks(&self, checks: &[Check]) -> anyhow::Result<()> {
        self.bar.inc(1);
        checks
            .iter()
            .try_for_each(|check| self.say(&check.describe()))
    }
}

fn examine(
    args: &Args,
    device: &Device,
    precision: PrecisionName,
    told: &Told,
) -> anyhow::Result<Examination> {
    told.say(&format!(
        "in {}, largest error of what is allowed:",
        precision.name()
    ))?;
    let mut checks = checks::all(device, precision, &mut |checks| told.checks(checks))?;
    if args.isolate && !args.child {
        let more = again::again(args, precision);
        more.iter()
            .try_for_each(|check| told.say(&check.describe()))?;
        checks.extend(more);
    }
    Ok(Examination {
        precision: precision.name().into(),
        ok: checks.iter().all(|check| check.ok),
        checks,
    })
}

fn precisions(args: &Args, devices: &Devices) -> anyhow::Result<Vec<PrecisionName>> {
    // A processor computes in f32 with weights in bf16.
    let has_bf16 = devices.are_processor() || devices.primary().supports_dtype(DType::BF16);
    Ok(match args.precision {
        Some(PrecisionName::Bf16) if !has_bf16 => anyhow::bail!(
            "--device {} has no bf16; check it with --precision f32",
            devices.name()
        ),
        Some(precision) => vec![precision],
        None if has_bf16 => vec![PrecisionName::F32, PrecisionName::Bf16],
        None => vec![PrecisionName::F32],
    })
}

fn has_autotune() -> bool {
    cfg!(any(feature = "cuda", feature = "autotune"))
}

fn autotune_text(built: bool, twice: bool) -> &'static str {
    match (built, twice) {
        (true, true) => "built in; checked as it is, and with as few kernels tried as it allows",
        (true, false) => {
            "built in, for products of 2^30 multiplications and more; one such is among the checks"
        }
        (false, true) => "not there; checked in two processes",
        (false, false) => "not there",
    }
}

/// One sentence on what is safe.
fn conclusion(device: &str, examinations: &[Examination]) -> String {
    let named = |ok: bool| {
        let those = examinations.iter().filter(|it| it.ok == ok);
        let names: Vec<&str> = those.map(|it| it.precision.as_str()).collect();
        names.join(" and ")
    };
    let (good, bad) = (named(true), named(false));
    if bad.is_empty() {
        return format!("{device} computes rightly in {good}: it is safe to train there.");
    }
    let mut failed: Vec<String> = examinations.iter().flat_map(Examination::failed).collect();
    failed.dedup();
    let rest = match good.as_str() {
        "" => String::new(),
        good => format!("; {good} is safe"),
    };
    format!(
        "{device} computes wrongly in {bad} ({}): do not train there{rest}",
        failed.join(", ")
    )
}

/// Keep the verdict for `fpt train`.
fn keep(report: &Report, device: &Device) {
    if report.device == PROCESSOR {
        return;
    }
    let Some(file) = verdict::file() else {
        terminal::note("there is no cache directory to keep the verdict in (XDG_CACHE_HOME, HOME)");
        return;
    };
    let mut verdicts = Verdicts::read(&file);
    for examination in &report.examinations {
        verdicts.put(Verdict {
            of: Patient::new(&report.device, device, &examination.precision),
            failed: examination.failed(),
        });
    }
    if let Err(error) = verdicts.write(&file) {
        let why = terminal::with_causes(&error);
        terminal::note(&format!("the verdict is not kept for fpt train: {why}"));
    }
}
