//! The comparisons as tables.

use std::iter;

use fpt_report::MarkdownTable;

use super::peer::{Answering, Comparison};

/// Of comparisons with one peer; those that answer texts in several ways say how. Nothing if there are none.
pub(super) fn comparisons(rows: &[Comparison]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let peer = first.setting.peer.title();
    let ways = match first.setting.answering {
        Some(_) => vec![
            "Batch".into(),
            "Beams".into(),
            "Weights of fpt".into(),
            format!("of {peer}"),
        ],
        None => Vec::new(),
    };
    let headers: Vec<String> = iter::once("Work".into())
        .chain(ways)
        .chain(["Threads".into(), "Turns".into(), "fpt".into()])
        .chain([peer.into(), "at best".into(), format!("fpt / {peer}")])
        .chain(["Memory".into(), "Agreement".into()])
        .collect();
    let columns = headers.len();
    let mut table = MarkdownTable::new(headers);
    for row in rows {
        let ways = row.setting.answering.as_ref().map_or(Vec::new(), way);
        let cells = iter::once(format!("{} {}", row.setting.kind, row.setting.case))
            .chain(ways)
            .chain(measured(row));
        table.add_row(cells);
    }
    format!("{}\n", table.with_numbers_in(1..columns))
}

fn way(answering: &Answering) -> Vec<String> {
    vec![
        answering.rows.to_string(),
        answering.beams.to_string(),
        answering.our_weights.to_string(),
        answering.their_weights.to_string(),
    ]
}

fn measured(row: &Comparison) -> [String; 8] {
    let [low, high] = row.ratio_quartiles;
    [
        row.setting.threads.to_string(),
        row.alternations.to_string(),
        seconds(row.ours / row.batches as f64),
        seconds(row.theirs / row.batches as f64),
        row.variant.to_string(),
        format!("{:.2} ({low:.2} to {high:.2})", row.ratio),
        row.peak_memory.map_or("-".into(), |[ours, theirs]| {
            format!(
                "{} / {} MB = {:.2}",
                ours / 1_000_000,
                theirs / 1_000_000,
                ours as f64 / theirs as f64
            )
        }),
        match row.setting.kind {
            "train" => format!("loss to {:.0e}", row.agreement),
            "tokenize" => "all tokens".into(),
            _ => format!("{:.0} % of answers", 100.0 * row.agreement),
        },
    ]
}

pub(super) fn seconds(value: f64) -> String {
    match value {
        v if v < 1e-3 => format!("{:.1} µs", v * 1e6),
        v if v < 1.0 => format!("{:.1} ms", v * 1e3),
        v => format!("{v:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::{Peer, Setting};
    use super::*;

    fn comparison(setting: Setting) -> Comparison {
        Comparison {
            setting,
            batches: 8,
            ours: 8.0,
            theirs: 16.0,
            variant: "MKL",
            alternations: 11,
            ratio: 0.5,
            ratio_quartiles: [0.4, 0.6],
            peak_memory: None,
            agreement: 1.0,
        }
    }

    #[test]
    fn a_table_says_how_texts_are_answered_where_they_are() {
        let mut setting = Setting {
            peer: Peer::Ctranslate2,
            case: "small",
            kind: "answer",
            threads: 2,
            answering: Some(Answering {
                rows: 32,
                beams: 4,
                our_weights: "f32",
                their_weights: "int8",
            }),
        };
        let cells = |setting: &Setting| -> Vec<String> {
            let table = comparisons(&[comparison(setting.clone())]);
            let row = table.lines().last().expect("a row").trim_matches('|');
            row.split('|').map(|cell| cell.trim().into()).collect()
        };
        let way = ["answer small", "32", "4", "f32", "int8", "2", "11"];
        assert_eq!(cells(&setting)[..7], way);
        setting.answering = None;
        let rest = ["answer small", "2", "11", "1.00 s", "2.00 s", "MKL"];
        assert_eq!(cells(&setting)[..6], rest);
        assert_eq!(comparisons(&[]), "");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        assert_eq!(seconds(0.000_002), "2.0 µs");
        assert_eq!(seconds(0.25), "250.0 ms");
        assert_eq!(seconds(2.5), "2.50 s");
    }
}
