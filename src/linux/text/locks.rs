//! `/proc/locks` (man 5 proc_locks), and the `lock:` lines of `/proc/PID/fdinfo/FD`, which have the same form.

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till1};
use nom::character::complete::{char, i32 as decimal_i32, space0, space1, u64 as decimal_u64};
use nom::combinator::{all_consuming, map, value};
use nom::multi::many0_count;
use nom::sequence::{preceded, terminated};

use super::maps::device;
use super::{LineError, each_line};
use crate::evidence::Device;

/// Which kind of lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// A lock of a process, fcntl F_SETLK: SQLite takes these.
    Posix,
    /// A lock of an open file description, F_OFD_SETLK: some reimplementations of SQLite take these.
    OpenFileDescription,
    /// flock(2), a lease or a delegation: never conflicts with the other two kinds.
    Other,
}

/// A file as `/proc/locks` names it: the device of the superblock, and the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedFile {
    /// Device of the superblock: what mountinfo says, not always `st_dev` (btrfs subvolumes).
    pub device: Device,
    /// Inode.
    pub inode: u64,
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockLine {
    /// The line has `->`: it waits for the lock above it and holds nothing.
    pub waiting: bool,
    /// Kind.
    pub kind: LockKind,
    /// WRITE.
    pub exclusive: bool,
    /// Holder in the PID namespace of the proc mount; 0 when not visible there, -1 for an open file description.
    pub pid: i32,
    /// Which file.
    pub file: Option<LockedFile>,
    /// First byte.
    pub start: u64,
    /// Last byte; `None`: to the end of the file.
    pub end: Option<u64>,
}

impl LockLine {
    /// Whether it holds a lock that could conflict with SQLite's, on this file, on any of `length` bytes at `start`.
    ///
    /// Overlap, not equality: the kernel merges neighbouring ranges of one process, so that slot 4 and the dead-man
    /// switch show as `READ 127 128`.
    #[must_use]
    pub fn holds(&self, file: LockedFile, start: u64, length: u64) -> bool {
        let last = start.saturating_add(length.saturating_sub(1));
        !self.waiting
            && self.kind != LockKind::Other
            && self.file == Some(file)
            && self.start <= last
            && self.end.is_none_or(|end| end >= start)
    }

    /// The holder, if it is a process that is visible from here.
    #[must_use]
    pub fn visible_pid(&self) -> Option<u32> {
        u32::try_from(self.pid).ok().filter(|pid| *pid > 0)
    }
}

/// Reads a whole `/proc/locks` text.
///
/// # Errors
/// The first line that is not in the documented form.
pub fn parse(text: &[u8]) -> Result<Vec<LockLine>, LineError> {
    each_line(text, parse_line)
}

/// Reads one line, such as `12: -> POSIX  ADVISORY  WRITE 4711 fe:00:1234 120 EOF`
#[must_use]
pub fn parse_line(line: &[u8]) -> Option<LockLine> {
    let (rest, (arrows, kind, _flavour, exclusive, pid)) = (
        preceded((decimal_u64::<&[u8], ()>, char(':'), space0), many0_count(terminated(tag("->"), space0))),
        kind,
        word,
        map(word, |word: &[u8]| word == b"WRITE"),
        terminated(decimal_i32, space1),
    )
        .parse(line)
        .ok()?;
    let (_, (file, start, end)) = all_consuming((
        terminated(file, space1),
        terminated(decimal_u64, space1),
        terminated(alt((value(None, tag("EOF")), map(decimal_u64, Some))), space0),
    ))
    .parse(rest)
    .ok()?;
    Some(LockLine { waiting: arrows > 0, kind, exclusive, pid, file, start, end })
}

fn word(input: &[u8]) -> nom::IResult<&[u8], &[u8], ()> {
    terminated(take_till1(|byte| byte == b' '), space1).parse(input)
}

fn kind(input: &[u8]) -> nom::IResult<&[u8], LockKind, ()> {
    map(word, |word: &[u8]| match word {
        b"POSIX" => LockKind::Posix,
        b"OFDLCK" => LockKind::OpenFileDescription,
        _ => LockKind::Other,
    })
    .parse(input)
}

fn file(input: &[u8]) -> nom::IResult<&[u8], Option<LockedFile>, ()> {
    let known = (terminated(device, char(':')), decimal_u64);
    alt((value(None, tag("<none>:0")), map(known, |(device, inode)| Some(LockedFile { device, inode })))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"1: POSIX  ADVISORY  READ  4711 fe:00:1234 127 128
1: -> POSIX  ADVISORY  WRITE 4712 fe:00:1234 127 127
1:  -> POSIX  ADVISORY  WRITE 4713 fe:00:1234 127 127
2: OFDLCK ADVISORY  WRITE -1 fe:1f:1234 120 EOF
3: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
4: LEASE  ACTIVE    READ  99 fe:00:1234 0 EOF
5: POSIX  *NOINODE* READ  99 <none>:0 0 EOF
";
    const FILE: LockedFile = LockedFile { device: Device { major: 254, minor: 0 }, inode: 1234 };

    fn holders(start: u64, length: u64) -> Vec<i32> {
        let lines = parse(TEXT).unwrap();
        lines.iter().filter(|line| line.holds(FILE, start, length)).map(|line| line.pid).collect()
    }

    #[test]
    fn merged_ranges_hold_each_of_their_bytes() {
        assert_eq!(holders(127, 1), [4711]);
        assert_eq!(holders(128, 1), [4711]);
        assert_eq!(holders(126, 1), [0; 0]);
        assert_eq!(holders(129, 1), [0; 0]);
    }

    #[test]
    fn a_waiting_line_does_not_hold() {
        let lines = parse(TEXT).unwrap();
        assert_eq!(lines.iter().filter(|line| line.waiting).map(|line| line.pid).collect::<Vec<_>>(), [4712, 4713]);
        assert!(!holders(0, 1000).contains(&4712));
    }

    #[test]
    fn open_file_description_locks_have_no_pid_and_devices_are_hexadecimal() {
        let line = parse(TEXT).unwrap()[3];
        assert_eq!((line.kind, line.exclusive, line.visible_pid()), (LockKind::OpenFileDescription, true, None));
        let file = LockedFile { device: Device { major: 0xfe, minor: 0x1f }, inode: 1234 };
        assert!(line.holds(file, 1 << 62, 1) && !line.holds(file, 119, 1));
    }

    #[test]
    fn flock_and_leases_never_hold_a_byte() {
        assert_eq!(holders(0, 100), [0; 0]);
        assert_eq!(parse(TEXT).unwrap()[6].file, None);
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        assert_eq!(parse(b"1: POSIX").unwrap_err().line, 1);
        assert!(parse(b"1: POSIX ADVISORY READ 1 fe:00:1 0 12x").is_err());
    }

    #[test]
    fn this_machine_s_locks_are_understood() {
        parse(&std::fs::read("/proc/locks").unwrap()).unwrap();
    }
}
