//! The explanation: one or two plain sentences, what is so and what to do.

use crate::evidence::Holder;
use crate::wal::{EndReason, WalFacts};

use super::{Blocker, CheckpointFacts, CheckpointState, Doubt};

/// Files of different times.
pub(super) const REPLACED: &str = "The files were replaced while they were read: a connection closed as the last one, or \
                                   another file was put in their place. Look again.";

/// Why a live wal-index says nothing.
pub(super) fn doubt(doubt: Doubt) -> String {
    match doubt {
        Doubt::Recovering => "Somebody is recovering the wal-index from the WAL at this moment. Look again.",
        Doubt::Unreadable => {
            "Somebody has the -shm open, but its head could not be read: it is missing or shorter than 136 bytes. \
             Look again; if it stays so, the files are not the ones in use."
        }
        Doubt::Torn => {
            "The two copies of the wal-index header differ, or their checksum is wrong, while somebody has it open: a \
             commit or a recovery was under way. Look again; SQLite itself would recover if it stays so."
        }
        Doubt::OtherVersion => {
            "The wal-index in use says another version than the only one there is: SQLite cannot open the database while \
             somebody has it open. Copy the database, -wal and -shm, and close every connection: the next to open the \
             database makes it anew."
        }
        Doubt::OtherGeneration => {
            "The wal-index in use speaks of another generation of the WAL than this -wal has. Look again; if it stays \
             so, the -wal and the -shm do not belong together, and nothing should write here before that is understood."
        }
        Doubt::Truncated => {
            "The -wal does not have the frames that the wal-index in use counts. Look again; if it stays so, the -wal was \
             cut short, and the commits in those that are not in the database are lost: copy the database, -wal and \
             -shm at once, stop every process that has it open, and find what truncates the -wal."
        }
        Doubt::BackfillBeyondEnd => {
            "The wal-index claims more copied frames than committed ones, which SQLite never writes. Look again; if it \
             stays so, the -shm is damaged: close every connection, and the next to open the database rebuilds it."
        }
    }
    .to_owned()
}

/// With the `-shm` in use. `against_restart`: what keeps the WAL from restarting once all is copied; `slots_seen`:
/// the locks of all slots that could do so were seen.
pub(super) fn live(
    facts: &CheckpointFacts,
    wal: &WalFacts,
    attempted: u32,
    against_restart: &[Blocker],
    slots_seen: bool,
) -> String {
    let CheckpointFacts { committed, backfilled, pending, .. } = facts;
    match facts.state {
        CheckpointState::InProgress => in_progress(facts),
        CheckpointState::Blocked => blocked(facts),
        CheckpointState::Complete => match facts.can_restart {
            Some(true) => format!(
                "All {} are in the database, and no reader was seen that keeps the next writer from restarting the WAL. \
                 Nothing to do.",
                frames(*committed)
            ),
            Some(false) => format!(
                "All {} are in the database, but {}: the WAL cannot restart and goes on growing until that ends. End \
                 the transaction there.",
                frames(*committed),
                held_by(&facts.blocked_by)
            ),
            None if slots_seen => format!(
                "All {} are in the database. A write is under way, and whether its process also reads there, which \
                 would keep the WAL from restarting, cannot be seen: look again when it has ended.",
                frames(*committed)
            ),
            None => format!(
                "All {} are in the database. Whether readers keep the WAL from restarting could not be seen.",
                frames(*committed)
            ),
        },
        CheckpointState::Interrupted => interrupted(facts, attempted),
        CheckpointState::Pending => {
            let waiting = format!("{pending} of {} wait for a checkpoint", frames(*committed));
            match facts.safe_to {
                None => format!("{waiting}. Not all read locks could be seen, so what stands in its way is not known."),
                Some(_) if against_restart.is_empty() => format!(
                    "{waiting}, and no reader was seen in its way: PRAGMA wal_checkpoint copies them behind frame \
                     {backfilled}."
                ),
                Some(_) => format!(
                    "{waiting}, and no reader was seen in the way of copying: PRAGMA wal_checkpoint does it. But {}: \
                     the WAL cannot restart until that ends.",
                    held_by(against_restart)
                ),
            }
        }
        _ => nothing_committed(facts.state, wal),
    }
}

