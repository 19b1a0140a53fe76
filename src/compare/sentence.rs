//! The verdict in plain words: never more than its subject, and what to do.

use super::identity::Identity;
use super::verdict::{Judged, Same};
use super::{About, Answer, Because, Kind, Says, Side, Subject, Verdict};

/// Explains a verdict.
pub(super) fn explain(sides: &[Side], verdict: &Verdict, pairs: &[Judged<'_>]) -> String {
    let all = names(sides);
    if let [only] = pairs
        && verdict.sharing == Answer::Undecided
        && let Some(same) = only.same
    {
        let next = match same {
            Same::Capture => "Give a capture of each side.",
            Same::Place => {
                "Name the database as each side sees it: NAME:/path, pid:N:/path, or a bundle that was captured there."
            }
        };
        return format!("Whether {all} share one wal-index is undecided. These are {}. {next}", same.described());
    }
    let mut sentences = match verdict.sharing {
        Answer::Proven => proven(&all, verdict, pairs, sides.iter().all(|side| side.stable)),
        Answer::Refuted => refuted(&all, verdict, pairs),
        Answer::Undecided => undecided(&all, verdict, pairs),
    };
    sentences.extend(pairs.iter().find_map(conflict));
    sentences.extend(pairs.iter().filter_map(|pair| {
        let (a, b) = (&pair.pair.a.label, &pair.pair.b.label);
        Some(format!("{a} and {b} are {}.", pair.same?.described()))
    }));
    if sides.iter().any(|side| !side.stable) {
        sentences.push("A capture is not of one moment: capture again to judge its content.".to_owned());
    }
    sentences.join(" ")
}

/// `stable`: every capture is of one moment. Where one is not, there may be something to do after all.
fn proven(all: &str, verdict: &Verdict, pairs: &[Judged<'_>], stable: bool) -> Vec<String> {
    if verdict.subject == Subject::Mappings {
        return vec![
            format!("The processes seen on {all} have one wal-index mapped: they share its memory and its locks."),
            match stable {
                true => "There is nothing to do; processes that were not seen are not judged.".to_owned(),
                false => "Processes that were not seen are not judged.".to_owned(),
            },
        ];
    }
    let unseen = pairs.iter().find_map(|pair| {
        let item = pair.because.iter().find(|item| item.kind == Kind::ProcessMappings && item.says == Says::Silent)?;
        item.reason.clone()
    });
    let why = unseen.map(|reason| format!(" ({reason})")).unwrap_or_default();
    vec![
        format!(
            "A process that opens the database next, on any of {all}, reaches the same wal-index: its memory and its locks are shared."
        ),
        format!(
            "What running processes have mapped is not judged{why}; to judge that, capture on each side as the user that SQLite runs as, or as root, while it has the database open."
        ),
    ]
}

fn refuted(all: &str, verdict: &Verdict, pairs: &[Judged<'_>]) -> Vec<String> {
    let refuting = pairs.iter().filter(|pair| pair.sharing == Answer::Refuted);
    let (mut facts, mut path_level) = (Vec::new(), false);
    for pair in refuting.take(3) {
        let of_processes = |item: &Because| match item.kind {
            Kind::ProcessMappings => true,
            Kind::PhysicalPages => pair.pages_of_processes,
            _ => false,
        };
        path_level |= pair.because.iter().any(|item| item.says == Says::Refutes && !of_processes(item));
        // Two inodes explain best why mappings differ; what else speaks against paths says nothing about mappings.
        let of_subject = |item: &&Because| {
            item.says == Says::Refutes
                && (verdict.subject == Subject::Paths
                    || matches!(item.kind, Kind::KernelIdentity | Kind::ProcessMappings | Kind::PhysicalPages))
        };
        facts.extend(pair.because.iter().find(of_subject).map(|item| item.detail.clone()));
    }
    let facts = facts.join("; ");
    let (what, advice) = match (verdict.subject, path_level) {
        (Subject::Mappings, false) => (
            format!("The processes seen on {all} do not all use one wal-index"),
            "Stop every process that has the database open, keep a copy of all its files, then start them again; never delete or replace a -shm or -wal that is in use.",
        ),
        (Subject::Mappings, true) => (
            format!("The processes seen on {all} do not have one wal-index mapped"),
            "Stop the writers before rows are lost, and mount the folder that holds the database, not the single file and not a copy, from one local file system into every container.",
        ),
        (Subject::Paths, _) => (
            format!("{all} do not share one wal-index"),
            "Stop the writers before rows are lost, and mount the folder that holds the database, not the single file and not a copy, from one local file system into every container.",
        ),
    };
    vec![format!("{what}: {facts}."), advice.to_owned()]
}

fn undecided(all: &str, verdict: &Verdict, pairs: &[Judged<'_>]) -> Vec<String> {
    let mut sentences = vec![format!("Whether {all} share one wal-index is undecided.")];
    let half = match (verdict.memory, verdict.locks) {
        (Answer::Proven, Answer::Proven) => Some("Memory and locks of one wal-index are shared."),
        (Answer::Proven, _) => Some("Memory is shared; about the locks nothing is proven."),
        (_, Answer::Proven) => Some("Locks are shared; about the memory nothing is proven."),
        _ => None,
    };
    sentences.extend(half.map(str::to_owned));
    if let Some((pair, Identity::Alike(why))) =
        pairs.iter().find(|pair| pair.apart.is_some()).map(|pair| (pair, &pair.shm))
    {
        sentences.push(format!(
            "{} and {} have one -shm, but what it should belong to is two: {why}. Stop the writers before content is lost, and mount the folder that holds the database, with everything in it, from one place into every container.",
            pair.pair.a.label, pair.pair.b.label
        ));
        return sentences;
    }
    if let Some(pair) = pairs.iter().find(|pair| pair.sharing == Answer::Undecided && pair.same.is_none()) {
        sentences.extend(match &pair.shm {
            Identity::Alike(why) | Identity::MadeAnew(why) | Identity::Unknown(why) => {
                Some(format!("Kernel identity does not decide it: {why}."))
            }
            Identity::One(_) | Identity::Two(_) | Identity::LocksApart(_) => None,
        });
    }
    if let Some(doubt) =
        pairs.iter().filter(|pair| pair.sharing == Answer::Undecided).find_map(|pair| pair.doubt.as_ref())
    {
        sentences.push(format!("That database and -wal are one is not shown: {doubt}."));
    }
    sentences.push(
        "Capture on each side while SQLite keeps the database open there, on one kernel, and keep the folder on a local file system (ext4, xfs, btrfs, f2fs, tmpfs)."
            .to_owned(),
    );
    sentences
}

/// What to say when one pair has a proof and a refutation.
fn conflict(pair: &Judged<'_>) -> Option<String> {
    let touching =
        |other: About, item: &Because| item.about == other || item.about == About::Both || other == About::Both;
    // Shared memory and locks apart, or the other way, is no contradiction.
    let all = |says| pair.because.iter().filter(move |item| item.says == says);
    let (proof, refutation) = all(Says::Refutes).find_map(|refutation| {
        let proof = all(Says::Proves).find(|proof| touching(refutation.about, proof))?;
        Some((proof, refutation))
    })?;
    if refutation.kind == Kind::ProcessMappings {
        return Some("The paths lead to one wal-index; it is running processes that do not use it.".to_owned());
    }
    Some(format!(
        "The evidence contradicts itself: {} speaks for sharing and {} against it; what speaks against it counts.",
        kind_name(proof.kind),
        kind_name(refutation.kind)
    ))
}

fn names(sides: &[Side]) -> String {
    let labels: Vec<&str> = sides.iter().map(|side| side.label.as_str()).collect();
    match labels.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => labels.concat(),
    }
}

/// A kind of evidence in words.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::PhysicalPages => "the physical pages",
        Kind::KernelIdentity => "kernel identity",
        Kind::DirectoryIdentity => "the identity of the directory",
        Kind::ProcessMappings => "what processes have mapped",
        Kind::LockBeacon => "the lock beacon",
        Kind::MappingCoherence => "the trial by mapping",
        Kind::Temporal => "the order in time",
        Kind::ContentLineage => "the content of the frames",
        Kind::EqualBytes => "the bytes",
    }
}
