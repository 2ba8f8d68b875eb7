//! The corpus: what its documents say is true, and as hard as asked for.

use std::collections::{BTreeMap, BTreeSet};

use fpt_world::world::Label;
use fpt_world::{Corpus, Difficulty, Document, Skill};

use crate::reader::{self, answers, verdict};

const FULL: Difficulty = Difficulty {
    max_facts: 4,
    other_wording: 0.85,
    applied: 1.0,
};

fn documents(skill: Skill, count: usize) -> Vec<Document> {
    let mut corpus = Corpus::new(11);
    (0..count)
        .map(|_| corpus.document(Some(skill), FULL))
        .collect()
}

/// The texts of the hidden segments.
fn hidden(document: &Document) -> Vec<&str> {
    let segments = document.segments.iter().filter(|segment| segment.hidden);
    segments.map(|segment| segment.text.as_str()).collect()
}

#[test]
fn the_seed_decides() {
    let draw = |seed| -> Vec<_> {
        let mut corpus = Corpus::new(seed);
        (0..300).map(|_| corpus.training_example(FULL)).collect()
    };
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
}

#[test]
fn documents_are_clean_text() {
    for skill in Skill::ALL {
        for document in documents(skill, 500) {
            let text = document.text();
            assert_eq!(text, text.split_whitespace().collect::<Vec<_>>().join(" "));
            assert!(!text.contains(['[', ']', '{', '}']), "{text}");
            for mark in [" .", " ,", " ?", " :", " ;", ".."] {
                assert!(!text.contains(mark), "{text}");
            }
        }
    }
}

#[test]
fn the_formats_of_the_tasks_never_occur() {
    let mut corpus = Corpus::new(5);
    for round in 0..30_000 {
        let difficulty = Difficulty {
            max_facts: 1 + round % 4,
            ..FULL
        };
        let text = corpus.document(None, difficulty).text();
        for prefix in [
            "hypothesis:",
            "premise:",
            "question1:",
            "question2:",
            "query:",
            "entities:",
            "passage:",
        ] {
            assert!(!text.contains(prefix), "{text}");
        }
        // Both words occur, but never as `question: … context: …`.
        let squad = text.find("question:").zip(text.find("context:"));
        assert!(squad.is_none(), "{text}");
    }
}

#[test]
fn masking_hides_what_can_be_inferred() {
    for skill in Skill::ALL {
        for document in documents(skill, 300) {
            let hidden = hidden(&document);
            assert_eq!(hidden.is_empty(), skill == Skill::Plain);
            assert!(hidden.iter().all(|text| !text.trim().is_empty()));
            // The target has the hidden texts, in order, and put back they give the document.
            let mut example = document.masked();
            let mut target = Vec::new();
            for (number, text) in hidden.iter().enumerate() {
                let sentinel = format!("<extra_id_{number}>");
                target.push(format!("{sentinel} {text}"));
                example.source = example.source.replacen(&sentinel, text, 1);
            }
            assert_eq!(example.target, target.join(" "));
            assert_eq!(example.source, document.text());
        }
    }
}

const LABELS: [&str; 3] = ["entailment", "contradiction", "neutral"];
const TRUTH: [&str; 3] = ["true", "false", "unknown"];

/// A document about claims, taken apart.
struct Claims<'a> {
    premise: &'a str,
    /// Each claim and the verdict on it.
    judged: Vec<(&'a str, &'a str)>,
    /// The words for entailed, contradicted and neither.
    words: [&'a str; 3],
}

