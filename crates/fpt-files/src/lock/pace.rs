//! How long all that takes.

use std::time::Duration;

/// Between two beats of a holder.
pub(super) const BEAT: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5000 });

/// How long a lock is watched before something is concluded. Only tests want others than the default.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A holder on another machine is gone when its text has stayed the same for so long, by the clock of whoever looks.
    pub silence: Duration,
    /// A file that is so old, by the clocks of two machines, is nobody's.
    pub dead: Duration,
    /// Whoever replaces a lock lets so much time pass before looking whether nobody else did.
    pub settle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(30),
            dead: Duration::from_secs(600),
            settle: Duration::from_secs(2),
        }
    }
}
