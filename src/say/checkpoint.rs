//! The checkpoint in one or two sentences: what is the case, and what to do.

use super::against;
pub use super::against::sentence;
use super::held_up::duration;
use super::rescue;
use super::sentence::usual;
pub use super::sentence::{Against, Sentence};
use super::users_found::{are_of_exclusive, subject};
use super::words::{all, count, many, one_or, part};
use crate::evidence::{Holder, LockSlot, ProcessState};
use crate::finding::users::are_left_over;
use crate::finding::value::UsersFound;
use crate::finding::{Finding, Found, Severity};
use crate::look::checkpoint::{Basis, Blocker, CheckpointFacts, CheckpointState, Doubt};
use crate::number::FrameNumber;
use crate::wal::{EndReason, WalFacts};

/// The sentences. `beside` are the findings of the same look, so that these sentences can take them into account.
#[must_use]
pub fn checkpoint(facts: &CheckpointFacts, wal: &WalFacts, beside: &[Finding]) -> String {
    let CheckpointFacts { committed, backfilled, pending, blocked_by, .. } = facts;
    let copied = || all(*committed, "frame", "is in the database", "are in the database");
    let wait = |more: &str| {
        let [one, several] = ["waits", "wait"].map(|verb| format!("{verb}{more}"));
        part(*pending, *committed, "frame", &one, &several)
    };
    let usual = usual(facts, wal);
    let unseen = unprotected(beside, usual);
    if let Some((against, finding)) = against::decides(usual, &facts.basis, beside) {
        return but(against::told(against, finding, facts, wal), &unseen);
    }
    let them = it(*committed);
    let said = match usual {
        // Said above.
        Sentence::Against(_) => String::new(),
        Sentence::Replaced => "The files were replaced while they were read: a connection closed as the last one, or \
                               another file was put in their place. Look again."
            .to_owned(),
        Sentence::Doubted(why) => doubt(why, wal),
        Sentence::WithoutIndex => without_index(facts),
        Sentence::DatabaseLocked => database_locked(facts, beside),
        Sentence::NoWal => "There is no -wal: nothing waits for a checkpoint.".to_owned(),
        Sentence::HeaderUnusable => format!(
            "The -wal's header has {}, so SQLite takes the file for empty: the next writer overwrites it, and the last to \
             close deletes it. Copy it before anything opens the database if it should hold something.",
            match wal.end_reason {
                EndReason::BadMagic => "no WAL magic",
                EndReason::BadPageSize => "no possible page size",
                _ => "a wrong checksum",
            }
        ),
        Sentence::OtherVersion => {
            "The -wal's header is right but of a version that SQLite does not know: opening the database fails. Open \
             it with the program that wrote it."
                .to_owned()
        }
        Sentence::Restarted => {
            let compared = match facts.found_copied {
                Some(pages) => {
                    format!("{} of them {} compared", many(pages, "page"), one_or(pages, "was", "were"))
                }
                None => "SQLite restarts it only then".to_owned(),
            };
            format!(
                "The WAL was restarted and nothing is committed in the new generation yet: what its old frames hold is in \
                 the database ({compared}). Nothing to do."
            )
        }
        Sentence::CommitNotShown => format!(
            "{} committed in the -wal, and the wal-index does not show {} yet: the commit is being synced, or its writer \
             died there. Look again; if it stays so, the next writer overwrites {}.",
            are(wal.frames.committed),
            it(wal.frames.committed),
            it(wal.frames.committed)
        ),
        Sentence::NoCommit => format!(
            "Nothing is committed in the WAL: {} without a commit in it, no part of the database.",
            frames(wal.frames.uncommitted)
        ),
        Sentence::NothingWaits => "Nothing is committed in the WAL: nothing waits for a checkpoint.".to_owned(),
        Sentence::InProgress => in_progress(facts),
        Sentence::BlockedByDatabaseReader => format!(
            "{} and a checkpoint copies nothing now: {}, and a reader there reads the database file itself. {ONE_LOOK}, then run \
             PRAGMA wal_checkpoint.",
            wait(""),
            held_by(blocked_by)
        ),
        Sentence::Blocked => blocked(facts),
        Sentence::CopiedNothingToDo => format!(
            "{}, and {} that keeps the next writer from restarting the WAL.{}",
            copied(),
            no_reader(&unseen),
            if unseen.is_empty() { format!(" Nothing to do.{}", keeps_room(wal)) } else { String::new() }
        ),
        Sentence::CopiedCannotRestart => format!(
            "{}, but {}: the WAL cannot restart and goes on growing until that ends. {ONE_LOOK}.",
            copied(),
            held_by(blocked_by)
        ),
        Sentence::CopiedWriterAtWork => format!(
            "{}. A write is under way, and whether its process also reads there, which would keep the WAL from restarting, \
             cannot be seen: look again when it has ended.",
            copied()
        ),
        Sentence::CopiedReadersUnseen => {
            format!("{}. Whether readers keep the WAL from restarting could not be seen.", copied())
        }
        Sentence::WaitReadersUnseen => format!(
            "{}. Not all read locks could be seen, so what stands in its way is not known.",
            wait(" for a checkpoint")
        ),
        Sentence::WaitCheckpointCopies => format!(
            "{}, and {} in its way: PRAGMA wal_checkpoint copies {}{}.",
            wait(" for a checkpoint"),
            no_reader(&unseen),
            it(*pending),
            if *backfilled == 0 { String::new() } else { format!(", from frame {} on", count(backfilled + 1)) }
        ),
        Sentence::WaitCannotRestart => format!(
            "{}, and {} in the way of copying: PRAGMA wal_checkpoint does it. But {}: the WAL cannot restart until that \
             ends.",
            wait(" for a checkpoint"),
            no_reader(&unseen),
            held_by(against_restart(facts))
        ),
        Sentence::Interrupted | Sentence::RestInterrupted => interrupted(facts),
        Sentence::RestCopied => all(*committed, "frame", "is in the database already.", "are in the database already."),
        Sentence::RestSomeWait => format!("{}.", wait(" for a checkpoint")),
        Sentence::RestNextReadsThem => format!(
            "{} for a checkpoint, and nobody holds a lock of the database's wal-index: the next to open it reads {them}, and \
             its closing copies {them}. Keep the -wal with the database until then.",
            waits(*committed)
        ),
        Sentence::RestAsFarAsSeen => {
            format!(
                "{} for a checkpoint, as far as these files tell: keep the -wal with the database.",
                waits(*committed)
            )
        }
    };
    let said = match &facts.basis {
        Basis::AtRest { attempted, seen } => said + &reservations(usual, facts, wal, *attempted, *seen, &unseen),
        _ => said,
    };
    but(said, &unseen)
}

