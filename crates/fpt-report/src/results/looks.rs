//! How methods look in figures: the same wherever they are drawn, and whatever is drawn beside them.

use fpt_schedule::{Method, Reduction};

use super::Results;
use crate::html::Look;

/// The first look of schedules of stages of their own: methods have those before it.
const OWN: usize = 1 + Reduction::ALL.len();

impl Results {
    /// The look of a method, or of a schedule of stages of its own by its name. A reduction's colour is that of its
    /// progressive training; partial models alone are hollow.
    pub(super) fn look(&self, method: Option<Method>, label: &str) -> Look {
        let of = |reduction: Reduction| {
            let place = Reduction::ALL.iter().position(|it| *it == reduction);
            Look::nth(1 + place.unwrap_or_default())
        };
        match method {
            Some(Method::Pt) => Look::nth(0),
            Some(Method::Partial(reduction, _)) => of(reduction).hollow(),
            Some(Method::Fpt(reduction)) => of(reduction),
            _ => {
                let own = self.rows.iter().filter(|row| row.method.is_none());
                let place = own.map(|row| &row.label).position(|it| it == label);
                Look::nth(OWN + place.unwrap_or_default())
            }
        }
    }
}
