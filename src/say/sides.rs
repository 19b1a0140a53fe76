//! What findings and pieces of evidence both say about sides. Without a full stop.

use super::words::{LISTED, Names, count, processes, verb};
use crate::evidence::{CutOff, InodeId, Mapping};
use crate::number::FrameNumber;
use crate::sides::{CutOffProcesses, FellBehind, Parting, Process};

/// Processes that use another wal-index than the path of their side leads to.
pub(super) fn cut_off(side: &CutOffProcesses, names: Names<'_>) -> String {
    let label = names.of(side.side);
    let leads = match side.path_leads_to {
        Some(id) => format!("while the path leads to {id}"),
        None => "which was deleted or replaced: no path leads to it any more".to_owned(),
    };
    let by_path: Vec<&Mapping> = side.by(CutOff::Path).collect();
    let by_database: Vec<&Mapping> = side.by(CutOff::Database).collect();
    let mut facts = Vec::new();
    if !by_path.is_empty() {
        let all = of_mappings(&by_path);
        let maps = verb(&all, "maps", "map");
        // One that was moved aside has another name than SQLite makes.
        let aside = by_path.iter().find(|mapping| !mapping.path.ends_with("-shm"));
        let aside = aside.map_or_else(String::new, |mapping| format!(" (now {})", mapping.path));
        facts.push(format!("on {label} {} {maps} {}{aside}, {leads}", processes(&all), inodes(&by_path)));
    }
    if let Some(first) = by_database.first() {
        let deleted = if first.deleted_suffix { ", deleted" } else { "" };
        let all = of_mappings(&by_database);
        facts.push(format!(
            "{} {} the database of {label} open, and {} {} ({}{deleted}) as wal-index, not the -shm of {label}",
            processes(&all),
            verb(&all, "has", "have"),
            verb(&all, "maps", "map"),
            inodes(&by_database),
            first.path
        ));
    }
    facts.join("; ")
}

/// The processes of some mappings, each once, by number.
fn of_mappings(mappings: &[&Mapping]) -> Vec<Process> {
    let mut all: Vec<Process> = mappings.iter().map(|mapping| Process::from(*mapping)).collect();
    all.sort();
    all.dedup();
    all
}

fn inodes(mappings: &[&Mapping]) -> String {
    let mut inodes: Vec<InodeId> = mappings.iter().map(|mapping| mapping.inode).collect();
    inodes.sort();
    inodes.dedup();
    inodes.iter().take(LISTED).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Content of two sides that does not fit together.
pub(super) fn parting(parting: &Parting, names: Names<'_>) -> String {
    match parting {
        Parting::DifferentAt(frame) => different_at(*frame),
        Parting::FellBehind(found) => fell_behind(found, names),
        Parting::WentBack { earlier, later } => format!(
            "{} was captured later than {}, and its WAL ends before the other's or is an older generation of it",
            names.of(*later),
            names.of(*earlier)
        ),
        Parting::ChangeCounter { earlier: (earlier, before), later: (later, after) } => format!(
            "{} was captured later than {}, and the change counter of its database is {} after {}",
            names.of(*later),
            names.of(*earlier),
            count(*after),
            count(*before)
        ),
    }
}

/// That one side showed less than the other had shown before.
pub(super) fn fell_behind(found: &FellBehind, names: Names<'_>) -> String {
    let ((ahead, more), (behind, less)) = (found.ahead, found.behind);
    format!(
        "{} showed frame {} of the same generation, and {} us later {} still showed frame {}",
        names.of(ahead),
        count(more),
        count(found.after / 1_000),
        names.of(behind),
        count(less)
    )
}

/// That one generation holds different content on the two sides.
pub(super) fn different_at(frame: FrameNumber) -> String {
    format!("same generation, but frame {} was committed with different content on the two sides", count(frame))
}
