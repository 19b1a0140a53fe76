//! Beacons on the `-shm` of a database: nothing is written, and no byte that SQLite uses is locked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use walscope::bundle;
use walscope::compare::{Met, PeerUnknown, Side, Verdict, findings_of_one, probe};
use walscope::evidence::live::{BeaconLook, Live, Sight};
use walscope::evidence::{Observation, UnstableCause};
use walscope::linux::challenge::beacon::{self, Locked, PATTERN, Word};
use walscope::linux::challenge::meeting::{self, PeerIdentity};
use walscope::linux::{self, OpenedFiles};
use walscope::report::probe::{Action, On, ProbeDocument, SCHEMA, nonce as written};
use walscope::source::{self, Source};

use crate::exit::{Exit, exit_of};
use crate::options::Global;
use crate::output;
use crate::stop::Stop;

/// Time between two checks of a holder whether its files are still in place.
const GLANCE: Duration = Duration::from_millis(500);

/// A database that is challenged.
struct Challenged {
    files: OpenedFiles,
    shm: Arc<File>,
    /// Kernel identity of the `-shm`, as an answer is bound to it.
    digest: Option<u64>,
    side: Side,
}

impl Challenged {
    fn open(source: &Path, global: &Global) -> anyhow::Result<Self> {
        let files = match source::open(source.as_os_str(), global.care())? {
            Source::Files(files) => files.opened,
            Source::Bundle(_) => None,
        };
        let Some(files) = files else {
            bail!("{}: a probe needs a live database, found a bundle, a -wal or a -shm alone", source.display());
        };
        let shm = match files.shm_to_lock() {
            Observation::Seen { value } => Arc::clone(value),
            absent => bail!(
                "{}: a probe needs a -shm, which is there while a connection is open: {}; before there is a database, walscope probe meet FOLDER",
                source.display(),
                absent.reason().unwrap_or_default()
            ),
        };
        let evidence = linux::evidence(&files);
        let digest = beacon::digest(&evidence.host, &evidence.files);
        Ok(Self { files, shm, digest, side: Side::new("this side", evidence) })
    }

    /// Judges what was seen of the other side and of its identity.
    fn judge(&mut self, live: &Live, identity: PeerIdentity, action: Action) -> Verdict {
        self.side.evidence.paths_unchanged = linux::paths_unchanged(&self.files);
        if bundle::wal_is_cut_off(&self.files).unwrap_or_default() {
            (self.side.stable, self.side.unstable) = (false, Some(UnstableCause::WalCutOff));
        }
        let met = match (self.digest, identity) {
            (Some(_), PeerIdentity::Same) => Met::SameIdentity(&self.side),
            (None, _) => Met::Unknown(PeerUnknown::UnseenHere),
            (_, PeerIdentity::NotRead) => Met::Unknown(PeerUnknown::NotRead),
            // Those who met have the same token: each answer was bound to it.
            (_, PeerIdentity::Differs) if action == Action::Seek => Met::Unknown(PeerUnknown::DiffersOrToken),
            (_, PeerIdentity::Differs | PeerIdentity::Unseen) => Met::Unknown(PeerUnknown::Differs),
        };
        probe(met, live)
    }
}

fn document(action: Action, source: &Path, nonce: u64) -> ProbeDocument {
    ProbeDocument {
        schema: SCHEMA,
        action,
        on: On::WalIndex,
        source: source.display().to_string(),
        nonce: written(nonce),
        peer_nonce: None,
        other_nonces: Vec::new(),
        acknowledged: None,
        held_throughout: None,
        latency: None,
        verdict: None,
        explanation: String::new(),
        findings: Vec::new(),
        left_behind: Vec::new(),
    }
}

/// Holds a beacon until standard input ends, or for a while.
pub fn hold(source: &Path, token: &str, time: Option<Duration>, global: &Global) -> anyhow::Result<Exit> {
    let held = Challenged::open(source, global)?;
    let nonce = beacon::nonce().context("drawing a nonce")?;
    let seat = beacon::seat_of(nonce);
    let witness = beacon::Witness::of(&held.shm);
    let refused = || format!("{}: locks of open file descriptions on the -shm", source.display());
    if let Some(digest) = held.digest {
        let word = beacon::identity_word(token, nonce, digest);
        beacon::hold(&held.shm, seat + PATTERN, word).with_context(refused)?;
    }
    beacon::hold(&held.shm, seat, nonce).with_context(refused)?;
    let before = witness.sees(seat, nonce);
    let same_token = if token == super::TOKEN { "" } else { ", with the same --token" };
    let next = format!("Held. On the other side: walscope probe seek SOURCE {}{same_token}", written(nonce));
    let shown = ProbeDocument { explanation: next, held_throughout: None, ..document(Action::Hold, source, nonce) };
    output::document(global, &shown, |width| shown.draw(width))?;
    io::stdout().flush()?;
    let in_place = wait(time, &|| linux::paths_unchanged(&held.files))?;
    let throughout = before && in_place && witness.sees(seat, nonce);
    output::complain(if throughout {
        "walscope: held throughout\n"
    } else {
        "walscope: not held throughout, or the -shm was replaced meanwhile: that it was not seen says nothing\n"
    });
    // The holder does not learn what the other side saw: the verdict is on the other side.
    Ok(Exit::Undecided)
}

