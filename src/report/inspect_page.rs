//! The page of `inspect`: the files, the WAL as a bar, the checkpoint in a sentence, the locks, the findings.

use super::checkpoint::CheckpointDocument;
use super::database::Kind;
use super::inspect::{InspectDocument, SourceKind};
use super::picture::{self, Class, Mark, Part};
use super::shm::{Lock, Shm};
use super::text::{self, BOLD, GREEN, RED, YELLOW, bytes, count, entry, many, styled, words};
use super::wal::Wal;
use super::{line, table};
use crate::evidence::Role;
use crate::evidence::{Holder, LockSlot, LockState, ProcessState};
use crate::look::checkpoint::CheckpointState;
use crate::look::over_time::Outcome;
use crate::say::checkpoint::Against;
use crate::wal::EndReason;

impl InspectDocument {
    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let mut out = String::new();
        if self.source.kind == SourceKind::Bundle {
            let path = line(&self.source.path);
            out.push_str(&entry("Bundle", &format!("{}, of {path}", line(&self.source.label)), width));
        }
        out.push_str(&entry("Database", &self.database_line(), width));
        out.push_str(&entry("-wal", &self.wal_line(), width));
        out.push_str(&entry("-shm", &self.shm_line(), width));
        out.push_str(&self.bar(width));
        if let Some(over) = &self.over_time {
            let (style, word) = match over.outcome {
                Outcome::NotBlocked => (GREEN, "not blocked"),
                Outcome::Kept => (RED, "blocked throughout"),
                Outcome::TakeTurns => (YELLOW, "readers take turns"),
                Outcome::OneForAWhile => (YELLOW, "one reader for a while"),
                Outcome::NotKnown => (YELLOW, "not known"),
            };
            out.push('\n');
            out.push_str(&entry("Over time", &format!("{}: {}", styled(style, word), line(&over.explanation)), width));
        }
        if let Some(checkpoint) = &self.checkpoint {
            out.push('\n');
            out.push_str(&entry(
                if self.over_time.is_some() { "Last look" } else { "Checkpoint" },
                &self.diagnosis(checkpoint),
                width,
            ));
            if let Some(leftovers) = self.leftovers() {
                out.push_str(&entry("", &leftovers, width));
            }
        }
        for one in &self.not_running {
            out.push('\n');
            out.push_str(&entry("Stopped", &line(&one.explanation), width));
        }
        if let Some(shm) = &self.shm {
            out.push('\n');
            out.push_str(&self.locks(shm, width));
        }
        out.push_str(&self.locked(width));
        if let Some(told) = self.open.as_ref().and_then(|open| open.explanation.as_ref()) {
            out.push('\n');
            let (first, rest) = told.split_at_checked(1).unwrap_or(("", told));
            out.push_str(&entry("SQLite here", &line(&format!("{}{rest}.", first.to_uppercase())), width));
        }
        // Others are named by findings, or hold locks.
        for user in self.users.iter().flatten().filter(|user| user.role == Role::Idle) {
            let more: Vec<String> = user.command.iter().map(|command| line(command)).collect();
            let named = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
            out.push('\n');
            out.push_str(&entry("Also open", &format!("process {}{named} {}", user.pid, user.does), width));
        }
        if !self.findings.is_empty() {
            out.push('\n');
            out.push_str(&text::findings(&self.findings, width));
        }
        out
    }

    /// Who has the database itself locked, where the locks of the `-shm` do not tell it.
    fn locked(&self, width: usize) -> String {
        let by_index = self.shm.iter().flat_map(|shm| &shm.locks);
        let in_use = by_index.filter(|lock| lock.name == LockSlot::DeadManSwitch).any(Lock::is_held);
        let ordinary = |lock: &Lock| in_use && (lock.name, lock.lock) == (LockSlot::Database, LockState::Shared);
        let all = || self.database_locks.iter().flatten();
        // Who has it exclusively has the others as well, or left them held on the way.
        let exclusive = all().any(|lock| (lock.name, lock.lock) == (LockSlot::Database, LockState::Exclusive));
        let held = all().filter(|lock| lock.is_held() && !ordinary(lock));
        let held = held.filter(|lock| !exclusive || lock.name == LockSlot::Database);
        let mut out = String::new();
        for lock in held {
            let (word, meaning) = match (lock.name, lock.lock) {
                (LockSlot::Reserved, _) => ("RESERVED", "it writes, and others can still read"),
                (LockSlot::Pending, _) => ("PENDING", "it waits for the last readers, and nobody can begin to read"),
                (_, LockState::Exclusive) => ("EXCLUSIVE", "nobody else can read or write"),
                _ => ("SHARED", "it reads, or has the database open"),
            };
            let each = if lock.holders.len() > 1 { meaning.replace("it ", "each ") } else { meaning.to_owned() };
            let label = if out.is_empty() { "Locked" } else { "" };
            out.push_str(if out.is_empty() { "\n" } else { "" });
            out.push_str(&entry(label, &format!("{word} by {}: {each}", text::holders_of(lock)), width));
        }
        out
    }

    pub(super) fn reason(&self, name: &str) -> Option<String> {
        self.reasons.get(name).map(|reason| line(reason))
    }

    fn database_line(&self) -> String {
        let name = line(if self.source.kind == SourceKind::Bundle { &self.source.path } else { &self.source.label });
        let Some(database) = &self.database else {
            return format!("{name}: {}", self.reason("database").unwrap_or_else(|| "absent".to_owned()));
        };
        let size = bytes(self.sizes.database.unwrap_or(0));
        match (&database.header, database.kind) {
            (Some(header), _) => format!(
                "{name}: {}, {size}, {}, {}",
                bytes(u64::from(header.page_size)) + " pages",
                match header.journal_mode {
                    "wal" => "WAL mode",
                    "rollback" => "rollback-journal mode",
                    "wal2" => "wal2 mode",
                    _ => "unknown journal mode",
                },
                written_by(header.sqlite_version),
            ),
            (None, Kind::Empty) => format!("{name}: empty, to SQLite a new database"),
            (None, _) => format!("{name}: {size} without a SQLite header (encrypted, or no database)"),
        }
    }

    pub(super) fn wal_line(&self) -> String {
        let Some(wal) = &self.wal else {
            return self.reason("wal").unwrap_or_else(|| "not captured".to_owned());
        };
        let size = bytes(self.sizes.wal.unwrap_or(0));
        match wal.end.reason {
            EndReason::NoFile => self.reason("wal").unwrap_or_else(|| "absent".to_owned()),
            EndReason::EmptyFile => "0 bytes: nothing in it".to_owned(),
            EndReason::ShortHeader => format!("{size}: too short for a header of 32 bytes, to SQLite empty"),
            EndReason::BadMagic | EndReason::BadPageSize | EndReason::BadHeaderChecksum => {
                format!("{size}: {}, to SQLite an empty WAL", words(&wal.end.reason))
            }
            EndReason::UnsupportedVersion => format!("{size}: another version, SQLite cannot open it"),
            _ => format!("{size}: {}", frames_in_words(wal)),
        }
    }

    pub(super) fn shm_line(&self) -> String {
        let Some(shm) = &self.shm else {
            return self.reason("shm").unwrap_or_else(|| "absent".to_owned());
        };
        let headers = match (shm.headers_agree, shm.headers.iter().all(|header| header.checksum_ok)) {
            (true, true) => "header copies agree",
            (true, false) => "header copies agree, their checksum is wrong",
            (false, _) => "header copies differ",
        };
        let order = shm.byte_order.map_or_else(|| "byte order unknown".to_owned(), |order| format!("{order}-endian"));
        format!("{}: {}, {headers}, {order}", bytes(self.sizes.shm.unwrap_or(0)), many(shm.blocks, "block"))
    }

    /// The bar with its legend and marks; empty when there are no frames.
    pub(super) fn bar(&self, width: usize) -> String {
        let Some(wal) = &self.wal else { return String::new() };
        let room = width.saturating_sub(text::indent(width));
        let marks = self.marks();
        let lines = picture::draw(&parts(wal, self.checkpoint.as_ref()), &marks, room);
        let margin = " ".repeat(text::indent(width));
        let mut out = String::new();
        for (i, line) in lines.iter().enumerate() {
            out.push_str(if i == 0 { "\n" } else { "" });
            let label = match i {
                0 => "WAL",
                1 if !marks.is_empty() => "Readers",
                _ => "",
            };
            if !label.is_empty() && text::indent(width) == text::LABEL {
                out.push_str(&format!("{}{}", styled(BOLD, label), " ".repeat(text::LABEL - label.len())));
            } else {
                out.push_str(&margin);
            }
            out.push_str(line);
            out.push('\n');
        }
        out
    }

    /// Marks of readers, and marks with locks that could not be seen. Leftover marks are not readers.
    fn marks(&self) -> Vec<Mark> {
        let marks = self.shm.iter().flat_map(|shm| &shm.checkpoint.read_marks);
        marks
            .filter_map(|mark| {
                let frame = mark.mark?;
                let slot = mark.slot;
                let text = match mark.lock {
                    LockState::Free => return None,
                    LockState::Unknown if frame == 0 => return None,
                    LockState::Unknown => format!("read{slot} at frame {}, lock unknown", count(frame)),
                    _ if slot == 0 => format!("read0: the database alone, {}", locked_by(&mark.holders)),
                    _ => format!("read{slot} at frame {}, {}", count(frame), locked_by(&mark.holders)),
                };
                Some(Mark { frame: u64::from(frame), text })
            })
            .collect()
    }

    fn diagnosis(&self, checkpoint: &CheckpointDocument) -> String {
        let style = match checkpoint.state {
            CheckpointState::Blocked if self.blocked_once() => YELLOW,
            CheckpointState::Blocked | CheckpointState::Interrupted => RED,
            CheckpointState::Pending | CheckpointState::InProgress | CheckpointState::Unknown => YELLOW,
            _ => GREEN,
        };
        let (style, word) = match checkpoint.against {
            true if checkpoint.sentence == Against::NoRoom.name() => (RED, "no room"),
            true if checkpoint.sentence == Against::NoMapping.name() => (RED, "not possible"),
            true => (RED, "not safe"),
            false if self.blocked_once() && checkpoint.state == CheckpointState::Blocked => {
                (style, "held up at this look, but not throughout")
            }
            false => (style, super::checkpoint::words(checkpoint.state)),
        };
        let rollback = self.database.as_ref().and_then(|database| database.header.as_ref());
        // A -wal with commits is replayed whatever the mode in the header is; a finding reports that.
        let rollback = rollback.filter(|header| header.journal_mode == "rollback" && checkpoint.committed == 0);
        let aside = match rollback {
            Some(_) => " The database is in rollback-journal mode: it does not use a WAL.",
            None => "",
        };
        format!("{}. {}{aside}", styled(style, word), line(&checkpoint.explanation))
    }

    /// Whether several looks showed that nobody is in the way of the checkpoint all the time.
    fn blocked_once(&self) -> bool {
        let once = |outcome| matches!(outcome, Outcome::NotBlocked | Outcome::TakeTurns | Outcome::OneForAWhile);
        self.over_time.as_ref().is_some_and(|over| once(over.outcome))
    }

    /// A sentence about marks without a reader. `read0` always has a mark.
    fn leftovers(&self) -> Option<String> {
        let marks = self.shm.iter().flat_map(|shm| &shm.checkpoint.read_marks);
        let left = marks.filter(|mark| mark.slot > 0 && mark.mark.is_some() && mark.lock == LockState::Free);
        let locks: Vec<String> = left.map(|mark| format!("read{}", mark.slot)).collect();
        let (last, others) = locks.split_last()?;
        Some(if others.is_empty() {
            format!("{last} has a leftover mark: no lock, it blocks nothing.")
        } else {
            format!("{} and {last} have leftover marks: no lock, they block nothing.", others.join(", "))
        })
    }

    fn locks(&self, shm: &Shm, width: usize) -> String {
        let rows: Vec<Vec<String>> = shm
            .locks
            .iter()
            .map(|lock| {
                let mark = shm.checkpoint.read_marks.iter().find(|mark| lock.name.read_mark() == Some(mark.slot));
                let held = matches!(lock.lock, LockState::Shared | LockState::Exclusive);
                vec![
                    words(&lock.name),
                    words(&lock.lock),
                    mark.map_or_else(String::new, |mark| mark.mark.map_or_else(|| "unused".to_owned(), count)),
                    if held { text::holders_of(lock) } else { String::new() },
                    meaning(lock, &shm.locks, mark.and_then(|mark| mark.mark)).to_owned(),
                ]
            })
            .collect();
        if shm.locks.iter().all(|lock| lock.lock == LockState::Unknown) {
            let reason = self.reason("shm.locks").unwrap_or_else(|| "not seen".to_owned());
            let marks = rows.iter().filter(|row| row.get(2).is_some_and(|mark| !mark.is_empty()));
            let marks: Vec<Vec<String>> = marks.map(|row| row.iter().take(3).cloned().collect()).collect();
            return entry("Locks", &format!("unknown: {reason}"), width)
                + &table::draw(&["lock", "state", "mark"], &marks, width);
        }
        table::draw(&["lock", "state", "mark", "held by", "meaning"], &rows, width)
    }
}

