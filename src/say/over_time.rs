//! What several looks say of the readers in the way of the checkpoint.

use super::checkpoint::names;
use super::held_up::keeps_others;
use super::words::count;
use crate::evidence::LockSlot;
use crate::look::held_up::NotRunning;
use crate::look::over_time::{Kept, Outcome, OverTime};

/// What the looks found, and what to do.
#[must_use]
pub fn over_time(over: &OverTime) -> String {
    let said = looks(over);
    match over.outcome() {
        // The looks are a lower bound, and the time beside a process is not the age of its lock.
        Outcome::Kept => format!("at least {} s (since the first look): {said}", seconds(over)),
        Outcome::NotBlocked | Outcome::TakeTurns | Outcome::OneForAWhile | Outcome::NotKnown => said,
    }
}

fn looks(over: &OverTime) -> String {
    let looks = format!("{} looks in {} s", count(u64::from(over.looks)), seconds(over));
    match over.outcome() {
        Outcome::NotBlocked => {
            format!(
                "at none of {looks} was a reader seen in the way of the checkpoint, nor a stopped process with a lock that others need{}.",
                unknown(over)
            )
        }
        Outcome::Kept => {
            let (stopped, kept): (Vec<Kept>, Vec<Kept>) =
                over.kept().into_iter().partition(|kept| kept.stopped.is_some());
            let stopped = by_process(stopped);
            let told: Vec<String> = stopped
                .iter()
                .map(|one| format!("{} {}", names([&one.holder].into_iter()), keeps_others(one)))
                .collect();
            let told = told.join("; ");
            // Who has the whole database locked and is stopped is told once.
            let kept: Vec<Kept> = kept
                .into_iter()
                .filter(|kept| {
                    kept.lock != LockSlot::Database
                        || !stopped.iter().any(|one| Some(&one.holder) == kept.holder.as_ref())
                })
                .collect();
            if kept.is_empty() {
                return format!("at each of {looks} {told}.");
            }
            let also = if told.is_empty() { String::new() } else { format!(" At each look {told}, too.") };
            let each: Vec<String> = kept.iter().map(|kept| reader(kept, "holds")).collect();
            if kept.iter().all(|kept| kept.lock == LockSlot::Database) {
                return format!(
                    "at each of {looks} the same process had the whole database locked, as in exclusive locking mode: {}. \
                     Nobody else can read, write or checkpoint it until that process closes it, leaves that mode, or ends.{also}",
                    names(kept.iter().flat_map(|kept| &kept.holder))
                );
            }
            format!(
                "at each of {looks} the same reader was in the way of the checkpoint: {}. The WAL grows until its transaction \
                 ends: look there for a cursor that was not finished, or a transaction that was left open.{also}",
                each.join("; ")
            )
        }
        Outcome::OneForAWhile => {
            let (only, at_last) = over.only().unzip();
            format!(
                "at {} of {looks} one reader was in the way of the checkpoint, and nobody at the others: {}. {}",
                count(u64::from(over.blocked)),
                only.iter().map(|kept| reader(kept, "held")).collect::<String>(),
                match at_last {
                    Some(true) => "It was there at the last look: only further looks tell whether it stays.",
                    _ => "It was gone at the last look.",
                }
            )
        }
        Outcome::TakeTurns if !over.by_readers() => format!(
            "at {} of {looks} a process was stopped with a lock that others need, and not at each look{}.",
            count(u64::from(over.blocked)),
            unknown(over)
        ),
        Outcome::TakeTurns => format!(
            "at {} of {looks} readers were in the way of the checkpoint, and none of them at each look: they take turns, and no \
             single one is to blame{}. A checkpoint gets its turn when none is at work; PRAGMA wal_checkpoint(RESTART) with a \
             busy_timeout waits for that.",
            count(u64::from(over.blocked)),
            unknown(over)
        ),
        Outcome::NotKnown => format!(
            "at {} of {looks} it could not be told whether a reader was in the way of the checkpoint.",
            count(u64::from(over.not_known))
        ),
    }
}

/// Those that did not run, each with its locks.
fn by_process(stopped: Vec<Kept>) -> Vec<NotRunning> {
    let mut all: Vec<NotRunning> = Vec::new();
    for Kept { lock, holder, stopped, .. } in stopped {
        let Some((holder, state)) = holder.zip(stopped) else { continue };
        match all.iter_mut().find(|one| one.holder == holder) {
            Some(one) => one.locks.push((lock, state)),
            None => all.push(NotRunning::of(holder, vec![(lock, state)])),
        }
    }
    all
}

/// The looks that tell nothing.
fn unknown(over: &OverTime) -> String {
    match over.not_known {
        0 => String::new(),
        n => format!(" ({} of the looks could not tell)", count(u64::from(n))),
    }
}

fn seconds(over: &OverTime) -> String {
    let tenths = over.duration.as_millis() / 100;
    if tenths.is_multiple_of(10) { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

fn reader(kept: &Kept, verb: &str) -> String {
    let no_mark = matches!(kept.lock, LockSlot::Read0 | LockSlot::Database);
    let at = if no_mark { String::new() } else { format!(" at frame {}", count(kept.at)) };
    format!("{} {verb} {}{at}", names(kept.holder.iter()), kept.lock)
}
