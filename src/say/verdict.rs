//! The verdict in words. It never says more than its subject, and says what to do.

use super::apart::apart;
use super::evidence::{detail, one_side, reason};
use super::identity::{doubt, identity};
use super::pairing::{beside, has_suspects, held_back, is_assumed};
use super::reach::of_folder;
use super::rescue;
use super::words::Names;
use crate::compare::{
    About, Answer, Apart, Assumption, BeaconFact, Because, CoherenceFact, Comparison, Doubt, Fact, Identity, Kind,
    NoBeacon, NoProof, OneSide, PairVerdict, Says, SideName, Subject, Verdict,
};
use crate::evidence::UnstableCause;
use crate::sides::{PairingFact, PeerUnknown, Unknown, UsersOf};

/// Explains a verdict.
#[must_use]
pub fn explain(comparison: &Comparison) -> String {
    let labels = Names::labels(comparison);
    let names = Names::new(&labels);
    let verdict = &comparison.verdict;
    if let [only] = verdict.pairs.as_slice()
        && verdict.sharing == Answer::Undecided
        && let Some(one) = only.one_side
    {
        let next = match one {
            OneSide::Capture => "Give a capture of each side.",
            OneSide::Path => {
                "Name the database as each side sees it: NAME:/path, pid:N:/path, or a bundle that was captured there."
            }
        };
        let all = names.all();
        return format!("Whether {all} share one wal-index is undecided. These are {}. {next}", one_side(one));
    }
    let stable = comparison.sides.iter().all(|side| side.stable);
    let mut sentences = match verdict.sharing {
        Answer::Proven => proven(verdict, names, stable),
        Answer::Refuted => refuted(verdict, names),
        Answer::Undecided => undecided(verdict, names),
    };
    sentences.extend(verdict.pairs.iter().find_map(conflict));
    sentences.extend(verdict.pairs.iter().filter_map(|pair| {
        let [a, b] = pair.sides.map(|side| names.of(side));
        Some(format!("{a} and {b} are {}.", one_side(pair.one_side?)))
    }));
    let moving = |side: &SideName| !side.stable && side.unstable != Some(UnstableCause::WalCutOff);
    if comparison.sides.iter().any(moving) {
        sentences.push("A capture is not of one moment: capture again to judge its content.".to_owned());
    }
    sentences.join(" ")
}

/// What a side is told that met nobody although it saw others.
pub const PASSED_OVER: &str =
    "Others at the same table answered each other, and not this side: give each pair a --token of its own.";

/// Explains the verdict of a trial in a folder that started both sides by itself: two processes of one machine, by one path.
#[must_use]
pub fn explain_try(verdict: &Verdict) -> String {
    let refuting = || verdict.because().find(|item| item.says == Says::Refutes).map(|item| detail(item, Names::PROBE));
    match verdict.sharing {
        Answer::Proven => {
            "Locks and shared memory work in this folder between two processes here: SQLite can use WAL mode in it. Whether another container or another mount reaches the same files is another question: walscope probe meet FOLDER, run on both sides, answers it."
                .to_owned()
        }
        Answer::Refuted => format!(
            "WAL mode does not work in this folder, not even between two processes here: {}. Use a local file system, or another journal mode.",
            refuting().unwrap_or_default()
        ),
        Answer::Undecided => {
            let open = [
                (verdict.memory, "whether two processes here have one memory of a file: if not, a reader misses commits, and writers damage the database"),
                (verdict.locks, "whether a lock here keeps others out: if not, two writers write over each other"),
            ];
            let open: Vec<&str> =
                open.into_iter().filter(|(answer, _)| *answer != Answer::Proven).map(|(_, what)| what).collect();
            let known = match (verdict.memory, verdict.locks) {
                (Answer::Proven, _) => " Memory is shared.",
                (_, Answer::Proven) => " Locks work.",
                _ => "",
            };
            format!(
                "The trial did not decide {}.{known} WAL mode needs both, so do not rely on it in this folder. The evidence says what was not tried. Run it again; if it stays so, run walscope probe meet FOLDER in two terminals and read what each side says.",
                open.join("; nor ")
            )
        }
    }
}