/// The classes in the order in which they usually stand in the file.
fn parts(wal: &Wal, checkpoint: Option<&CheckpointDocument>) -> Vec<Part> {
    let frames = &wal.frames;
    let shown = checkpoint.map_or(frames.committed, |checkpoint| checkpoint.committed.min(frames.committed));
    let backfilled = checkpoint.map_or(0, |checkpoint| checkpoint.backfilled.min(shown));
    let unpublished = frames.committed - shown;
    // After a restart in the wal-index the file still holds the previous generation, which is completely in the
    // database.
    let restarted = checkpoint.is_some_and(|checkpoint| checkpoint.state == CheckpointState::Restarted);
    // Beside some findings nothing waits for a checkpoint of this database.
    let waiting =
        if checkpoint.is_some_and(|checkpoint| checkpoint.against) { Class::Committed } else { Class::Pending };
    let (before, unpublished) = if restarted { (unpublished, 0) } else { (0, unpublished) };
    [
        (Class::Backfilled, backfilled + before),
        (waiting, shown - backfilled),
        (Class::Unpublished, unpublished),
        (Class::Uncommitted, frames.uncommitted),
        (Class::Residue, frames.residue),
        (Class::Stale, frames.stale),
        (Class::Unwritten, frames.unwritten),
        (Class::Unrelated, frames.unrelated),
        (Class::Torn, u64::from(frames.torn_bytes > 0)),
    ]
    .into_iter()
    .map(|(class, frames)| Part { class, frames })
    .collect()
}

