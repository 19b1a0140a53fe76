//! Status files. Two sides of a trial exchange messages by the names of files: `.walscope-meet-WORD.NONCE.PEER.STATE`.

use super::bound::Key;
use super::tries::Results;
use crate::evidence::live::{Refusal, Sight};

/// How far a side of a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It waits for another side to come, or to be chosen.
    Waiting,
    /// It has written through its mapping and holds its beacon.
    Wrote,
    /// It has looked for what the other side wrote and for its beacon, and has tried the other's locks.
    Looked,
    /// It has made its round trips and writes no more.
    Done,
    /// It has looked once more for what the other side wrote last, and has all its results.
    Checked,
    /// It has seen that the other is done.
    Leaving,
}

const STAGES: [(Stage, char); 6] = [
    (Stage::Waiting, 'w'),
    (Stage::Wrote, 't'),
    (Stage::Looked, 'l'),
    (Stage::Done, 'd'),
    (Stage::Checked, 'c'),
    (Stage::Leaving, 'x'),
];

const SIGHTS: [(Option<Sight>, char); 4] =
    [(Some(Sight::Seen), 's'), (Some(Sight::NotSeen), 'n'), (Some(Sight::Garbled), 'g'), (None, 'e')];

const REFUSALS: [(Option<Refusal>, char); 4] =
    [(Some(Refusal::Refused), 'r'), (Some(Refusal::Granted), 'g'), (Some(Refusal::Garbled), 'b'), (None, 'e')];

/// The letter of a value.
fn letter<T: PartialEq>(letters: &[(T, char)], value: &T) -> char {
    letters.iter().find(|(other, _)| other == value).map_or('-', |(_, letter)| *letter)
}

/// The value of a letter.
fn value<T: Copy>(letters: &[(T, char)], letter: char) -> Option<T> {
    letters.iter().find(|(_, other)| *other == letter).map(|(value, _)| *value)
}

/// What a side tells the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub stage: Stage,
    /// It sees what the other wrote.
    pub sees: bool,
    /// What it sees of the other's beacon; `None`: it has not looked yet, or locks do not work here.
    pub sight: Option<Sight>,
    /// It held its own beacon throughout.
    pub held: bool,
    /// It held the locks that the other side tried throughout.
    pub held_for_tries: bool,
    /// What came of its tries.
    pub tries: Results,
    /// Number of the last round in which it wrote a number; 0: it made no round trips.
    pub written: u8,
}

impl State {
    pub(super) const WAITING: Self = Self {
        stage: Stage::Waiting,
        sees: false,
        sight: None,
        held: false,
        held_for_tries: false,
        tries: Results { by_description: None, by_process: None, as_sqlite: None },
        written: 0,
    };
}

/// The status of one side of a meeting, as the name of its file tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatusFile {
    /// The meeting's word, as [`word`] makes it.
    pub token: String,
    pub nonce: u64,
    /// Nonce of the side that it has chosen.
    pub peer: Option<u64>,
    pub state: State,
}

const PREFIX: &str = ".walscope-meet-";

/// A meeting's word, of any characters and length, as 16 characters that can be part of a file name.
pub(super) fn word(token: &str) -> String {
    format!("{:016x}", Key::of(token).word("meeting", &[]))
}

impl StatusFile {
    pub(super) fn name(&self) -> String {
        let State { stage, sees, sight, held, held_for_tries, tries, written } = self.state;
        let (stage, sight) = (letter(&STAGES, &stage), letter(&SIGHTS, &sight));
        let [a, b, c] = [tries.by_description, tries.by_process, tries.as_sqlite].map(|it| letter(&REFUSALS, &it));
        let [sees, held, held_for_tries] = [sees, held, held_for_tries].map(u8::from);
        let peer = self.peer.map_or_else(|| "-".to_owned(), |peer| format!("{peer:016x}"));
        let (token, nonce) = (&self.token, self.nonce);
        format!("{PREFIX}{token}.{nonce:016x}.{peer}.{stage}{sees}{sight}{held}{held_for_tries}{a}{b}{c}{written:02x}")
    }

    /// Reads the name of a status file of this meeting; `None` for any other name.
    pub(super) fn parse(name: &str, token: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix(token)?.strip_prefix('.')?.split('.');
        let (nonce, peer, state) = (parts.next()?, parts.next()?, parts.next()?);
        let mut letters = state.chars();
        let mut next = || letters.next();
        let state = State {
            stage: value(&STAGES, next()?)?,
            sees: next()? == '1',
            sight: value(&SIGHTS, next()?)?,
            held: next()? == '1',
            held_for_tries: next()? == '1',
            tries: Results {
                by_description: value(&REFUSALS, next()?)?,
                by_process: value(&REFUSALS, next()?)?,
                as_sqlite: value(&REFUSALS, next()?)?,
            },
            written: u8::from_str_radix(letters.as_str(), 16).ok()?,
        };
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let peer = if peer == "-" { None } else { Some(number(peer)?) };
        let status = Self { token: token.to_owned(), nonce: number(nonce)?, peer, state };
        // A name that walscope would spell differently is not from walscope.
        (status.name() == name).then_some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_status_file_is_read_back_and_nothing_else_is_one() {
        let token = word("any \u{1b}[31m/word");
        for (peer, state) in [
            (None, State::WAITING),
            (Some(7), State { stage: Stage::Looked, sees: true, sight: Some(Sight::NotSeen), ..State::WAITING }),
            (
                Some(u64::MAX),
                State {
                    stage: Stage::Leaving,
                    sees: true,
                    sight: Some(Sight::Seen),
                    held: true,
                    held_for_tries: true,
                    tries: Results {
                        by_description: Some(Refusal::Refused),
                        by_process: Some(Refusal::Granted),
                        as_sqlite: Some(Refusal::Garbled),
                    },
                    written: 32,
                },
            ),
        ] {
            let status = StatusFile { token: token.clone(), nonce: 3, peer, state };
            let name = status.name();
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{name}");
            assert_eq!(StatusFile::parse(&name, &token), Some(status));
            assert_eq!(StatusFile::parse(&name, &word("other")), None);
            assert_eq!(StatusFile::parse(&format!("{name}x"), &token), None);
            assert_eq!(StatusFile::parse(&name.to_uppercase(), &token), None);
        }
        for name in ["", ".walscope-meet-", "t.db-shm", &format!(".walscope-meet-{token}.1.-.w0e00eee00")] {
            assert_eq!(StatusFile::parse(name, &token), None);
        }
    }
}
