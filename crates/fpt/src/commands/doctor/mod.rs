//! `fpt doctor`: whether a device computes rightly.

mod again;
mod check;
mod checks;
mod pair;

use burn::tensor::{DType, Device};
use clap::Args as ClapArgs;
use fpt::verdict::{self, PROCESSOR, Patient, Verdict, Verdicts};
use fpt::{DeviceName, Devices, terminal};
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
#[command(verbatim_doc_comment)]
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
    let (name, device) = (devices.name(), devices.primary());
    let precisions = precisions(args, &devices)?;
    let autotune = has_autotune() && !devices.are_processor();
    let twice = !args.child && args.isolate;
    // Panics are checks that failed.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let bar = terminal::bar(checks::COUNT * precisions.len(), "doctor");
    let mut examinations = Vec::new();
    for precision in precisions {
        let checks = checks::all(device, precision, &mut || bar.inc(1));
        let mut examination = Examination {
            precision: precision.name().into(),
            ok: true,
            checks,
        };
        if twice {
            let more = again::again(args, &examination);
            examination.checks.extend(more);
        }
        examination.ok = examination.checks.iter().all(|check| check.ok);
        examinations.push(examination);
    }
    bar.finish_and_clear();
    std::panic::set_hook(hook);
    let report = Report {
        device: name.clone(),
        identity: verdict::identity(device),
        fusion: "not built in: operations are fused by hand".into(),
        autotune: autotune_text(autotune, twice).into(),
        safe: examinations.iter().all(|it| it.ok),
        conclusion: conclusion(&name, &examinations),
        examinations,
    };
    if !args.child {
        keep(&report, device);
    }
    if args.json {
        print_json(&report)?;
    } else {
        print_line(&describe(&report))?;
    }
    anyhow::ensure!(report.safe, "{}", report.conclusion);
    Ok(())
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

fn describe(report: &Report) -> String {
    let identity = report
        .identity
        .as_ref()
        .map_or_else(String::new, |identity| format!(": {identity}"));
    let mut lines = vec![
        format!("{}{identity}", report.device),
        format!("fusion {}; autotune {}", report.fusion, report.autotune),
    ];
    for examination in &report.examinations {
        lines.push(format!(
            "in {}, largest error of what is allowed:",
            examination.precision
        ));
        lines.extend(examination.checks.iter().map(Check::describe));
    }
    if report.safe {
        lines.push(report.conclusion.clone());
    }
    lines.join("\n")
}
