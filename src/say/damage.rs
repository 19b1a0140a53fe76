//! What is said of a `-wal` whose bytes are damaged, and of what still stands in it.

use super::words::{count, many, one_or};
use crate::finding::{Finding, Found, Severity};
use crate::format::flip::Flipped;
use crate::format::wal::FORMAT_VERSION;
use crate::number::FrameNumber;
use crate::wal::EndReason;
use crate::wal::mangled::{Change, MangledWal, Undoing};
use crate::wal::salvage::{ChainedRun, SEARCHED, Salvage};

/// What to do where SQLite broke the chain of its WAL: nothing is damaged.
const BROKEN_BY_SQLITE: &str = "First copy the database, -wal and -shm. If processes have the database open, let one of them checkpoint before the last of them closes it: PRAGMA wal_checkpoint(TRUNCATE) through its own connection copies what it reads. If nobody has it open, open only a copy. Use SQLite 3.50.2 or newer.";
/// What to do where a frame may be damaged.
const BROKEN: &str = "Copy the database, -wal and -shm before anything opens, closes or checkpoints the database. Processes that have it open still read the commits behind the break, and read them from a copy by sqlite3's .backup or VACUUM INTO through their own connection. A checkpoint copies the damaged frame too: run none before there is a copy. If nobody has it open, open only a copy. Run PRAGMA integrity_check on what you go on with, and use SQLite 3.50.2 or newer.";

