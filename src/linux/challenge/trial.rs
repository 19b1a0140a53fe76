//! A trial on a folder: both sides map one scratch file and write to it through their mappings. It works on any file
//! system, and before there is a database. It is the only part of walscope that writes into a folder of a database.
//!
//! The sides find each other by file names, because even two mounts without common pages and locks have the names in
//! common. Each side has one status file, which it alone renames and removes: `.walscope-meet-WORD.NONCE.PEER.STATE`.
//! The status file of the side that came first is the scratch file. A side first writes its nonce through its mapping,
//! and then renames its status file. The other side had the page in memory before that: if it then does not see the
//! nonce, the memory is not shared, however fast or slow the sides are.
//!
//! At the same time each side holds locks on the scratch file, and the other side tries to take them (`tries`).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};

use crate::evidence::live::{BeaconLook, BeaconView, CoherenceView, Live, TriedLook, TriedView};
use crate::evidence::{FileSystem, Observation};
use crate::linux::procfs::Proc;
use crate::linux::target::Target;
use crate::linux::unseen::unseen;
use crate::linux::{mounts, stat};

use super::beacon;
use super::scratch::{ROUNDS, Role, SIZE, STEP_AT_MOST, Scratch, in_round};
use super::status_file::{self, Stage, State, StatusFile};
use super::tries::{self, Results, Tries};

/// Time between two looks at the folder.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// At most so many sides are remembered. Only somebody who wants to disturb would make more files.
const MOST_OTHERS: usize = 100;
/// So many listings in a row may miss a status file that is there.
const MISSES: u32 = 20;

/// How a trial went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// This side's nonce.
    pub nonce: u64,
    /// The other side's nonce; `None`: nobody came.
    pub peer: Option<u64>,
    /// What was found; this side is the first.
    pub live: Live,
    /// The file system of the folder.
    pub file_system: Observation<FileSystem>,
    /// Nonces of further sides that have a status file for the same word.
    pub others: Vec<u64>,
    /// Nonces of status files that earlier meetings seem to have left behind.
    pub left_behind: Vec<u64>,
}

/// Waits for another side in a folder, then makes the trial with it. `stop` ends the waiting early.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn meet(folder: &File, token: &str, timeout: Duration, stop: &dyn Fn() -> bool) -> io::Result<Trial> {
    let nonce = beacon::nonce()?;
    let mut meeting = Meeting {
        folder,
        token: status_file::word(token),
        nonce,
        stop,
        dead: Vec::new(),
        refused: None,
        met: RefCell::default(),
    };
    let found = meeting.find(Instant::now() + timeout)?;
    let (peer, live) = match found {
        Some(pair) => (Some(pair.peer), pair.run(&meeting)?),
        None => (None, Live::untried("nobody else came to the meeting")),
    };
    let mut others = meeting.met.into_inner();
    others.retain(|other| Some(*other) != peer && !meeting.dead.contains(other));
    Ok(Trial {
        nonce,
        peer,
        live,
        file_system: file_system(folder),
        others: others.into_iter().collect(),
        left_behind: meeting.dead,
    })
}

fn file_system(folder: &File) -> Observation<FileSystem> {
    let proc = Proc::system();
    let mounts = mounts::of(&proc, &Target::from("."));
    match stat::file_view(&proc, folder, &mounts) {
        Ok(view) => view.file_system,
        Err(error) => unseen("statx", &error),
    }
}

/// A side at a meeting.
struct Meeting<'a> {
    folder: &'a File,
    token: String,
    nonce: u64,
    stop: &'a dyn Fn() -> bool,
    /// Nonces of sides whose status file did not change.
    dead: Vec<u64>,
    /// The nonce of the side whose status file may not be opened, and since when.
    refused: Option<(u64, Instant)>,
    /// Nonces of all sides whose status file was seen.
    met: RefCell<BTreeSet<u64>>,
}

/// This side's status file; removed when dropped.
struct Own<'a> {
    folder: &'a File,
    status: StatusFile,
}

