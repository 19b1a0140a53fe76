//! What the locks of running processes show, and why sharing is undecided because of them.

use std::collections::BTreeSet;

use super::rescue;
use super::sides;
use super::users;
use super::words::{Names, count, each, processes, verb};
use crate::compare::{Fact, HeldBack, PairVerdict, PairingFact, Process, SeenUser, UsersOf, WalGone};
use crate::evidence::Role;

/// What the processes that use the database hold.
pub(super) fn pairing(fact: &PairingFact, names: Names<'_>) -> String {
    match fact {
        PairingFact::NotWal(side) => not_wal(names.of(*side)),
        PairingFact::Users(sides) => {
            let mut told: Vec<String> = sides.iter().flat_map(|side| of_roles(side, names, |_| true)).collect();
            let more = sides.iter().map(|side| (names.of(side.side), unsaid(side)));
            told.extend(
                more.filter(|(_, more)| !more.is_empty())
                    .map(|(label, more)| format!("of the processes of {label} {}", more.join(", "))),
            );
            if told.is_empty() { "no process was seen that uses the database".to_owned() } else { told.join("; ") }
        }
    }
}

/// Why the locks of processes say nothing.
pub(super) fn unpaired(fact: &PairingFact, names: Names<'_>) -> String {
    let sides = match fact {
        PairingFact::NotWal(side) => return not_wal(names.of(*side)),
        PairingFact::Users(sides) => sides,
    };
    let suspects: Vec<String> = sides.iter().flat_map(|side| of_roles(side, names, Role::is_suspect)).collect();
    if !suspects.is_empty() {
        return suspects.join("; ");
    }
    let none = sides.iter().filter(|side| !side.users.iter().any(|user| user.role == Role::Ordinary)).map(|side| {
        let label = names.of(side.side);
        match &side.unseen {
            Some(why) => format!("the processes that use the database of {label} were not looked at: {}", why.0),
            None => {
                let more: String = unsaid(side).iter().map(|more| format!(", and {more}")).collect();
                format!("no process of {label} was seen that holds the locks of a connection{more}")
            }
        }
    });
    none.collect::<Vec<_>>().join("; ")
}

/// What was not seen, or is not said, of the processes of one side.
fn unsaid(side: &UsersOf) -> Vec<String> {
    let why = side.denied_reason.as_ref().map(|why| format!(" ({})", why.0)).unwrap_or_default();
    let counted = [
        (u64::from(side.processes_denied), format!("could not be looked at{why}")),
        (u64::from(side.passing), "came and went while they opened or closed the database".to_owned()),
        (side.not_listed, "more are not listed".to_owned()),
    ];
    counted
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", count(*number)))
        .collect()
}

fn not_wal(label: &str) -> String {
    format!(
        "bytes 18 and 19 of the database of {label} say rollback journal, and there is no -wal: there is no wal-index"
    )
}

/// The processes of one side by what they do; those of roles that are wanted.
fn of_roles(side: &UsersOf, names: Names<'_>, wanted: impl Fn(Role) -> bool) -> Vec<String> {
    let mut roles: Vec<Role> = side.users.iter().map(|user| user.role).filter(|role| wanted(*role)).collect();
    roles.sort_unstable();
    roles.dedup();
    let told = |role: Role| {
        let of_role = side.users.iter().filter(|user| user.role == role);
        let mut all: Vec<Process> = of_role.clone().map(|user| user.process.clone()).collect();
        all.sort();
        let path_of = |user: &'_ SeenUser| {
            let index = user.other_index.as_ref().and_then(|index| index.path.clone());
            index.or_else(|| user.other_database.as_ref()?.path.clone())
        };
        let paths: BTreeSet<String> = of_role.filter_map(path_of).collect();
        let paths: Vec<String> = paths.into_iter().collect();
        let index = if paths.is_empty() { String::new() } else { format!(" ({})", paths.join(", ")) };
        format!("{} on {}{} {}{index}", processes(&all), names.of(side.side), each(all.len()), users::does(role, false))
    };
    roles.into_iter().map(told).collect()
}

/// Whether a process was seen that does not hold what a connection holds.
pub(super) fn has_suspects(pair: &PairVerdict) -> bool {
    users_of(pair).flat_map(|side| &side.users).any(|user| user.role.is_suspect())
}

/// Whether nobody looked at what the processes of a side hold.
pub(super) fn is_assumed(pair: &PairVerdict) -> bool {
    users_of(pair).any(|side| side.unseen.is_some())
}

fn users_of(pair: &PairVerdict) -> impl Iterator<Item = &UsersOf> {
    let sides = pair.because.iter().find_map(|item| match &item.fact {
        Fact::LockPairing(PairingFact::Users(sides)) => Some(sides),
        _ => None,
    });
    sides.into_iter().flatten()
}

/// The processes that do not use the wal-index as every connection does: a sentence for each kind.
pub(super) fn beside(pair: &PairVerdict, names: Names<'_>) -> Vec<String> {
    let odd = |role: Role| !matches!(role, Role::Ordinary | Role::Passing | Role::Bystander);
    let told = users_of(pair).flat_map(|side| of_roles(side, names, odd));
    told.map(|told| format!("But {told}.")).collect()
}