/// With somebody at the database who does not use the `-shm`.
pub(super) fn without_index(committed: u64, holders: &[Holder]) -> String {
    format!(
        "The database is open ({}), but not its -shm: it is used in exclusive locking mode, or is only being opened. The \
         -shm is a left-over and tells nothing; {} committed in the WAL, and what is copied of them, only that process \
         knows.",
        names(holders.iter()),
        are(committed),
    )
}

/// With nobody known to have the `-shm` open. `attempted` of a leftover that belongs to this WAL; `seen`: the dead-man
/// switch was seen to be free.
pub(super) fn at_rest(facts: &CheckpointFacts, wal: &WalFacts, attempted: Option<u32>, seen: bool) -> String {
    let leftover = match (attempted, seen) {
        (None, _) => "",
        (Some(_), true) => {
            " That is what a left-over -shm says; nobody has it open, so the next to open the database recovers and \
             starts from 0."
        }
        (Some(_), false) => {
            " That is what the -shm says; if nobody has it open, the next to open the database recovers and starts \
             from 0."
        }
    };
    let unseen = if seen { "" } else { " The locks were not seen, so readers in the way cannot be told." };
    let said = match facts.state {
        CheckpointState::Complete => {
            format!("All {} are in the database already.{leftover}{unseen}", frames(facts.committed))
        }
        CheckpointState::Interrupted => {
            format!("{}{leftover}{unseen}", interrupted(facts, attempted.unwrap_or_default()))
        }
        CheckpointState::Pending if facts.backfilled > 0 => {
            format!("{} of {} wait for a checkpoint.{leftover}{unseen}", facts.pending, frames(facts.committed))
        }
        CheckpointState::Pending if seen => format!(
            "{} wait for a checkpoint, and nobody has the database's wal-index open: the next to open it reads them, \
             and its closing copies them. Keep the -wal with the database until then.",
            frames(facts.committed)
        ),
        CheckpointState::Pending => format!(
            "{} wait for a checkpoint, as far as these files tell: keep the -wal with the database.{unseen}",
            frames(facts.committed)
        ),
        state => nothing_committed(state, wal),
    };
    said + &in_no_commit(facts.state, wal)
}

/// What an examiner would lose. Of a WAL whose header cannot be used, that is said already.
fn in_no_commit(state: CheckpointState, wal: &WalFacts) -> String {
    let n = wal.frames.uncommitted.saturating_add(wal.frames.residue);
    if n == 0 || state == CheckpointState::NoWal {
        return String::new();
    }
    format!(" {} in no commit: opening this with sqlite3 destroys {}; work on copies.", are(n), it(n))
}

fn in_progress(facts: &CheckpointFacts) -> String {
    let mut readers = facts.blocked_by.iter().filter(|blocker| blocker.slot.is_some()).peekable();
    let (CheckpointFacts { committed, backfilled, .. }, by) = (facts, checkpointer(&facts.blocked_by));
    let alone = facts.blocked_by.iter().any(|blocker| blocker.lock == "database");
    let who = if alone {
        "A connection that closes, or one in exclusive mode, is checkpointing"
    } else {
        "A checkpoint is at work"
    };
    let at_work = format!("{who} ({by}); it began with {backfilled} of {} copied.", frames(*committed));
    if readers.peek().is_none() {
        return format!("{at_work} Another one gets busy until it ends.");
    }
    let readers: Vec<Blocker> = readers.cloned().collect();
    match facts.safe_to {
        Some(safe_to) if facts.pending > 0 => {
            format!("{at_work} It gets no further than frame {safe_to} while {}.", held_by(&readers))
        }
        _ => format!("{at_work} The WAL cannot restart while {}.", held_by(&readers)),
    }
}

fn checkpointer(blockers: &[Blocker]) -> String {
    let holders = blockers.iter().filter(|blocker| blocker.slot.is_none()).flat_map(|blocker| &blocker.holders);
    names(holders)
}

