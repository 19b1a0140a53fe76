//! Says what the checkpoint of a database at rest is doing: `cargo run --example checkpoint -- DATABASE`.
//!
//! The files are copied into memory first. Do not read the `-shm` of a database that this process has open through
//! SQLite: closing the file drops SQLite's locks.

use std::path::Path;
use std::{env, fs, io};

use walscope::look::{Bytes, Options, inspect};

/// The state of the checkpoint in one line.
pub fn state(database: &Path) -> io::Result<String> {
    let sibling = |ending: &str| fs::read(format!("{}{ending}", database.display())).ok();
    let files =
        Bytes { database: Some(fs::read(database)?), wal: sibling("-wal"), shm: sibling("-shm"), ..Bytes::default() };
    let inspection = inspect(&files, &Options::default())?;
    Ok(match inspection.checkpoint {
        Some(facts) => format!("{:?}: {} of {} frames wait\n", facts.state, facts.pending, facts.committed),
        None => "the -wal was not looked at\n".to_owned(),
    })
}

#[allow(dead_code, reason = "the test calls what is above")]
fn main() -> io::Result<()> {
    let path = env::args_os().nth(1).ok_or_else(|| io::Error::other("name a database"))?;
    print!("{}", state(path.as_ref())?);
    Ok(())
}