/// What one look cannot tell of a reader in the way. Held by `one_look_does_not_blame_a_reader`.
const ONE_LOOK: &str = "This is one look: readers that take turns look like one that stays, and walscope inspect --for 5s tells \
                        them apart. If one stays, end its read transaction";

/// The sentence of the last of several looks: what these tell stands above it.
#[must_use]
pub fn of_last_look(said: &str) -> String {
    said.replace(
        ONE_LOOK,
        "That is the last look alone; \"over time\" has what all looks tell. If one reader stays, end its read transaction",
    )
}

/// A `-wal` from which more bytes are worth a word: twice of what a WAL has with the usual automatic checkpoint, which begins at
/// 1,000 frames, of pages of 4 KiB.
const LARGE: u64 = 8 << 20;
/// The same in frames, for larger pages.
const MANY: u64 = 2_000;

/// That a file whose frames are all copied keeps its size. Only where nobody is in the way: then it can be cut off.
fn keeps_room(wal: &WalFacts) -> String {
    if wal.file_size < LARGE || wal.frames.in_file < MANY {
        return String::new();
    }
    format!(
        " The file keeps its {} MiB, and is used again from its start; PRAGMA wal_checkpoint(TRUNCATE) frees them, and PRAGMA \
         journal_size_limit keeps a connection from leaving so much.",
        count(wal.file_size >> 20)
    )
}

/// Adds who uses the database so that the locks do not show it.
fn but(said: String, unseen: &[(String, &str)]) -> String {
    unseen.iter().fold(said, |said, (users, does)| format!("{said} But {users} {does}."))
}

/// That no lock shows a reader. Where processes are known whose reads no lock shows, it is only about locks.
fn no_reader(unseen: &[(String, &str)]) -> &'static str {
    if unseen.is_empty() { "no reader was seen" } else { "no reader's lock stands" }
}

