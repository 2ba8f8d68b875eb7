//! Relations, how they are stated, and how they are asked about.

use crate::entities::{ANIMALS, COLORS, DAYS, FOODS, JOBS, NAMES, OBJECTS, TOWNS, VENUES};

/// A place in a relation that an entity fills; templates write it `{p}`, `{q}` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The person who does or has something.
    P,
    /// The other person.
    Q,
    /// Town.
    T,
    /// Job.
    J,
    /// Animal.
    A,
    /// Color.
    C,
    /// Food.
    F,
    /// Object.
    O,
    /// Venue.
    V,
    /// Day.
    D,
}

impl Slot {
    /// Everything that can fill the slot.
    pub fn domain(self) -> &'static [&'static str] {
        match self {
            Self::P | Self::Q => &NAMES,
            Self::T => &TOWNS,
            Self::J => &JOBS,
            Self::A => &ANIMALS,
            Self::C => &COLORS,
            Self::F => &FOODS,
            Self::O => &OBJECTS,
            Self::V => &VENUES,
            Self::D => &DAYS,
        }
    }

    /// How templates write it.
    pub(crate) fn marker(self) -> &'static str {
        match self {
            Self::P => "{p}",
            Self::Q => "{q}",
            Self::T => "{t}",
            Self::J => "{j}",
            Self::A => "{a}",
            Self::C => "{c}",
            Self::F => "{f}",
            Self::O => "{o}",
            Self::V => "{v}",
            Self::D => "{d}",
        }
    }
}

/// What can be said about people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Somebody lives in a town.
    Home,
    /// Somebody has a job.
    Job,
    /// Somebody has a pet of some color.
    Pet,
    /// Somebody likes a food.
    Food,
    /// Somebody gave somebody an object.
    Give,
    /// Somebody sold somebody an object.
    Sell,
    /// Somebody went somewhere on a day.
    Go,
}

use Slot::{A, C, D, F, J, O, P, Q, T, V};

impl Relation {
    /// All relations.
    pub const ALL: [Self; 7] = [
        Self::Home,
        Self::Job,
        Self::Pet,
        Self::Food,
        Self::Give,
        Self::Sell,
        Self::Go,
    ];

