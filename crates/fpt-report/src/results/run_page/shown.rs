//! What a run answered: which labels for which, and some answers.

use fpt_tasks::metrics::Confusion;

use super::answers::{Answer, Answers, Examples};
use crate::ReportError;
use crate::html::{Cell, HeatMap, Item, Section, TableView};
use crate::results::Run;
use crate::results::page::section;

/// Answers of a kind that are shown.
const SHOWN: usize = 6;

/// The longest text of an example that is shown, in characters.
const LONGEST: usize = 1500;

/// Which labels were taken for which, and some answers.
pub(super) fn answers(run: &Run, examples: &mut Examples) -> Result<Section, ReportError> {
    let of = |text: &str, items| section("Answers", "answers", text, items);
    if !run
        .finished
        .directory
        .join(run.finished.predictions_file())
        .is_file()
    {
        return Ok(of("", Vec::new()));
    }
    let predictions = run.finished.predictions()?;
    let known = match examples.of(run) {
        Some(examples) => Answers::of(run, examples, &predictions),
        None => None,
    };
    let Some(known) = known else {
        let first: Vec<Vec<Cell>> = predictions
            .iter()
            .take(SHOWN)
            .map(|it| vec![Cell::text(&it.id), Cell::long(short(&it.prediction))])
            .collect();
        let table = TableView {
            caption: "The first answers.".into(),
            header: ["id", "answer"].map(String::from).into(),
            rows: first,
        };
        return Ok(of(
            "Texts and right answers are no part of a run, and the data that its configuration names are not there as it \
             read them; so there is no more to be said of the answers.",
            vec![Item::Table(table)],
        ));
    };
    let mut items = Vec::new();
    if let Some(confusion) = &known.confusion {
        items.push(Item::HeatMap(matrix(confusion)));
        items.push(Item::Table(by_label(confusion)));
    }
    let is_right_or_wrong = known
        .all
        .iter()
        .all(|answer| [0.0, 100.0].contains(&answer.score));
    let captions = if is_right_or_wrong {
        ["Some right answers", "Some wrong answers"]
    } else {
        ["The best answers", "The worst answers"]
    };
    for (caption, best) in captions.into_iter().zip([true, false]) {
        let chosen = known.extreme(best, SHOWN);
        items.extend((!chosen.is_empty()).then(|| Item::Table(shown(caption, &chosen))));
    }
    Ok(of("", items))
}

fn matrix(confusion: &Confusion) -> HeatMap {
    let labels = confusion.labels().to_vec();
    let values = (0..labels.len()).map(|label| {
        let row = confusion.row(label).iter();
        row.map(|count| Some(*count as f64)).collect()
    });
    HeatMap {
        caption: format!(
            "Confusion matrix: a row is the right label, a column the answer. {:.2} % of the answers are no label.",
            confusion.no_label()
        ),
        values: values.collect(),
        columns: labels.iter().cloned().chain(["no label".into()]).collect(),
        rows: labels,
        range: None,
        decimals: 0,
        quantity: "examples".into(),
    }
}

fn by_label(confusion: &Confusion) -> TableView {
    let rows = confusion.by_label().into_iter().map(|scores| {
        let percent = |value: f64| Cell::number(format!("{value:.2}"));
        vec![
            Cell::text(scores.label),
            percent(scores.precision),
            percent(scores.recall),
            percent(scores.f1),
            Cell::number(scores.support.to_string()),
            Cell::number(scores.answered.to_string()),
        ]
    });
    TableView {
        caption: format!(
            "Labels, percent; the mean F1 is {:.2}.",
            confusion.macro_f1()
        ),
        header: ["label", "precision", "recall", "F1", "examples", "answers"]
            .map(String::from)
            .into(),
        rows: rows.collect(),
    }
}

fn shown(caption: &str, answers: &[&Answer<'_>]) -> TableView {
    let row = |answer: &&Answer<'_>| {
        vec![
            Cell::text(&answer.example.id),
            Cell::long(short(&answer.example.source)),
            Cell::long(short(&answer.gold())),
            Cell::long(short(answer.text)),
            Cell::number(format!("{:.0}", answer.score)),
        ]
    };
    TableView {
        caption: format!("{caption}."),
        header: ["id", "source", "right", "answer", "score"]
            .map(String::from)
            .into(),
        rows: answers.iter().map(row).collect(),
    }
}

/// The text, or its beginning.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(short("é"), "é");
        assert_eq!(short(&"é".repeat(LONGEST + 1)).chars().count(), LONGEST + 2);
    }
}