/// Who uses the database so that the locks do not show what it reads and writes, and how.
fn unprotected(beside: &[Finding], usual: Sentence) -> Vec<(String, &'static str)> {
    let of = |finding| {
        let finding: &Finding = finding;
        let (users, does) = match &finding.found {
            // All that it has is of files that were deleted, and in the database.
            Found::MappingWithoutLocks { users } if are_left_over(users) => return None,
            Found::MappingWithoutLocks { users } if are_of_exclusive(users) => {
                (users, "has what its parent has of the database: what it reads and writes, no lock shows")
            }
            Found::MappingWithoutLocks { users } => {
                (users, "has the wal-index mapped without its locks: what it reads and writes, no lock shows")
            }
            Found::SeveralSqliteLibraries { users } => {
                (users, "uses the wal-index by several SQLite libraries, whose locks do not keep each other out")
            }
            Found::UsedThroughFuse { users } => (
                users,
                "serves a FUSE mount through which others have the database open: what they read and write, no lock here shows",
            ),
            // It only waits, or could not open the database.
            Found::UsedWithoutWalIndex { .. } if finding.severity <= Severity::Notice => return None,
            // The sentence is about it.
            Found::UsedWithoutWalIndex { .. } if finding.severity == Severity::Error => return None,
            Found::UsedWithoutWalIndex { users, .. } => (
                users,
                "has the database open or locked without this wal-index: what it reads and writes, no lock of it shows",
            ),
            // The sentence names it.
            Found::DatabaseHeldExclusively { .. } if usual == Sentence::DatabaseLocked => return None,
            Found::DatabaseHeldExclusively { users } => (
                users,
                "holds the whole database exclusively: until that ends, nobody else can open, read or checkpoint it",
            ),
            _ => return None,
        };
        match users {
            UsersFound::Side { users, .. } => Some((subject(users), does)),
            UsersFound::Unseen { .. } => Some(("somebody who is not visible from here".to_owned(), does)),
            UsersFound::Index { .. } => None,
        }
    };
    beside.iter().filter_map(of).collect()
}