/// Explains the verdict of a probe. `folder`: a scratch file in a folder was tried.
#[must_use]
pub fn explain_probe(verdict: &Verdict, folder: bool) -> String {
    let names = Names::PROBE;
    let refuting = || {
        let item = verdict.because().find(|item| item.says == Says::Refutes);
        item.map(|item| detail(item, names)).unwrap_or_default()
    };
    match (verdict.sharing, folder) {
        (Answer::Proven, true) => {
            "A file in this folder is one memory with one list of locks on both sides: a database that lies here on both sides can be used in WAL mode from both, unless one of its files is a mount of its own.".to_owned()
        }
        (Answer::Proven, false) => {
            "A process that opens the database next, here or on the other side, reaches the same wal-index: its memory and its locks are shared.".to_owned()
        }
        (Answer::Refuted, true) => format!(
            "WAL mode does not work between the two sides in this folder: {}. Use one local file system on one host, or another journal mode.",
            refuting()
        ),
        (Answer::Refuted, false) => format!("The two sides do not share one wal-index: {}.", refuting()),
        (Answer::Undecided, folder) => {
            let met = verdict.because().any(|item| match &item.fact {
                Fact::LockBeacon(BeaconFact::Silent(why)) => !matches!(why, NoBeacon::Untried(_) | NoBeacon::NotLive),
                Fact::LockBeacon(_) => true,
                Fact::MappingCoherence(fact) => !matches!(fact, CoherenceFact::Untried(_)),
                _ => false,
            });
            let half = match (verdict.memory, verdict.locks) {
                (_, Answer::Proven) => "Locks are shared; about the memory nothing is proven.",
                (Answer::Proven, _) => "Memory is shared; about the locks nothing is proven.",
                _ if met => "Neither memory nor locks are proven to be shared.",
                _ => "Nothing is proven: that nobody was met does not say that nothing is shared.",
            };
            let scratch = "walscope probe meet FOLDER, run on both sides, tries the locks and the memory with a scratch file.";
            let not_found = verdict
                .because()
                .any(|item| matches!(item.fact, Fact::LockBeacon(BeaconFact::Silent(NoBeacon::MayNotHaveBeenThere))));
            let token = verdict
                .pairs
                .iter()
                .any(|pair| matches!(pair.shm, Identity::Unknown(Unknown::Peer(PeerUnknown::DiffersOrToken))));
            let next = if folder && met {
                "The two sides met; the evidence says what was not tried to the end. Run it again on both sides."
                    .to_owned()
            } else if not_found {
                format!(
                    "No beacon with this nonce was found: the holder may have ended, the nonce may be another one, or the paths lead to two files. Run probe hold and probe seek at the same time, with the nonce that the holder printed and the same --token. If that finds nothing either: {scratch}"
                )
            } else if !met {
                let both = "Run it on both sides at the same time, with the same --token.";
                if folder { both.to_owned() } else { format!("{both} If nobody is met then either: {scratch}") }
            } else if token {
                format!("Run it with the --token of the holder. If that was the same: {scratch}")
            } else if verdict.locks != Answer::Proven {
                scratch.to_owned()
            } else {
                "walscope probe meet FOLDER, run on both sides, tries the memory with a scratch file; compare from the host, as root, reads page frames.".to_owned()
            };
            if let Some(why) = verdict.pairs.iter().find_map(|pair| pair.held_back.as_ref()) {
                return format!("Memory and locks of one -shm are shared. {}", held_back(why, names));
            }
            let open = verdict.pairs.iter().find_map(|pair| pair.doubt.as_ref());
            let open = open.map(|why| format!("{} ", not_shown(why, names))).unwrap_or_default();
            format!("{half} {open}{next}")
        }
    }
}