fn frames_in_words(wal: &Wal) -> String {
    let frames = &wal.frames;
    let mut out = match frames.committed {
        0 => "nothing committed".to_owned(),
        n => format!("{} committed in {}", many(n, "frame"), many(wal.commits, "commit")),
    };
    for (n, name) in [
        (frames.uncommitted, "uncommitted"),
        (frames.residue, "residue"),
        (frames.stale, "stale"),
        (frames.unwritten, "unwritten"),
        (frames.unrelated, "unrelated"),
    ] {
        if n > 0 {
            out.push_str(&format!(", {} {name}", count(n)));
        }
    }
    if frames.torn_bytes > 0 {
        out.push_str(&format!(", {} of a torn frame", many(frames.torn_bytes, "byte")));
    }
    let frame = count(wal.end.frame);
    out + &match wal.end.reason {
        EndReason::SaltMismatch => format!("; frame {frame} has other salts"),
        EndReason::ChecksumMismatch => format!("; the checksum of frame {frame} does not follow"),
        EndReason::PageZero => format!("; frame {frame} is for page 0"),
        _ => String::new(),
    }
}

fn locked_by(holders: &[crate::evidence::Holder]) -> String {
    if holders.is_empty() {
        "locked, holder not visible from here".to_owned()
    } else {
        format!("locked by {}", text::holders(holders))
    }
}

