//! Lock beacons: a pattern of shared locks far beyond every byte that SQLite uses. One side holds it through a
//! read-only descriptor, the other side looks for it through its own descriptor.
//!
//! Open file description locks need no capability, work across PID namespaces and write nothing. They are released when
//! their descriptor is closed, also by a crash. Bit `i` of a word is a lock on byte `2 i` of the pattern when the bit
//! is 0, and on byte `2 i + 1` when it is 1. So a word differs from no lock at all, and from two words at the same
//! place.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use super::bound::Key;
use crate::evidence::live::{BeaconLook, BeaconView, Sight};
use crate::evidence::{FilesView, HostView, Observation};
use crate::linux::open::{OpenedFiles, paths_unchanged};
use crate::linux::sys;
use crate::linux::unseen::unseen;

/// Where beacons begin. SQLite locks only bytes below 2^31, and in a `-shm` only bytes 120 to 128.
pub const BASE: u64 = 1 << 40;
/// Bytes of one pattern: two for each bit of a word.
pub const PATTERN: u64 = 128;
/// At most so many tries for a beacon that is not seen.
const TRIES: u32 = 4;
/// Time before the second try. Each further try waits longer.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of one seat: enough for the patterns of one beacon.
pub const SEAT: u64 = 512;
/// Number of seats for single beacons, so that two beacons at the same time do not get the same seat.
pub(super) const SPREAD: u64 = 1 << 20;
/// At most so many locks are listed in one range. Each costs two system calls, and only an attacker would put more
/// there.
const MOST_LOCKS: usize = 100_000;

/// What was found in the place of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// No lock.
    Free,
    /// A word.
    Is(u64),
    /// Locks that do not form a word.
    Garbled,
}

/// Locked bytes, as ranges of first and last byte.
#[derive(Debug, Default)]
pub struct Locked(Vec<(u64, u64)>);

impl Locked {
    /// Bytes in `start .. start + length` on which somebody else than this open file description holds a lock.
    ///
    /// # Errors
    /// What fcntl(2) said.
    pub fn look(file: &File, start: u64, length: u64) -> io::Result<Self> {
        let mut found = Vec::new();
        let mut open = vec![(start, start.saturating_add(length))];
        while let Some((from, to)) = open.pop() {
            if from >= to {
                continue;
            }
            let Some(lock) = sys::first_conflict(file, from, to - from)? else { continue };
            let end = if lock.length == 0 { u64::MAX } else { lock.start.saturating_add(lock.length) };
            let (low, high) = (lock.start.max(from), end.min(to));
            if low >= high || found.len() >= MOST_LOCKS {
                return Err(io::Error::other("the locks behind 2^40 were not understood"));
            }
            found.push((low, high - 1));
            open.push((from, low));
            open.push((high, to));
        }
        Ok(Self(found))
    }

    /// These bytes, as ranges of first and last byte, in no order.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// These bytes.
    pub(super) fn of_bytes(bytes: &[u64]) -> Self {
        Self(bytes.iter().map(|byte| (*byte, *byte)).collect())
    }

    /// Whether a byte is locked.
    #[must_use]
    pub fn has(&self, byte: u64) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&byte))
    }

    /// Whether any of these bytes is locked.
    #[must_use]
    pub fn touches(&self, start: u64, length: u64) -> bool {
        self.0.iter().any(|(first, last)| *first < start.saturating_add(length) && *last >= start)
    }

    /// The seats of single beacons that a lock lies in, in their order.
    pub(super) fn seats(&self) -> BTreeSet<u64> {
        let ends = self.0.iter().flat_map(|(first, last)| [*first, *last]).filter(|byte| *byte >= BASE);
        ends.map(|byte| byte - (byte - BASE) % SEAT).collect()
    }

    /// Whether no byte is locked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The word of the pattern at `start`.
    #[must_use]
    pub fn word(&self, start: u64) -> Word {
        let (mut word, mut bits) = (0, 0);
        for bit in 0..u64::from(u64::BITS) {
            match (self.has(start + 2 * bit), self.has(start + 2 * bit + 1)) {
                (false, false) => {}
                (true, true) => return Word::Garbled,
                (_, one) => {
                    bits += 1;
                    word |= u64::from(one) << bit;
                }
            }
        }
        match bits {
            0 => Word::Free,
            u64::BITS => Word::Is(word),
            _ => Word::Garbled,
        }
    }
}

