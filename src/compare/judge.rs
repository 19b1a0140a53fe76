//! From evidence to a verdict about two sides.

use super::{
    About, Answer, Because, Fact, HeldBack, Kind, Pair, PairVerdict, Says, Side, Subject, assuming, beacon, contact,
    directory, history, identity, lock_pairing, mappings, pages, reach, temporal, went_back,
};
use crate::evidence::{ClockSample, Observation};
use crate::sides::{DirectoryFact, Doubt, Identity, NoProof, NotReached, OneSide, Part};

/// Two sides and the verdict about them.
pub(super) struct Judged<'a> {
    /// The pair.
    pub pair: Pair<'a>,
    /// The verdict.
    pub verdict: PairVerdict,
}

/// Judges two sides.
pub(super) fn judge(pair: &Pair<'_>) -> PairVerdict {
    let files = files_beside(pair);
    let one_side = one_side(pair);
    let pages = pages::judge(pair);
    let of_processes = pages.of_processes;
    let pairing = lock_pairing::judge(pair, &files.shm);
    let mut because = evidence(pair, &files.shm, pages.because, pairing.because);
    if let Some(one_side) = one_side {
        // If the processes of a place do not use what its path leads to, that is found even if one place was given
        // twice.
        because.retain(|item| one_side == OneSide::Path && item.says == Says::Refutes);
        because.push(Because::new(About::Both, Says::Silent, Fact::OneSide(one_side)));
    }
    let (mut memory, mut locks) = (answer(&because, About::Memory), answer(&because, About::Locks));
    // One folder and one name: whatever a process finds there, both sides find the same.
    let by_folder = because.iter().any(|item| item.kind == Kind::DirectoryIdentity && item.says == Says::Proves);
    let sharing = match Answer::of_both(memory, locks) {
        Answer::Proven if !by_folder && files.may_be_two() => Answer::Undecided,
        sharing => sharing,
    };
    let reasons = reasons(pair, pairing.held_back);
    let held_back = contradicted(pair, &because, [memory, locks])
        .or_else(|| reasons.into_iter().find(|why| counts(why, sharing, &because)));
    let sharing = if held_back.is_some() { Answer::Undecided } else { sharing };
    if held_back.as_ref().is_some_and(HeldBack::leaves_nothing_shared) {
        (memory, locks) = (Answer::Undecided, Answer::Undecided);
    }
    let assuming = assuming::of_pair(pair, sharing, &because);
    let FilesBeside { shm, two_files, doubt } = files;
    PairVerdict {
        sides: [pair.a.index, pair.b.index],
        subject: subject(pair, &because, sharing, of_processes, pairing.allows_mappings),
        decided_by: decided_by(&because, sharing, memory, locks),
        sharing,
        memory,
        locks,
        because,
        one_side,
        apart: directory::apart(pair),
        shm,
        two_files,
        doubt,
        held_back,
        assuming,
        pages_of_processes: of_processes,
    }
}

/// Every reason why sharing is not proven although memory and locks are, the one that counts most first.
pub(super) fn reasons(pair: &Pair<'_>, by_processes: Vec<HeldBack>) -> Vec<HeldBack> {
    let mut reasons = by_processes;
    reasons.extend(reach::held_back(pair));
    // Where nothing is shared, what else processes do explains less.
    reasons.sort_by_key(|why| !why.leaves_nothing_shared());
    reasons
}

/// Whether a reason counts: it takes a proof away, or explains why the folder is one and yet does not prove.
fn counts(why: &HeldBack, sharing: Answer, because: &[Because]) -> bool {
    match why {
        _ if sharing == Answer::Proven => true,
        HeldBack::Rollback(_) => sharing == Answer::Undecided,
        HeldBack::Exclusive(..) => matches!(not_reached(because), Some(NotReached::Exclusive(_))),
        HeldBack::MadeAnew(..) => matches!(not_reached(because), Some(NotReached::RemovedAlone)),
        HeldBack::OnOneOther(..) => sharing != Answer::Refuted,
        _ => false,
    }
}

/// Why the folder does not prove, although it is one.
fn not_reached(because: &[Because]) -> Option<&NotReached> {
    because.iter().find_map(|item| match &item.fact {
        Fact::DirectoryIdentity(DirectoryFact::Silent(why)) => Some(why),
        _ => None,
    })
}