/// What is added if nobody is known to have the `-shm` open: what a `-shm` that was left over shows, what was not seen,
/// and what an examiner would lose.
fn reservations(
    kind: Sentence,
    facts: &CheckpointFacts,
    wal: &WalFacts,
    attempted: Option<FrameNumber>,
    seen: bool,
    unprotected: &[(String, &str)],
) -> String {
    let leftover = match (attempted, seen && unprotected.is_empty()) {
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
    let reserved = match kind {
        Sentence::RestCopied | Sentence::RestInterrupted | Sentence::RestSomeWait => format!("{leftover}{unseen}"),
        Sentence::RestAsFarAsSeen => unseen.to_owned(),
        _ => String::new(),
    };
    reserved + &in_no_commit(facts.state, wal)
}

/// Frames that a connection of SQLite would overwrite. Nothing if the header of the WAL cannot be used, because that is
/// already said.
fn in_no_commit(state: CheckpointState, wal: &WalFacts) -> String {
    let n = wal.frames.uncommitted.saturating_add(wal.frames.residue);
    if n == 0 || state == CheckpointState::NoWal {
        return String::new();
    }
    format!(" {} in no commit: opening this with sqlite3 destroys {}; work on copies.", are(n), it(n))
}

/// Why a wal-index in use is not used for the answer.
fn doubt(doubt: Doubt, wal: &WalFacts) -> String {
    let (why, advice) = match doubt {
        Doubt::Recovering => ("Somebody is recovering the wal-index from the WAL at this moment. Look again.", ""),
        Doubt::Unreadable => (
            "Somebody has the -shm open, and it is missing or shorter than 136 bytes: it is only being made, or it could \
             not be made for want of room, or was cut off. Look again.",
            "",
        ),
        Doubt::Torn => (
            "The two copies of the wal-index header differ, or their checksum is wrong, while somebody has it open: a \
             commit or a recovery was under way. Look again; SQLite itself would recover if it stays so.",
            "",
        ),
        Doubt::OtherVersion => (
            "The wal-index in use says another version than the only one there is: SQLite cannot open the database while \
             somebody has it open.",
            rescue::OTHER_VERSION,
        ),
        Doubt::OtherGeneration if wal.end_reason == EndReason::NoFile => (
            "The wal-index is in use, and there is no -wal: it was deleted or renamed while it was in use. Do not \
             checkpoint.",
            rescue::START_AGAIN,
        ),
        Doubt::OtherGeneration => (
            "The wal-index in use speaks of another generation of the WAL than this -wal has. Look again. If it stays so, \
             the -wal and the -shm do not belong together: do not checkpoint.",
            rescue::START_AGAIN,
        ),
        Doubt::Truncated => (
            "The -wal does not have the frames that the wal-index in use counts. Look again; if it stays so, the -wal was \
             cut short, and the commits in those that are not in the database are lost.",
            rescue::TRUNCATED,
        ),
        Doubt::BackfillBeyondEnd => (
            "The wal-index claims more copied frames than committed ones, which SQLite never writes. Look again; if it \
             stays so, the -shm is damaged.",
            rescue::LIVE,
        ),
    };
    if advice.is_empty() { why.to_owned() } else { format!("{why} {advice}") }
}

/// The sentence if a process has the database open and does not use the `-shm`.
fn without_index(facts: &CheckpointFacts) -> String {
    let holders = match &facts.basis {
        Basis::WithoutIndex { holders, .. } => holders.as_slice(),
        _ => &[],
    };
    format!(
        "The database is open ({}), and nobody holds a lock of its -shm: it is only being opened or closed, or that process \
         has lost its locks. Look again. What the -shm tells may be old; {} committed in the WAL.",
        names(holders.iter()),
        are(facts.committed),
    )
}

/// The sentence if a process has the whole database locked while frames wait. Only a later look shows whether that stays so:
/// a connection that closes as the last one has it locked, too.
fn database_locked(facts: &CheckpointFacts, beside: &[Finding]) -> String {
    let CheckpointFacts { committed, pending, .. } = facts;
    let holders: Vec<&Holder> = facts
        .blocked_by
        .iter()
        .filter(|blocker| blocker.lock == LockSlot::Database)
        .flat_map(|blocker| &blocker.holders)
        .collect();
    let who = names(holders.iter().copied());
    let waiting = match &facts.basis {
        Basis::WithoutIndex { .. } => {
            format!("{} committed in the WAL, and what is copied of them, only that process knows.", are(*committed))
        }
        _ => format!("{}.", part(*pending, *committed, "frame", "waits", "wait")),
    };
    let stays = beside.iter().any(|finding| matches!(finding.found, Found::DatabaseHeldExclusively { .. }));
    if !stays {
        return format!(
            "{who} has the whole database locked at this moment: it is closing the database as the last one, or uses it in \
             exclusive locking mode. Look again. {waiting}"
        );
    }
    let end =
        match holders.iter().any(|holder| holder.process_state.is_some_and(|state| state != ProcessState::Running)) {
            true => "that process runs again and closes it, or ends",
            false => "that process closes it, leaves that mode, or ends",
        };
    format!(
        "{who} has the whole database locked, as in exclusive locking mode (PRAGMA locking_mode=EXCLUSIVE, vfs=unix-excl): nobody else can \
         read, write or checkpoint it until {end}. {waiting}"
    )
}

/// The readers that prevent the WAL from restarting.
fn against_restart(facts: &CheckpointFacts) -> &[Blocker] {
    match &facts.basis {
        Basis::Live { against_restart, .. } => against_restart,
        _ => &[],
    }
}

fn in_progress(facts: &CheckpointFacts) -> String {
    let mut readers = facts.blocked_by.iter().filter(|blocker| blocker.lock.read_mark().is_some()).peekable();
    let (CheckpointFacts { committed, backfilled, .. }, by) = (facts, checkpointer(&facts.blocked_by));
    let alone = facts.blocked_by.iter().any(|blocker| blocker.lock == LockSlot::Database);
    let who = if alone {
        "A connection that closes, or one in exclusive mode, is checkpointing"
    } else {
        "A checkpoint is at work"
    };
    let at_work = format!("{who} ({by}); it began with {} of {} copied.", count(*backfilled), frames(*committed));
    if readers.peek().is_none() {
        let kept = facts
            .blocked_by
            .iter()
            .flat_map(|blocker| &blocker.holders)
            .any(|holder| holder.process_state.is_some_and(|state| state != ProcessState::Running));
        return match kept {
            true => format!(
                "{at_work} It does not go on, and no other one can begin, until that process runs again or ends."
            ),
            false => format!("{at_work} Another one gets busy until it ends."),
        };
    }
    let readers: Vec<Blocker> = readers.cloned().collect();
    let writers = match &facts.basis {
        Basis::Live { keeps_writers_out, .. } if !keeps_writers_out.is_empty() => format!(
            " {} holds the write lock, too: if that is its checkpoint (FULL, RESTART or TRUNCATE), which waits for {}, every \
             write gets SQLITE_BUSY until that reader or the checkpoint ends.",
            names(keeps_writers_out.iter()),
            names(readers.iter().flat_map(|reader| &reader.holders))
        ),
        _ => String::new(),
    };
    match facts.safe_to {
        Some(safe_to) if facts.pending > 0 => {
            format!("{at_work} It gets no further than frame {} while {}.{writers}", count(safe_to), held_by(&readers))
        }
        _ => format!("{at_work} The WAL cannot restart while {}.{writers}", held_by(&readers)),
    }
}

fn checkpointer(blockers: &[Blocker]) -> String {
    let holders =
        blockers.iter().filter(|blocker| blocker.lock.read_mark().is_none()).flat_map(|blocker| &blocker.holders);
    names(holders)
}

fn blocked(facts: &CheckpointFacts) -> String {
    let CheckpointFacts { committed, backfilled, pending, blocked_by, .. } = facts;
    let (first, until) = match facts.safe_to {
        Some(safe_to) if safe_to > *backfilled => {
            (safe_to + 1, format!(" A checkpoint copies up to frame {}.", count(safe_to)))
        }
        Some(safe_to) => (safe_to + 1, String::new()),
        None => (backfilled + 1, String::new()),
    };
    format!(
        "{}, and {} cannot be copied now: {}.{until} {ONE_LOOK}, then run PRAGMA wal_checkpoint.",
        part(*pending, *committed, "frame", "waits", "wait"),
        if first == *committed {
            format!("frame {}", count(first))
        } else {
            format!("frames {} to {}", count(first), count(*committed))
        },
        held_by(blocked_by)
    )
}

fn interrupted(facts: &CheckpointFacts) -> String {
    let attempted = match facts.basis {
        Basis::Live { attempted, .. } => attempted,
        Basis::AtRest { attempted, .. } => attempted.unwrap_or_default(),
        _ => FrameNumber::NONE,
    };
    format!(
        "A checkpoint that meant to copy up to frame {} {}, and none is seen at work: it was killed or failed. Nothing is \
         lost; run PRAGMA wal_checkpoint again.",
        count(attempted),
        match facts.backfilled {
            0 => "recorded nothing".to_owned(),
            copied => format!("recorded only up to frame {}", count(copied)),
        }
    )
}

fn frames(n: u64) -> String {
    many(n, "frame")
}

fn are(n: u64) -> String {
    format!("{} {}", frames(n), one_or(n, "is", "are"))
}

fn waits(n: u64) -> String {
    format!("{} {}", frames(n), one_or(n, "waits", "wait"))
}

fn it(n: u64) -> &'static str {
    one_or(n, "it", "them")
}