fn not_shown(why: &Doubt, names: Names<'_>) -> String {
    if let Doubt::Identity(two @ (Identity::TwoInodes(_) | Identity::TwoLockInodes(_))) = why {
        return format!("But the files are two: {}.", identity(two, names));
    }
    format!("That database and -wal are one is not shown: {}.", doubt(why, names))
}

/// `stable`: every capture is of one moment. If one is not, there may be something to do.
fn proven(verdict: &Verdict, names: Names<'_>, stable: bool) -> Vec<String> {
    let all = names.all();
    let unless = unless(&verdict.assuming);
    if verdict.subject == Subject::Mappings {
        let mut sentences = vec![format!(
            "The processes seen on {all} have one wal-index mapped: they share its memory and its locks{unless}."
        )];
        let others = others(verdict, names);
        let assumed = verdict.pairs.iter().any(is_assumed);
        sentences.push(match (stable && others.is_empty(), assumed) {
            (true, false) => "For sharing there is nothing to do; processes that were not seen are not judged.".to_owned(),
            (true, true) => "For sharing there is nothing to do if each of them holds its locks, which was not looked at; processes that were not seen are not judged.".to_owned(),
            (false, _) => "Processes that were not seen are not judged.".to_owned(),
        });
        sentences.extend(others);
        sentences.extend(exclude(&verdict.assuming));
        return sentences;
    }
    let unseen = verdict.pairs.iter().find_map(|pair| {
        let mut items = pair.because.iter().filter(|item| item.kind == Kind::ProcessMappings);
        reason(items.find(|item| item.says == Says::Silent)?, names)
    });
    let why = unseen.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let others = others(verdict, names);
    let not_all = verdict.pairs.iter().any(has_suspects);
    let mut sentences = vec![
        format!(
            "A process that opens the database next, on any of {all}, reaches the same wal-index: its memory and its locks are shared{unless}."
        ),
        match not_all {
            true => "That the running processes share it is not said.".to_owned(),
            false => format!(
                "What running processes have mapped is not judged{why}; to judge that, capture on each side as the user that SQLite runs as, or as root, while it has the database open."
            ),
        },
    ];
    sentences.extend(others);
    sentences.extend(exclude(&verdict.assuming));
    sentences
}

/// What a proof takes for granted, as the end of a sentence.
fn unless(assuming: &[Assumption]) -> String {
    let copies = match assuming {
        [] => return String::new(),
        [Assumption::OneMachine] => "machine",
        [Assumption::OneDisk] => "disk",
        _ => "machine or disk",
    };
    format!(", unless these captures come from two copies of one {copies}")
}

/// The command that leaves nothing to be taken for granted.
fn exclude(assuming: &[Assumption]) -> Option<String> {
    (!assuming.is_empty()).then(|| {
        "To exclude copies, capture one side with walscope snapshot --hold=60, and the other while that is held; or compare both sides live."
            .to_owned()
    })
}

/// The processes that do not use the wal-index as every connection does, each once.
fn others(verdict: &Verdict, names: Names<'_>) -> Vec<String> {
    let mut others = Vec::new();
    for sentence in verdict.pairs.iter().flat_map(|pair| beside(pair, names)) {
        if !others.contains(&sentence) {
            others.push(sentence);
        }
    }
    others
}

