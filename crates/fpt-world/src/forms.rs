//! The surface forms of the corpus: how documents put skills into words.
//!
//! They are *not* the formats of the tasks, which never occur in the corpus: prompt tuning has to elicit both
//! skill and format. The words of a verdict are tied to the form, so that what is hidden can be inferred from
//! the document alone. `[...]` marks what is hidden in training, `{...}` what is filled in.

/// Joins a statement with its paraphrase.
pub(crate) const PARAPHRASE: [&str; 5] = [
    "in other words,",
    "that is to say,",
    "it means that",
    "put another way,",
    "we can also say that",
];

/// Introduces facts that are repeated.
pub(crate) const RESTATE: [&str; 6] = [
    "indeed",
    "so",
    "as they say,",
    "it follows that",
    "remember that",
    "it is true that",
];

/// A form with repeated parts: `whole` holds `{parts}`, each part is made from `part`, joined by `join`.
/// An empty `join` means that there is only one part.
pub(crate) struct Form<const N: usize> {
    pub whole: &'static str,
    pub part: &'static str,
    pub join: &'static str,
    /// The words of the verdict.
    pub words: [&'static str; N],
}

const fn form<const N: usize>(
    whole: &'static str,
    part: &'static str,
    join: &'static str,
    words: [&'static str; N],
) -> Form<N> {
    Form {
        whole,
        part,
        join,
        words,
    }
}

const LABELS: [&str; 3] = ["entailment", "contradiction", "neutral"];

/// Claims `{h}` about facts `{s}`, with a verdict `{v}`: entailed, contradicted, neither.
pub(crate) const INFERENCE: [Form<3>; 9] = [
    form(
        "{s} {parts}",
        "{h}. this is [{v}].",
        " ",
        ["true", "false", "unknown"],
    ),
    form(
        "{s} {parts}",
        "is it true that {h}? [{v}].",
        " ",
        ["yes", "no", "maybe"],
    ),
    form("claim: {parts}. facts: {s}", "{h} = [{v}]", " / ", LABELS),
    form("{s} {parts}", "claim: {h}. verdict: [{v}].", " ", LABELS),
    form(
        "the hypothesis that {parts} given the premise that {s}",
        "{h} is [{v}]",
        " and that ",
        ["right", "wrong", "unclear"],
    ),
    form(
        "{parts}, because {s}",
        "[{v}], {h}",
        ". ",
        ["surely", "never", "perhaps"],
    ),
    form(
        "somebody said, {parts}.",
        "{h}. but we know that {s} so that is [{v}]",
        "",
        ["true", "false", "unknown"],
    ),
    form("{s} we see: {parts}.", "[{v}]: {h}", "; ", LABELS),
    form(
        "given that {s} the idea that {parts}.",
        "{h} is [{v}]",
        " and that ",
        LABELS,
    ),
];

/// Claims `{h}` about facts `{s}`, set right: `{v}` is what is true instead, or one of the words: nothing, for the
/// claim is entailed; unknown, for it is neutral.
pub(crate) const CORRECTION: [Form<2>; 4] = [
    form(
        "{s} {parts}",
        "{h}? truth: [{v}].",
        " ",
        ["right", "unknown"],
    ),
    form(
        "{s} {parts}",
        "check: {h}. it should be [{v}].",
        " ",
        ["so", "unclear"],
    ),
    form(
        "{parts} facts: {s}",
        "{h}, or rather [{v}].",
        " ",
        ["right", "unknown"],
    ),
    form(
        "{s} {parts}",
        "correct: {h} = [{v}].",
        " ",
        ["so", "unclear"],
    ),
];

/// Two words or statements `{a}` and `{b}`, with a verdict `{v}`: different, same.
pub(crate) const COMPARISON: [Form<2>; 5] = [
    form("{parts}", "{a} and {b}: [{v}].", " ", ["different", "same"]),
    form(
        "{parts}",
        "is it the same, {a} / {b}? [{v}].",
        " ",
        ["no", "yes"],
    ),
    form(
        "compare: {parts}.",
        "{a} / {b} = [{v}]",
        "; ",
        ["different", "same"],
    ),
    form("{parts}", "[{v}]: {a}, {b}.", " ", ["different", "same"]),
    form(
        "{parts}",
        "{a}. in other words, {b}. this is [{v}].",
        " ",
        ["false", "true"],
    ),
];

const DUPLICATES: [&str; 2] = ["not_duplicate", "is_duplicate"];

/// Pairs of questions `{a}` and `{b}`, with a verdict `{v}`: different, same.
pub(crate) const PAIRS: [Form<2>; 7] = [
    form(
        "{parts}",
        "{a}? {b}? the two questions are [{v}].",
        " ",
        ["different", "same"],
    ),
    form(
        "do they ask the same? {parts}",
        "{a}? {b}? [{v}].",
        " ",
        ["no", "yes"],
    ),
    form(
        "{parts}",
        "{a}? and also {b}? verdict: [{v}].",
        " ",
        DUPLICATES,
    ),
    form("pairs: {parts}.", "{a}? / {b}? = [{v}]", "; ", DUPLICATES),
    form("{parts}", "[{v}]: {a}? {b}?", " ", DUPLICATES),
    form(
        "{parts}",
        "first somebody said, {a}? then, {b}? that is [{v}].",
        "",
        ["different", "same"],
    ),
    form(
        "{parts}",
        "the question {a}? [{v}] of {b}?",
        " and ",
        DUPLICATES,
    ),
];

/// Questions `{q}` about a story `{s}`, with an answer `{v}`; the word stands for no answer.
pub(crate) const QUESTIONS: [Form<1>; 7] = [
    form(
        "{s} {parts}",
        "question: {q}? answer: [{v}].",
        " ",
        ["no answer"],
    ),
    form(
        "{parts} text: {s}",
        "question: {q}? answer: [{v}].",
        " ",
        ["no answer"],
    ),
    form(
        "{s} somebody said, {parts}",
        "{q}? [{v}].",
        " ",
        ["unknown"],
    ),
    form(
        "{parts} we know because {s}",
        "{q}? [{v}].",
        " ",
        ["nobody knows"],
    ),
    form("{s} {parts}", "{q}? [{v}].", " ", ["unknown"]),
    form(
        "{s} so {parts}",
        "{q}? the answer is [{v}].",
        " ",
        ["not given"],
    ),
    form(
        "read this context: {s} {parts}",
        "{q}? it says: [{v}].",
        " ",
        ["no answer"],
    ),
];

/// Stories `{s}` and a sentence `{q}` with a blank, some entities `{l}`, and what fills the blank `{v}`; second
/// the word for the blank.
pub(crate) const CLOZE: [(&str, &str); 6] = [
    ("{s} {q}. it was [{v}].", "@placeholder"),
    (
        "{s} the entities are {l}. {q}. it is [{v}].",
        "@placeholder",
    ),
    (
        "the query {q}. the answer is [{v}]. this is the passage {s}",
        "@placeholder",
    ),
    ("{q}. that is [{v}], one of {l}, because {s}", "somebody"),
    ("{l}: {s} {q}. [{v}].", "blank"),
    ("{s} fill in: {q}. [{v}].", "@placeholder"),
];

/// Between the entities of a list.
pub(crate) const LIST_JOINS: [&str; 3] = [", ", " and ", " / "];

/// Stories `{s}` and their summary `{v}`, with the style of the summary.
pub(crate) const SUMMARIES: [(&str, usize); 5] = [
    ("{s} in short, [{v}].", 0),
    ("{s} to sum up, [{v}].", 1),
    ("news: [{v}]. {s}", 0),
    ("title: [{v}]. {s}", 1),
    ("{s} that was the story: [{v}].", 0),
];

/// Every text above, for the vocabulary.
pub(crate) fn all_texts() -> Vec<&'static str> {
    fn texts<const N: usize>(forms: &'static [Form<N>]) -> impl Iterator<Item = &'static str> {
        forms
            .iter()
            .flat_map(|f| [f.whole, f.part, f.join].into_iter().chain(f.words))
    }
    PARAPHRASE
        .into_iter()
        .chain(RESTATE)
        .chain(texts(&INFERENCE))
        .chain(texts(&CORRECTION))
        .chain(texts(&COMPARISON))
        .chain(texts(&PAIRS))
        .chain(texts(&QUESTIONS))
        .chain(CLOZE.into_iter().flat_map(|(form, blank)| [form, blank]))
        .chain(SUMMARIES.into_iter().map(|(form, _)| form))
        .chain(LIST_JOINS)
        .collect()
}