fn blocked(facts: &CheckpointFacts) -> String {
    let CheckpointFacts { committed, backfilled, pending, blocked_by, .. } = facts;
    if blocked_by.iter().any(|blocker| blocker.slot == Some(0)) {
        return format!(
            "{pending} of {} wait and a checkpoint copies nothing now: {}, and a reader there reads the database file \
             itself. End that read transaction, then run PRAGMA wal_checkpoint.",
            frames(*committed),
            held_by(blocked_by)
        );
    }
    let (first, until) = match facts.safe_to {
        Some(safe_to) if safe_to > *backfilled => (safe_to + 1, format!(" A checkpoint copies up to frame {safe_to}.")),
        Some(safe_to) => (safe_to + 1, String::new()),
        None => (backfilled + 1, String::new()),
    };
    format!(
        "{pending} of {} wait, and {} cannot be copied: {}. End that read transaction, then run PRAGMA \
         wal_checkpoint.{until}",
        frames(*committed),
        if first == *committed { format!("frame {first}") } else { format!("frames {first} to {committed}") },
        held_by(blocked_by)
    )
}

fn interrupted(facts: &CheckpointFacts, attempted: u32) -> String {
    format!(
        "A checkpoint that meant to copy up to frame {attempted} got recorded only up to frame {}, and none is seen at \
         work: it was killed or failed. Nothing is lost; run PRAGMA wal_checkpoint again.",
        facts.backfilled
    )
}

fn nothing_committed(state: CheckpointState, wal: &WalFacts) -> String {
    let unusable = |what: &str| {
        format!(
            "The -wal's header has {what}, so SQLite takes the file for empty and overwrites it. Copy it before \
             anything opens the database if it should hold something."
        )
    };
    match wal.end_reason {
        EndReason::NoFile => "There is no -wal: nothing waits for a checkpoint.".to_owned(),
        EndReason::BadMagic => unusable("no WAL magic"),
        EndReason::BadPageSize => unusable("no possible page size"),
        EndReason::BadHeaderChecksum => unusable("a wrong checksum"),
        EndReason::UnsupportedVersion => {
            "The -wal's header is right but of a version that SQLite does not know: opening the database fails. Open \
             it with the program that wrote it."
                .to_owned()
        }
        _ if state == CheckpointState::Restarted => {
            "The WAL was restarted and nothing is committed in the new generation yet: what its old frames hold is in \
             the database. Nothing to do."
                .to_owned()
        }
        _ if wal.frames.committed > 0 => format!(
            "{} committed in the -wal, and the wal-index does not show {} yet: the commit is being synced, or its writer \
             died there. Look again; if it stays so, the next writer overwrites {}.",
            are(wal.frames.committed),
            it(wal.frames.committed),
            it(wal.frames.committed)
        ),
        _ if wal.frames.uncommitted > 0 => format!(
            "Nothing is committed in the WAL: {} without a commit in it, no part of the database.",
            frames(wal.frames.uncommitted)
        ),
        _ => "Nothing is committed in the WAL: nothing waits for a checkpoint.".to_owned(),
    }
}

fn frames(n: u64) -> String {
    if n == 1 { "1 frame".to_owned() } else { format!("{n} frames") }
}

fn are(n: u64) -> String {
    format!("{} {}", frames(n), if n == 1 { "is" } else { "are" })
}

fn it(n: u64) -> &'static str {
    if n == 1 { "it" } else { "them" }
}

/// `read2 is held at frame 10 by pid 4711 (sqlite3)`, and so on for each.
fn held_by(blockers: &[Blocker]) -> String {
    let each = blockers.iter().map(|blocker| {
        let at = match (blocker.slot, blocker.mark) {
            (Some(1..), Some(mark)) => format!(" at frame {mark}"),
            _ => String::new(),
        };
        format!("{} is held{at} by {}", blocker.lock, names(blocker.holders.iter()))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn names<'a>(holders: impl Iterator<Item = &'a Holder>) -> String {
    let names: Vec<String> = holders.map(name).collect();
    if names.is_empty() { "somebody not visible from here".to_owned() } else { names.join(" and ") }
}

fn name(holder: &Holder) -> String {
    let pid = holder.pid.map_or_else(|| "a process not visible from here".to_owned(), |pid| format!("pid {pid}"));
    let more: Vec<String> =
        [holder.command.clone(), holder.container.as_ref().map(|container| format!("container {container}"))]
            .into_iter()
            .flatten()
            .collect();
    if more.is_empty() { pid } else { format!("{pid} ({})", more.join(", ")) }
}
