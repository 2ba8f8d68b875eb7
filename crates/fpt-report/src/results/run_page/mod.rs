//! The page of a run: how it was set, how it learned, and what it answered.

mod answers;
mod outcome;
mod shown;
#[cfg(test)]
mod tests;
mod training;

use std::path::Path;

pub(super) use answers::Examples;

use super::links::{link, page_file};
use super::page::section;
use super::{Results, Run};
use crate::ReportError;
use crate::html::{Cell, Item, Page, Section};

impl Results {
    /// The page of one of the runs below `directory`.
    ///
    /// # Errors
    /// If its answers are damaged.
    pub(super) fn run_page(
        &self,
        run: &Run,
        directory: &Path,
        examples: &mut Examples,
    ) -> Result<Page, ReportError> {
        let (config, result) = (&run.finished.config, &run.finished.result);
        let below = run.below(directory);
        // From the page to the runs: out of the directory of pages, and out of one for each directory that the run is in.
        let up = "../".repeat(below.components().count());
        let mut sections = vec![
            section(
                "Outcome",
                "outcome",
                "",
                vec![
                    Item::Table(outcome::scores(result)),
                    Item::Facts(outcome::facts(run, &format!("{up}{}", link(below)))),
                ],
            ),
            section(
                "Training",
                "training",
                "",
                training::training(run, self.look(run.method(), &run.schedule().label())),
            ),
        ];
        sections.push(shown::answers(run, examples)?);
        sections.push(self.others(run, directory, &up));
        let config = toml::to_string(config).unwrap_or_default();
        sections.push(section(
            "Configuration",
            "configuration",
            "",
            vec![Item::Code(config)],
        ));
        sections.retain(|section| !section.items.is_empty());
        Ok(Page {
            title: format!(
                "{}, {}, seed {}",
                result.task,
                run.schedule().label(),
                result.seed
            ),
            lead: format!(
                "{:.2} % {} on the {} split ({}).",
                result.reported.primary_value(),
                result.metric,
                result.split,
                below.display()
            ),
            parent: Some((format!("{up}index.html"), "All runs".into())),
            sections,
            ..Page::default()
        })
    }

    /// The same method and task with other seeds, and the other methods.
    fn others(&self, run: &Run, directory: &Path, up: &str) -> Section {
        let cell = |other: &Run, text: String| {
            Cell::text(text).href(format!("{up}{}", link(&page_file(other.below(directory)))))
        };
        let is_own = |other: &&Run| other.finished.directory == run.finished.directory;
        let of_task = || {
            let others = self.runs.iter().filter(|other| other.task() == run.task());
            others.filter(|other| !is_own(other))
        };
        let label = run.schedule().label();
        let same = |other: &&Run| other.schedule().label() == label;
        let seeds = of_task().filter(same);
        let seeds = seeds.map(|other| cell(other, format!("seed {}", other.seed())));
        let methods = of_task().filter(|other| !same(other) && other.seed() == run.seed());
        let methods = methods.map(|other| cell(other, other.schedule().label()));
        let facts = [
            ("Other seeds".to_string(), seeds.collect::<Vec<_>>()),
            ("Other methods".into(), methods.collect()),
        ];
        let facts = facts.into_iter().filter(|(_, cells)| !cells.is_empty());
        let facts: Vec<_> = facts.collect();
        let items = (!facts.is_empty()).then_some(Item::Facts(facts));
        section("Beside it", "others", "", Vec::from_iter(items))
    }
}
