//! Facts and what is said about them, read back independently.

use std::collections::HashSet;

use fpt_world::relation::{Relation, Slot};
use fpt_world::world::{Label, NearMisses, World, sentences};
use proptest::prelude::*;

use crate::reader::{self, answers, verdict};

#[test]
fn every_wording_has_one_reading() {
    let mut world = World::new(1);
    for relation in Relation::ALL {
        for _ in 0..200 {
            let people = world.people(2);
            let fact = world.fact(relation, &people);
            for wording in 0..relation.statements().len() {
                assert_eq!(reader::statement(&fact.state(wording)), fact);
            }
            for kind in relation.questions() {
                for template in kind.templates {
                    let asked = reader::question(&fact.render(template));
                    assert_eq!((asked.relation, asked.kind), (relation, kind));
                    let mentions: Vec<Slot> = asked.mentions.keys().copied().collect();
                    let mut visible = kind.visible.to_vec();
                    visible.sort_unstable();
                    assert_eq!(mentions, visible);
                }
            }
        }
    }
}

#[test]
fn other_wordings_are_other_texts() {
    let mut world = World::new(2);
    for _ in 0..500 {
        let people = world.people(2);
        let fact = world.any_fact(&people);
        let first = world.say(&fact);
        let second = world.say_otherwise(&fact, first.wording);
        assert_eq!(second.fact, fact);
        assert_ne!(first.text(), second.text());
    }
}

#[test]
fn a_near_miss_keeps_to_the_first_question() {
    let mut world = World::new(3);
    let mut same_relation = 0;
    for _ in 0..2000 {
        let people = world.people(2);
        let fact = world.any_fact(&people);
        let first = world.ask(&fact);
        let pair = world.pair_with(first.clone(), false, 1.0, NearMisses::HARD);
        assert_eq!(pair.first, first.text());
        assert!(!pair.duplicate);
        same_relation += usize::from(reader::question(&pair.second).relation == fact.relation);
    }
    // A question about something else would be told apart by its words alone.
    assert!(same_relation > 1700, "{same_relation} of 2000");
}

proptest! {
    #[test]
    fn stories_do_not_contradict_themselves(seed: u64, count in 1usize..7) {
        let mut world = World::new(seed);
        let people = world.cast(count);
        let facts = world.story(count, &people);
        prop_assert_eq!(facts.len(), count);
        let keys: HashSet<_> = facts.iter().map(|fact| fact.key()).collect();
        prop_assert_eq!(keys.len(), count);
        for (index, fact) in facts.iter().enumerate() {
            prop_assert!(people.contains(&fact.filling[&Slot::P]));
            prop_assert_ne!(fact.get(Slot::P), fact.get(Slot::Q));
            let others = [&facts[..index], &facts[index + 1..]].concat();
            prop_assert_eq!(verdict(&others, fact), Label::Neutral);
            // No question about one fact is also answered by another.
            for kind in fact.relation.questions() {
                let asked = reader::question(&fact.render(kind.templates[0]));
                let expected = fact.answer(kind);
                prop_assert!(answers(&facts, &asked).contains(&expected));
            }
        }
        let said = world.tell(&facts);
        prop_assert_eq!(reader::story(&sentences(&said)), facts);
    }

    #[test]
    fn hypotheses_have_the_label_asked_for(
        seed: u64,
        count in 1usize..4,
        label in prop::sample::select(&Label::ALL[..]),
        other_wording in 0.0..=1.0,
    ) {
        let mut world = World::new(seed);
        let people = world.people(2);
        let facts = world.story(count, &people);
        let premise = world.tell(&facts);
        let hypothesis = world.hypothesis(&premise, &people, label, other_wording);
        prop_assert_eq!(verdict(&facts, &reader::statement(&hypothesis.text())), label);
    }

    #[test]
    fn questions_have_their_answer_or_none(seed: u64, count in 1usize..6, unanswerable in 0u8..2) {
        let mut world = World::new(seed);
        let (facts, question) = world.question(count, f64::from(unanswerable));
        prop_assert_eq!(question.answer.is_none(), unanswerable == 1);
        let found = answers(&facts, &reader::question(&question.text()));
        prop_assert_eq!(found, question.answer.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn only_the_answer_fills_a_blank(seed: u64, count in 2usize..6) {
        let mut world = World::new(seed);
        let cloze = world.cloze(count);
        let facts: Vec<_> = cloze.story.iter().map(|said| said.fact.clone()).collect();
        prop_assert!(cloze.entities.len() >= 3);
        prop_assert!(cloze.entities.contains(&cloze.answer));
        for entity in &cloze.entities {
            let mut claim = cloze.query.clone();
            claim.fact = claim.fact.with(cloze.blank, entity.as_str());
            prop_assert_eq!(facts.contains(&claim.fact), entity == &cloze.answer);
        }
        let repeated = cloze.story.iter().any(|said| said.text() == cloze.query.text());
        prop_assert!(!repeated, "the query is worded as in the story");
    }
}
