//! Locks of two machines and more.

#![allow(clippy::unwrap_used)]

use std::fs::TryLockError;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use super::machine::Machine;
use super::text::{Said, Who};
use super::*;

const PACE: Pace = Pace {
    silence: Duration::from_millis(400),
    dead: Duration::from_secs(600),
    settle: Duration::from_millis(100),
};

/// Where beats must not be missed, however busy the machine is.
const PATIENT: Pace = Pace {
    silence: Duration::from_secs(60),
    settle: Duration::from_secs(2),
    ..PACE
};

fn machine(host: &str) -> &'static Machine {
    Box::leak(Box::new(Machine {
        host: host.into(),
        kernel: host.into(),
        space: "1".into(),
    }))
}

/// Another machine, on whose file system locks are what `try_lock` says.
fn elsewhere(host: &str, try_lock: flock::TryLock) -> Means {
    Means {
        pace: PATIENT,
        try_lock,
        here: machine(host),
    }
}

/// As where locks are those of each machine.
fn lies(_: &File) -> Result<(), TryLockError> {
    Ok(())
}

#[cfg(unix)]
fn missing(_: &File) -> Result<(), TryLockError> {
    let code = rustix::io::Errno::NOLCK.raw_os_error();
    Err(TryLockError::Error(io::Error::from_raw_os_error(code)))
}

#[cfg(not(unix))]
fn missing(_: &File) -> Result<(), TryLockError> {
    Err(TryLockError::Error(ErrorKind::Unsupported.into()))
}

fn had(owner: Owner) -> Lock {
    match owner {
        Owner::Nobody(Some(lock)) => lock,
        other => panic!("{other:?}"),
    }
}

fn wait(directory: &Path, means: Means, patience: Duration) -> Owner {
    let mut watch = Watch::with(directory.join(LOCK), means);
    watch.wait(patience, Watch::take, &mut |_| true).unwrap()
}

#[test]
fn a_lock_is_held_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let me = format!("process {}", std::process::id());
    let is_mine = |owner: Owner| matches!(owner, Owner::Process(name) if name == me);
    assert!(matches!(Lock::owner(&directory), Ok(Owner::Nobody(None))));
    let lock = Lock::new(&directory).unwrap().unwrap();
    assert!(Lock::new(&directory).is_err());
    assert!(is_mine(Lock::owner(&directory).unwrap()));
    assert!(is_mine(Lock::take(&directory).unwrap()));
    drop(lock);
    drop(had(Lock::owner(&directory).unwrap()));
    let lock = had(Lock::take(&directory).unwrap());
    assert!(is_mine(Lock::owner(&directory).unwrap()) && may_be_ours(directory.path()));
    assert!(!lock.is_lost() && lock.new_holder().unwrap().is_none());
    lock.remove(&directory);
    assert!(matches!(Lock::owner(&directory), Ok(Owner::Nobody(None))));
    assert!(!may_be_ours(directory.path()));
}

/// What a killed process of this machine left can be had at once; that of older versions too.
#[test]
fn the_end_of_a_process_of_this_machine_shows_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOCK);
    for text in ["process 1\n".into(), Who::now(Machine::here()).holds(3)] {
        fs::write(&path, &text).unwrap();
        drop(had(Lock::owner(&directory).unwrap()));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        drop(had(Lock::take(&directory).unwrap()));
        let said = Said::of(&fs::read_to_string(&path).unwrap());
        assert!(matches!(said, Said::Left(_)), "{said:?}");
    }
}

#[test]
fn a_holder_beats_wherever_its_directory_goes() {
    let place = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| place.path().join(name));
    fs::create_dir(&before).unwrap();
    let lock = Lock::new(&before).unwrap().unwrap();
    let beats = |directory: &Path| {
        let text = || fs::read_to_string(directory.join(LOCK)).unwrap();
        let (first, start) = (text(), Instant::now());
        while text() == first {
            assert!(start.elapsed() < Duration::from_secs(20), "{first}");
            thread::sleep(Duration::from_millis(5));
        }
    };
    beats(&before);
    lock.moves_to(&after);
    beats(&before);
    fs::rename(&before, &after).unwrap();
    beats(&after);
    assert!(!lock.is_lost() && lock.new_holder().unwrap().is_none());
    lock.remove(&after);
    assert_eq!(
        lock.new_holder().unwrap().unwrap(),
        "nobody (the lock is gone)"
    );
    assert!(lock.is_lost());
    drop(lock);
    // The thread ends with the last lock; other tests have some.
    let start = Instant::now();
    while heart::is_beating() {
        assert!(start.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
}

#[test]
fn a_process_of_another_machine_has_it_as_long_as_it_beats() {
    for try_lock in [lies as flock::TryLock, missing] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK);
        let means = Means {
            pace: PACE,
            try_lock,
            ..Means::default()
        };
        let (other, mut beats) = (Who::now(machine("n1")), 0);
        let mut beat = || {
            fs::write(&path, other.holds(beats)).unwrap();
            beats += 1;
        };
        beat();
        // At first nobody knows. Whoever sweeps does not wait.
        let owner = Watch::with(path.clone(), means).owner().unwrap();
        assert!(matches!(owner, Owner::Unheard { .. }), "{owner:?}");
        // It beats between any two looks.
        let mut watch = Watch::with(path.clone(), means);
        let owner = watch.wait(2 * PACE.silence, Watch::take, &mut |_| {
            beat();
            true
        });
        let Ok(Owner::Process(name)) = owner else {
            panic!("{owner:?}");
        };
        assert!(name.ends_with(" on host n1"), "{name}");
        let start = Instant::now();
        let lock = had(wait(directory.path(), means, Duration::ZERO));
        assert!(start.elapsed() >= PACE.silence);
        assert!(lock.new_holder().unwrap().is_none());
    }
}

