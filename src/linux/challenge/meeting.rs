//! A meeting of two sides that have only a token in common. They use lock beacons alone; nothing is written.
//!
//! Each side chooses a seat at random, and holds its nonce there. It looks for the nonce of another side and answers it
//! with two words: one is bound to the token and both nonces, the other to the kernel identity of the answering side's
//! file as well. The identity itself is never shown. So a relay that copies locks from one file to another, and puts the
//! words of one side in the place of the other's, makes no answer that is believed. Both sides stay until the other one
//! is satisfied or gone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use super::beacon::{self, Locked, PATTERN, SEAT, Word};
use super::bound::Key;
use crate::linux::sys;

/// Seats at one table.
const SEATS: u64 = 64;
/// Where the tables begin, after the single beacons.
const TABLES: u64 = beacon::BASE + (1 << 36);
/// Number of tables. The word of a meeting chooses one.
const TABLE_COUNT: u64 = 1 << 16;
/// Time between two looks at the table.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// At most so many further sides are remembered: a table has no more seats.
const MOST_OTHERS: usize = SEATS as usize;

/// What the answer of the other side says about the kernel identity of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerIdentity {
    /// It is the same as on this side.
    Same,
    /// It is another one, or the other side sees less of it.
    Differs,
    /// The other side does not see it.
    Unseen,
    /// No answer was read.
    NotRead,
}

/// How a meeting went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// What this side held.
    pub nonce: u64,
    /// The nonce of the other side; `None`: nobody was seen.
    pub peer: Option<u64>,
    /// What the other side says about its file.
    pub identity: PeerIdentity,
    /// Whether the other side answered this side's nonce: then it has seen this side.
    pub acknowledged: bool,
    /// Nonces of further sides at the same table.
    pub others: Vec<u64>,
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
    let key = Key::of(token);
    let table = TABLES + key.word("table", &[]) % TABLE_COUNT * SEATS * SEAT;
    let met = Met::of(beacon::nonce()?);
    let mut own = OwnSeat { file, table, seat: 0, key, digest, answer: None, met, seen: BTreeSet::new() };
    let begun = Instant::now();
    own.take_seat()?;
    while begun.elapsed() < timeout && !stop() {
        if own.look()? {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    sys::unlock(file, own.seat, SEAT)?;
    let peer = own.met.peer;
    let others = own.seen.into_iter().filter(|nonce| Some(*nonce) != peer).collect();
    Ok(Met { others, ..own.met })
}

impl Met {
    fn of(nonce: u64) -> Self {
        Self { nonce, peer: None, identity: PeerIdentity::NotRead, acknowledged: false, others: Vec::new() }
    }
}

/// The seat of this side at the table, and what it knows.
struct OwnSeat<'a> {
    file: &'a File,
    table: u64,
    seat: u64,
    key: Key,
    digest: Option<u64>,
    /// Seat and nonce of the side that this one answers.
    answer: Option<(u64, u64)>,
    met: Met,
    /// Nonces of all other sides that were seen.
    seen: BTreeSet<u64>,
}

/// Places of the patterns in a seat.
const NONCE: u64 = 0;
const IDENTITY: u64 = PATTERN;
const ANSWER: u64 = 2 * PATTERN;
/// One byte, locked when this side has seen its answer.
const SATISFIED: u64 = 3 * PATTERN;

