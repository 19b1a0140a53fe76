//! A meeting of two sides that know nothing of each other but a word: through lock beacons alone, nothing written.
//!
//! Each side takes a seat at random and holds its nonce there, and a digest of the kernel identity of its file. It looks
//! for the other's, answers by holding what it read, and stays until the other is satisfied or gone.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::beacon::{self, Locked, PATTERN, SEAT, Word};
use crate::linux::sys;

/// Seats at one table.
const SEATS: u64 = 64;
/// Where the tables are, behind the single beacons.
const TABLES: u64 = beacon::BASE + (1 << 36);
/// Tables; the word chooses.
const TABLE_COUNT: u64 = 1 << 16;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a meeting went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Met {
    /// What this side held.
    pub nonce: u64,
    /// What the other held; `None`: nobody was seen.
    pub peer: Option<u64>,
    /// The digest that the other held beside it.
    pub peer_digest: Option<u64>,
    /// Whether the other was seen to hold this side's nonce: it saw it.
    pub acknowledged: bool,
}

/// Looks for another side until both have seen each other, `stop` says so, or the time is over.
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
/// One byte: this side has seen its answer.
const SATISFIED: u64 = 3 * PATTERN;

impl OwnSeat<'_> {
    fn take_seat(&mut self) -> io::Result<()> {
        self.seat = self.table + beacon::nonce()? % SEATS * SEAT;
        self.answer = None;
        // The nonce last: whoever reads it finds the digest complete.
        if let Some(digest) = self.digest {
            beacon::hold(self.file, self.seat + DIGEST, digest)?;
        }
        beacon::hold(self.file, self.seat + NONCE, self.met.nonce)
    }

    /// One look at the table; whether the meeting is over.
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
            // Gone: satisfied, or ended.
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

    /// Answers one of the sides at the table that do not answer another.
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
