//! Stops: by signals, after a time limit, or because whoever started or reads this program is gone.

use std::io::Read;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use crate::terminal;

/// Why the program is to stop: the number of a signal, or one of the two below; 0 if it is not.
static REASON: AtomicI32 = AtomicI32::new(0);
/// Whether there is something to lose.
static AT_WORK: AtomicBool = AtomicBool::new(false);
static DEADLINE: OnceLock<Instant> = OnceLock::new();
static BEFORE_THE_END: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Beyond all signals.
const TIME: i32 = 1000;
const ALONE: i32 = 1001;

/// The exit status after a time limit: that of a temporary failure (`EX_TEMPFAIL`), for the same command goes on.
const TEMPORARY: u8 = 75;

/// Let SIGINT, SIGTERM, SIGHUP and SIGUSR1 (as Slurm sends before it ends a job) ask the program to stop; a second one
/// stops it at once.
///
/// # Errors
/// If the system refuses.
pub fn listen() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        use signal_hook::iterator::Signals;

        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1])?;
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if is_asked() {
                    std::process::exit(128 + signal);
                }
                ask(signal);
                terminal::note(&format!(
                    "{}: this stops as soon as nothing is lost; a second signal stops it at once",
                    signal_name(signal)
                ));
            }
        });
    }
    Ok(())
}

/// Stop after so much time from now.
pub fn after(limit: Duration) {
    // A second limit is not set by any command; one beyond all clocks is none.
    if let Some(deadline) = Instant::now().checked_add(limit) {
        let _ = DEADLINE.set(deadline);
    }
}

/// Stop when standard input ends: it is a pipe from the program that started this one, and ends with that.
pub fn at_end_of_input() {
    std::thread::spawn(|| {
        let mut input = std::io::stdin().lock();
        let mut bytes = [0; 64];
        loop {
            match input.read(&mut bytes) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        alone();
    });
}

/// From now on a stop loses something unless it is waited for. Before that a program ends at once: to load a model takes
/// long, and is soon repeated.
pub fn at_work() {
    AT_WORK.store(true, Ordering::SeqCst);
}

/// What is to be done where a stop ends this program at once. The first that is said counts.
pub fn before_it_ends_at_once(action: Box<dyn Fn() + Send + Sync>) {
    let _ = BEFORE_THE_END.set(action);
}

/// Stop: nobody listens any more.
pub fn alone() {
    ask(ALONE);
}

fn ask(reason: i32) {
    // The first reason counts.
    let _ = REASON.compare_exchange(0, reason, Ordering::SeqCst, Ordering::SeqCst);
    if !AT_WORK.load(Ordering::SeqCst) {
        terminal::note(&format!(
            "stopped by {} before it had begun",
            self::reason()
        ));
        if let Some(action) = BEFORE_THE_END.get() {
            action();
        }
        std::process::exit(exit_status().into());
    }
}

/// Whether the program is to stop.
pub fn is_asked() -> bool {
    if DEADLINE.get().is_some_and(|at| Instant::now() >= *at) {
        ask(TIME);
    }
    REASON.load(Ordering::SeqCst) != 0
}

/// Whether it is because the time is up: by a limit, or as Slurm tells a job (SIGUSR1).
pub fn is_for_time() -> bool {
    #[cfg(unix)]
    const NOTICE: i32 = signal_hook::consts::SIGUSR1;
    #[cfg(not(unix))]
    const NOTICE: i32 = TIME;
    [TIME, NOTICE].contains(&REASON.load(Ordering::SeqCst))
}

/// Why, in words.
pub fn reason() -> String {
    match REASON.load(Ordering::SeqCst) {
        0 => "nothing".into(),
        TIME => "the time limit".into(),
        ALONE => "the end of what reads it".into(),
        signal => signal_name(signal),
    }
}

/// The exit status of a program that was asked to stop: 128 and the number of the signal, as shells have it; 75 after a
/// time limit; 141, as of a closed pipe, where nobody reads what it says.
pub fn exit_status() -> u8 {
    match REASON.load(Ordering::SeqCst) {
        TIME => TEMPORARY,
        ALONE => 128 + 13,
        signal => u8::try_from(128 + signal).unwrap_or(2),
    }
}

/// The name of a signal, such as SIGTERM.
pub fn signal_name(signal: i32) -> String {
    #[cfg(unix)]
    if let Some(name) = signal_hook::low_level::signal_name(signal) {
        return name.into();
    }
    format!("signal {signal}")
}
