//! Locks that are tried, not only asked for. One side holds locks on a scratch file, and the other side tries to take
//! write locks on the same bytes: where locks work, each try is refused.
//!
//! Two patterns are held. The beacon is held by F_OFD_SETLK, and the other side tries each of its bytes: those that are
//! refused are the nonce of the holder, and those that are granted show that not everything is refused here. The bytes
//! that SQLite locks are held and tried by F_SETLK, as SQLite does it.
//!
//! folklore: POSIX locks of one process never exclude each other. So the two sides must not be one process, and a helper
//! process holds them. fcntl(2); held by `locks_are_refused_between_two_sides`.

use std::fs::File;
use std::io;

use super::beacon::{Locked, PATTERN, Witness, Word};
use crate::evidence::Observation;
use crate::evidence::live::Refusal;
use crate::linux::sys::{self, LockHelper};
use crate::linux::unseen::unseen;

/// A lock as SQLite takes it, on a byte of a `-shm` or of a database. The scratch file has the bytes of both.
struct Held {
    start: u64,
    length: u64,
    exclusive: bool,
}

const fn exclusive(start: u64) -> Held {
    Held { start, length: 1, exclusive: true }
}

const fn shared(start: u64, length: u64) -> Held {
    Held { start, length, exclusive: false }
}

/// PENDING_BYTE of os.h.
const PENDING: u64 = 0x4000_0000;
/// RESERVED_BYTE of os.h.
const RESERVED: u64 = PENDING + 1;
/// What both sides hold at the same time: the SHARED range of a database, and the dead-man switch of a `-shm`.
const BOTH: [Held; 2] = [shared(PENDING + 2, 510), shared(128, 1)];
/// What the side that came first holds: a writer and a reader of a WAL, and a writer of a rollback journal.
const FIRST: [Held; 3] = [exclusive(120), shared(124, 1), exclusive(RESERVED)];
/// What the other side holds: a checkpointer and a reader of a WAL, and a process that waits for EXCLUSIVE.
const SECOND: [Held; 3] = [exclusive(121), shared(125, 1), exclusive(PENDING)];

/// The results of one side's tries; `None`: it could not be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Results {
    pub by_description: Option<Refusal>,
    pub by_process: Option<Refusal>,
    pub as_sqlite: Option<Refusal>,
}

/// The process of one side that holds and tries POSIX locks.
pub(super) struct Tries {
    helper: io::Result<LockHelper>,
    first: bool,
    /// What went wrong while the helper took its locks.
    held: io::Result<()>,
}

impl Tries {
    /// Starts the helper, before any lock is taken on the file. `first`: this side came first.
    pub(super) fn start(file: &File, first: bool) -> Self {
        let held = Err(io::Error::other("its locks were not taken"));
        Self { helper: LockHelper::start(file), first, held }
    }

    /// Takes the helper's locks.
    pub(super) fn take(&mut self) {
        self.held = self.helper().and_then(|helper| take(helper, self.first));
    }

    /// Whether a descriptor shows the exclusive locks of this side's helper.
    pub(super) fn are_held(&self, witness: &Witness) -> bool {
        let own = own(self.first).iter().filter(|held| held.exclusive);
        self.held.is_ok() && own.into_iter().all(|held| witness.sees_a_lock(held.start, held.length))
    }

    /// Tries what the other side holds: its beacon at `seat` with its nonce, and SQLite's bytes.
    pub(super) fn run(&self, file: &File, seat: u64, nonce: u64) -> [Observation<Refusal>; 3] {
        let by_description = pattern(seat, nonce, |byte| {
            let granted = sys::try_exclusive(file, byte, 1)?;
            if granted {
                sys::unlock(file, byte, 1)?;
            }
            Ok(granted)
        });
        let by_process = self.helper().and_then(|helper| {
            pattern(seat, nonce, |byte| {
                let granted = helper.try_exclusive(byte, 1)?;
                if granted {
                    helper.unlock(byte, 1)?;
                }
                Ok(granted)
            })
        });
        [
            observed("F_OFD_SETLK of a write lock on the scratch file", by_description),
            observed("F_SETLK of a write lock on the scratch file", by_process),
            observed("F_SETLK of the bytes that SQLite locks, on the scratch file", self.as_sqlite()),
        ]
    }

    fn helper(&self) -> io::Result<&LockHelper> {
        self.helper.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))
    }

    fn as_sqlite(&self) -> io::Result<Refusal> {
        let helper = self.helper()?;
        if let Err(error) = &self.held {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let mut granted = false;
        for held in own(!self.first) {
            if helper.try_exclusive(held.start, held.length)? {
                granted = true;
                helper.unlock(held.start, held.length)?;
            }
        }
        for held in &BOTH {
            if helper.try_exclusive(held.start, held.length)? {
                granted = true;
                helper.lock_shared(held.start, held.length)?;
            }
        }
        // A byte that nobody holds must be granted, else everything is refused here.
        let byte = free(self.first);
        let free = helper.try_exclusive(byte, 1)?;
        if free {
            helper.unlock(byte, 1)?;
        }
        Ok(match (granted, free) {
            (true, _) => Refusal::Granted,
            (false, true) => Refusal::Refused,
            (false, false) => Refusal::Garbled,
        })
    }
}