fn refuted(verdict: &Verdict, names: Names<'_>) -> Vec<String> {
    let all = names.all();
    let refuting = verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Refuted);
    let (mut facts, mut path_level) = (Vec::new(), false);
    for pair in refuting.take(3) {
        let refutes = || pair.because.iter().filter(|item| item.says == Says::Refutes);
        path_level |= refutes().any(|item| !pair.is_about_processes(item));
        // Two inodes explain best why mappings differ. Other evidence against paths says nothing about mappings.
        let of_subject = |item: &&Because| {
            verdict.subject == Subject::Paths
                || matches!(
                    item.kind,
                    Kind::KernelIdentity | Kind::ProcessMappings | Kind::LockPairing | Kind::PhysicalPages
                )
        };
        facts.extend(refutes().find(of_subject).map(|item| detail(item, names)));
    }
    let facts = facts.join("; ");
    let every =
        |is: fn(&PairVerdict) -> bool| verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Refuted).all(is);
    let ways = every(by_mounts_alone);
    let mount = if every(|pair| matches!(pair.apart, Some(Apart::Folders(..)))) {
        rescue::TWO_DATABASES
    } else if ways {
        rescue::ONE_WAY
    } else {
        rescue::MOUNT_THE_FOLDER
    };
    let (what, advice) = match (verdict.subject, path_level) {
        (Subject::Mappings, false) => {
            let advice = if ways { rescue::ONE_WAY } else { rescue::START_AGAIN };
            (format!("The processes seen on {all} do not all use one wal-index"), advice)
        }
        (Subject::Mappings, true) => (format!("The processes seen on {all} do not have one wal-index mapped"), mount),
        (Subject::Paths, _) => {
            let advice = if is_in_use(verdict) { mount } else { rescue::COPIES_OR_MOUNTS };
            (format!("{all} do not share one wal-index"), advice)
        }
    };
    // What the user has set up comes before inodes and page frames.
    let set_up =
        verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Refuted).find_map(|pair| apart(pair, names));
    set_up.into_iter().chain([format!("{what}: {facts}."), advice.to_owned()]).collect()
}

/// Whether the sides reach the database through two mounts, and nothing else speaks against sharing: no file that was
/// deleted or replaced, and no content of two databases.
fn by_mounts_alone(pair: &PairVerdict) -> bool {
    let of_mounts = |kind| {
        matches!(
            kind,
            Kind::PhysicalPages | Kind::LockBeacon | Kind::TriedLocks | Kind::MappingCoherence | Kind::Contact
        )
    };
    matches!(pair.apart, Some(Apart::Mounts(_)))
        && pair.because.iter().filter(|item| item.says == Says::Refutes).all(|item| of_mounts(item.kind))
}

/// Whether processes use the files of a pair that does not share, or that was not looked for.
fn is_in_use(verdict: &Verdict) -> bool {
    let unused = |side: &UsersOf| side.users.is_empty() && side.unseen.is_none() && side.not_listed == 0;
    let nobody = |item: &Because| match &item.fact {
        Fact::LockPairing(PairingFact::Users(sides)) => sides.iter().all(unused),
        _ => false,
    };
    verdict.pairs.iter().any(|pair| !pair.because.iter().any(nobody))
}

