//! What is said of a `-wal` whose bytes are damaged, and of what still stands in it.

use super::words::{count, many, one_or};
use crate::finding::Found;
use crate::format::wal::FORMAT_VERSION;
use crate::wal::EndReason;
use crate::wal::salvage::{ChainedRun, Salvage};

/// Detail and advice of a header that SQLite cannot use.
pub(super) fn header_unusable(found: &Found) -> (String, &'static str) {
    let Found::WalHeaderUnusable { file_size, magic, page_size, end_reason, frames_behind, .. } = found else {
        return (String::new(), "");
    };
    let because = match end_reason {
        EndReason::BadMagic => format!("its magic is {magic:#010x}"),
        EndReason::BadPageSize => format!("its page size is {page_size}"),
        _ => "the checksum of its header is wrong".to_owned(),
    };
    let taken = format!("SQLite takes this WAL of {} for an empty one: {because}.", many(*file_size, "byte"));
    if *frames_behind == 0 {
        return (
            format!("{taken} Behind the header no frames follow one another."),
            "Keep a copy before anything opens the database: the next writer begins the WAL anew.",
        );
    }
    (
        format!("{taken} {}", frames_behind_header(found)),
        "Copy the database, -wal and -shm before anything opens the database: the next writer overwrites these frames. \
         `walscope wal --salvage` lists them.",
    )
}

/// What is lost with the frames behind the header.
pub(super) fn lost_behind_header(found: &Found) -> String {
    let Found::WalHeaderUnusable { frames_behind, commits_behind, .. } = found else { return String::new() };
    format!(
        "{} with {} {} behind the header, and SQLite reads none of {}.",
        many(*frames_behind, "frame"),
        many(*commits_behind, "commit"),
        one_or(*frames_behind, "stands", "stand"),
        one_or(*frames_behind, "it", "them")
    )
}

/// What stands behind the header, and whether the database has it.
fn frames_behind_header(found: &Found) -> String {
    let Found::WalHeaderUnusable { frames_behind, commits_behind, first_run, readable, compared, missing, .. } = found
    else {
        return String::new();
    };
    let salts = first_run.map(|run| format!(" (salts {})", run.salts)).unwrap_or_default();
    let chained = one_or(*frames_behind, " that continues a header made anew", " that follow one another");
    let mut said = format!(
        "Behind the header {} {}{chained}{salts}, with {}.",
        one_or(*frames_behind, "stands", "stand"),
        many(*frames_behind, "whole frame"),
        many(*commits_behind, "commit"),
    );
    if let (Some(compared), Some(missing)) = (compared, missing) {
        said.push_str(&match missing {
            0 => format!(" The database has {} of them.", pages_all(*compared)),
            _ => format!(
                " Of {} compared, {} {} not in the database.",
                many(*compared, "page"),
                count(*missing),
                one_or(*missing, "is", "are")
            ),
        });
    }
    let commit = first_run.filter(|_| *readable).and_then(|run| run.last_commit);
    if let Some(commit) = commit {
        said.push_str(&format!(
            " With a header made anew SQLite would read {} up to frame {}.",
            one_or(commit.frame.count(), "it", "them"),
            count(commit.frame.count())
        ));
    }
    said
}

fn pages_all(pages: u64) -> String {
    if pages == 1 { "the only page".to_owned() } else { format!("all {}", many(pages, "page")) }
}

/// The answer of `wal --salvage` in words. `usable`: SQLite can use the header that the file has.
#[must_use]
pub fn salvage(found: Option<&Salvage>, usable: bool) -> String {
    let Some(found) = found else {
        return "No frames follow one another in this file, for no page size and in neither byte order, and no header can be \
                made that frame 1 continues. There is nothing to salvage."
            .to_owned();
    };
    let runs = (found.runs.len() as u64).saturating_add(found.unlisted_runs);
    let mut said = format!(
        "{} in {} {} one another, with {}: {} bytes a page, checksums over {}-endian words.",
        many(found.frames, "frame"),
        many(runs, "run"),
        one_or(found.frames, "follows", "follow"),
        many(found.commits, "commit"),
        found.page_size,
        found.order.name()
    );
    said.push(' ');
    said.push_str(&match (usable, found.readable()) {
        (true, _) => {
            "SQLite can use the header of this file: `walscope wal` says which of them are committed.".to_owned()
        }
        (false, Some(run)) => made_anew(run, found.header.map_or(0, |header| header.checkpoint_sequence)),
        (false, None) => {
            "Frame 1 is damaged or missing, so no header makes these frames right as they are. SQLite would \
                          read none of them."
                .to_owned()
        }
    });
    said
}

fn made_anew(run: &ChainedRun, sequence: u32) -> String {
    let header = format!(
        "Frame 1 continues a header that can be made anew (version {FORMAT_VERSION}, checkpoint sequence {sequence})"
    );
    match run.last_commit {
        Some(commit) => format!(
            "{header}: with it SQLite would read frames 1 to {}, on a copy. As the file is, it reads none of them, and none \
             of them counts as committed.",
            count(commit.frame.count())
        ),
        None => format!("{header}, but no commit follows: SQLite would read none of these frames."),
    }
}