/// Identity of two captures says that the files are one, and what they show does not fit together. Either files were
/// overwritten in place, or these are two copies of one machine or disk. Where one process looked at both sides, or the
/// captures met, it is the first.
fn contradicted(pair: &Pair<'_>, because: &[Because], answers: [Answer; 2]) -> Option<HeldBack> {
    if pair.looked_at_by_one_process()
        || contact::met(pair)
        || answers.contains(&Answer::Refuted)
        || !answers.contains(&Answer::Proven)
    {
        return None;
    }
    let parting = history::parting(because).map(|(parting, _)| parting);
    parting.or_else(|| went_back::went_back(pair)).map(HeldBack::Contradicted)
}

/// All pieces of evidence; physical pages come first.
fn evidence(pair: &Pair<'_>, shm: &Identity, pages: Vec<Because>, pairing: Because) -> Vec<Because> {
    let mut because = pages;
    because.extend(identity::because(shm));
    because.push(directory::because(pair, shm));
    because.push(mappings::because(pair, shm));
    because.push(pairing);
    because.extend(beacon::because(pair.a.index, pair.b.index, pair.live, beacon::Worth::of_pair(pair)));
    because.push(contact::because(pair, shm));
    because.extend(pair.live.and_then(|live| beacon::tried(pair.a.index, pair.b.index, live)));
    because.extend(pair.live.and_then(beacon::coherence));
    let one = says_one(&because, shm);
    because.push(temporal::because(pair, shm, one));
    because.push(history::content(pair, shm, one));
    because.push(history::equal_bytes(pair));
    because
}

/// Whether identity says that the wal-index is one: of the `-shm`, of its page frames, or of the folder for who opens
/// it next.
fn says_one(because: &[Because], shm: &Identity) -> bool {
    let kinds = [Kind::KernelIdentity, Kind::PhysicalPages, Kind::DirectoryIdentity];
    because.iter().any(|item| item.says == Says::Proves && kinds.contains(&item.kind))
        || matches!(shm, Identity::OneInode(_) | Identity::Alike(_, NoProof::OtherFiles(_)))
}

/// What identifies a capture: when it began and ended, to the nanosecond, and which process made it.
fn capture(side: &Side) -> impl PartialEq + use<> {
    let of = |clock: ClockSample| (clock.boottime, clock.realtime);
    (of(side.evidence.begun), of(side.evidence.ended), side.evidence.host.pid)
}

/// Whether both sides are one, so that nothing has to be compared.
fn one_side(pair: &Pair<'_>) -> Option<OneSide> {
    let (a, b) = (pair.a.side, pair.b.side);
    let place = |side: &Side| (side.evidence.host.pid, side.evidence.files.database_path.clone());
    if capture(a) == capture(b) {
        return Some(OneSide::Capture);
    }
    // Captures at different times, or in different PID namespaces, can be of different processes with one pid.
    let live = pair.simultaneous || pair.live.is_some();
    let [x, y] = [a, b].map(|side| side.evidence.host.namespaces.mount.value());
    let apart = x.zip(y).is_some_and(|(x, y)| x != y);
    (live && !apart && place(a) == place(b)).then_some(OneSide::Path)
}

/// What is known of one `-shm` together with the database and the `-wal`.
pub(super) struct FilesBeside {
    /// The identity of the `-shm`. It is a proof only if the other files are not two.
    pub shm: Identity,
    /// The database or the `-wal` is two files: what was found about its identity.
    pub two_files: Option<Identity>,
    /// Why it is not known whether they are one file each.
    pub doubt: Option<Doubt>,
}

impl FilesBeside {
    /// Whether the database or the `-wal` is two files, or may be two. Then one wal-index is not useful sharing.
    fn may_be_two(&self) -> bool {
        self.two_files.is_some() || self.doubt.is_some()
    }
}

