//! One row, or several, for each kind of sentence: how to bring the state about, what SQLite does next, and what to do.

mod against;
mod files;
mod in_use;

use walscope::say::checkpoint::{Against, Sentence};

use super::stage::{Next, Stage};

pub struct Row {
    pub sentence: Sentence,
    /// Brings the state about.
    pub make: fn(&mut Stage),
    /// How, in words.
    pub case: &'static str,
    pub next: Next,
    pub to_do: &'static str,
}

fn row(sentence: Sentence, make: fn(&mut Stage), case: &'static str, next: Next, to_do: &'static str) -> Row {
    Row { sentence, make, case, next, to_do }
}

/// Sentences whose state takes more than files and processes, and what the document says instead of a row. Their states are
/// made by the test that is named.
pub const ELSEWHERE: &[(Sentence, &str)] = &[
    (
        Sentence::Against(Against::NoRoom),
        "**Case:** The file system is full. It takes a file system of its own to bring this about: \
     `a_full_file_system_is_named_and_sqlite_agrees` does that.\n\n\
     > Nothing waits in the -wal. The file system has no room for what a new connection has to make, so none can be opened, \
     to read or to checkpoint. Nothing is lost by that: open the database when there is room again.\n\n\
     | next | |\n|---|---|\n\
     | without room for the -shm: a new one reads or writes | fails: SQLITE_IOERR_SHMSIZE |\n\
     | without an inode for the -wal or the -shm: a new one reads or writes | fails: SQLITE_CANTOPEN |\n\
     | without room for one more frame: one reads | all rows |\n\
     | without room for one more frame: one writes a row | fails: SQLITE_FULL |\n\
     | with room again: a new one reads | all rows |\n\n\
     **What to do:** Make room on the file system. Remove neither the database nor its -wal, -shm or -journal.\n",
    ),
    (
        Sentence::Against(Against::NoMapping),
        "**Case:** A FUSE file system with `direct_io`, on which somebody tried to open the database. It takes a file system of its \
     own to bring this about: `a_file_system_without_shared_mappings_is_named` does that.\n\n\
     > Nothing is committed in a -wal. The file system does not map files shared, so SQLite cannot use a wal-index here: no \
     connection can be opened in WAL mode, to read or to checkpoint, unless it is in exclusive locking mode. Open the \
     database through another path, where mappings work.\n\n\
     | next | |\n|---|---|\n\
     | a new one reads or writes | fails: SQLITE_IOERR_SHMMAP |\n\
     | one with locking_mode=EXCLUSIVE reads | all rows |\n\n\
     **What to do:** Put the database where files can be mapped shared, or leave WAL mode there.\n",
    ),
];

/// All rows, in the order of the kinds.
pub fn all() -> Vec<Row> {
    let mut rows: Vec<Row> = [files::rows(), in_use::rows(), against::rows()].into_iter().flatten().collect();
    let order = Sentence::all();
    rows.sort_by_key(|row| order.iter().position(|sentence| *sentence == row.sentence));
    rows
}
