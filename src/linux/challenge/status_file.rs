//! Status files. Two sides of a trial exchange messages by the names of files: `.walscope-meet-WORD.NONCE.PEER.STATE`.

use super::beacon;
use crate::evidence::live::Sight;

/// How far a side of a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It waits for another side to come, or to be chosen.
    Waiting,
    /// It has written through its mapping and holds its beacon.
    Wrote,
    /// It has looked for what the other side wrote, and for its beacon.
    Looked,
    /// It has made its round trips and has all its results.
    Done,
    /// It has seen that the other is done.
    Leaving,
}

const STAGES: [(Stage, char); 5] =
    [(Stage::Waiting, 'w'), (Stage::Wrote, 't'), (Stage::Looked, 'l'), (Stage::Done, 'd'), (Stage::Leaving, 'x')];

const SIGHTS: [(Option<Sight>, char); 4] =
    [(Some(Sight::Seen), 's'), (Some(Sight::NotSeen), 'n'), (Some(Sight::Garbled), 'g'), (None, 'e')];

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
}

impl State {
    pub(super) const WAITING: Self = Self { stage: Stage::Waiting, sees: false, sight: None, held: false };
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
    format!("{:016x}", beacon::fnv(token.as_bytes()))
}

impl StatusFile {
    pub(super) fn name(&self) -> String {
        let State { stage, sees, sight, held } = self.state;
        let stage = STAGES.iter().find(|(other, _)| *other == stage).map_or('w', |(_, letter)| *letter);
        let sight = SIGHTS.iter().find(|(other, _)| *other == sight).map_or('e', |(_, letter)| *letter);
        let (sees, held) = (u8::from(sees), u8::from(held));
        let peer = self.peer.map_or_else(|| "-".to_owned(), |peer| format!("{peer:016x}"));
        format!("{PREFIX}{}.{:016x}.{peer}.{stage}{sees}{sight}{held}", self.token, self.nonce)
    }

    /// Reads the name of a status file of this meeting; `None` for any other name.
    pub(super) fn parse(name: &str, token: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix(token)?.strip_prefix('.')?.split('.');
        let (nonce, peer, state) = (parts.next()?, parts.next()?, parts.next()?);
        let mut letters = state.chars();
        let (stage, sees, sight, held) = (letters.next()?, letters.next()?, letters.next()?, letters.next()?);
        let state = State {
            stage: STAGES.iter().find(|(_, letter)| *letter == stage)?.0,
            sees: sees == '1',
            sight: SIGHTS.iter().find(|(_, letter)| *letter == sight)?.0,
            held: held == '1',
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
            (Some(7), State { stage: Stage::Looked, sees: true, sight: Some(Sight::NotSeen), held: false }),
            (Some(u64::MAX), State { stage: Stage::Leaving, sees: true, sight: Some(Sight::Seen), held: true }),
        ] {
            let status = StatusFile { token: token.clone(), nonce: 3, peer, state };
            let name = status.name();
            assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{name}");
            assert_eq!(StatusFile::parse(&name, &token), Some(status));
            assert_eq!(StatusFile::parse(&name, &word("other")), None);
            assert_eq!(StatusFile::parse(&format!("{name}x"), &token), None);
            assert_eq!(StatusFile::parse(&name.to_uppercase(), &token), None);
        }
        for name in ["", ".walscope-meet-", "t.db-shm", &format!(".walscope-meet-{token}.1.-.w0e0")] {
            assert_eq!(StatusFile::parse(name, &token), None);
        }
    }
}
