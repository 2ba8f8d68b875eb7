//! How a grid is doing that was submitted.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use fpt_report::MarkdownTable;
use serde::Serialize;

use super::ledger::{Ledger, What};
use super::progress::State;
use super::{Known, queue};
use crate::terminal;

/// A run, and how it is doing.
#[derive(Serialize)]
struct Row {
    run: String,
    job: String,
    #[serde(flatten)]
    state: State,
}

/// Print how the runs are doing that were submitted for `out`, as a table or as JSON.
///
/// # Errors
/// If there are none, or Slurm does not answer.
pub(crate) fn show(out: &Path, json: bool) -> anyhow::Result<()> {
    let ledger = Ledger::read(out)?;
    let elements = ledger.elements();
    ensure!(
        !elements.is_empty(),
        "nothing was submitted for {}: the same command without --status does it",
        out.display()
    );
    let mut known = Known::default();
    let mut rows = Vec::new();
    for element in &elements {
        let state = known.state(element, &ledger)?;
        let last = ledger.last_of(&element.directory);
        rows.push(Row {
            run: element.name.clone(),
            job: last.map_or_else(String::new, |(job, index)| format!("{job}_{index}")),
            state,
        });
    }
    if json {
        return terminal::print_json(&rows);
    }
    let mut table = MarkdownTable::new(["run", "job", "state", "what"]);
    for row in &rows {
        let (state, what) = words(&row.state);
        table.add_row([row.run.clone(), row.job.clone(), state.into(), what]);
    }
    terminal::print_table(table)?;
    for row in &rows {
        if let State::Failed { .. } = &row.state {
            terminal::note(&super::line_of_failure(&row.run, &row.state));
        }
    }
    terminal::note(&counts(&rows));
    note_what_comes(&ledger);
    Ok(())
}

fn words(state: &State) -> (&'static str, String) {
    match state {
        State::Finished => ("finished", String::new()),
        State::Queued { reason, step: 0 } => ("queued", reason.clone()),
        State::Queued { reason, step } => ("queued", format!("{reason}, after step {step}")),
        State::Running {
            node,
            step,
            steps,
            seconds_left,
        } => {
            let eta = seconds_left.map_or_else(String::new, |seconds| {
                let left = Duration::from_secs(seconds.max(0.0) as u64);
                format!(", ETA {}", humantime::format_duration(left))
            });
            ("running", format!("step {step} of {steps} on {node}{eta}"))
        }
        State::Failed { cause, .. } => ("failed", cause.clone()),
        State::New => ("new", String::new()),
    }
}

fn counts(rows: &[Row]) -> String {
    let of = |word: &str| {
        rows.iter()
            .filter(|row| words(&row.state).0 == word)
            .count()
    };
    format!(
        "{} runs: {} finished, {} running, {} queued, {} failed",
        rows.len(),
        of("finished"),
        of("running"),
        of("queued"),
        of("failed")
    )
}

/// What the job after the runs is doing, or did.
fn note_what_comes(ledger: &Ledger) {
    let then = ledger.newest_first().find(|it| it.what == What::GoOn);
    let Some(then) = then else {
        return;
    };
    let told = queue::told(&then.job).unwrap_or_default();
    let said = told.into_values().next();
    let state = said.map_or_else(
        || "gone from the queue".to_string(),
        |told| told.state.to_lowercase(),
    );
    terminal::note(&format!(
        "job {}, which goes on up to the report: {state}; its log {}",
        then.job,
        ledger.log_of(&then.job).display()
    ));
}
