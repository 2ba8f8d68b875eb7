//! The tables, as rows of cells that the terminal, Markdown and the page share.

use std::fmt;

use fpt_schedule::Method;
use fpt_tasks::{Split, TaskName};

use super::paper::PaperRow;
use super::{Improve, Results, Row};
use crate::MarkdownTable;

/// A table. It is displayed as Markdown, with our figures alone.
#[derive(Clone, Debug)]
pub struct Table {
    /// What it shows, with the units.
    pub caption: String,
    /// Names of the columns.
    pub header: Vec<String>,
    /// The rows, each as long as the header.
    pub rows: Vec<Vec<TableCell>>,
}

/// A cell: what we measured, beside it what the paper reports for T5-Large, and where ours comes from.
#[derive(Clone, Debug, Default)]
pub struct TableCell {
    /// What we measured.
    pub text: String,
    /// The paper's figure.
    pub paper: Option<String>,
    /// The run directories, a run a seed.
    pub runs: Option<Vec<String>>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = MarkdownTable::new(&self.header);
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| &cell.text));
        }
        table.with_numbers_in(1..self.header.len()).fmt(f)
    }
}

pub(super) fn cell(text: impl Into<String>) -> TableCell {
    TableCell {
        text: text.into(),
        ..TableCell::default()
    }
}

impl Results {
    /// All tables that the runs fill.
    pub fn tables(&self) -> Vec<Table> {
        [
            self.settings(),
            self.prompt_tuning(),
            self.table1(),
            self.table2(),
            self.significance(),
            self.starts(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Prompt tuning on the full model, against not reading and not prompting; `None` where it is there with several settings.
    pub(crate) fn prompt_tuning(&self) -> Option<Table> {
        let mut plain = (self.rows.iter()).filter(|row| row.method == Some(Method::Pt));
        let row = plain.next().filter(|_| plain.next().is_none())?;
        let rows = row.tasks.iter().map(|(task, entry)| {
            let mut cells = vec![
                cell(task.as_str()),
                cell(&entry.metric),
                cell(format!("{:.2} ({})", entry.baseline, entry.baseline_name)),
                cell(number(entry.no_prompt)),
            ];
            cells.extend((self.split != Split::Dev).then(|| cell(entry.dev.text())));
            cells.extend([
                TableCell {
                    runs: Some(entry.runs.clone()),
                    ..cell(entry.reported.text())
                },
                cell(entry.steps.to_string()),
                cell(format!("{:.0}", entry.train_seconds)),
                cell(format!("{:.0}", entry.total_seconds)),
                cell(
                    entry
                        .peak_memory_mb
                        .map_or("-".into(), |mb| format!("{mb:.0}")),
                ),
            ]);
            cells
        });
        let reported = format!("PT {}", self.split);
        let mut header = vec!["task", "metric", "baseline", "no prompt"];
        header.extend((self.split != Split::Dev).then_some("PT dev"));
        header.extend([&*reported, "steps", "train s", "total s", "peak MB"]);
        Some(Table {
            caption: "Prompt tuning on the full model. The baseline answers without reading; no prompt is the \
                      frozen model as it is; dev is what the best step was chosen on. Seconds are of one run."
                .into(),
            header: header.into_iter().map(String::from).collect(),
            rows: rows.collect(),
        })
    }

    /// Table 1: partial models alone.
    pub fn table1(&self) -> Option<Table> {
        let partial = |row: &&Row| !row.on_full_model;
        self.rows.iter().any(|row| partial(&row)).then(|| {
            self.comparison(
                &format!(
                    "Table 1. Prompts trained on partial models and evaluated on them, {} split. PT is the full model.",
                    self.split
                ),
                false,
                |row| partial(&row) || row.method == Some(Method::Pt),
            )
        })
    }

    /// Table 2: progressive training.
    pub fn table2(&self) -> Option<Table> {
        self.progressive().next().map(|_| {
            self.comparison(
                &format!(
                    "Table 2. Progressive training, evaluated on the full model, {} split. Improve is the gain over \
                     prompt tuning stopped at the same FLOPs, points (mean ± standard error over seeds).",
                    self.split
                ),
                true,
                |row| row.is_progressive() || row.method == Some(Method::Pt),
            )
        })
    }

    /// Prompts as the start of another training.
    pub fn starts(&self) -> Option<Table> {
        let rows = self.starts.iter().map(|start| {
            let steps = match start.steps {
                Some(steps) => steps.to_string(),
                None => format!("> {}", start.limit),
            };
            vec![
                cell(start.task.as_str()),
                cell(&start.from),
                TableCell {
                    runs: Some(vec![start.run.clone()]),
                    ..cell(steps)
                },
                cell(format!("{:.2}", start.wanted)),
            ]
        });
        (!self.starts.is_empty()).then(|| Table {
            caption: "Training on the full model from the prompt of a partial model: steps until dev reaches 95 % of \
                      what plain prompt tuning reaches in the end."
                .into(),
            header: ["task", "start", "steps", "dev score wanted"].map(String::from).into(),
            rows: rows.collect(),
        })
    }

    fn comparison(&self, caption: &str, improve: bool, wanted: impl Fn(&Row) -> bool) -> Table {
        let mut header = vec!["method".to_string()];
        header.extend(self.tasks.iter().map(|task| self.column(task)));
        header.extend(["avg", "FLOPs %"].map(String::from));
        // Of runs that had to share the machine it would say nothing.
        let wall = self.origin.side_by_side != Some(true);
        header.extend(wall.then(|| "wall %".to_string()));
        header.extend(improve.then(|| "Improve".to_string()));
        let rows = self.rows.iter().filter(|row| wanted(row)).map(|row| {
            let paper = row.method.and_then(PaperRow::of);
            let mut cells = vec![cell(&row.label)];
            for task in &self.tasks {
                cells.push(match row.tasks.get(task) {
                    Some(entry) => TableCell {
                        text: entry.reported.text(),
                        paper: paper
                            .and_then(|paper| paper.score(task))
                            .map(|score| format!("{score:.2}")),
                        runs: Some(entry.runs.clone()),
                    },
                    None => cell("-"),
                });
            }
            let beside = |text: String, value: Option<f64>, digits: usize| TableCell {
                text,
                paper: value.map(|value| format!("{value:.digits$}")),
                runs: None,
            };
            cells.push(beside(number(row.average), paper.map(|p| p.average), 2));
            cells.push(beside(
                percent(row.flops_percent),
                paper.map(|p| p.flops),
                0,
            ));
            if wall {
                cells.push(beside(percent(row.wall_percent), paper.map(|p| p.wall), 0));
            }
            if improve {
                let text = row.improve.as_ref().map_or("-".to_string(), Improve::text);
                cells.push(beside(text, paper.and_then(|p| p.improve), 2));
            }
            cells
        });
        Table {
            caption: format!("{caption}{}", self.about_seconds()),
            header,
            rows: rows.collect(),
        }
    }

    /// What the shares of wall-clock time are worth.
    fn about_seconds(&self) -> &'static str {
        match self.origin.side_by_side {
            Some(true) => {
                " Runs shared the machine, so shares of wall-clock time are left out: they would say nothing."
            }
            Some(false) => "",
            None => " The runs did not record whether they shared the machine: wall % is rough.",
        }
    }

    /// A task with its metric.
    pub(super) fn column(&self, task: &TaskName) -> String {
        let metric = self
            .rows
            .iter()
            .find_map(|row| Some(&row.tasks.get(task)?.metric));
        format!("{task} {}", metric.map_or("", String::as_str))
    }
}

pub(super) fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.1}"))
}