/// Waits for the given time, or else for the end of standard input. Stops earlier when the files are no longer in
/// place, because a beacon on a file to which the path no longer leads would mislead. Returns whether the files were in
/// place to the end.
fn wait(time: Option<Duration>, in_place: &dyn Fn() -> bool) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let input = io::stdin();
    while time.is_none_or(|time| begun.elapsed() < time) {
        if !in_place() {
            return Ok(false);
        }
        let left = time.map_or(GLANCE, |time| time.saturating_sub(begun.elapsed()).min(GLANCE));
        if time.is_some() {
            std::thread::sleep(left);
            continue;
        }
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&Timespec::try_from(left)?)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) if input.lock().read(&mut [0; 256])? == 0 => break,
            Ok(_) => {}
            Err(error) => return Err(io::Error::from(error)).context("waiting for the end of standard input"),
        }
    }
    Ok(in_place())
}

/// Looks for a beacon.
pub fn seek(source: &Path, nonce: u64, token: &str, global: &Global) -> anyhow::Result<Exit> {
    let mut here = Challenged::open(source, global)?;
    let seat = beacon::seat_of(nonce);
    let mut live = Live::untried("this side holds no beacon when it seeks");
    let mut identity = PeerIdentity::NotRead;
    match Locked::look(&here.shm, seat, 2 * PATTERN) {
        Ok(locked) => {
            let sight = match locked.word(seat) {
                Word::Is(seen) if seen == nonce => Sight::Seen,
                Word::Free => Sight::NotSeen,
                Word::Is(_) | Word::Garbled => Sight::Garbled,
            };
            if let (Sight::Seen, Word::Is(seen)) = (sight, locked.word(seat + PATTERN)) {
                let same = here.digest.is_some_and(|digest| seen == beacon::identity_word(token, nonce, digest));
                identity = if same { PeerIdentity::Same } else { PeerIdentity::Differs };
            }
            // Only the holder knows whether the beacon was held all the time: here an unseen beacon proves nothing.
            let look = BeaconLook { nonce, sight, held_throughout: false, files_in_place: false };
            live.beacon.back = Observation::seen(look);
        }
        Err(error) => live.beacon.back = Observation::unsupported(format!("F_OFD_GETLK on the -shm: {error}")),
    }
    let verdict = here.judge(&live, identity, Action::Seek);
    let document = document(Action::Seek, source, nonce).judged(&verdict).beside(&findings_of_one(&here.side));
    output::document(global, &document, |width| document.draw(width))?;
    Ok(exit_of(verdict.sharing.into()))
}

/// Meets another side by beacons alone.
pub fn meet(source: &Path, token: &str, timeout: Duration, stop: &Stop, global: &Global) -> anyhow::Result<Exit> {
    let mut here = Challenged::open(source, global)?;
    let met = meeting::meet(&here.shm, token, here.digest, timeout, &|| stop.asked());
    let mut live = Live::untried("nobody else was seen");
    let mut shown = document(Action::Meet, source, 0);
    let mut identity = PeerIdentity::NotRead;
    match met {
        Ok(met) => {
            let look = |nonce| BeaconLook { nonce, sight: Sight::Seen, held_throughout: true, files_in_place: true };
            if let Some(peer) = met.peer {
                live.beacon.back = Observation::seen(look(peer));
                live.beacon.forth = if met.acknowledged {
                    Observation::seen(look(met.nonce))
                } else {
                    Observation::missing("the other side went away before it answered")
                };
            }
            if met.peer.is_none() && !met.others.is_empty() {
                live.beacon.back = Observation::missing("others at the table answered each other");
                live.beacon.forth = live.beacon.back.clone();
            }
            identity = met.identity;
            shown.nonce = written(met.nonce);
            shown.peer_nonce = met.peer.map(written);
            shown.acknowledged = met.peer.map(|_| met.acknowledged);
            shown.other_nonces = met.others.iter().copied().map(written).collect();
        }
        Err(error) => live = Live::untried(&format!("locks of open file descriptions on the -shm: {error}")),
    }
    let verdict = here.judge(&live, identity, Action::Meet);
    let document = shown.judged(&verdict).beside(&findings_of_one(&here.side));
    output::document(global, &document, |width| document.draw(width))?;
    Ok(exit_of(verdict.sharing.into()))
}