/// Why sharing is undecided although both aspects are proven, and what to do.
pub(super) fn held_back(why: &HeldBack, names: Names<'_>) -> String {
    match why {
        HeldBack::Contradicted(parting) => format!(
            "Identity says that the files are one, and what the captures show does not fit together: {}. Files were restored in place, or these captures come from two copies of one machine or disk. Compare the live databases, or capture one side with walscope snapshot --hold, and the other while that is held.",
            sides::parting(parting, names)
        ),
        HeldBack::Rollback(side) => format!(
            "{}. Nobody shares one before the database is in WAL mode: PRAGMA journal_mode=WAL.",
            capital(&not_wal(names.of(*side)))
        ),
        HeldBack::Exclusive(side, all) if all.is_empty() => format!(
            "Somebody who is not visible from here holds the whole database of {} exclusively: nobody else can open it, and there may be no wal-index to share. Look from the first PID namespace of the machine, as root, to see who it is.",
            names.of(*side)
        ),
        HeldBack::OtherDatabase(side, all, other) => format!(
            "The paths lead to one wal-index, but {} of {} {} it with another database file{} than the path leads to: the database was renamed, replaced or deleted while the -wal and the -shm stayed. Whoever opens the path now takes the WAL of another database. {}",
            processes(all),
            names.of(*side),
            verb(all, "uses", "use"),
            other.as_ref().and_then(|other| other.path.as_deref()).map(|path| format!(" ({path})")).unwrap_or_default(),
            rescue::START_AGAIN
        ),
        HeldBack::ReadOnly(side) => format!(
            "On {} the -shm can only be read, by the way it is mounted or by its mode, and nobody was seen who keeps it alive: nobody holds its dead-man switch. A process there makes a wal-index of its own, or cannot open the database, until somebody has it open for writing. Let it be written to there, or keep the database open on another side.",
            names.of(*side)
        ),
        HeldBack::WithoutItsWal(side, gone) => format!(
            "The paths lead to one wal-index, but on {} {} Then a process that opens the database gets a disk I/O error, or other rows. Processes that opened it before may have the removed -wal open: what they commit, nobody else reads. {}",
            names.of(*side),
            without(*gone),
            rescue::START_AGAIN
        ),
        HeldBack::Exclusive(side, all) => format!(
            "{} of {} {} the whole database exclusively: nobody else can open it, and there may be no wal-index to share. {} in exclusive locking mode, or {} closing the database as the last connection: compare again when {} ended, or end PRAGMA locking_mode=EXCLUSIVE there.",
            capital(&processes(all)),
            names.of(*side),
            verb(all, "holds", "hold"),
            verb(all, "It is", "They are"),
            verb(all, "is", "are"),
            verb(all, "it has", "they have")
        ),
        HeldBack::OnReplacedFiles(side, all) => format!(
            "The paths lead to one wal-index, but {} of {} {} on with files that lay at this path before: what {}, nobody else sees. {}",
            processes(all),
            names.of(*side),
            verb(all, "goes", "go"),
            verb(all, "it commits", "they commit"),
            rescue::START_AGAIN
        ),
        HeldBack::OtherWal(side, all) => format!(
            "The paths lead to one wal-index, but {} of {} {} it with another -wal than the path leads to: the -wal was removed or replaced while it was in use. What such a process commits, nobody else reads, and others can get a disk I/O error. {}",
            processes(all),
            names.of(*side),
            verb(all, "uses", "use"),
            rescue::START_AGAIN
        ),
        HeldBack::MayBeElsewhere(side, all) => format!(
            "The paths lead to one wal-index, but {} of {} may use another one for this database: {} another -shm, which belongs to no other database that {} open. {}",
            processes(all),
            names.of(*side),
            verb(all, "it maps or locks", "they map or lock"),
            verb(all, "it has", "they have"),
            rescue::MAY_BE_ELSEWHERE
        ),
        HeldBack::OnOneOther(inode, all) => match all.len() {
            1 => format!(
                "{} uses a wal-index ({inode}) to which no path of these sides leads, and nobody was seen who uses another one. Whoever opens the database next uses another one, and overwrites what it commits. {}",
                capital(&processes(all)),
                rescue::START_AGAIN
            ),
            _ => format!(
                "{} use one wal-index ({inode}) and share its memory and its locks, but no path of these sides leads to it: it was deleted, replaced, or lies elsewhere. Whoever opens the database next uses another one, and overwrites what they commit. {}",
                capital(&processes(all)),
                rescue::START_AGAIN
            ),
        },
        HeldBack::MadeAnew(side, all) => format!(
            "The paths lead to one wal-index now, but the -shm that {} of {} had in use is not there any more, and nobody saw {} end: if {}, {} cut off. Capture again on both sides, or compare live.",
            processes(all),
            names.of(*side),
            verb(all, "the process", "the processes"),
            verb(all, "it goes on", "they go on"),
            verb(all, "it is", "they are")
        ),
    }
}

/// What is missing beside the wal-index: a clause after the name of a side, with its full stop.
const fn without(gone: WalGone) -> &'static str {
    match gone {
        WalGone::Absent => {
            "it is in use, and there is no -wal beside it: the -wal was removed or renamed while it was in use."
        }
        WalGone::AbsentMaybeInUse => {
            "there is no -wal beside it, and whether it is in use was not seen: if it is, the -wal was removed or renamed meanwhile."
        }
        WalGone::Frames => {
            "it counts frames that the -wal there does not have: the -wal was removed, replaced or cut off while it was in use."
        }
    }
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
