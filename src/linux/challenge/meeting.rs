//! A meeting of two sides that have only a word in common. They use lock beacons alone; nothing is written.
//!
//! Each side chooses a seat at random, and holds there its nonce and a digest of the kernel identity of its file. It
//! looks for the nonce of the other side, answers by holding the nonce that it read, and stays until the other side is
//! satisfied or gone.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::beacon::{self, Locked, PATTERN, SEAT, Word};
use crate::linux::sys;

/// Seats at one table.
const SEATS: u64 = 64;
/// Where the tables begin, after the single beacons.
const TABLES: u64 = beacon::BASE + (1 << 36);
/// Number of tables. The word of a meeting chooses one.
const TABLE_COUNT: u64 = 1 << 16;
/// Time between two looks at the table.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a meeting went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// What this side held.
    pub nonce: u64,
    /// The nonce of the other side; `None`: nobody was seen.
    pub peer: Option<u64>,
    /// The digest that the other side held with its nonce.
    pub peer_digest: Option<u64>,
    /// Whether the other side held this side's nonce as its answer: then it has seen this side.
    pub acknowledged: bool,
}

/// Looks for another side until both have seen each other, `stop` says to stop, or the time is over.
///
/// # Errors
/// What fcntl(2) or getrandom(2) said.
pub fn meet(
    file: &File,
    token: &str,
    digest: Option<u64>,
    timeout: Duration,
    stop: &dyn Fn() -> bool,
) -> io::Result<Met> {
    let table = TABLES + beacon::fnv(token.as_bytes()) % TABLE_COUNT * SEATS * SEAT;
    let mut own = OwnSeat { file, table, seat: 0, digest, answer: None, met: Met::of(beacon::nonce()?) };
    let begun = Instant::now();
    own.take_seat()?;
    while begun.elapsed() < timeout && !stop() {
        if own.look()? {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    sys::unlock(file, own.seat, SEAT)?;
    Ok(own.met)
}

impl Met {
    fn of(nonce: u64) -> Self {
        Self { nonce, peer: None, peer_digest: None, acknowledged: false }
    }
}

/// The seat of this side at the table, and what it knows.
struct OwnSeat<'a> {
    file: &'a File,
    table: u64,
    seat: u64,
    digest: Option<u64>,
    /// Seat and nonce of the side that this one answers.
    answer: Option<(u64, u64)>,
    met: Met,
}

/// Places of the patterns in a seat.
const NONCE: u64 = 0;
const DIGEST: u64 = PATTERN;
const ANSWER: u64 = 2 * PATTERN;
/// One byte, locked when this side has seen its answer.
const SATISFIED: u64 = 3 * PATTERN;

impl OwnSeat<'_> {
    fn take_seat(&mut self) -> io::Result<()> {
        self.seat = self.table + beacon::nonce()? % SEATS * SEAT;
        self.answer = None;
        // The nonce is held last: a side that reads it finds a complete digest.
        if let Some(digest) = self.digest {
            beacon::hold(self.file, self.seat + DIGEST, digest)?;
        }
        beacon::hold(self.file, self.seat + NONCE, self.met.nonce)
    }

    /// Looks at the table once. Returns whether the meeting is over.
    fn look(&mut self) -> io::Result<bool> {
        let locked = Locked::look(self.file, self.table, SEATS * SEAT)?;
        if locked.touches(self.seat, SEAT) {
            // Somebody drew the same seat; neither can be read.
            sys::unlock(self.file, self.seat, SEAT)?;
            self.take_seat()?;
            return Ok(false);
        }
        if let Some((seat, nonce)) = self.answer
            && locked.word(seat + NONCE) != Word::Is(nonce)
        {
            // The other side is gone: it was satisfied, or it ended.
            if self.met.acknowledged {
                return Ok(true);
            }
            self.withdraw_answer()?;
        }
        if self.answer.is_none() {
            self.answer_somebody(&locked)?;
        }
        let Some((seat, _)) = self.answer else { return Ok(false) };
        match locked.word(seat + ANSWER) {
            Word::Is(word) if word == self.met.nonce => {
                if !self.met.acknowledged {
                    self.met.acknowledged = true;
                    sys::lock_shared(self.file, self.seat + SATISFIED, 1)?;
                }
                Ok(locked.has(seat + SATISFIED))
            }
            // It answers another side.
            Word::Is(_) => self.withdraw_answer().map(|()| false),
            Word::Free | Word::Garbled => Ok(false),
        }
    }

    /// Answers a side at the table that does not answer another side.
    fn answer_somebody(&mut self, locked: &Locked) -> io::Result<()> {
        let free = |seat: u64| match locked.word(seat + ANSWER) {
            Word::Is(word) => word == self.met.nonce,
            Word::Free | Word::Garbled => true,
        };
        let seats = (0..SEATS).map(|number| self.table + number * SEAT);
        for seat in seats.filter(|seat| locked.touches(*seat, SEAT)) {
            let Word::Is(nonce) = locked.word(seat + NONCE) else { continue };
            if !free(seat) {
                continue;
            }
            self.met.peer = Some(nonce);
            self.met.peer_digest = match locked.word(seat + DIGEST) {
                Word::Is(digest) => Some(digest),
                Word::Free | Word::Garbled => None,
            };
            self.answer = Some((seat, nonce));
            return beacon::hold(self.file, self.seat + ANSWER, nonce);
        }
        Ok(())
    }

    fn withdraw_answer(&mut self) -> io::Result<()> {
        self.answer = None;
        beacon::release(self.file, self.seat + ANSWER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn party(file: &tempfile::NamedTempFile, tokens: &[(&str, u64)], timeout: Duration) -> Vec<Met> {
        std::thread::scope(|scope| {
            let each = tokens.iter().map(|(token, digest)| {
                let file = File::open(file.path()).unwrap();
                scope.spawn(move || meet(&file, token, Some(*digest), timeout, &|| false).unwrap())
            });
            let each: Vec<_> = each.collect();
            each.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn two_find_each_other_and_their_digests() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let met = party(&file, &[("word", 1), ("word", 2)], LONG);
        assert_eq!((met[0].peer, met[0].peer_digest), (Some(met[1].nonce), Some(2)));
        assert_eq!((met[1].peer, met[1].peer_digest), (Some(met[0].nonce), Some(1)));
        assert!(met.iter().all(|met| met.acknowledged));
        let third = File::open(file.path()).unwrap();
        assert!(Locked::look(&third, 0, i64::MAX as u64).unwrap().is_empty(), "nothing is left");
    }

    #[test]
    fn four_find_each_other_in_pairs() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let met = party(&file, &[("word", 1), ("word", 1), ("word", 1), ("word", 1)], LONG);
        for one in &met {
            let other = met.iter().find(|other| Some(other.nonce) == one.peer).unwrap();
            assert_eq!(other.peer, Some(one.nonce));
        }
    }

    #[test]
    fn other_words_and_other_files_do_not_meet() {
        let short = Duration::from_millis(100);
        let (file, other) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let met = party(&file, &[("one", 1), ("two", 1)], short);
        assert!(met.iter().all(|met| met.peer.is_none() && !met.acknowledged));
        assert_eq!(party(&other, &[("one", 1)], short)[0].peer, None);
    }
}
