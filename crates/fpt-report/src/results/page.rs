//! The report as a page.

use std::path::Path;

use fpt_prompt::Similarity;
use fpt_schedule::{Method, Reduction};
use fpt_tasks::TaskName;
use fpt_train::{SimilarityReport, TransferReport};

use super::{Results, Run, Table, TableCell};
use crate::ReportError;
use crate::html::{
    Cell, Curves, Group, HeatMap, Item, Page, Point, Scatter, Section, Series, TableView,
};

impl Results {
    /// The page of the runs in `directory`, with the similarities and transfers that lie there.
    ///
    /// # Errors
    /// If these are damaged.
    pub fn page(&self, directory: impl AsRef<Path>) -> Result<Page, ReportError> {
        let directory = directory.as_ref();
        let mut sections = self.score_sections(directory);
        sections.extend(self.prompt_sections(directory)?);
        sections.retain(|section| !section.items.is_empty());
        Ok(Page {
            title: "Fast Prompt Tuning".into(),
            lead: format!(
                "{} runs on {} tasks. Scores are percent of the {} split unless said otherwise; ± is the standard \
                 deviation over seeds. The scale model's pre-training taught the skills of the tasks in other words \
                 than the tasks': prompt tuning has to elicit both skill and format.",
                self.runs.len(),
                self.tasks.len(),
                self.split,
            ),
            sections,
            footer: format!(
                "Made from run directories alone; every score links to its run, and its tooltip names all seeds' runs. Program revision {}.",
                self.revisions.join(", ")
            ),
        })
    }

    /// What the runs scored, and what that cost.
    fn score_sections(&self, directory: &Path) -> Vec<Section> {
        let tables =
            |table: Option<Table>| Vec::from_iter(table.map(|table| item(table, directory)));
        vec![
            section(
                "At equal cost",
                "equal-cost",
                "What progressive training is for: a better prompt than plain prompt tuning (PT) has at the same FLOPs.",
                Vec::from_iter(self.equal_cost().map(Item::Curves)),
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
                "LD drops layers, FR leaves out FFN neurons, CR both, HD attention heads; the fraction is what stays. \
                 The small figures are the paper's, for T5-Large on the real tasks: what can be compared is order and \
                 trend.",
                tables(self.table1()),
            ),
            section(
                "Progressive training",
                "table-2",
                "FPT trains on partial models of growing size, then on the full one, with one prompt and one optimizer.",
                tables(self.table2()),
            ),
            section(
                "Score and cost",
                "cost",
                "FLOPs are counted from the shapes that were really multiplied, forward and backward.",
                Vec::from_iter(self.scatter()),
            ),
            section(
                "Learning curves",
                "curves",
                "Dev scores during training (full model) over the FLOPs spent; open rings are expansions. Seed 0.",
                self.tasks
                    .iter()
                    .filter_map(|task| self.curves(task))
                    .collect(),
            ),
        ]
    }

    /// How the prompts compare, and what they are worth elsewhere.
    fn prompt_sections(&self, directory: &Path) -> Result<[Section; 2], ReportError> {
        let (mut similarities, mut transfers) = (Vec::new(), Vec::new());
        for task in &self.tasks {
            if let Some(report) = read::<SimilarityReport>(directory, "similarity", task)? {
                similarities.extend(similarity_maps(task, &report));
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
        type Belongs = fn(Option<Method>) -> bool;
        let families: [(&str, Belongs); 6] = [
            ("PT", |m| m == Some(Method::Pt)),
            ("LD", |m| {
                matches!(m, Some(Method::Partial(Reduction::LayerDropping, _)))
            }),
            ("FR", |m| {
                matches!(m, Some(Method::Partial(Reduction::FfnReduction, _)))
            }),
            ("CR", |m| {
                matches!(m, Some(Method::Partial(Reduction::Compound, _)))
            }),
            ("HD", |m| {
                matches!(m, Some(Method::Partial(Reduction::Heads, _)))
            }),
            ("FPT", |m| matches!(m, Some(Method::Fpt(_)) | None)),
        ];
        let groups: Vec<Group> = families
            .iter()
            .map(|(label, belongs)| Group {
                label: (*label).into(),
                points: self
                    .rows
                    .iter()
                    .filter(|row| belongs(row.method))
                    .filter_map(|row| {
                        Some(Point {
                            x: row.flops_percent?,
                            y: row.average?,
                            label: row.label.clone(),
                            ..Point::default()
                        })
                    })
                    .collect(),
            })
            .filter(|group| !group.points.is_empty())
            .collect();
        (groups.iter().map(|group| group.points.len()).sum::<usize>() > 1).then(|| {
            Item::Scatter(Scatter {
                caption: "Average score over training FLOPs. Partial models are evaluated themselves, FPT on \
                          the full model."
                    .into(),
                x_label: "FLOPs, % of prompt tuning".into(),
                y_label: "average score, %".into(),
                groups,
            })
        })
    }

    fn curves(&self, task: &TaskName) -> Option<Item> {
        let full = |run: &&Run| !matches!(run.method(), Some(Method::Partial(..)));
        let series: Vec<Series> = self
            .runs
            .iter()
            .filter(|run| run.task() == task && run.seed() == 0 && full(run))
            .map(|run| Series {
                label: run.schedule().label(),
                points: run.dev_curve(),
                boundaries: run.boundaries(),
            })
            .collect();
        let metric = self
            .rows
            .iter()
            .find_map(|row| row.tasks.get(task))
            .map(|e| &e.metric);
        (!series.is_empty()).then(|| {
            Item::Curves(Curves {
                caption: format!("{task}: dev score while training"),
                x_label: "training FLOPs".into(),
                y_label: format!("{}, %", metric.map_or("score", String::as_str)),
                series,
            })
        })
    }
}

fn section(heading: &str, anchor: &str, text: &str, items: Vec<Item>) -> Section {
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
            // The page lies beside the runs; of several seeds the link leads to the first.
            let first = Path::new(runs.split(", ").next().unwrap_or_default());
            if let Ok(below) = first.strip_prefix(directory) {
                view = view.href(format!("{}/", below.display()));
            }
            view = view.title(runs);
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

fn similarity_maps(task: &TaskName, report: &SimilarityReport) -> Vec<Item> {
    type Value = fn(&Similarity) -> f64;
    let measures: [(&str, Value); 3] = [
        ("cosine of the prompts", |s| s.cosine),
        ("cosine of the activations", |s| s.activation_cosine),
        ("overlap of activated neurons", |s| s.activation_overlap),
    ];
    let map = |(what, value): &(&str, Value)| {
        Item::HeatMap(HeatMap {
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
        })
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
