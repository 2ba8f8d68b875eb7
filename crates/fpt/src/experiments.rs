//! Experiments that the program carries, so that there is something to run and to change where there is no checkout.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use fpt_files::BUILT_IN_MODEL;
use fpt_tasks::Tasks;
use fpt_train::{Experiment, TrainError};

/// An experiment that the program carries.
pub struct EmbeddedExperiment {
    /// What it is called by.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// As it lies in the repository.
    text: &'static str,
}

/// All of them.
pub const EXPERIMENTS: [EmbeddedExperiment; 4] = [
    EmbeddedExperiment {
        name: "mini",
        about: "the paper's Tables 1 and 2 on the scale model, which comes with this program: minutes on a processor",
        text: include_str!("../configs/mini.toml"),
    },
    EmbeddedExperiment {
        name: "flan-t5-base",
        about: "progressive prompt tuning of Flan-T5 Base, which one small GPU holds",
        text: include_str!("../configs/flan-t5-base.toml"),
    },
    EmbeddedExperiment {
        name: "t5-large",
        about: "the paper's experiment with T5-Large: a graphics card and days",
        text: include_str!("../configs/t5-large.toml"),
    },
    EmbeddedExperiment {
        name: "t5-xl",
        about: "the paper's experiment with T5-XL: a graphics card with more memory",
        text: include_str!("../configs/t5-xl.toml"),
    },
];

/// The `config.json` of the models of these experiments, by their names on the hub: schedules can be checked and priced before a
/// model is fetched.
pub(crate) const SHAPES: [(&str, &str); 3] = [
    (
        "google/flan-t5-base",
        include_str!("../configs/models/flan-t5-base.json"),
    ),
    (
        "google/t5-large-lm-adapt",
        include_str!("../configs/models/t5-large-lm-adapt.json"),
    ),
    (
        "google/t5-xl-lm-adapt",
        include_str!("../configs/models/t5-xl-lm-adapt.json"),
    ),
];

impl EmbeddedExperiment {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        EXPERIMENTS.iter().find(|known| known.name == name)
    }

    /// The file, as it can lie anywhere: the scale model by its name, data in `data` beside the file, and nothing else of the
    /// repository.
    pub fn text(&self) -> String {
        let in_repository = format!("configs/{}.toml", self.name);
        let lines = self.text.lines().filter_map(|line| {
            match line.split_once(" = ") {
                Some(("model", path)) if path.starts_with("\"..") => {
                    Some(format!("model = \"{BUILT_IN_MODEL}\"").into())
                }
                Some(("data", _)) => Some("data = \"data\"".into()),
                // The program knows it.
                Some(("model_config", _)) => None,
                _ => Some(Cow::from(line)),
            }
        });
        let mut text = String::new();
        for line in lines {
            text += &line.replace(&in_repository, &format!("{}.toml", self.name));
            text += "\n";
        }
        text
    }
}

/// An experiment that was named, by its file or as one that the program carries.
pub struct Named {
    /// The experiment.
    pub experiment: Experiment,
    /// Its file; of an embedded one it is there after [`write`](Self::write).
    pub file: PathBuf,
    /// The content of the file, if that is ours to write.
    text: Option<String>,
}

impl Named {
    /// The experiment in the file `named`, or the embedded one of that name, whose file and data belong in the directory
    /// `out`. Nothing is written.
    ///
    /// # Errors
    /// If the file can't be read, or is no experiment.
    pub fn find(named: &Path, out: &Path) -> Result<Self, TrainError> {
        let Some(embedded) = embedded(named) else {
            return Ok(Self {
                experiment: Experiment::from_file(named)?,
                file: named.to_path_buf(),
                text: None,
            });
        };
        let file = out.join("experiment.toml");
        let text = format!(
            "# Written anew by each `fpt reproduce`: change a copy, or what `fpt config show {}` prints.\n{}",
            embedded.name,
            embedded.text()
        );
        Ok(Self {
            experiment: Experiment::from_text(&text, &file, &Tasks::paper())?,
            file,
            text: Some(text),
        })
    }

    /// Write the file, if that is ours to write.
    ///
    /// # Errors
    /// If that fails.
    pub fn write(&self) -> Result<(), TrainError> {
        if let Some(text) = &self.text
            && std::fs::read_to_string(&self.file).ok().as_ref() != Some(text)
        {
            fpt_files::write(&self.file, text)?;
        }
        Ok(())
    }
}

/// The embedded experiment that is meant: so is it called, and no such file is there.
fn embedded(named: &Path) -> Option<&'static EmbeddedExperiment> {
    let known = EmbeddedExperiment::named(named.to_str()?)?;
    (!named.is_file()).then_some(known)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn embedded_experiments_are_those_of_the_repository() {
        for embedded in &EXPERIMENTS {
            let file = format!("configs/{}.toml", embedded.name);
            let mut there = Experiment::from_file(&file).unwrap();
            let named = Named::find(Path::new(embedded.name), Path::new("out")).unwrap();
            let here = named.experiment;
            assert_eq!(named.file, Path::new("out/experiment.toml"));
            assert_eq!(here.data, Path::new("out/data"), "{file}");
            assert_eq!(here.model_config, None, "{file}");
            assert!(!embedded.text().contains("../"), "{file}");
            let model = here.model.to_str().unwrap();
            match here.generate {
                Some(_) => assert_eq!(model, BUILT_IN_MODEL),
                None => assert!(SHAPES.iter().any(|(name, _)| *name == model), "{model}"),
            }
            there.model.clone_from(&here.model);
            there.data.clone_from(&here.data);
            there.model_config = None;
            assert_eq!(here, there, "{file}");
        }
    }
}
