//! Beacons that a capture holds on its `-shm`, and that other captures see. They show that two captures met one file.
//!
//! A beacon has the nonce, and beside it a word that is made from the nonce. So it is told from other locks that lie
//! there, and a nonce that is read is one that somebody holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::beacon::{self, BASE, Locked, PATTERN, SEAT, SPREAD, Word};
use super::bound::Key;
use crate::evidence::{Contact, Observation};
use crate::linux::unseen::unseen;

/// At most so many nonces are recorded.
const MOST_SEEN: usize = 64;

/// A beacon that is held for as long as this lives.
#[derive(Debug)]
pub struct Held {
    file: Arc<File>,
    nonce: u64,
}

impl Held {
    /// Holds a beacon on the `-shm` of a side, through the descriptor that is open there. It is held until the last
    /// descriptor of this open file is closed.
    ///
    /// # Errors
    /// What getrandom(2) or fcntl(2) said.
    pub fn on(shm: &Arc<File>) -> io::Result<Self> {
        let nonce = beacon::nonce()?;
        let seat = beacon::seat_of(nonce);
        beacon::hold(shm, seat + PATTERN, mark(nonce))?;
        beacon::hold(shm, seat, nonce)?;
        Ok(Self { file: Arc::clone(shm), nonce })
    }

    /// Its number.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Whether it is held on the file of this descriptor. A number cannot be given to another file while one is open.
    fn is_on(&self, file: &File) -> io::Result<bool> {
        let (held, other) = (self.file.metadata()?, file.metadata()?);
        Ok((held.dev(), held.ino()) == (other.dev(), other.ino()))
    }
}

fn mark(nonce: u64) -> u64 {
    Key::of("snapshot").word("contact", &[nonce])
}

/// The beacons of other captures on a `-shm`, and the one that this capture holds on it.
#[must_use]
pub fn contact(shm: &Observation<Arc<File>>, held: Option<&Held>) -> Observation<Contact> {
    let Some(file) = shm.value() else {
        return Observation::missing(format!("there is no -shm: {}", shm.reason().unwrap_or_default()));
    };
    match look(file, held) {
        Ok(contact) => Observation::seen(contact),
        Err(error) => unseen("F_OFD_GETLK on the -shm", &error),
    }
}

fn look(file: &File, held: Option<&Held>) -> io::Result<Contact> {
    let held = match held {
        Some(held) if held.is_on(file)? => Some(held.nonce),
        _ => None,
    };
    let locked = Locked::look(file, BASE, SPREAD * SEAT)?;
    let nonce = |seat: u64| match (locked.word(seat), locked.word(seat + PATTERN)) {
        (Word::Is(nonce), Word::Is(word)) if word == mark(nonce) && beacon::seat_of(nonce) == seat => Some(nonce),
        _ => None,
    };
    let mut seen: Vec<u64> =
        locked.seats().into_iter().filter_map(nonce).filter(|nonce| Some(*nonce) != held).collect();
    seen.truncate(MOST_SEEN);
    Ok(Contact { held, seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(file: &tempfile::NamedTempFile) -> Arc<File> {
        Arc::new(File::open(file.path()).unwrap())
    }

    fn of(file: &Arc<File>, held: Option<&Held>) -> Contact {
        contact(&Observation::seen(Arc::clone(file)), held).value().unwrap().clone()
    }

    #[test]
    fn a_capture_sees_what_others_hold_and_knows_what_it_holds_itself() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(of(&open(&file), None), Contact { held: None, seen: Vec::new() });
        let first = Held::on(&open(&file)).unwrap();
        let second = Held::on(&open(&file)).unwrap();
        let seen = |mut contact: Contact| {
            contact.seen.sort_unstable();
            contact
        };
        let mut both = vec![first.nonce(), second.nonce()];
        both.sort_unstable();
        assert_eq!(seen(of(&open(&file), None)), Contact { held: None, seen: both });
        // A capture opens the file anew, and then sees its own beacon as well.
        let own = Contact { held: Some(first.nonce()), seen: vec![second.nonce()] };
        assert_eq!(of(&open(&file), Some(&first)), own);
        assert_eq!(of(&first.file, Some(&first)), own);
        drop(first);
        assert_eq!(of(&open(&file), None).seen, [second.nonce()]);
    }

    #[test]
    fn a_beacon_on_another_file_is_not_the_one_of_this_capture() {
        let (file, replaced) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let held = Held::on(&open(&file)).unwrap();
        assert_eq!(of(&open(&replaced), Some(&held)), Contact { held: None, seen: Vec::new() });
    }

    #[test]
    fn other_locks_behind_sqlite_s_bytes_are_no_beacon() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let other = open(&file);
        // The beacon of `probe hold`, with and without its second word, and a word in another seat than its own.
        beacon::hold(&other, beacon::seat_of(6), 6).unwrap();
        beacon::hold(&other, beacon::seat_of(7), 7).unwrap();
        beacon::hold(&other, beacon::seat_of(7) + PATTERN, beacon::identity_word("walscope", 7, 1)).unwrap();
        beacon::hold(&other, beacon::seat_of(8) + SEAT, 8).unwrap();
        beacon::hold(&other, beacon::seat_of(8) + SEAT + PATTERN, mark(8)).unwrap();
        assert_eq!(of(&open(&file), None).seen, [0; 0]);
        assert_eq!(contact(&Observation::missing("ENOENT"), None).reason(), Some("there is no -shm: ENOENT"));
    }
}