fn take_apart(text: &str) -> Claims<'_> {
    let text = text.trim_end_matches('.');
    let (premise, parts, join, verdict, words) = if let Some(rest) = text.strip_prefix("claim: ") {
        let (parts, premise) = rest.split_once(". facts: ").unwrap();
        (premise, parts, " / ", " = ", LABELS)
    } else if let Some(rest) = text.strip_prefix("the hypothesis that ") {
        let (parts, premise) = rest.split_once(" given the premise that ").unwrap();
        let words = ["right", "wrong", "unclear"];
        (premise, parts, " and that ", " is ", words)
    } else if let Some(rest) = text.strip_prefix("given that ") {
        let (premise, parts) = rest.split_once(" the idea that ").unwrap();
        (premise, parts, " and that ", " is ", LABELS)
    } else if let Some(rest) = text.strip_prefix("somebody said, ") {
        let (claim, rest) = rest.split_once(". but we know that ").unwrap();
        let (premise, word) = rest.split_once(" so that is ").unwrap();
        return Claims {
            premise,
            judged: vec![(claim, word)],
            words: TRUTH,
        };
    } else if let Some((parts, premise)) = text.split_once(", because ") {
        let words = ["surely", "never", "perhaps"];
        (premise, parts, ". ", ", ", words)
    } else if let Some((premise, parts)) = text.split_once(" we see: ") {
        (premise, parts, "; ", ": ", LABELS)
    } else if let Some((premise, parts)) = text.split_once(" claim: ") {
        (premise, parts, ". claim: ", ". verdict: ", LABELS)
    } else if let Some((premise, parts)) = text.split_once(" is it true that ") {
        let words = ["yes", "no", "maybe"];
        (premise, parts, ". is it true that ", "? ", words)
    } else {
        // "story. claim. this is true. claim. this is false": the story ends before the first claim.
        let (before, _) = text.split_once(". this is ").unwrap();
        let end = before.rfind(". ").unwrap();
        let sentences: Vec<&str> = text[end + 2..].split(". ").collect();
        let judged = sentences.chunks(2);
        return Claims {
            premise: &text[..end],
            judged: judged
                .map(|pair| (pair[0], &pair[1]["this is ".len()..]))
                .collect(),
            words: TRUTH,
        };
    };
    let judged = parts
        .split(join)
        .map(|part| match part.rsplit_once(verdict) {
            Some((word, claim)) if words.contains(&word) => (claim, word),
            judged => judged.unwrap(),
        });
    Claims {
        premise,
        judged: judged.collect(),
        words,
    }
}

#[test]
fn verdicts_on_claims_are_right_in_every_form() {
    let mut counts = BTreeMap::<[&str; 3], [usize; 3]>::new();
    let documents: Vec<String> = documents(Skill::Inference, 3000)
        .iter()
        .map(Document::text)
        .collect();
    for text in &documents {
        let claims = take_apart(text);
        let premise = reader::story(claims.premise);
        for (claim, word) in claims.judged {
            let label = verdict(&premise, &reader::statement(claim)) as usize;
            assert_eq!(claims.words[label], word, "{text}");
            counts.entry(claims.words).or_default()[label] += 1;
        }
    }
    assert_eq!(counts.len(), 5);
    for (words, counts) in counts {
        let all: usize = counts.iter().sum();
        let balanced = |&count: &usize| count * 4 > all && count * 5 < all * 2;
        assert!(counts.iter().all(balanced), "{words:?}: {counts:?}");
    }
}

#[test]
fn corrections_are_right_in_every_form() {
    let mut words = BTreeSet::new();
    for document in documents(Skill::Correction, 2000) {
        let text = document.text();
        let mut story = text
            .split_once(" facts: ")
            .map(|(_, story)| story.to_string());
        for pair in document.segments.windows(2).filter(|pair| pair[1].hidden) {
            let visible = ["? truth: ", ". it should be ", ", or rather ", " = "]
                .iter()
                .find_map(|marker| pair[0].text.strip_suffix(marker))
                .unwrap();
            let (before, claim) = visible.rsplit_once(". ").unwrap_or(("", visible));
            story.get_or_insert_with(|| before.to_string());
            let claim = ["check: ", "correct: "]
                .iter()
                .find_map(|marker| claim.strip_prefix(marker))
                .unwrap_or(claim);
            let claim = reader::statement(claim);
            let facts = reader::story(story.as_ref().unwrap());
            let word = pair[1].text.as_str();
            match verdict(&facts, &claim) {
                Label::Entailment => assert!(["right", "so"].contains(&word), "{text}"),
                Label::Neutral => assert!(["unknown", "unclear"].contains(&word), "{text}"),
                Label::Contradiction => {
                    // With these values in place of its own, the claim is what the story says.
                    let told = facts.iter().find(|fact| fact.key() == claim.key()).unwrap();
                    let differing: Vec<&str> = (claim.relation.values().iter())
                        .filter(|&&slot| told.get(slot) != claim.get(slot))
                        .map(|&slot| told.get(slot))
                        .collect();
                    assert!(!differing.is_empty(), "{text}");
                    assert_eq!(differing.join(" and "), word, "{text}");
                    words.insert("value".to_string());
                    continue;
                }
            }
            words.insert(word.to_string());
        }
    }
    let expected = ["right", "so", "unclear", "unknown", "value"];
    assert_eq!(Vec::from_iter(words), expected);
}

