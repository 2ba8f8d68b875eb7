//! BLEU as sacrebleu computes it: `BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp`.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::text::split_whitespace;

/// The longest n-grams that count.
const MOST: usize = 4;

/// The steps of the tokenizer of `mteval-v13a.pl`, one after the other.
static STEPS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let steps = [
        // Symbols stand alone.
        (r"([\{-\~\[-\` -\&\(-\+\:-\@/])", " $1 "),
        // Full stops and commas do, unless digits are around them.
        (r"([^0-9])([\.,])", "$1 $2 "),
        (r"([\.,])([^0-9])", " $1 $2"),
        // So does a dash after a digit.
        (r"([0-9])(-)", "$1 $2 "),
    ];
    let compiled = steps.map(|(pattern, with)| Regex::new(pattern).map(|found| (found, with)));
    compiled.into_iter().flatten().collect()
});

/// The BLEU of a corpus of pairs `(prediction, reference)`, in percent; 0 of none.
pub fn bleu<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    let (mut matched, mut possible) = ([0_usize; MOST], [0_usize; MOST]);
    let (mut predicted, mut reference) = (0_usize, 0_usize);
    for (prediction, gold) in pairs {
        let (prediction, gold) = (tokenize(prediction), tokenize(gold));
        let (prediction, gold): (Vec<_>, Vec<_>) = (
            split_whitespace(&prediction).collect(),
            split_whitespace(&gold).collect(),
        );
        predicted += prediction.len();
        reference += gold.len();
        for n in 1..=MOST {
            let mut left: HashMap<&[&str], usize> = HashMap::new();
            for ngram in gold.windows(n) {
                *left.entry(ngram).or_default() += 1;
            }
            for ngram in prediction.windows(n) {
                possible[n - 1] += 1;
                if let Some(count) = left.get_mut(ngram).filter(|count| **count > 0) {
                    *count -= 1;
                    matched[n - 1] += 1;
                }
            }
        }
    }
    combine(&matched, &possible, predicted, reference)
}

/// The geometric mean of the precisions, where each that is 0 counts half of the one before, by the penalty for brevity.
fn combine(
    matched: &[usize; MOST],
    possible: &[usize; MOST],
    predicted: usize,
    reference: usize,
) -> f64 {
    if matched.iter().all(|&count| count == 0) || possible.contains(&0) {
        return 0.0;
    }
    let mut smoothing = 1.0;
    let logs = matched.iter().zip(possible).map(|(&matched, &possible)| {
        let precision = if matched == 0 {
            smoothing *= 2.0;
            100.0 / (smoothing * possible as f64)
        } else {
            100.0 * matched as f64 / possible as f64
        };
        precision.ln()
    });
    let mean = logs.sum::<f64>() / MOST as f64;
    let penalty = if predicted < reference {
        (1.0 - reference as f64 / predicted as f64).exp()
    } else {
        1.0
    };
    penalty * mean.exp()
}

fn tokenize(text: &str) -> String {
    // sacrebleu strips the ends before anything else.
    let text = text.trim_end();
    let mut line = text.replace("<skipped>", "").replace("-\n", "");
    line = line.replace('\n', " ");
    for (entity, meant) in [
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ] {
        line = line.replace(entity, meant);
    }
    line = format!(" {line} ");
    for (step, with) in STEPS.iter() {
        line = step.replace_all(&line, *with).into_owned();
    }
    line
}