/// Detail and advice of a header that SQLite cannot use.
pub(super) fn header_unusable(found: &Found) -> (String, &'static str) {
    let Found::WalHeaderUnusable { file_size, magic, page_size, end_reason, frames_behind, mangled, .. } = found else {
        return (String::new(), "");
    };
    let because = match end_reason {
        EndReason::BadMagic => format!("its magic is {magic:#010x}"),
        EndReason::BadPageSize => format!("its page size is {page_size}"),
        _ => "the checksum of its header is wrong".to_owned(),
    };
    let taken = format!("SQLite takes this WAL of {} for an empty one: {because}.", many(*file_size, "byte"));
    if *mangled && *frames_behind == 0 {
        return (
            format!("{taken} Its bytes are not those that SQLite wrote."),
            "See wal_bytes_mangled: it says what was done to them.",
        );
    }
    if *frames_behind == 0 && *file_size > SEARCHED {
        return (
            format!(
                "{taken} In its first {} MiB no frames follow one another. The rest was not looked through.",
                SEARCHED >> 20
            ),
            "Keep a copy before anything opens the database: the next writer begins the WAL anew, and the last to close deletes \
             the file. `walscope wal --salvage` looks through all of it.",
        );
    }
    if *frames_behind == 0 {
        return (
            format!("{taken} Behind the header no frames follow one another."),
            "Keep a copy before anything opens the database: the next writer begins the WAL anew, and the last to close deletes the file.",
        );
    }
    (
        format!("{taken} {}", frames_behind_header(found)),
        "Copy the database, -wal and -shm before anything opens the database: the next writer overwrites these frames, and \
         the last to close deletes the file. `walscope wal --salvage` lists them.",
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

/// The answer of `wal --salvage` in words. `usable`: SQLite can use the header that the file has. `mangled`: its bytes were
/// changed.
#[must_use]
pub fn salvage(found: Option<&Salvage>, usable: bool, mangled: Option<&MangledWal>) -> String {
    let changed = mangled.map(bytes_changed);
    let Some(found) = found else {
        return match changed {
            Some(changed) => format!("In the file as it is, no frames follow one another. {changed}"),
            None => "No frames follow one another at the usual offsets, from byte 32 or from byte 0 on, for any page size and \
                     byte order, and no header can be made that frame 1 continues. Frames at other offsets are not looked for."
                .to_owned(),
        };
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
    if found.header_missing {
        said.push_str("The file begins with a frame: the 32 bytes of the header are missing. ");
    }
    said.push_str(&match (usable, found.readable()) {
        (true, _) => {
            "SQLite can use the header of this file: `walscope wal` says which of them are committed.".to_owned()
        }
        (false, Some(run)) => made_anew(run, found),
        (false, None) => {
            "Frame 1 is damaged or missing, so no header makes these frames right as they are. SQLite would \
                          read none of them."
                .to_owned()
        }
    });
    if let Some(changed) = changed {
        said.push(' ');
        said.push_str(&changed);
    }
    said
}

/// That the bytes of a `-wal` were changed, and what is right without that.
fn bytes_changed(mangled: &MangledWal) -> String {
    match mangled.undone {
        Some(Undoing { frames, commits }) if frames > 0 => format!(
            "Its bytes were changed, and once that is undone {} with {} {} right: see the finding.",
            many(frames, "frame"),
            many(commits, "commit"),
            one_or(frames, "is", "are")
        ),
        _ => "Its bytes were changed: see the finding.".to_owned(),
    }
}

fn made_anew(run: &ChainedRun, found: &Salvage) -> String {
    let sequence = found.header.map_or(0, |header| header.checkpoint_sequence);
    let place = if found.header_missing { "before the first byte" } else { "over the first 32 bytes" };
    let header = format!(
        "Frame 1 continues a header that can be made anew (version {FORMAT_VERSION}, checkpoint sequence {sequence})"
    );
    match run.last_commit {
        Some(commit) => format!(
            "{header}: with it SQLite would read frames 1 to {}. As the file is, it reads none of them, and none of them counts \
             as committed. Write the 32 bytes {place} of a copy of the -wal, beside a copy of the database, and open that copy.",
            count(commit.frame.count())
        ),
        None => format!("{header}, but no commit follows: SQLite would read none of these frames."),
    }
}

/// What to do about a file whose bytes were changed, and more that depends on the file.
macro_rules! advice {
    ($change:expr, $more:literal) => {
        match $change {
            Change::Packed => concat!("Unpack a copy of the file, and look at what comes out. ", $more),
            Change::Base64 => {
                concat!("Decode a copy of the file with `base64 -d`, and look at what comes out. ", $more)
            }
            Change::Hex => concat!("Decode a copy of the file with `xxd -r -p`, and look at what comes out. ", $more),
            _ => concat!(
                "Copy the files again in binary mode, not as text, and keep these until the new copy is verified. ",
                $more
            ),
        }
    };
}

/// Detail and advice of a `-wal` whose bytes were changed.
pub(super) fn mangled_wal(found: &Found) -> (String, &'static str) {
    let Found::WalBytesMangled { change, first_frame, valid, undone } = found else { return (String::new(), "") };
    let reads = match valid {
        0 => "SQLite reads no frame of it".to_owned(),
        valid => format!("SQLite reads {} of it", many(*valid, "frame")),
    };
    let undoing = match change {
        Change::LineEndsAdded | Change::Swapped => "Undone,",
        Change::LineEndsRemoved => "With them put back, at least",
        _ => "Decoded,",
    };
    let reads = match change {
        Change::LineEndsAdded | Change::LineEndsRemoved => {
            format!("From frame {} on nothing is where it was, and {reads}", count(first_frame.count()))
        }
        _ => reads,
    };
    (
        format!("{}. {reads}.{}", form(*change), right(undoing, *undone)),
        advice!(change, "Nothing may open the database beside this -wal: its closing would delete it."),
    )
}

/// What is right once the change is undone.
fn right(undoing: &str, undone: Option<Undoing>) -> String {
    let Some(Undoing { frames, commits }) = undone else { return String::new() };
    if frames == 0 {
        return " With them put back, the header is right.".to_owned();
    }
    format!(
        " {undoing} {} with {} {} right.",
        many(frames, "frame"),
        many(commits, "commit"),
        one_or(frames, "is", "are")
    )
}

/// Detail and advice of a database whose bytes were changed.
pub(super) fn mangled_database(found: &Found) -> (String, &'static str) {
    let Found::DatabaseBytesMangled { change, bytes, page } = found else { return (String::new(), "") };
    let done = form(*change);
    let amount = bytes.map(|bytes| many(bytes, "byte"));
    let shown = match (change, &amount) {
        (Change::LineEndsAdded, Some(bytes)) => {
            format!(" The file is {bytes} too long, and without them its size is a whole number of pages.")
        }
        (Change::LineEndsRemoved, Some(bytes)) => format!(
            " The size is no whole number of pages, pages at the end begin {bytes} too early, and no byte 0x0a has 0x0d before \
             it."
        ),
        (Change::TabsExpanded, Some(bytes)) => format!(
            " The file is {bytes} longer than its header says, it has no byte 0x09, and no page at its end begins where it should."
        ),
        (Change::ReturnsReplaced, _) => " Page 1 begins as a page of an index does.".to_owned(),
        (Change::FeedsReplaced, _) => " An index begins with a page of a table.".to_owned(),
        (Change::TopBitRemoved, _) => " The rows on page 1 are not where it says.".to_owned(),
        (_, Some(bytes)) => format!(" The file is {bytes} too long."),
        (_, None) => String::new(),
    };
    let from =
        page.map(|page| format!(" From page {} on SQLite reads wrong bytes.", count(page.0))).unwrap_or_default();
    (format!("{done}.{shown}{from}"), advice!(change, "Let nothing write to it, and copy -wal and -shm again with it."))
}

/// What happened to a file, and what to do, for the sentence about the checkpoint. `so` is what SQLite does with it.
pub(super) fn mangled_in_short(finding: &Finding, so: &str) -> String {
    let (file, change) = match finding.found {
        Found::WalBytesMangled { change, .. } => ("-wal", change),
        Found::DatabaseBytesMangled { change, .. } => ("database", change),
        _ => return String::new(),
    };
    let changed = match (change, finding.severity) {
        (Change::Packed, _) => format!("The {file} begins as a compressed file or an archive does"),
        (Change::Base64, _) => format!("The {file} is base64 text"),
        (Change::Hex, _) => format!("The {file} is text of hexadecimal digits"),
        (_, Severity::Error) => format!("Bytes of the {file} were changed by a transfer"),
        _ => format!("Bytes of the {file} may have been changed by a transfer"),
    };
    let again = match change {
        Change::Packed => "Unpack a copy of it.",
        Change::Base64 | Change::Hex => "Decode a copy of it.",
        _ => "Copy it again in binary mode.",
    };
    format!("{changed}: {so}. {again}")
}

/// What was done to the bytes of a file.
fn form(change: Change) -> &'static str {
    match change {
        Change::LineEndsAdded => "A byte 0x0d stands before each byte 0x0a: line ends were translated",
        Change::LineEndsRemoved => "Bytes 0x0d before 0x0a are missing: line ends were translated",
        Change::Utf8 => "The bytes were taken for text and written as UTF-8: each from 0x80 on became two bytes",
        Change::Utf8Replaced => {
            "The bytes were taken for text and written as UTF-8: those from 0x80 on were replaced, and what they were is lost"
        }
        Change::Utf16 => "The bytes were taken for text and written as UTF-16: each became two bytes",
        Change::Base64 => "The file is base64 text",
        Change::Hex => "The file is text of hexadecimal digits",
        Change::Swapped => "The two bytes of each pair changed places",
        Change::ZerosReplaced => "Each zero byte became a space (0x20), and which spaces were zeros is lost",
        Change::TopBitRemoved => "No byte is above 0x7f: the highest bit of each was removed, and is lost",
        Change::ReturnsReplaced => "No byte is 0x0d: each became 0x0a, as if line ends were translated",
        Change::FeedsReplaced => "No byte is 0x0a: each became 0x0d, as if line ends were translated",
        Change::TabsExpanded => "Tabs became spaces",
        Change::Packed => "The file begins as a compressed file or an archive does",
    }
}
/// Commits that one flipped bit cuts off.
pub(super) fn flipped(end: FrameNumber, commits: u64, Flipped { at, places, .. }: &Flipped) -> String {
    let (commits, are) = (many(commits, "commit frame"), one_or(commits, "is", "are"));
    let place = match places {
        1 => format!("bit {} of byte {} of the frame", at.bit, at.byte),
        n => format!(
            "the checksum fits {} places, the first of them bit {} of byte {} of the frame",
            count(*n as u64),
            at.bit,
            at.byte
        ),
    };
    format!(
        "Frame {} differs from what was written as if one bit was flipped: {place}. With this bit as it was the frame continues the chain, so a disk, memory or a copy changed it. SQLite reads nothing from this frame on: {commits} {are} cut off, if nobody has the database open.",
        count(end)
    )
}

/// Commits behind a break of the chain, and what left them there.
pub(super) fn behind_break(
    end: FrameNumber,
    commits: u64,
    [continued, by_rollback_to, copied]: [bool; 3],
) -> (String, &'static str) {
    let behind = many(commits, "commit frame");
    let stand = one_or(commits, "stands", "stand");
    let broken = format!(
        "Frame {} does not follow the one before it; behind it {behind} of the same generation {stand}",
        count(end)
    );
    if !continued && !by_rollback_to && !copied {
        return (
            format!(
                "{broken}, and SQLite does not read what stands there. A damaged frame leaves that. So does a writer that died after its commit frame, if a shorter transaction was written over it."
            ),
            "If a disk or a copy may have damaged that frame, copy the files before anything opens the database: recovery drops what is behind. Otherwise there is nothing to do: the commit was never confirmed.",
        );
    }
    let why = if by_rollback_to {
        "SQLite before 3.50.2 itself broke the chain: after ROLLBACK TO over pages that it had written to the WAL already, it left frames without salts and checksum"
    } else if !continued {
        "Page 1 of the database is newer than every page 1 before the break. So a commit from behind the break was copied, or the -wal is older than the database; no killed writer left that. SQLite reads the older pages of the WAL in place of those of the database"
    } else {
        "Other frames continue such a commit, so no killed writer left it: a disk or a copy damaged the frame, the machine went down before the frame was on the disk, or SQLite before 3.50.2 broke its own chain after ROLLBACK TO"
    };
    (
        format!(
            "{broken}. Connections that have the database open may still read them; the next first opener recovers the WAL and drops them. {why}."
        ),
        if by_rollback_to { BROKEN_BY_SQLITE } else { BROKEN },
    )
}
