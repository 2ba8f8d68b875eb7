//! The official evaluation of SQuAD 2.0.

use super::{bag_f1, mean_percent};
use crate::text::split_whitespace;

/// Lower-cases, drops ASCII punctuation and the articles a, an and the, squeezes whitespace.
pub fn normalize_answer(text: &str) -> String {
    let mut plain = text.to_lowercase();
    plain.retain(|c| !c.is_ascii_punctuation());
    let plain = drop_articles(&plain);
    split_whitespace(&plain).collect::<Vec<_>>().join(" ")
}

/// Whether two answers are equal after [normalisation](normalize_answer).
pub fn exact_match(gold: &str, prediction: &str) -> bool {
    normalize_answer(gold) == normalize_answer(prediction)
}

/// F1 of the words of two answers after [normalisation](normalize_answer), as a fraction. Where
/// either has no words, 1 if both have none, else 0.
pub fn f1(gold: &str, prediction: &str) -> f64 {
    let (gold, prediction) = (normalize_answer(gold), normalize_answer(prediction));
    let (gold, prediction) = (words(&gold), words(&prediction));
    if gold.is_empty() || prediction.is_empty() {
        return f64::from(gold == prediction);
    }
    bag_f1(&gold, &prediction)
}

/// The official script's summary of `(prediction, answers)` in percent: `em` and `f1`, the same
/// over questions with answers (`has_ans_em`, `has_ans_f1`) and over those without (`no_ans_em`,
/// `no_ans_f1`), where there are such. An empty prediction means that there is no answer.
pub fn v2<'a>(
    items: impl IntoIterator<Item = (&'a str, &'a [String])>,
) -> Vec<(&'static str, f64)> {
    let scored: Vec<_> = items
        .into_iter()
        .map(|(prediction, answers)| {
            let (em, f1) = best(prediction, answers);
            (!answers.is_empty(), em, f1)
        })
        .collect();
    let mut values = vec![
        ("em", mean_percent(scored.iter().map(|s| s.1))),
        ("f1", mean_percent(scored.iter().map(|s| s.2))),
    ];
    for (part, em, f1) in [
        (true, "has_ans_em", "has_ans_f1"),
        (false, "no_ans_em", "no_ans_f1"),
    ] {
        let part: Vec<_> = scored.iter().filter(|s| s.0 == part).collect();
        if !part.is_empty() {
            values.push((em, mean_percent(part.iter().map(|s| s.1))));
            values.push((f1, mean_percent(part.iter().map(|s| s.2))));
        }
    }
    values
}

/// Exact match and F1 against the best of the answers. Those that vanish in normalisation do not
/// count; the empty string stands for none.
fn best(prediction: &str, answers: &[String]) -> (f64, f64) {
    let mut golds: Vec<_> = answers
        .iter()
        .map(String::as_str)
        .filter(|answer| !normalize_answer(answer).is_empty())
        .collect();
    if golds.is_empty() {
        golds.push("");
    }
    golds.iter().fold((0.0, 0.0), |(em, best_f1), gold| {
        (
            f64::max(em, f64::from(exact_match(gold, prediction))),
            f64::max(best_f1, f1(gold, prediction)),
        )
    })
}

/// Words of a normalised text.
pub(super) fn words(normalized: &str) -> Vec<&str> {
    normalized
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect()
}

/// Replaces every maximal run of word characters that is an article by a space: what the regular
/// expression `\b(a|an|the)\b` does, with Python's idea of a word.
fn drop_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_word = is_word(first);
        let end = rest.find(|c| is_word(c) != in_word).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        kept.push_str(if matches!(run, "a" | "an" | "the") {
            " "
        } else {
            run
        });
        rest = after;
    }
    kept
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