/// Judges the `-shm` together with the database and the `-wal`. If something of those was not seen, it might have
/// refuted one wal-index, so there is no proof either.
pub(super) fn files_beside(pair: &Pair<'_>) -> FilesBeside {
    let shm = identity::judge(pair, Part::Shm);
    let is_one = matches!(shm, Identity::OneInode(_));
    let (mut two_files, mut doubt) = (None, None);
    for part in [Part::Database, Part::Wal] {
        let missing = |side: &Side| matches!(part.of(&side.evidence.files), Observation::Missing { .. });
        match identity::judge(pair, part) {
            two @ (Identity::TwoInodes(_) | Identity::TwoLockInodes(_)) => two_files = two_files.or(Some(two)),
            Identity::Unknown(_) if missing(pair.a.side) && missing(pair.b.side) => {}
            // folklore: SQLite creates a -wal before its -shm and deletes it after it (sqlite3WalOpen, sqlite3WalClose),
            // and the database stays. So if the -shm stayed and another file is younger, somebody removed or replaced
            // that file, and a process that mapped the -shm before still uses the old one. If the -shm was created
            // again too, the folder decides. Held by
            // `a_database_or_wal_that_was_replaced_under_its_wal_index_leaves_it_undecided`.
            open @ (Identity::Unknown(_) | Identity::Replaced(_)) => doubt = doubt.or(Some(Doubt::Identity(open))),
            // They are equal as far as was seen. What was refused might have been different.
            Identity::Alike(..) => doubt = doubt.or_else(|| identity::refused(pair, part).map(Doubt::Refused)),
            Identity::OneInode(_) => {}
        }
    }
    let but = two_files.clone().map(Doubt::Identity).or_else(|| doubt.clone());
    let shm = match (shm, but) {
        (Identity::OneInode(looks), Some(but)) => Identity::Alike(looks, NoProof::OtherFiles(Box::new(but))),
        (shm, _) => shm,
    };
    // If the identity does not prove one -shm, the other two files make any other proof doubtful.
    let doubt = doubt.or_else(|| two_files.clone().filter(|_| !is_one).map(Doubt::Identity));
    FilesBeside { two_files: two_files.filter(|_| is_one), shm, doubt }
}

/// Memory or locks: a refuting fact decides first, then a proof.
pub(super) fn answer(because: &[Because], aspect: About) -> Answer {
    let any = |says| because.iter().any(|item| item.says == says && item.about.covers(aspect));
    if any(Says::Refutes) {
        Answer::Refuted
    } else if any(Says::Proves) {
        Answer::Proven
    } else {
        Answer::Undecided
    }
}

/// `pages_of_processes`: the page frames were seen between running processes of both sides.
/// `allows_mappings`: each process that was seen has the locks of the wal-index that it uses.
fn subject(
    pair: &Pair<'_>,
    because: &[Because],
    sharing: Answer,
    pages_of_processes: bool,
    allows_mappings: bool,
) -> Subject {
    let says = |kind, says| because.iter().any(|item| item.kind == kind && item.says == says);
    let mappings = match sharing {
        // Process mappings support only if each side was seen to map the one inode that kernel identity proves.
        Answer::Proven => {
            allows_mappings
                && (says(Kind::ProcessMappings, Says::Supports) && says(Kind::KernelIdentity, Says::Proves)
                    || pages_of_processes && says(Kind::PhysicalPages, Says::Proves) && mappings::seen_at_work(pair))
        }
        Answer::Refuted => {
            let of_mappings = |item: &Because| match item.kind {
                Kind::ProcessMappings | Kind::LockPairing => true,
                Kind::PhysicalPages => pages_of_processes,
                _ => false,
            };
            let refuting = || because.iter().filter(|item| item.says == Says::Refutes);
            says(Kind::ProcessMappings, Says::Refutes) || refuting().all(of_mappings)
        }
        Answer::Undecided => false,
    };
    if mappings { Subject::Mappings } else { Subject::Paths }
}

pub(super) fn decided_by(because: &[Because], sharing: Answer, memory: Answer, locks: Answer) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for item in because {
        let decides = match (sharing, item.says) {
            (Answer::Refuted, Says::Refutes) => true,
            (Answer::Proven | Answer::Undecided, Says::Proves) => {
                (memory == Answer::Proven && item.about.covers(About::Memory))
                    || (locks == Answer::Proven && item.about.covers(About::Locks))
            }
            _ => false,
        };
        if decides && !kinds.contains(&item.kind) {
            kinds.push(item.kind);
        }
    }
    kinds
}