impl<'a> Own<'a> {
    fn create(meeting: &Meeting<'a>, peer: Option<u64>) -> io::Result<(Self, File)> {
        let status = StatusFile { token: meeting.token.clone(), nonce: meeting.nonce, peer, state: State::WAITING };
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(meeting.folder, status.name().as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let (own, file) = (Self { folder: meeting.folder, status }, File::from(file));
        admit_others(meeting.folder, &file)?;
        Ok((own, file))
    }

    fn show(&mut self, peer: u64, state: State) -> io::Result<()> {
        let next = StatusFile { peer: Some(peer), state, ..self.status.clone() };
        renameat(self.folder, self.status.name().as_str(), self.folder, next.name().as_str())?;
        self.status = next;
        Ok(())
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(self.folder, self.status.name().as_str(), AtFlags::empty());
    }
}

/// Lets everybody open the status file who may create files in the folder: it holds only random numbers.
fn admit_others(folder: &File, file: &File) -> io::Result<()> {
    let place = folder.metadata()?;
    if place.mode() & 0o022 != 0 {
        return file.set_permissions(Permissions::from_mode(0o666));
    }
    // When root runs this in another user's folder, the other side is probably the owner. For other users chown is
    // refused, and not needed.
    let _ = std::os::unix::fs::fchown(file, Some(place.uid()), Some(place.gid()));
    Ok(())
}

impl<'a> Meeting<'a> {
    /// The status files of the others, the lowest nonce first.
    fn statuses(&self) -> io::Result<Vec<StatusFile>> {
        let mut statuses = Vec::new();
        // The folder is opened again each time: a listing through the same descriptor would continue where it ended.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::read_from(openat(self.folder, ".", flags, Mode::empty())?)? {
            let entry = entry?;
            let status = entry.file_name().to_str().ok().and_then(|name| StatusFile::parse(name, &self.token));
            statuses.extend(status.filter(|status| status.nonce != self.nonce));
        }
        statuses.sort_by_key(|status| status.nonce);
        let mut met = self.met.borrow_mut();
        let room = MOST_OTHERS.saturating_sub(met.len());
        met.extend(statuses.iter().take(room).map(|status| status.nonce));
        Ok(statuses)
    }

    /// Waits for a side, or joins a waiting one. When two sides wait, the one with the higher nonce joins the other.
    fn find(&mut self, deadline: Instant) -> io::Result<Option<Pair<'a>>> {
        let mut waiting: Option<(Own<'a>, Scratch)> = None;
        while !(self.stop)() && Instant::now() < deadline {
            let statuses = self.statuses()?;
            let guest = statuses.iter().find(|status| status.peer == Some(self.nonce));
            if let Some(guest) = guest
                && let Some((own, scratch)) = waiting.take()
            {
                return Ok(Some(Pair { own, scratch, peer: guest.nonce }));
            }
            let host = statuses.iter().find(|status| {
                let free = status.peer.is_none() && !self.dead.contains(&status.nonce);
                free && (waiting.is_none() || status.nonce < self.nonce)
            });
            if let Some(host) = host {
                waiting = None;
                if let Some(pair) = self.join(host)? {
                    return Ok(Some(pair));
                }
            } else if waiting.is_none() {
                let (own, file) = Own::create(self, None)?;
                file.set_len(SIZE)?;
                waiting = Some((own, Scratch::new(file, Role::Host)?));
            } else {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        Ok(None)
    }

    /// Joins a waiting side; `None` when it went away, chose another side or does not answer.
    fn join(&mut self, host: &StatusFile) -> io::Result<Option<Pair<'a>>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match openat(self.folder, host.name().as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::ACCESS) if self.may_be_admitted(host.nonce) => {
                std::thread::sleep(LOOK_EVERY);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            self.dead.push(host.nonce);
            return Ok(None);
        }
        if metadata.len() != SIZE {
            // The file was just made.
            std::thread::sleep(LOOK_EVERY);
            return Ok(None);
        }
        let scratch = Scratch::new(file, Role::Guest)?;
        let (own, _) = Own::create(self, Some(host.nonce))?;
        let chosen = self.await_status(host.nonce, |status| status.peer.is_some())?;
        match chosen {
            Some(status) if status.peer == Some(self.nonce) => Ok(Some(Pair { own, scratch, peer: host.nonce })),
            Some(_) => Ok(None),
            None => {
                self.dead.push(host.nonce);
                Ok(None)
            }
        }
    }

    /// Whether a side that may not be opened can still become one that may.
    ///
    /// folklore: a status file is made for its owner alone, and gets its rights for others a moment later. Held by
    /// `a_status_file_that_is_just_made_is_waited_for`.
    fn may_be_admitted(&mut self, host: u64) -> bool {
        let since = match self.refused {
            Some((known, since)) if known == host => since,
            _ => Instant::now(),
        };
        self.refused = Some((host, since));
        since.elapsed() < STEP_AT_MOST
    }

