//! The report as a page.

#[cfg(test)]
mod tests;

use std::path::Path;

use fpt_prompt::Similarity;
use fpt_schedule::Method;
use fpt_tasks::TaskName;
use fpt_train::{SimilarityReport, TransferReport};

use super::links::{link, page_file};
use super::{Results, Run, Table, TableCell};
use crate::ReportError;
use crate::html::{Cell, Group, HeatMap, Item, Page, Point, Scatter, Section, TableView};

impl Results {
    /// The page of the runs in `directory`, with the similarities and transfers that lie there.
    ///
    /// # Errors
    /// If these are damaged.
    pub fn page(&self, directory: impl AsRef<Path>) -> Result<Page, ReportError> {
        let directory = directory.as_ref();
        let mut sections = vec![section(
            "Summary",
            "summary",
            "",
            vec![Item::Sentences(self.sentences()), Item::Facts(self.facts())],
        )];
        sections.extend(self.score_sections(directory));
        sections.extend(self.prompt_sections(directory)?);
        sections.push(self.all_runs(directory));
        sections.retain(|section| !section.items.is_empty());
        Ok(Page {
            title: "Fast Prompt Tuning".into(),
            lead: format!(
                "Scores are percent of the {} split unless said otherwise; ± is the standard deviation over seeds. \
                 The scale model's pre-training taught the skills of the tasks in other words than the tasks': prompt \
                 tuning has to elicit both skill and format.",
                self.split,
            ),
            sections,
            footer: format!(
                "Made from run directories alone by `fpt report {}`. Every score links to the page of its first seed's \
                 run, and its tooltip names the runs of all seeds.",
                directory.display()
            ),
            parent: None,
            notes: self.has_paper().then(|| {
                "Show the paper's figures, for T5-Large on the real tasks: what can be compared is order and trend".into()
            }),
        })
    }

    /// What the runs scored, and what that cost.
    fn score_sections(&self, directory: &Path) -> Vec<Section> {
        let tables =
            |table: Option<Table>| Vec::from_iter(table.map(|table| item(table, directory)));
        vec![
            section(
                "Score and cost",
                "equal-cost",
                "What progressive training is for: a better prompt than plain prompt tuning (PT) has at the same FLOPs. \
                 FLOPs are counted from the shapes that were really multiplied, forward and backward.",
                self.equal_cost()
                    .map(Item::Curves)
                    .into_iter()
                    .chain(self.scatter())
                    .collect(),
            ),
            section(
                "Prompt tuning",
                "prompt-tuning",
                "A soft prompt for the frozen model, against answering without reading and without a prompt.",
                tables(self.prompt_tuning()),
            ),
            section(
                "Settings",
                "settings",
                "Combinations of settings, as a sweep has them.",
                tables(self.settings()),
            ),
            section(
                "Partial models",
                "table-1",
                "LD drops layers, FR leaves out FFN neurons, CR both, HD attention heads; the fraction is what stays.",
                tables(self.table1()),
            ),
            section(
                "Progressive training",
                "table-2",
                "FPT trains on partial models of growing size, then on the full one, with one prompt and one optimizer.",
                self.table2()
                    .into_iter()
                    .chain(self.significance())
                    .map(|table| item(table, directory))
                    .collect(),
            ),
            section(
                "Learning curves",
                "curves",
                "Dev scores during training, of the full model, over the FLOPs spent; curves begin with the first evaluation.",
                Vec::from_iter(self.learning().map(Item::Panels)),
            ),
        ]
    }

    /// How the prompts compare, and what they are worth elsewhere.
    fn prompt_sections(&self, directory: &Path) -> Result<[Section; 2], ReportError> {
        let (mut similarities, mut transfers) = (Vec::new(), Vec::new());
        for task in &self.tasks {
            if let Some(report) = read::<SimilarityReport>(directory, "similarity", task)? {
                similarities.push(Item::HeatMaps(similarity_maps(task, &report)));
            }
            if let Some(report) = read::<TransferReport>(directory, "transfer", task)? {
                transfers.push(transfer_map(&report));
            }
        }
        transfers.extend(self.starts().map(|table| item(table, directory)));
        Ok([
            section(
                "Similarity of prompts",
                "similarity",
                "Prompts of one task that were trained on different partial models, compared with each other.",
                similarities,
            ),
            section(
                "Transfer of prompts",
                "transfer",
                "Each prompt, unchanged, with each model; and as the start of a training on the full model.",
                transfers,
            ),
        ])
    }