impl OwnSeat<'_> {
    fn take_seat(&mut self) -> io::Result<()> {
        self.seat = self.table + beacon::nonce()? % SEATS * SEAT;
        self.answer = None;
        beacon::hold(self.file, self.seat + NONCE, self.met.nonce)
    }

    /// The word with which the side that has the nonce `from` answers the side that has the nonce `to`.
    fn answer_word(&self, from: u64, to: u64) -> u64 {
        self.key.word("answer", &[from, to])
    }

    /// The word that stands beside an answer. It shows to a side with the same kernel identity that it is the same.
    fn identity_word(&self, from: u64, to: u64, digest: Option<u64>) -> u64 {
        match digest {
            Some(digest) => self.key.word("identity", &[from, to, digest]),
            None => self.key.word("no identity", &[from, to]),
        }
    }

    /// What a word beside the answer of the other side says. The answer is held after it, so it is complete.
    fn identity_of(&self, seat: u64, peer: u64) -> io::Result<PeerIdentity> {
        let expected = |digest| Word::Is(self.identity_word(peer, self.met.nonce, digest));
        let word = Locked::look(self.file, seat + IDENTITY, PATTERN)?.word(seat + IDENTITY);
        Ok(match word {
            Word::Free | Word::Garbled => PeerIdentity::NotRead,
            word if word == expected(None) => PeerIdentity::Unseen,
            word if self.digest.is_some() && word == expected(self.digest) => PeerIdentity::Same,
            Word::Is(_) => PeerIdentity::Differs,
        })
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
        self.remember(&locked);
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
        let Some((seat, peer)) = self.answer else { return Ok(false) };
        match locked.word(seat + ANSWER) {
            Word::Is(word) if word == self.answer_word(peer, self.met.nonce) => {
                if !self.met.acknowledged {
                    self.met.identity = self.identity_of(seat, peer)?;
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
        let free = |seat: u64, nonce: u64| match locked.word(seat + ANSWER) {
            Word::Is(word) => word == self.answer_word(nonce, self.met.nonce),
            Word::Free | Word::Garbled => true,
        };
        let seats = (0..SEATS).map(|number| self.table + number * SEAT);
        let taken = seats.filter(|seat| locked.touches(*seat, SEAT));
        let sides = taken.filter_map(|seat| match locked.word(seat + NONCE) {
            Word::Is(nonce) => Some((seat, nonce)),
            Word::Free | Word::Garbled => None,
        });
        // One's own nonce at another seat was copied there, with every word that belongs to it.
        let chosen = sides.into_iter().find(|(seat, nonce)| *nonce != self.met.nonce && free(*seat, *nonce));
        let Some((seat, nonce)) = chosen else { return Ok(()) };
        self.met.peer = Some(nonce);
        self.answer = Some((seat, nonce));
        // The answer is held last: a side that reads it finds the other word complete.
        let (own, digest) = (self.met.nonce, self.digest);
        beacon::hold(self.file, self.seat + IDENTITY, self.identity_word(own, nonce, digest))?;
        beacon::hold(self.file, self.seat + ANSWER, self.answer_word(own, nonce))
    }

    /// Remembers the nonces of the other sides at the table.
    fn remember(&mut self, locked: &Locked) {
        let seats = (0..SEATS).map(|number| self.table + number * SEAT).filter(|seat| *seat != self.seat);
        for seat in seats.filter(|seat| locked.touches(*seat, SEAT)) {
            if let Word::Is(nonce) = locked.word(seat + NONCE)
                && self.seen.len() < MOST_OTHERS
            {
                self.seen.insert(nonce);
            }
        }
    }

    fn withdraw_answer(&mut self) -> io::Result<()> {
        self.answer = None;
        beacon::release(self.file, self.seat + ANSWER)?;
        beacon::release(self.file, self.seat + IDENTITY)
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
    fn two_find_each_other_and_whether_they_have_one_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (digests, identity) in [((1, 1), PeerIdentity::Same), ((1, 2), PeerIdentity::Differs)] {
            let met = party(&file, &[("word", digests.0), ("word", digests.1)], LONG);
            assert_eq!((met[0].peer, met[0].identity), (Some(met[1].nonce), identity));
            assert_eq!((met[1].peer, met[1].identity), (Some(met[0].nonce), identity));
            assert!(met.iter().all(|met| met.acknowledged && met.others.is_empty()));
        }
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
    fn a_third_side_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let third = File::open(file.path()).unwrap();
        let table = TABLES + Key::of("word").word("table", &[]) % TABLE_COUNT * SEATS * SEAT;
        // It answers somebody else, so nobody answers it.
        beacon::hold(&third, table + NONCE, 7).unwrap();
        beacon::hold(&third, table + ANSWER, 8).unwrap();
        for met in party(&file, &[("word", 1), ("word", 1)], LONG) {
            assert!(met.acknowledged);
            assert_eq!(met.others, [7]);
        }
    }

    #[test]
    fn a_third_side_sees_those_that_answer_each_other_and_meets_nobody() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let table = TABLES + Key::of("word").word("table", &[]) % TABLE_COUNT * SEATS * SEAT;
        // Each answers somebody else, and stays.
        let others = [(0, 7, 8), (1, 8, 7)].map(|(seat, nonce, answer)| {
            let other = File::open(file.path()).unwrap();
            beacon::hold(&other, table + seat * SEAT + NONCE, nonce).unwrap();
            beacon::hold(&other, table + seat * SEAT + ANSWER, answer).unwrap();
            other
        });
        let met = party(&file, &[("word", 1)], Duration::from_millis(500));
        assert_eq!((met[0].peer, met[0].others.as_slice()), (None, [7, 8].as_slice()));
        drop(others);
    }

    #[test]
    fn what_a_side_holds_itself_is_no_other_side_when_it_is_copied() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let table = TABLES + Key::of("word").word("table", &[]) % TABLE_COUNT * SEATS * SEAT;
        let (copier, side) = (open(), open());
        let ended = std::sync::atomic::AtomicBool::new(false);
        let met = std::thread::scope(|scope| {
            let ended = &ended;
            scope.spawn(move || {
                let mut seat = None;
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    let locked = Locked::look(&copier, table, SEATS * SEAT).unwrap();
                    let seats = || (0..SEATS).map(|number| table + number * SEAT);
                    seat = seat.or_else(|| seats().find(|seat| matches!(locked.word(seat + NONCE), Word::Is(_))));
                    let Some(from) = seat else { continue };
                    let to = table + (from - table + SEAT) % (SEATS * SEAT);
                    for at in [IDENTITY, ANSWER, NONCE] {
                        if let Word::Is(word) = locked.word(from + at) {
                            beacon::hold(&copier, to + at, word).unwrap();
                        }
                    }
                }
            });
            let met = meet(&side, "word", Some(1), Duration::from_millis(500), &|| false);
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            met.unwrap()
        });
        assert_eq!((met.peer, met.acknowledged), (None, false), "{met:?}");
    }

    /// Copies every lock between the tables of two files, and in the place of each identity what `echo` makes of the word
    /// that was copied and of the nonce beside it.
    fn relay(files: [&File; 2], until: &dyn Fn() -> bool) {
        let table = TABLES + Key::of("word").word("table", &[]) % TABLE_COUNT * SEATS * SEAT;
        while !until() {
            for (from, to) in [(files[0], files[1]), (files[1], files[0])] {
                let (Ok(there), Ok(here)) =
                    (Locked::look(from, table, SEATS * SEAT), Locked::look(to, table, SEATS * SEAT))
                else {
                    continue;
                };
                for seat in (0..SEATS).map(|number| table + number * SEAT) {
                    // What the other side of this file shows stands in the place of what was copied.
                    let others = (0..SEATS).map(|number| table + number * SEAT).filter(|other| *other != seat);
                    let echoed =
                        others.map(|other| here.word(other + IDENTITY)).find(|word| matches!(word, Word::Is(_)));
                    for at in [IDENTITY, NONCE, ANSWER] {
                        let copied = there.word(seat + at);
                        let word = if at == IDENTITY { echoed.unwrap_or(copied) } else { copied };
                        match word {
                            Word::Is(word) if matches!(there.word(seat + NONCE), Word::Is(_)) => {
                                let _ = beacon::hold(to, seat + at, word);
                            }
                            _ => {
                                let _ = beacon::release(to, seat + at);
                            }
                        }
                    }
                    if there.has(seat + SATISFIED) {
                        let _ = sys::lock_shared(to, seat + SATISFIED, 1);
                    }
                }
            }
        }
    }

    #[test]
    fn a_relay_between_two_files_is_never_taken_for_the_same_file() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let files = [tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap()];
        let open = || files.each_ref().map(|file| File::open(file.path()).unwrap());
        let (sides, relays, done) = (open(), open(), AtomicUsize::new(0));
        let met: Vec<Met> = std::thread::scope(|scope| {
            let done = &done;
            scope.spawn(move || relay(relays.each_ref(), &|| done.load(Ordering::Relaxed) == 2));
            let each = sides.iter().zip([1, 2]).map(|(file, digest)| {
                scope.spawn(move || {
                    let met = meet(file, "word", Some(digest), Duration::from_secs(5), &|| false);
                    done.fetch_add(1, Ordering::Relaxed);
                    met.unwrap()
                })
            });
            let each: Vec<_> = each.collect();
            each.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(met.iter().all(|met| met.identity != PeerIdentity::Same), "{met:?}");
        assert!(met.iter().any(|met| met.peer.is_some()), "the relay copies nothing: {met:?}");
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
