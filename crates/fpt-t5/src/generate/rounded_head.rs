//! A copy of the output head in bytes, for greedy decoding.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Tensor;

use crate::fused::{Identity, Shortlist};

/// Tokens that are decoded before there is a copy: making it takes as long as it saves for so many.
const BREAK_EVEN: usize = 8;

/// The [`Shortlist`] of a model's head, made when it has decoded some tokens, and shared with the model's clones. It is
/// only ever used for the head that it was made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundedHead(Arc<Mutex<Option<Copy>>>);

#[derive(Debug)]
struct Copy {
    of: Identity,
    /// Tokens that were decoded without it.
    tokens: usize,
    shortlist: Option<Arc<Shortlist>>,
}

impl RoundedHead {
    /// Of the first `known` logits of each row of `hidden`, `[rows, 1, in]`, under `head`, `[in, out]`: which is the
    /// largest, and of equals the first. Nothing where the logits are better computed.
    pub(crate) fn largest(
        &self,
        hidden: &Tensor<3>,
        head: &Tensor<2>,
        known: usize,
    ) -> Option<Vec<u32>> {
        let identity = Identity::worthwhile(hidden, head)?;
        let shortlist = match self.shortlist(identity) {
            Ok(shortlist) => shortlist,
            Err(Soon::Wait) => return None,
            Err(Soon::Make) => self.make(hidden, head)?,
        };
        shortlist.largest(hidden, head, known)
    }

    /// The shortlist of this head, if there is one.
    fn shortlist(&self, of: Identity) -> Result<Arc<Shortlist>, Soon> {
        let mut copy = self.lock();
        let copy = match &mut *copy {
            Some(copy) if copy.of == of => copy,
            // That of another head goes.
            other => other.insert(Copy {
                of,
                tokens: 0,
                shortlist: None,
            }),
        };
        if let Some(shortlist) = &copy.shortlist {
            return Ok(Arc::clone(shortlist));
        }
        copy.tokens += 1;
        Err(if copy.tokens > BREAK_EVEN {
            Soon::Make
        } else {
            Soon::Wait
        })
    }

    /// Make that of this head. Nobody is kept waiting meanwhile: who wants it, too, makes one.
    fn make(&self, hidden: &Tensor<3>, head: &Tensor<2>) -> Option<Arc<Shortlist>> {
        let shortlist = Arc::new(Shortlist::of(head)?);
        let of = Identity::worthwhile(hidden, head)?;
        if let Some(copy) = self.lock().as_mut().filter(|copy| copy.of == of) {
            copy.shortlist = Some(Arc::clone(&shortlist));
        }
        Some(shortlist)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Copy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to do where there is no shortlist yet.
enum Soon {
    Wait,
    Make,
}
