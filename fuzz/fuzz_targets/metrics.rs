//! Metrics of any two texts.
#![no_main]

use fpt_tasks::metrics::{paper, record, rouge, squad};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (gold, prediction) = texts;
    let paper = paper::rouge(prediction, gold);
    let official = rouge::rouge(prediction, gold);
    for score in [
        paper.rouge_1,
        paper.rouge_2,
        paper.rouge_l,
        official.rouge_1,
        official.rouge_2,
        official.rouge_l,
        official.rouge_lsum,
        paper::word_f1(gold, prediction),
        squad::f1(gold, prediction),
        record::f1(gold, prediction),
        record::exact_match(gold, prediction),
    ] {
        assert!((0.0..=1.0).contains(&score), "{score}");
    }
    assert!(squad::exact_match(gold, gold) && squad::f1(gold, gold) == 1.0);
    let normal = squad::normalize_answer(gold);
    assert_eq!(
        squad::exact_match(gold, prediction),
        normal == squad::normalize_answer(prediction)
    );
    let golds = [gold.to_owned()];
    assert!(paper::exact_match(gold, &golds));
    for (name, value) in squad::v2([(prediction, &golds[..]), (gold, &[])]) {
        assert!((0.0..=100.0).contains(&value), "{name} {value}");
    }
});
