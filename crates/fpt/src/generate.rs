//! The task files of the mini-world, which experiments with `[generate]` have.

use std::path::Path;

use anyhow::Context;
use fpt_train::Experiment;
use fpt_world::{TaskOptions, write_tasks};

use crate::terminal;

/// Generate the task data that an experiment file asks for, in the native formats of the five tasks, and print their
/// directory.
///
/// # Errors
/// If it asks for none, or they can't be written.
pub fn generate(file: &Path) -> anyhow::Result<()> {
    let experiment = Experiment::from_file(file)?;
    anyhow::ensure!(
        experiment.generate.is_some(),
        "{} has no [generate] section: its data is not generated",
        file.display()
    );
    ensure(&experiment)?;
    terminal::print_line(&experiment.data.display().to_string())
}

/// Make the directory of an experiment's data hold exactly what it has generated, if it has any. What lies there already is
/// kept if it was made by the same settings and the same generator.
///
/// # Errors
/// If they can't be written.
pub fn ensure(experiment: &Experiment) -> anyhow::Result<()> {
    let directory = &experiment.data;
    let Some(generate) = &experiment.generate else {
        return Ok(());
    };
    let stamp_path = directory.join("generated.json");
    let stamp = serde_json::to_string_pretty(&serde_json::json!({
        "generator": fpt_world::GENERATOR_VERSION,
        "settings": generate,
    }))? + "\n";
    if std::fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        return Ok(());
    }
    terminal::note(&format!("generating task data in {}", directory.display()));
    let options = TaskOptions {
        seed: generate.seed,
        train: generate.train,
        dev: generate.dev,
        test: generate.test,
    };
    // The stamp comes last, so that half-written data is made again.
    match std::fs::remove_file(&stamp_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error)
                .with_context(|| format!("failed to replace {}", stamp_path.display()));
        }
        _ => {}
    }
    write_tasks(directory, &options)?;
    Ok(fpt_files::write(&stamp_path, &stamp)?)
}