/// What a lock means, beside `all` the locks of the same `-shm`.
pub(super) fn meaning(lock: &Lock, all: &[Lock], mark: Option<u32>) -> &'static str {
    let Lock { name: slot, lock: state, holders } = lock;
    let (slot, lock) = (*slot, *state);
    let held = matches!(lock, LockState::Shared | LockState::Exclusive);
    let kept = holders.iter().any(|holder| holder.process_state.is_some_and(|state| state != ProcessState::Running));
    let checkpoints =
        |holder| all.iter().any(|lock| lock.name == LockSlot::Checkpoint && lock.holders.contains(holder));
    match (slot, held) {
        (_, false) if lock == LockState::Unknown => "",
        (LockSlot::Write, true) if kept => "nobody can write: its holder does not run",
        (LockSlot::Checkpoint, true) if kept => "nobody can checkpoint: its holder does not run",
        (LockSlot::Write, true) if holders.iter().any(checkpoints) => {
            "writers wait: a checkpoint, or a writer beside it"
        }
        (LockSlot::Write, true) => "a writer is at work",
        (LockSlot::Checkpoint, true) => "a checkpoint is running",
        (LockSlot::Recover, true) => "the wal-index is being recovered",
        (LockSlot::DeadManSwitch, true) => "connections have the database open",
        (LockSlot::DeadManSwitch, false) => "no connection seen",
        (LockSlot::Read0, true) => "a reader of the database alone, or a checkpoint",
        (LockSlot::Read0 | LockSlot::Write | LockSlot::Checkpoint | LockSlot::Recover, false) => "",
        (_, true) if lock == LockState::Exclusive => "mark being moved",
        (_, true) if perhaps_of_writer(holders, all) => "a reader, perhaps the writer itself",
        (_, true) => "a reader",
        (_, false) if mark.is_some() => "leftover, blocks nothing",
        _ => "",
    }
}

/// Whether a read lock may be that of the writer: a write transaction holds one too. Two connections of one process look like
/// one.
fn perhaps_of_writer(holders: &[Holder], all: &[Lock]) -> bool {
    let Some(write) = all.iter().find(|lock| lock.name == LockSlot::Write) else { return true };
    match write.lock {
        LockState::Free => false,
        LockState::Unknown => true,
        _ => {
            let is_writer = |holder: &Holder| write.holders.iter().any(|writer| writer.pid == holder.pid);
            holders.is_empty() || write.holders.is_empty() || holders.iter().any(is_writer)
        }
    }
}

fn written_by(version: u32) -> String {
    match version {
        0 => "writer's version unknown".to_owned(),
        v => format!("last written by SQLite {}.{}.{}", v / 1_000_000, v / 1_000 % 1_000, v % 1_000),
    }
}