    /// The slots, in the order in which they are drawn.
    pub fn slots(self) -> &'static [Slot] {
        match self {
            Self::Home => &[P, T],
            Self::Job => &[P, J],
            Self::Pet => &[P, C, A],
            Self::Food => &[P, F],
            Self::Give | Self::Sell => &[P, O, Q],
            Self::Go => &[P, V, D],
        }
    }

    /// The slot that identifies a fact: a person has one home, an object changes hands once.
    pub fn key(self) -> Slot {
        match self {
            Self::Give | Self::Sell => O,
            _ => P,
        }
    }

    /// The slots that the key determines.
    pub fn values(self) -> &'static [Slot] {
        match self {
            Self::Home => &[T],
            Self::Job => &[J],
            Self::Pet => &[C, A],
            Self::Food => &[F],
            Self::Give | Self::Sell => &[P, Q],
            Self::Go => &[V, D],
        }
    }

    /// Whether two people take part.
    pub(crate) fn has_two_people(self) -> bool {
        matches!(self, Self::Give | Self::Sell)
    }

    /// Four ways to state a fact.
    pub fn statements(self) -> &'static [&'static str; 4] {
        match self {
            Self::Home => &[
                "{p} lives in {t}",
                "the home of {p} is in {t}",
                "{p} has a house in {t}",
                "{t} is where {p} lives",
            ],
            Self::Job => &[
                "{p} is a {j}",
                "{p} works as a {j}",
                "the job of {p} is {j}",
                "{p} earns money as a {j}",
            ],
            Self::Pet => &[
                "{p} has a {c} {a}",
                "{p} owns a {c} {a}",
                "a {c} {a} belongs to {p}",
                "the pet of {p} is a {c} {a}",
            ],
            Self::Food => &[
                "{p} likes {f}",
                "{p} loves to eat {f}",
                "the favorite food of {p} is {f}",
                "{f} is what {p} loves",
            ],
            Self::Give => &[
                "{p} gave the {o} to {q}",
                "{q} got the {o} from {p}",
                "{q} was given the {o} by {p}",
                "the {o} was handed to {q} by {p}",
            ],
            Self::Sell => &[
                "{p} sold the {o} to {q}",
                "{q} bought the {o} from {p}",
                "the {o} was sold to {q} by {p}",
                "{q} paid {p} for the {o}",
            ],
            Self::Go => &[
                "{p} went to the {v} on {d}",
                "on {d} {p} walked to the {v}",
                "{p} made a trip to the {v} on {d}",
                "the {v} was visited by {p} on {d}",
            ],
        }
    }

    /// What can be asked: each kind of question with its templates.
    #[allow(clippy::too_many_lines, reason = "a table of data")]
    pub fn questions(self) -> &'static [QuestionKind] {
        match self {
            Self::Home => &[
                QuestionKind {
                    asked: &[T],
                    visible: &[P],
                    templates: &[
                        "where does {p} live",
                        "in which town is the home of {p}",
                        "what town does {p} live in",
                    ],
                },
                QuestionKind {
                    asked: &[P],
                    visible: &[T],
                    templates: &[
                        "who lives in {t}",
                        "who has a house in {t}",
                        "whose home is in {t}",
                    ],
                },
            ],
            Self::Job => &[
                QuestionKind {
                    asked: &[J],
                    visible: &[P],
                    templates: &[
                        "what is the job of {p}",
                        "as what does {p} work",
                        "how does {p} earn money",
                    ],
                },
                QuestionKind {
                    asked: &[P],
                    visible: &[J],
                    templates: &[
                        "who is a {j}",
                        "who works as a {j}",
                        "who earns money as a {j}",
                    ],
                },
            ],
            Self::Pet => &[
                QuestionKind {
                    asked: &[C],
                    visible: &[P, A],
                    templates: &[
                        "what color is the {a} of {p}",
                        "which color does the {a} of {p} have",
                    ],
                },
                QuestionKind {
                    asked: &[C, A],
                    visible: &[P],
                    templates: &[
                        "what pet does {p} have",
                        "which animal belongs to {p}",
                        "what does {p} own",
                    ],
                },
                QuestionKind {
                    asked: &[P],
                    visible: &[C, A],
                    templates: &[
                        "who owns the {c} {a}",
                        "to whom does the {c} {a} belong",
                        "who has a {c} {a}",
                    ],
                },
            ],
            Self::Food => &[
                QuestionKind {
                    asked: &[F],
                    visible: &[P],
                    templates: &[
                        "what does {p} like to eat",
                        "which food does {p} love",
                        "what is the favorite food of {p}",
                    ],
                },
                QuestionKind {
                    asked: &[P],
                    visible: &[F],
                    templates: &[
                        "who likes {f}",
                        "who loves to eat {f}",
                        "whose favorite food is {f}",
                    ],
                },
            ],
            Self::Give => &[
                QuestionKind {
                    asked: &[P],
                    visible: &[O, Q],
                    templates: &[
                        "who gave the {o} to {q}",
                        "from whom did {q} get the {o}",
                        "who handed {q} the {o}",
                    ],
                },
                QuestionKind {
                    asked: &[Q],
                    visible: &[P, O],
                    templates: &[
                        "to whom did {p} give the {o}",
                        "who got the {o} from {p}",
                        "who was given the {o} by {p}",
                    ],
                },
                QuestionKind {
                    asked: &[O],
                    visible: &[P, Q],
                    templates: &[
                        "what did {p} give to {q}",
                        "what did {q} get from {p}",
                        "what was {q} given by {p}",
                    ],
                },
            ],
            Self::Sell => &[
                QuestionKind {
                    asked: &[P],
                    visible: &[O, Q],
                    templates: &[
                        "who sold the {o} to {q}",
                        "from whom did {q} buy the {o}",
                        "who sold {q} the {o}",
                    ],
                },
                QuestionKind {
                    asked: &[Q],
                    visible: &[P, O],
                    templates: &[
                        "to whom did {p} sell the {o}",
                        "who bought the {o} from {p}",
                        "who paid {p} for the {o}",
                    ],
                },
                QuestionKind {
                    asked: &[O],
                    visible: &[P, Q],
                    templates: &[
                        "what did {p} sell to {q}",
                        "what did {q} buy from {p}",
                        "for what did {q} pay {p}",
                    ],
                },
            ],
            Self::Go => &[
                QuestionKind {
                    asked: &[V],
                    visible: &[P, D],
                    templates: &[
                        "where did {p} go on {d}",
                        "which place did {p} visit on {d}",
                        "what place was visited by {p} on {d}",
                    ],
                },
                QuestionKind {
                    asked: &[D],
                    visible: &[P, V],
                    templates: &[
                        "when did {p} go to the {v}",
                        "on which day did {p} visit the {v}",
                        "on what day was the {v} visited by {p}",
                    ],
                },
                QuestionKind {
                    asked: &[P],
                    visible: &[V, D],
                    templates: &[
                        "who went to the {v} on {d}",
                        "who visited the {v} on {d}",
                        "who made a trip to the {v} on {d}",
                    ],
                },
            ],
        }
    }
}

/// A kind of question about a relation.
#[derive(Debug, PartialEq, Eq)]
pub struct QuestionKind {
    /// What the answer consists of.
    pub asked: &'static [Slot],
    /// What the question mentions.
    pub visible: &'static [Slot],
    /// Ways to ask.
    pub templates: &'static [&'static str],
}

impl QuestionKind {
    /// How many pairs of different wordings with the same meaning there are, roughly: a person who
    /// trades with himself counts too.
    pub(crate) fn rephrasings(&self) -> usize {
        let wordings = self.templates.len();
        let meanings: usize = self.visible.iter().map(|s| s.domain().len()).product();
        meanings * wordings * (wordings - 1) / 2
    }
}