/// Holds the pattern of a word. On an error no lock of it is left.
///
/// # Errors
/// What fcntl(2) said.
pub fn hold(file: &File, start: u64, word: u64) -> io::Result<()> {
    for bit in 0..u64::from(u64::BITS) {
        let byte = start + 2 * bit + (word >> bit & 1);
        if let Err(error) = sys::lock_shared(file, byte, 1) {
            let _ = release(file, start);
            return Err(error);
        }
    }
    Ok(())
}

/// Releases a pattern.
///
/// # Errors
/// What fcntl(2) said.
pub fn release(file: &File, start: u64) -> io::Result<()> {
    sys::unlock(file, start, PATTERN)
}

/// The seat of a beacon, from its nonce, which both sides know.
#[must_use]
pub fn seat_of(nonce: u64) -> u64 {
    BASE + fnv(&nonce.to_be_bytes()) % SPREAD * SEAT
}

/// A random word.
///
/// # Errors
/// What getrandom(2) said.
pub fn nonce() -> io::Result<u64> {
    let mut bytes = [0; 8];
    let n = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if n == bytes.len() { Ok(u64::from_ne_bytes(bytes)) } else { Err(io::Error::other("getrandom: too few bytes")) }
}

/// Tries a beacon in both directions between the `-shm` files of two sides that this process has open.
#[must_use]
pub fn challenge(a: &OpenedFiles, b: &OpenedFiles) -> BeaconView {
    let (shm_a, shm_b) = match (a.shm_to_lock(), b.shm_to_lock()) {
        (Observation::Seen { value: a }, Observation::Seen { value: b }) => (a, b),
        (absent, Observation::Seen { .. }) | (_, absent) => {
            let reason = format!("there is no -shm to lock: {}", absent.reason().unwrap_or_default());
            return BeaconView { forth: Observation::missing(&reason), back: Observation::missing(&reason) };
        }
    };
    // Both witnesses are opened before either beacon is held, and closed after both are released.
    let (witness_a, witness_b) = (Witness::of(shm_a), Witness::of(shm_b));
    let (forth, back) = (one_way(shm_a, &witness_a, shm_b), one_way(shm_b, &witness_b, shm_a));
    drop((witness_a, witness_b));
    let files_in_place = paths_unchanged(a) && paths_unchanged(b);
    let look = |look: io::Result<BeaconLook>| match look {
        Ok(look) => Observation::seen(BeaconLook { files_in_place, ..look }),
        Err(error) => unseen("F_OFD_SETLK and F_OFD_GETLK on the -shm", &error),
    };
    BeaconView { forth: look(forth), back: look(back) }
}

/// Tries until the beacon is seen, a few times.
///
/// folklore: the kernel notifies a FUSE daemon about a closed descriptor at some later time, and some daemons then drop
/// all locks of the file. So a descriptor that was closed long before can remove the beacon. Seen in one of four
/// comparisons on a busy machine; held by `fuse_mounts_with_lock_forwarding_share_locks_and_no_memory`, run in a loop.
fn one_way(holder: &Arc<File>, witness: &Witness, seeker: &Arc<File>) -> io::Result<BeaconLook> {
    let mut looked = once(holder, witness, seeker)?;
    for attempt in 1..TRIES {
        if looked.sight == Sight::Seen {
            break;
        }
        std::thread::sleep(PAUSE * attempt);
        looked = once(holder, witness, seeker)?;
    }
    Ok(looked)
}