    fn scatter(&self) -> Option<Item> {
        let mut groups: Vec<Group> = Vec::new();
        for row in &self.rows {
            let (Some(x), Some(y)) = (row.flops_percent, row.average) else {
                continue;
            };
            let point = Point {
                x,
                y,
                label: row.label.clone(),
                x_error: None,
                y_error: row.average_deviation,
            };
            let label = match row.method {
                Some(Method::Partial(reduction, _)) => reduction.name().to_uppercase(),
                _ => row.label.clone(),
            };
            match groups.iter_mut().find(|group| group.label == label) {
                Some(group) => group.points.push(point),
                None => groups.push(Group {
                    look: self.look(row.method, &row.label),
                    points: vec![point],
                    label,
                }),
            }
        }
        (!groups.is_empty()).then(|| {
            Item::Scatter(Scatter {
                caption: "Average score over training FLOPs; bars are ± a standard deviation over seeds. Partial models \
                          (hollow) are evaluated themselves, FPT on the full model."
                    .into(),
                x_label: "FLOPs, % of prompt tuning".into(),
                y_label: "average score, %".into(),
                groups,
            })
        })
    }

    /// All runs, each with its page.
    fn all_runs(&self, directory: &Path) -> Section {
        let row = |run: &Run| {
            let result = &run.finished.result;
            vec![
                Cell::text(run.below(directory).display().to_string())
                    .href(link(&page_file(run.below(directory)))),
                Cell::text(result.task.as_str()),
                Cell::text(run.schedule().label()),
                Cell::number(result.seed.to_string()),
                Cell::number(format!("{:.2}", result.dev.primary_value())),
                Cell::number(format!("{:.2}", result.reported.primary_value())),
                Cell::number(format!("{:.3e}", result.flops)),
            ]
        };
        let reported = self.split.to_string();
        let header = ["run", "task", "method", "seed", "dev", &*reported, "FLOPs"];
        let table = TableView {
            caption: "All runs, with those that started from the prompts of others last.".into(),
            header: header.map(String::from).into(),
            rows: self.runs.iter().chain(&self.started).map(row).collect(),
        };
        section(
            "Runs",
            "runs",
            "How each run was set, how it learned, and what it answered.",
            vec![Item::Folded(format!("{} runs", table.rows.len()), table)],
        )
    }

    /// Whether the paper has figures to stand beside some of these.
    fn has_paper(&self) -> bool {
        let tables = [self.table1(), self.table2()];
        let mut cells = tables
            .iter()
            .flatten()
            .flat_map(|table| table.rows.iter().flatten());
        cells.any(|cell| cell.paper.is_some())
    }
}

pub(super) fn section(heading: &str, anchor: &str, text: &str, items: Vec<Item>) -> Section {
    Section {
        heading: heading.into(),
        anchor: anchor.into(),
        text: text.into(),
        items,
    }
}

/// A table whose scores link to their runs below `directory`.
fn item(table: Table, directory: &Path) -> Item {
    let cell = |(column, cell): (usize, TableCell)| {
        let mut view = match column {
            0 => Cell::text(cell.text),
            _ => Cell::number(cell.text),
        };
        if let Some(paper) = cell.paper {
            view = view.note(format!("paper {paper}"));
        }
        if let Some(runs) = cell.runs {
            // Of several seeds the link leads to the first.
            let below = runs
                .first()
                .map(|run| Path::new(run).strip_prefix(directory));
            if let Some(Ok(below)) = below {
                view = view.href(link(&page_file(below)));
            }
            view = view.title(runs.join(", "));
        }
        view.emphasis(column == 0)
    };
    Item::Table(TableView {
        caption: table.caption,
        header: table.header,
        rows: table
            .rows
            .into_iter()
            .map(|row| row.into_iter().enumerate().map(cell).collect())
            .collect(),
    })
}

fn similarity_maps(task: &TaskName, report: &SimilarityReport) -> Vec<HeatMap> {
    type Value = fn(&Similarity) -> f64;
    let measures: [(&str, Value); 3] = [
        ("cosine of the prompts", |s| s.cosine),
        ("cosine of the activations", |s| s.activation_cosine),
        ("overlap of activated neurons", |s| s.activation_overlap),
    ];
    let map = |(what, value): &(&str, Value)| HeatMap {
        caption: format!("{task}: {what}"),
        rows: report.names.clone(),
        columns: report.names.clone(),
        values: report
            .pairs
            .iter()
            .map(|row| row.iter().map(|pair| Some(value(pair))).collect())
            .collect(),
        range: Some((0.0, 1.0)),
        decimals: 2,
        quantity: (*what).into(),
    };
    measures.iter().map(map).collect()
}

fn transfer_map(report: &TransferReport) -> Item {
    Item::HeatMap(HeatMap {
        caption: format!(
            "{}: {} on {} dev examples; a row is a prompt, a column the model that it is evaluated on",
            report.task, report.metric, report.examples
        ),
        rows: report.prompts.clone(),
        columns: report.models.clone(),
        values: report
            .scores
            .iter()
            .map(|row| row.iter().copied().map(Some).collect())
            .collect(),
        range: None,
        decimals: 1,
        quantity: format!("{}, %", report.metric),
    })
}

/// `<kind>-<task>.json`, where it is there.
fn read<T: serde::de::DeserializeOwned>(
    directory: &Path,
    kind: &str,
    task: &TaskName,
) -> Result<Option<T>, ReportError> {
    let path = directory.join(format!("{kind}-{task}.json"));
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| ReportError::Damaged { path, source }),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Read { path, source }),
    }
}
