//! How a run is conducted: nothing that its results depend on.

use std::time::Duration;

/// How a run is conducted: when it writes checkpoints, what becomes of one that was begun before, and when it stops.
/// None of this changes what comes out, to the bit.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// What becomes of an unfinished run in the same place.
    pub begun: Begun,
    /// Write a checkpoint after so many steps.
    pub every_steps: Option<usize>,
    /// Write a checkpoint after so much time.
    pub every: Option<Duration>,
    /// Whether the run is to stop. It is asked after every step, and while examples are tokenized or evaluated; then the
    /// run writes a checkpoint and ends with [`TrainError::Stopped`](crate::TrainError::Stopped).
    pub stop: fn() -> bool,
}

/// What becomes of an unfinished run in the same place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Begun {
    /// Go on with it if there is one.
    #[default]
    GoOn,
    /// Go on with it; that there is none is an error.
    MustGoOn,
    /// Set it aside, and begin anew.
    SetAside,
}

impl Default for Conduct {
    /// Goes on with what was begun, writes a checkpoint every five minutes, and is never told to stop.
    fn default() -> Self {
        Self {
            begun: Begun::GoOn,
            every_steps: None,
            every: Some(Duration::from_secs(300)),
            stop: || false,
        }
    }
}
