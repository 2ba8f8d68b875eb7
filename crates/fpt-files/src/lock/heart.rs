//! The thread that beats for all locks of the process. It ends with the last.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::lease::{Held, lock};
use super::pace::BEAT;

/// The locks that are held.
struct Heart {
    held: Vec<Arc<Held>>,
    beats: bool,
}

static HEART: Mutex<Heart> = Mutex::new(Heart {
    held: Vec::new(),
    beats: false,
});
static CHANGED: Condvar = Condvar::new();

/// Beat for a lock, too.
pub(super) fn add(held: &Arc<Held>) {
    let mut heart = lock(&HEART);
    heart.held.push(Arc::clone(held));
    if !heart.beats {
        let thread = thread::Builder::new().name("locks".into());
        // Without it, others may take the lock, which is then found to be lost.
        heart.beats = thread.spawn(beat).is_ok();
    }
}

/// No longer.
pub(super) fn remove(held: &Arc<Held>) {
    let mut heart = lock(&HEART);
    heart.held.retain(|it| !Arc::ptr_eq(it, held));
    if heart.held.is_empty() {
        CHANGED.notify_all();
    }
}

fn beat() {
    let mut heart = lock(&HEART);
    loop {
        let waited = CHANGED.wait_timeout_while(heart, BEAT, |heart| !heart.held.is_empty());
        heart = waited.unwrap_or_else(PoisonError::into_inner).0;
        if heart.held.is_empty() {
            heart.beats = false;
            return;
        }
        let all = heart.held.clone();
        drop(heart);
        all.iter().for_each(|held| held.beat());
        heart = lock(&HEART);
    }
}

/// Whether the thread is there.
#[cfg(test)]
pub(super) fn is_beating() -> bool {
    lock(&HEART).beats
}