/// `read2 is held at frame 10 by pid 4711 (sqlite3)`, and so on for each.
fn held_by(blockers: &[Blocker]) -> String {
    let each = blockers.iter().map(|blocker| {
        // The mark of READ0 names no frame: its readers use only the database.
        let at = match blocker.mark {
            Some(mark) if blocker.lock != LockSlot::Read0 => format!(" at frame {}", count(mark)),
            _ => String::new(),
        };
        format!("{} is held{at} by {}", blocker.lock, names(blocker.holders.iter()))
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The holders of locks, by name.
pub(crate) fn names<'a>(holders: impl Iterator<Item = &'a Holder>) -> String {
    let names: Vec<String> = holders.map(name).collect();
    if names.is_empty() { "somebody not visible from here".to_owned() } else { names.join(" and ") }
}

fn name(holder: &Holder) -> String {
    let pid = match (holder.pid, holder.taken_by) {
        (Some(pid), _) => format!("pid {pid}"),
        (None, None) => "a process not visible from here".to_owned(),
        (None, Some(taker)) => {
            return format!(
                "a process not visible from here, which shares the descriptors of process {taker}, which has ended"
            );
        }
    };
    let kept = holder.process_state.and_then(ProcessState::kept_from_running).map(str::to_owned);
    let age = holder.started_at.and_then(|started| Some(format!("process started {} ago", duration(started.age()?))));
    let taken = holder.taken_by.map(|taker| format!("taken by process {taker}, whose descriptors it shares"));
    let more: Vec<String> = [
        holder.command.clone(),
        holder.container.as_ref().map(|container| format!("container {container}")),
        kept,
        age,
        taken,
    ]
    .into_iter()
    .flatten()
    .collect();
    if more.is_empty() { pid } else { format!("{pid} ({})", more.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_looks_is_not_told_as_the_only_one() {
        let said = of_last_look(&format!("read1 is held by pid 7. {ONE_LOOK}, then run PRAGMA wal_checkpoint."));
        assert!(!said.contains("This is one look") && said.contains("the last look alone"), "{said}");
    }
}