#[test]
fn what_is_very_old_is_nobodys_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOCK);
    for text in [Who::now(machine("n1")).holds(3), String::new()] {
        fs::write(&path, &text).unwrap();
        let owner = Lock::owner(&directory).unwrap();
        assert!(matches!(owner, Owner::Unheard { .. }), "{owner:?}");
        let file = File::options().write(true).open(&path).unwrap();
        let old = std::time::SystemTime::now() - 2 * PACE.dead;
        file.set_modified(old).unwrap();
        drop(had(Lock::owner(&directory).unwrap()));
    }
}

/// A process is suspended, another machine takes its lock; then it goes on.
#[test]
fn a_lock_that_was_taken_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOCK);
    let lock = Lock::new(&directory).unwrap().unwrap();
    lock.lease().unwrap().suspend();
    let means = elsewhere("n1", lies);
    let mut told = Vec::new();
    let mut watch = Watch::with(
        path.clone(),
        Means {
            pace: Pace {
                silence: Duration::from_secs(5),
                ..PACE
            },
            ..means
        },
    );
    let owner = watch.wait(Duration::ZERO, Watch::take_existing, &mut |waiting| {
        told.extend(waiting.news.map(|_| waiting.to_string()));
        true
    });
    let taken = had(owner.unwrap());
    let name = format!("waiting for process {} on host ", std::process::id());
    assert!(
        told.len() == 1
            && told[0].starts_with(&name)
            && told[0].contains(", which may be gone: up to "),
        "{told:?}"
    );
    // It finds that by itself, leaves the file alone, and keeps to it.
    assert!(lock.is_lost());
    let holder = lock.new_holder().unwrap().unwrap();
    assert!(holder.ends_with(" on host n1"), "{holder}");
    lock.remove(&directory);
    drop(lock);
    assert!(taken.new_holder().unwrap().is_none());
    assert!(path.exists());
    drop(taken);
    let said = Said::of(&fs::read_to_string(&path).unwrap());
    assert!(matches!(said, Said::Left(_)));
}

/// Each on a machine of its own, with locks that mean nothing.
#[test]
fn of_many_machines_one_has_it() {
    for (try_lock, text) in [
        (lies as flock::TryLock, Some(Who::now(machine("n0")).left())),
        (missing, Some(Who::now(machine("n0")).left())),
        (missing, None),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(LOCK);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let owners: Vec<Owner> = thread::scope(|scope| {
            let takers = [(); 8].map(|()| {
                static NEXT: std::sync::atomic::AtomicUsize =
                    std::sync::atomic::AtomicUsize::new(0);
                let number = NEXT.fetch_add(1, Ordering::SeqCst);
                let means = elsewhere(&format!("m{number}"), try_lock);
                let path = path.clone();
                scope.spawn(move || Watch::with(path, means).take().unwrap())
            });
            takers.map(|it| it.join().unwrap()).into()
        });
        let locks = owners
            .iter()
            .filter(|owner| matches!(owner, Owner::Nobody(_)));
        assert_eq!(locks.count(), 1, "{owners:?}");
        drop(owners);
        assert_eq!(crate::listing::names(directory.path()), [LOCK]);
    }
}

#[test]
fn a_lock_without_locks_is_one_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(LOCK);
    let [here, there] = ["m1", "m2"].map(|host| elsewhere(host, missing));
    let lock = had(Watch::with(path.clone(), here).take().unwrap());
    let owner = wait(directory.path(), there, Duration::from_millis(200));
    assert!(matches!(owner, Owner::Process(_)), "{owner:?}");
    drop(lock);
    // It said that it left.
    let start = Instant::now();
    drop(had(wait(directory.path(), there, Duration::ZERO)));
    assert!(start.elapsed() < PATIENT.silence);
}