fn once(holder: &Arc<File>, witness: &Witness, seeker: &Arc<File>) -> io::Result<BeaconLook> {
    let nonce = nonce()?;
    let seat = seat_of(nonce);
    hold(holder, seat, nonce)?;
    let looked = || -> io::Result<BeaconLook> {
        let before = witness.sees(seat, nonce);
        let sight = sight(seeker, seat, nonce)?;
        let held_throughout = before && witness.sees(seat, nonce);
        Ok(BeaconLook { nonce, sight, held_throughout, files_in_place: false })
    };
    let looked = looked();
    release(holder, seat)?;
    looked
}

/// What a descriptor shows of a word.
///
/// # Errors
/// What fcntl(2) said.
pub fn sight(file: &File, start: u64, word: u64) -> io::Result<Sight> {
    Ok(match Locked::look(file, start, PATTERN)?.word(start) {
        Word::Is(seen) if seen == word => Sight::Seen,
        Word::Free => Sight::NotSeen,
        Word::Is(_) | Word::Garbled => Sight::Garbled,
    })
}

/// A second open file description of the file on which a pattern will be held. It shows whether the pattern is really
/// there: some file systems accept locks and forget them.
///
/// folklore: the witness is opened before the pattern is held and closed after it was released. On a FUSE mount that
/// forwards locks, the daemon takes them as POSIX locks of its own process. Closing any descriptor of the file there
/// drops all of them, and the kernel and the daemon's library still answer as if they were held. Seen with bindfs
/// 1.14.7 `--enable-lock-forwarding`: a beacon was not seen on the other mount, and locks were refuted. Held by
/// `fuse_mounts_with_lock_forwarding_share_locks_and_no_memory`.
#[derive(Debug)]
pub struct Witness(Option<File>);

impl Witness {
    /// Opens the file again.
    #[must_use]
    pub fn of(file: &File) -> Self {
        Self(File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok())
    }

    /// Whether the witness sees the word held now.
    #[must_use]
    pub fn sees(&self, start: u64, word: u64) -> bool {
        let sight = self.0.as_ref().and_then(|file| sight(file, start, word).ok());
        sight == Some(Sight::Seen)
    }

    /// Whether the witness sees any lock in a range now.
    pub(super) fn sees_a_lock(&self, start: u64, length: u64) -> bool {
        self.0.as_ref().is_some_and(|file| matches!(sys::first_conflict(file, start, length), Ok(Some(_))))
    }
}

/// The word that stands beside a single beacon. It shows the kernel identity of the holder's file to a side that has the
/// same one, and it is bound to the nonce: copied beside another beacon it means nothing.
#[must_use]
pub fn identity_word(token: &str, nonce: u64, digest: u64) -> u64 {
    Key::of(token).word("held", &[nonce, digest])
}

/// Kernel identity of a `-shm`, its database and its `-wal`, as one word that a beacon can be bound to. Equal words mean
/// equal observations. This includes what was not seen: denied and missing give different words, the text of the reason
/// does not matter. `None` when the kernel or the inode was not seen.
#[must_use]
pub fn digest(host: &HostView, files: &FilesView) -> Option<u64> {
    let shm = files.shm.value()?;
    let (boot, inode, system) = (host.boot_id.value()?, shm.maps_identity.value()?, shm.file_system.value()?);
    let mut text = format!("{boot}\n{inode}\n{}\n{:x}\n{}\n", system.name, system.magic, system.fsid);
    for file in [&files.shm, &files.database, &files.wal] {
        let identity = seen(file, |file| {
            let birth = seen(&file.birth_time, |time| (time.seconds, time.nanoseconds));
            (file.device, file.inode, seen(&file.generation, |generation| *generation), birth)
        });
        text.push_str(&format!("{identity:?}\n"));
    }
    Some(fnv(text.as_bytes()))
}

