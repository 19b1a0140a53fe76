//! What SQLite says of a database, and what the walk finds.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;
use walscope::format::db::{DatabaseHead, parse_head};
use walscope::number::{FrameNumber, PageNumber, PageSize};
use walscope::state::{Frames, State};
use walscope::tree::{Pages, Trees, walk};
use walscope::wal::latest::FrameIndex;

use crate::databases::Files;

/// What `PRAGMA integrity_check` says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Sound,
    /// Rows that an index lacks, and values that may not be: no fault of structure.
    Content(String),
    /// The SQL of the schema cannot be read, so SQLite looks at nothing else.
    Schema(String),
    /// The first fault of structure.
    Damaged(String),
}

/// What SQLite says of what the pages hold: it is not about structure.
const OF_CONTENT: [&str; 10] = [
    "missing from index",
    "wrong # of entries",
    "non-unique entry",
    "NULL value in",
    "CHECK constraint",
    "TEXT value in",
    "NUMERIC value in",
    "non-INTEGER",
    "row not in PRIMARY KEY order",
    "values differ from index",
];

fn lines(path: &Path) -> rusqlite::Result<Vec<String>> {
    let sqlite = Connection::open(path)?;
    let mut statement = sqlite.prepare("PRAGMA integrity_check(1000)")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The SQL of each row of the schema. `None`: SQLite cannot read it.
fn schema(path: &Path) -> Option<Vec<Option<String>>> {
    let sqlite = Connection::open(path).ok()?;
    let mut statement = sqlite.prepare("SELECT sql FROM sqlite_schema").ok()?;
    statement.query_map([], |row| row.get(0)).ok()?.collect::<rusqlite::Result<_>>().ok()
}

fn stored(files: &Files) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    std::fs::write(&path, &files.database).unwrap();
    if let Some(wal) = &files.wal {
        std::fs::write(folder.path().join("t.db-wal"), wal).unwrap();
    }
    (folder, path)
}

/// The SQL of the schema of a database that is whole.
pub fn schema_of(files: &Files) -> Option<Vec<Option<String>>> {
    schema(&stored(files).1)
}

/// Asks SQLite about a copy. `of_whole`: the SQL of the schema before the damage.
pub fn integrity(files: &Files, of_whole: &Option<Vec<Option<String>>>) -> Said {
    let (_folder, path) = stored(files);
    match lines(&path) {
        // Even SQL that SQLite understands can ask for an index that is not there.
        Err(error) if schema(&path).is_none() || schema(&path) != *of_whole => Said::Schema(error.to_string()),
        Err(error) => Said::Damaged(error.to_string()),
        Ok(lines) if lines == ["ok"] => Said::Sound,
        Ok(lines) => {
            let lines = lines.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with("***"));
            let (content, structure): (Vec<&str>, Vec<&str>) =
                lines.partition(|line| OF_CONTENT.iter().any(|known| line.contains(known)));
            match structure.first() {
                Some(first) => Said::Damaged((*first).to_owned()),
                None => Said::Content(content.join("; ")),
            }
        }
    }
}

/// Walks over the state that SQLite would open. `None`: there is none.
pub fn walked(files: &Files) -> Option<Trees> {
    let mut column = Vec::new();
    let mut last = None;
    if let Some(wal) = &files.wal {
        for frame in walscope::wal::valid_frames(wal) {
            let frame = frame.unwrap();
            column.push(frame.header.page);
            if frame.header.commit_pages != 0 {
                last = Some((frame.number, frame.header.commit_pages));
            }
        }
    }
    let index = FrameIndex::of(&column);
    let head = parse_head(&files.database).ok();
    let of_file = head.as_ref().and_then(DatabaseHead::plain).copied();
    let size = PageSize::new(of_file.map_or(0, |header| header.page_size))?;
    let in_file = files.database.len() as u64 / u64::from(size);
    let count = match (last, of_file) {
        (Some((_, pages)), _) => pages,
        (None, Some(header)) => header.believed_pages().unwrap_or(in_file as u32),
        (None, None) => return None,
    };
    let wal = files.wal.as_ref();
    let frames = last.zip(wal).map(|((commit, _), bytes)| Frames { bytes, index: &index, commit, last: commit });
    let mut state = State::new(&files.database, frames, size, count);
    let mut first = [0; 100];
    if !state.read(PageNumber(1), &mut first).unwrap() {
        return None;
    }
    let header = *parse_head(&first).ok()?.plain()?;
    assert!(index.newest(PageNumber(1), FrameNumber::LARGEST).is_none() || wal.is_some());
    walk(&mut state, &header).unwrap()
}