#[test]
fn comparisons_are_right_in_every_form() {
    let mut counts = BTreeMap::<String, usize>::new();
    for document in documents(Skill::Comparison, 2000) {
        let segments = &document.segments;
        for (number, segment) in segments.iter().enumerate().filter(|(_, s)| s.hidden) {
            // The pair stands before the verdict, or, where nothing but a full stop does, after it.
            let before = number
                .checked_sub(1)
                .map_or("", |n| segments[n].text.as_str());
            let pair = if segments[0].hidden {
                let after = segments[number + 1].text.trim_end();
                after.trim_start_matches(": ").trim_end_matches('.')
            } else {
                let pair = before.trim_start_matches(['.', ';', ' ']);
                let pair = pair.trim_start_matches("is it the same, ");
                let pair = pair.trim_start_matches("compare: ");
                [": ", "? ", " = ", ". this is "]
                    .iter()
                    .find_map(|marker| pair.strip_suffix(marker))
                    .unwrap()
            };
            let (first, second) = [" / ", ". in other words, ", " and ", ", "]
                .iter()
                .find_map(|join| pair.split_once(join))
                .unwrap();
            let same = if first.contains(' ') {
                reader::statement(first) == reader::statement(second)
            } else {
                first == second
            };
            let says_same = ["same", "yes", "true"].contains(&segment.text.as_str());
            assert_eq!(same, says_same, "{}", document.text());
            *counts.entry(segment.text.clone()).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 6, "{counts:?}");
    assert!(counts.values().all(|&count| count > 200), "{counts:?}");
}

#[test]
fn verdicts_on_pairs_are_right_in_every_form() {
    let mut words = BTreeSet::new();
    for document in documents(Skill::QuestionPairs, 3000) {
        let text = document.text();
        let questions = reader::questions_in(&text);
        let hidden = hidden(&document);
        assert_eq!(questions.len(), 2 * hidden.len(), "{text}");
        for (pair, word) in questions.chunks(2).zip(hidden) {
            let duplicate = ["is_duplicate", "same", "yes"].contains(&word);
            assert_eq!(pair[0] == pair[1], duplicate, "{text}");
            words.insert(word.to_owned());
        }
    }
    let expected = [
        "different",
        "is_duplicate",
        "no",
        "not_duplicate",
        "same",
        "yes",
    ];
    assert_eq!(Vec::from_iter(words), expected);
}

#[test]
fn answers_are_right_in_every_form() {
    let mut unanswered = BTreeSet::new();
    for document in documents(Skill::QuestionAnswering, 3000) {
        let text = document.text();
        let (story, questions) = (reader::statements_in(&text), reader::questions_in(&text));
        let hidden = hidden(&document);
        assert_eq!(questions.len(), hidden.len(), "{text}");
        for (question, word) in questions.iter().zip(hidden) {
            match &answers(&story, question)[..] {
                [] => _ = unanswered.insert(word.to_owned()),
                [answer] => assert_eq!(answer, word, "{text}"),
                several => panic!("{text} {several:?}"),
            }
        }
    }
    let expected = ["no answer", "nobody knows", "not given", "unknown"];
    assert_eq!(Vec::from_iter(unanswered), expected);
}

#[test]
fn easy_documents_repeat_short_stories_literally() {
    let easy = Difficulty {
        max_facts: 1,
        other_wording: 0.0,
        applied: 1.0,
    };
    let mut corpus = Corpus::new(8);
    for _ in 0..500 {
        let text = corpus.document(Some(Skill::Restate), easy).text();
        let sentences: Vec<&str> = text.trim_end_matches('.').split(". ").collect();
        let [first, second] = sentences[..] else {
            panic!("{text}");
        };
        assert!(first.ends_with(second) || second.ends_with(first), "{text}");
    }
}

#[test]
fn most_training_examples_mask_what_is_informative() {
    let mut corpus = Corpus::new(9);
    let (mut continued, count) = (0, 5000);
    for _ in 0..count {
        let example = corpus.training_example(FULL);
        assert!(!example.source.is_empty() && !example.target.is_empty());
        assert_eq!(example.target, example.target.trim());
        let masked = example.source.contains("<extra_id_0>");
        assert_eq!(masked, example.target.starts_with("<extra_id_0> "));
        continued += usize::from(!masked);
    }
    // 3 % any continuation, and those of the 15 % whose document ends with a hidden span.
    assert!(
        (count * 6 / 100..count * 18 / 100).contains(&continued),
        "{continued}"
    );
}

#[test]
fn a_skill_is_measured_on_masked_spans() {
    let mut corpus = Corpus::new(10);
    for skill in Skill::ALL {
        for _ in 0..200 {
            let example = corpus.skill_example(skill, FULL);
            assert!(example.source.contains("<extra_id_0>"));
            assert!(example.target.starts_with("<extra_id_0> "));
        }
    }
}