/// What was seen, or the kind of reason why it was not.
fn seen<T, U>(observed: &Observation<T>, what: impl FnOnce(&T) -> U) -> Result<U, &'static str> {
    match observed {
        Observation::Seen { value } => Ok(what(value)),
        Observation::Denied { .. } => Err("denied"),
        Observation::Missing { .. } => Err("missing"),
        Observation::Unsupported { .. } => Err("unsupported"),
    }
}

/// FNV-1a with 64 bits. It is the same in every build; the standard library's hash is not.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (tempfile::NamedTempFile, File, File) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (a, b) = (File::open(file.path()).unwrap(), File::open(file.path()).unwrap());
        (file, a, b)
    }

    #[test]
    fn a_word_is_read_back_bit_for_bit_and_gone_when_released() {
        let (_file, a, b) = two();
        for word in [0, u64::MAX, 0x0123_4567_89ab_cdef, 1, 1 << 63] {
            hold(&a, BASE, word).unwrap();
            assert_eq!(Locked::look(&b, BASE, PATTERN).unwrap().word(BASE), Word::Is(word));
            assert_eq!(sight(&b, BASE, word).unwrap(), Sight::Seen);
            assert_eq!(sight(&b, BASE, word ^ 2).unwrap(), Sight::Garbled);
            release(&a, BASE).unwrap();
            assert_eq!(sight(&b, BASE, word).unwrap(), Sight::NotSeen);
        }
    }

    #[test]
    fn two_words_in_one_place_are_none() {
        let (file, a, b) = two();
        let third = File::open(file.path()).unwrap();
        hold(&a, BASE, 5).unwrap();
        hold(&b, BASE, 6).unwrap();
        assert_eq!(Locked::look(&third, BASE, PATTERN).unwrap().word(BASE), Word::Garbled);
        release(&b, BASE).unwrap();
        assert_eq!(sight(&third, BASE, 5).unwrap(), Sight::Seen);
        sys::unlock(&a, BASE, 3).unwrap();
        assert_eq!(sight(&third, BASE, 5).unwrap(), Sight::Garbled);
    }

    #[test]
    fn a_lock_on_everything_is_no_beacon() {
        let (_file, a, b) = two();
        sys::lock_shared(&a, 0, 0).unwrap();
        assert_eq!(sight(&b, BASE, 9).unwrap(), Sight::Garbled);
    }

    #[test]
    fn what_was_denied_is_not_what_is_missing_and_reasons_need_not_read_alike() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.db"), "").unwrap();
        std::fs::write(folder.path().join("t.db-shm"), [0; 32_768]).unwrap();
        let opened = crate::linux::open_database(&folder.path().join("t.db"), crate::linux::Care::default()).unwrap();
        let (host, files) = (crate::linux::host_view(&opened), crate::linux::identities(&opened));
        let of = |wal| digest(&host, &FilesView { wal, ..files.clone() }).unwrap();
        let ways = [of(Observation::missing("a")), of(Observation::denied("a")), of(Observation::unsupported("a"))];
        assert!(ways[0] != ways[1] && ways[1] != ways[2] && ways[0] != ways[2]);
        assert_eq!(ways[1], of(Observation::denied("b")));
    }

    #[test]
    fn another_file_does_not_see_it_and_the_holder_does() {
        let (_file, a, _b) = two();
        let other = tempfile::tempfile().unwrap();
        let (a, other) = (Arc::new(a), Arc::new(other));
        let look = one_way(&a, &Witness::of(&a), &other).unwrap();
        assert_eq!((look.sight, look.held_throughout), (Sight::NotSeen, true));
        assert!(Locked::look(&File::open(_file.path()).unwrap(), 0, 1 << 60).unwrap().is_empty());
    }

    #[test]
    fn beacons_lie_behind_every_byte_that_sqlite_uses() {
        for nonce in [0, 1, u64::MAX] {
            let seat = seat_of(nonce);
            assert!(seat >= BASE && seat + SEAT <= BASE + SPREAD * SEAT);
        }
    }
}