/// A byte that SQLite never locks and no side holds. Each side tries its own, because both can try at the same moment.
fn free(first: bool) -> u64 {
    if first { 200 } else { 201 }
}

fn own(first: bool) -> &'static [Held] {
    if first { &FIRST } else { &SECOND }
}

fn take(helper: &LockHelper, first: bool) -> io::Result<()> {
    for held in own(first).iter().chain(&BOTH) {
        if !held.exclusive {
            helper.lock_shared(held.start, held.length)?;
        } else if !helper.try_exclusive(held.start, held.length)? {
            return Err(io::Error::other("a lock was refused that nobody else should hold"));
        }
    }
    Ok(())
}

/// Tries each byte of a pattern. The bytes that are refused must be those of the nonce.
fn pattern(seat: u64, nonce: u64, attempt: impl Fn(u64) -> io::Result<bool>) -> io::Result<Refusal> {
    let mut refused = Vec::new();
    for byte in seat..seat + PATTERN {
        if !attempt(byte)? {
            refused.push(byte);
        }
    }
    let held = |bit: u64| refused.contains(&(seat + 2 * bit + (nonce >> bit & 1)));
    let all = (0..u64::from(u64::BITS)).all(held);
    Ok(match Locked::of_bytes(&refused).word(seat) {
        Word::Is(word) if word == nonce => Refusal::Refused,
        _ if all => Refusal::Garbled,
        _ => Refusal::Granted,
    })
}

fn observed(what: &str, tried: io::Result<Refusal>) -> Observation<Refusal> {
    match tried {
        Ok(refusal) => Observation::seen(refusal),
        Err(error) => unseen(what, &error),
    }
}

/// What another side reported, where this side cannot know the reason.
pub(super) fn reported(refusal: Option<Refusal>) -> Observation<Refusal> {
    match refusal {
        Some(refusal) => Observation::seen(refusal),
        None => Observation::unsupported("the other side could not try locks here"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::beacon;
    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    fn begun(file: &File, first: bool) -> Tries {
        let mut tries = Tries::start(file, first);
        tries.take();
        tries
    }

    fn results(tries: &Tries, file: &File, seat: u64, nonce: u64) -> [Option<Refusal>; 3] {
        tries.run(file, seat, nonce).map(|result| result.value().copied())
    }

    #[test]
    fn locks_are_refused_between_two_sides() {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        let (a, b) = (open(scratch.path()), open(scratch.path()));
        let (seat_a, seat_b) = (beacon::BASE, beacon::BASE + beacon::SEAT);
        beacon::hold(&a, seat_a, 5).unwrap();
        beacon::hold(&b, seat_b, 6).unwrap();
        let (first, second) = (begun(&a, true), begun(&b, false));
        assert!(first.are_held(&Witness::of(&a)) && second.are_held(&Witness::of(&b)));
        for _ in 0..2 {
            assert_eq!(results(&first, &a, seat_b, 6), [Some(Refusal::Refused); 3]);
            assert_eq!(results(&second, &b, seat_a, 5), [Some(Refusal::Refused); 3]);
        }
        // Another word in the place of the nonce is not what the other side holds.
        let [by_description, by_process, _] = results(&first, &a, seat_b, 7);
        assert_eq!((by_description, by_process), (Some(Refusal::Granted), Some(Refusal::Granted)));
    }

    #[test]
    fn locks_on_two_files_are_granted() {
        let (one, other) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let (a, b) = (open(one.path()), open(other.path()));
        let seat = beacon::BASE;
        beacon::hold(&a, seat, 5).unwrap();
        let (_first, second) = (begun(&a, true), begun(&b, false));
        assert_eq!(results(&second, &b, seat, 5), [Some(Refusal::Granted); 3]);
        assert!(second.are_held(&Witness::of(&b)), "what was granted was given back, and the rest stays");
    }

    #[test]
    fn where_everything_is_refused_nothing_is_known() {
        let scratch = tempfile::NamedTempFile::new().unwrap();
        let (a, b) = (open(scratch.path()), open(scratch.path()));
        let third = open(scratch.path());
        beacon::hold(&a, beacon::BASE, 5).unwrap();
        let (_first, second) = (begun(&a, true), begun(&b, false));
        sys::lock_shared(&third, beacon::BASE, beacon::SEAT).unwrap();
        sys::lock_shared(&third, free(false), 1).unwrap();
        assert_eq!(results(&second, &b, beacon::BASE, 5), [Some(Refusal::Garbled); 3]);
    }
}
