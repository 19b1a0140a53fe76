//! The verdict of a probe: what two sides that met, each knowing only itself, can say.

use super::verdict::decided_by;
use super::{About, Answer, Because, Pair, Says, Side, Subject, Verdict, beacon, identity, verdict};
use crate::evidence::live::Live;

/// What the other side is called: it is known by its beacon only.
const THERE: &str = "the other side";

/// What the identity of the `-shm` can be judged by.
#[derive(Clone, Copy)]
pub enum Met<'a> {
    /// The other side's beacon carried the same digest of kernel identity as this side's file has: what is known of
    /// this one is true of both, and both are open now.
    SameIdentity(&'a Side),
    /// Its identity is not known, for this reason.
    Unknown(&'a str),
    /// It was no examined file but a scratch file.
    Folder,
}

/// Judges. The first side of `live` is this one.
#[must_use]
pub fn probe(met: Met<'_>, live: &Live) -> (Verdict, String) {
    let (mut because, doubt) = match met {
        Met::SameIdentity(here) => {
            let other = Side { label: THERE.to_owned(), ..here.clone() };
            let beside = verdict::beside(&Pair { a: here, b: &other, simultaneous: true, live: Some(live) });
            (identity::because(&beside.shm), beside.doubt)
        }
        Met::Unknown(reason) => (identity::because(&identity::Identity::Unknown(reason.to_owned())), None),
        Met::Folder => (Vec::new(), None),
    };
    because.extend(beacon::because("this side", THERE, Some(live)));
    because.extend(beacon::coherence(live));
    let (memory, locks) = (verdict::answer(&because, About::Memory), verdict::answer(&because, About::Locks));
    let sharing = match Answer::of_both(memory, locks) {
        Answer::Proven if doubt.is_some() => Answer::Undecided,
        sharing => sharing,
    };
    let verdict = Verdict {
        sharing,
        memory,
        locks,
        subject: Subject::Paths,
        decided_by: decided_by(&because, sharing, memory, locks),
        groups: Vec::new(),
        undecided: Vec::new(),
        because,
    };
    let explanation = explain(&verdict, matches!(met, Met::Folder), doubt);
    (verdict, explanation)
}

fn explain(verdict: &Verdict, folder: bool, doubt: Option<String>) -> String {
    let refuting = || {
        let item: Option<&Because> = verdict.because.iter().find(|item| item.says == Says::Refutes);
        item.map(|item| item.detail.clone()).unwrap_or_default()
    };
    match (verdict.sharing, folder) {
        (Answer::Proven, true) => {
            "A file in this folder is one memory with one list of locks on both sides: a database here can be used in WAL mode from both.".to_owned()
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
            let half = match (verdict.memory, verdict.locks) {
                (_, Answer::Proven) => "Locks are shared; about the memory nothing is proven.",
                (Answer::Proven, _) => "Memory is shared; about the locks nothing is proven.",
                _ => "Nothing is proven: that nobody was met does not say that nothing is shared.",
            };
            let next = if folder {
                "Run it on both sides at the same time, with the same word."
            } else {
                "walscope probe meet FOLDER, run on both sides, tries the memory with a scratch file; compare from the host, as root, reads page frames."
            };
            let doubt = doubt.map(|why| format!("That database and -wal are one is not shown: {why}. ")).unwrap_or_default();
            format!("{half} {doubt}{next}")
        }
    }
}