    /// Waits until the other's status file is as wanted; `None` when the file disappeared or does not change.
    fn await_status(&self, peer: u64, wanted: impl Fn(&StatusFile) -> bool) -> io::Result<Option<StatusFile>> {
        let end = Instant::now() + STEP_AT_MOST;
        let mut misses = 0;
        while Instant::now() < end && !(self.stop)() {
            match self.statuses()?.into_iter().find(|status| status.nonce == peer) {
                Some(status) if wanted(&status) => return Ok(Some(status)),
                Some(_) => misses = 0,
                // folklore: a listing taken while a name is changed can miss both the old and the new one. POSIX
                // readdir; held by `two_meet_in_a_folder`.
                None => misses += 1,
            }
            if misses > MISSES {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(None)
    }
}

/// This side, once it has found another.
struct Pair<'a> {
    own: Own<'a>,
    scratch: Scratch,
    peer: u64,
}

impl Pair<'_> {
    /// Runs the trial, from the moment when both sides have the file mapped.
    fn run(mut self, meeting: &Meeting<'_>) -> io::Result<Live> {
        let (nonce, peer) = (meeting.nonce, self.peer);
        let scratch = &self.scratch;
        let (own_seat, other_seat) = (scratch.seat(scratch.role), scratch.seat(scratch.other()));
        scratch.store(nonce)?;
        let mut tries = Tries::start(&scratch.file, scratch.role == Role::Host);
        let witness = beacon::Witness::of(&scratch.file);
        let held_beacon = beacon::hold(&scratch.file, own_seat, nonce);
        let before = held_beacon.is_ok() && witness.sees(own_seat, nonce);
        tries.take();
        let before_tries = before && tries.are_held(&witness);
        let mut state = State { stage: Stage::Wrote, ..State::WAITING };
        self.own.show(peer, state)?;
        let at = |stage: Stage| move |status: &StatusFile| status.peer == Some(nonce) && status.state.stage >= stage;
        let gone = || Ok(Live::untried("the other side went away, or did not go on"));

        let Some(_) = meeting.await_status(peer, at(Stage::Wrote))? else { return gone() };
        let sight = beacon::sight(&scratch.file, other_seat, peer);
        let sees = scratch.sees(peer)?;
        // Only after the look: a write lock that is granted would be seen by a look of the other side.
        let tried = tries.run(&scratch.file, other_seat, peer);
        let [by_description, by_process, as_sqlite] = tried.each_ref().map(|result| result.value().copied());
        let results = Results { by_description, by_process, as_sqlite };
        state = State { stage: Stage::Looked, sees, sight: sight.as_ref().ok().copied(), tries: results, ..state };
        self.own.show(peer, state)?;

        let Some(theirs) = meeting.await_status(peer, at(Stage::Looked))? else { return gone() };
        let both_see = state.sees && theirs.state.sees;
        let held = State { held: before && witness.sees(own_seat, nonce), ..state };
        let held_for_tries = before_tries && held.held && tries.are_held(&witness);
        let (made, round_trips, written) =
            if both_see { scratch.round_trips(nonce, peer)? } else { (0, Vec::new(), 0) };
        state = State { stage: Stage::Done, held_for_tries, written, ..held };
        self.own.show(peer, state)?;

        // What the other side wrote last it wrote before it said so: now it must be here.
        if let Some(done) = meeting.await_status(peer, at(Stage::Done))? {
            let last = done.state.written;
            state.sees = state.sees && (last == 0 || scratch.sees(in_round(peer, last))?);
        }
        state.stage = Stage::Checked;
        self.own.show(peer, state)?;
        let done = meeting.await_status(peer, at(Stage::Checked))?;
        // The scratch file is the host's status file, and only the host renames or removes it.
        let files_in_place = done.is_some();
        state.stage = Stage::Leaving;
        self.own.show(peer, state)?;
        // Waits until the other side has read it. If the other side is gone, it has read it too.
        meeting.await_status(peer, at(Stage::Leaving))?;

        let other = done.as_ref().map(|status| status.state);
        let look = |nonce, sight, held_throughout| BeaconLook { nonce, sight, held_throughout, files_in_place };
        let forth = match (held_beacon, theirs.state.sight) {
            (Ok(()), Some(sight)) => Observation::seen(look(nonce, sight, state.held)),
            (Ok(()), None) => Observation::unsupported("the other side cannot ask for locks here"),
            (Err(error), _) => unseen("F_OFD_SETLK on the scratch file", &error),
        };
        let back = match sight {
            Ok(sight) => Observation::seen(look(peer, sight, other.is_some_and(|state| state.held))),
            Err(error) => unseen("F_OFD_GETLK on the scratch file", &error),
        };
        let coherence = CoherenceView {
            forth: Some(other.map_or(theirs.state.sees, |state| state.sees)).into(),
            back: Some(state.sees).into(),
            round_trips,
            wanted: ROUNDS.into(),
            made: made.into(),
        };
        let [by_description, by_process, as_sqlite] = tried;
        let reported = theirs.state.tries;
        let tried = TriedView {
            forth: TriedLook {
                by_description: tries::reported(reported.by_description),
                by_process: tries::reported(reported.by_process),
                as_sqlite: tries::reported(reported.as_sqlite),
                held_throughout: files_in_place && state.held_for_tries,
            },
            back: TriedLook {
                by_description,
                by_process,
                as_sqlite,
                held_throughout: files_in_place && other.is_some_and(|state| state.held_for_tries),
            },
        };
        Ok(Live {
            pages: Observation::missing("the trial looks at no page tables"),
            beacon: BeaconView { forth, back },
            coherence: Some(Observation::seen(coherence)),
            tried: Some(Observation::seen(tried)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::live::{Arrival, Refusal, Sight};

    fn party(folder: &std::path::Path, tokens: &[&str], timeout: Duration) -> Vec<Trial> {
        std::thread::scope(|scope| {
            let each = tokens.iter().map(|token| {
                let folder = File::open(folder).unwrap();
                scope.spawn(move || meet(&folder, token, timeout, &|| false).unwrap())
            });
            let each: Vec<_> = each.collect();
            each.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    fn coherence(trial: &Trial) -> &CoherenceView {
        trial.live.coherence.as_ref().unwrap().value().unwrap()
    }

    #[test]
    fn two_meet_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..5 {
            let trials = party(folder.path(), &["word", "word"], Duration::from_secs(60));
            let [a, b] = trials.as_slice() else { panic!() };
            assert_eq!((a.peer, b.peer), (Some(b.nonce), Some(a.nonce)));
            for trial in [a, b] {
                let found = coherence(trial);
                assert_eq!(
                    (found.forth, found.back, found.made),
                    (Arrival::Arrived, Arrival::Arrived, u32::from(ROUNDS))
                );
                for look in [&trial.live.beacon.forth, &trial.live.beacon.back] {
                    let look = look.value().unwrap();
                    assert!(look.sight == Sight::Seen && look.held_throughout && look.files_in_place, "{look:?}");
                }
            }
            assert_eq!(coherence(a).round_trips.len() + coherence(b).round_trips.len(), usize::from(ROUNDS));
            for trial in [a, b] {
                let tried = trial.live.tried.as_ref().unwrap().value().unwrap();
                for look in [&tried.forth, &tried.back] {
                    for result in [&look.by_description, &look.by_process, &look.as_sqlite] {
                        assert_eq!(result.value(), Some(&Refusal::Refused), "{tried:?}");
                    }
                    assert!(look.held_throughout, "{tried:?}");
                }
                assert!(trial.others.is_empty() && trial.file_system.value().is_some());
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        }
    }

    #[test]
    fn a_third_side_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let status = StatusFile { token: status_file::word("word"), nonce: 7, peer: Some(8), state: State::WAITING };
        std::fs::write(folder.path().join(status.name()), "").unwrap();
        for trial in party(folder.path(), &["word", "word"], Duration::from_secs(60)) {
            assert!(trial.peer.is_some());
            assert_eq!(trial.others, [7]);
        }
    }

    #[test]
    fn who_is_alone_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let trials = party(folder.path(), &["one", "two"], Duration::from_millis(100));
        for trial in trials {
            assert_eq!(trial.peer, None);
            assert_eq!(trial.live.coherence, None);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_under_the_name_of_a_status_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = tempfile::NamedTempFile::new().unwrap();
        target.as_file().set_len(SIZE).unwrap();
        let status = StatusFile { token: status_file::word("word"), nonce: 0, peer: None, state: State::WAITING };
        std::os::unix::fs::symlink(target.path(), folder.path().join(status.name())).unwrap();
        let open = File::open(folder.path()).unwrap();
        assert!(meet(&open, "word", Duration::from_millis(100), &|| false).is_err());
    }
}