fn undecided(verdict: &Verdict, names: Names<'_>) -> Vec<String> {
    let all = names.all();
    let mut sentences = vec![format!("Whether {all} share one wal-index is undecided.")];
    sentences.extend(
        verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Undecided).find_map(|pair| apart(pair, names)),
    );
    let half = match (verdict.memory, verdict.locks) {
        (Answer::Proven, Answer::Proven) => Some("Memory and locks of one wal-index are shared."),
        (Answer::Proven, _) => Some("Memory is shared; about the locks nothing is proven."),
        (_, Answer::Proven) => Some("Locks are shared; about the memory nothing is proven."),
        _ => None,
    };
    sentences.extend(half.map(str::to_owned));
    if let Some(why) = verdict.pairs.iter().find_map(|pair| pair.held_back.as_ref()) {
        sentences.push(held_back(why, names));
        return sentences;
    }
    if let Some(pair) = verdict.pairs.iter().find(|pair| pair.two_files.is_some())
        && matches!(pair.shm, Identity::Alike(..))
    {
        let [a, b] = pair.sides.map(|side| names.of(side));
        let why = identity(&pair.shm, names);
        sentences.push(format!(
            "{a} and {b} have one -shm, but what it should belong to is two: {why}. {}",
            rescue::ONE_FOLDER
        ));
        return sentences;
    }
    let open = || verdict.pairs.iter().filter(|pair| pair.sharing == Answer::Undecided);
    if let Some(why) = open().find_map(|pair| of_folder(pair, names)) {
        sentences.push(why);
        return sentences;
    }
    if let Some(pair) = open().find(|pair| pair.one_side.is_none())
        && matches!(pair.shm, Identity::Alike(..) | Identity::Replaced(_) | Identity::Unknown(_))
    {
        sentences.push(format!("Kernel identity does not decide it: {}.", identity(&pair.shm, names)));
    }
    sentences.extend(open().find_map(|pair| pair.doubt.as_ref()).map(|why| not_shown(why, names)));
    let only_seen = |item: &Because| item.kind == Kind::LockBeacon && item.says == Says::Supports;
    // Another capture would be as silent: on these file systems no identity decides.
    let by_trial = open().any(|pair| {
        matches!(
            pair.shm,
            Identity::Alike(_, NoProof::FileSystem | NoProof::Overlay | NoProof::Btrfs)
                | Identity::Unknown(Unknown::FileSystem(..) | Unknown::Overlay(..) | Unknown::Btrfs(..))
        )
    });
    if by_trial {
        sentences.push(BY_TRIAL.to_owned());
        return sentences;
    }
    if verdict.locks == Answer::Undecided && open().any(|pair| pair.because.iter().any(only_seen)) {
        sentences.push(
            "Locks of one side are seen by the other, which does not show that they stop anybody there: walscope probe meet FOLDER, run on both sides, tries them with a scratch file."
                .to_owned(),
        );
    }
    sentences.push(
        "Capture on each side while SQLite keeps the database open there, on one kernel, and keep the folder on a local file system (ext4, xfs, btrfs, f2fs, tmpfs)."
            .to_owned(),
    );
    sentences
}

/// What decides where identity does not.
const BY_TRIAL: &str = "More captures do not decide it on this file system. walscope probe meet FOLDER, run on both sides at the same time, tries the locks and the memory with a scratch file; walscope compare as root on the host, of both sides live, reads page frames. Or put the folder on a local file system (ext4, xfs, btrfs, f2fs, tmpfs), and mount it once.";

/// What to say when one pair has a proof and a refutation.
fn conflict(pair: &PairVerdict) -> Option<String> {
    let touching = |other: About, item: &Because| item.about.covers(other) || other == About::Both;
    // Memory that is shared without locks, or locks without memory, is no contradiction.
    let all = |says| pair.because.iter().filter(move |item| item.says == says);
    let (proof, refutation) = all(Says::Refutes).find_map(|refutation| {
        let proof = all(Says::Proves).find(|proof| touching(refutation.about, proof))?;
        Some((proof, refutation))
    })?;
    if matches!(refutation.kind, Kind::ProcessMappings | Kind::LockPairing) {
        return Some("The paths lead to one wal-index; it is running processes that do not use it.".to_owned());
    }
    Some(format!(
        "The evidence contradicts itself: {} speaks for sharing and {} against it; what speaks against it counts.",
        kind_name(proof.kind),
        kind_name(refutation.kind)
    ))
}

/// A kind of evidence in words.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::PhysicalPages => "the physical pages",
        Kind::KernelIdentity => "kernel identity",
        Kind::DirectoryIdentity => "the identity of the directory",
        Kind::ProcessMappings => "what processes have mapped",
        Kind::LockPairing => "what the locks of running processes show",
        Kind::LockBeacon => "the lock beacon",
        Kind::Contact => "the beacon of a capture",
        Kind::TriedLocks => "the tried locks",
        Kind::MappingCoherence => "the trial by mapping",
        Kind::Temporal => "the order in time",
        Kind::ContentLineage => "the content of the frames",
        Kind::EqualBytes => "the bytes",
    }
}
