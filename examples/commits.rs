//! Lists the commits of a `-wal`: `cargo run --example commits -- FILE-wal`.

use std::path::Path;
use std::{env, fs, io};

use walscope::wal::{commits, scan};

/// One line for each commit, and why the valid chain ends.
pub fn list(path: &Path) -> io::Result<String> {
    let wal = fs::read(path)?;
    let mut lines = String::new();
    for commit in commits(&wal) {
        let commit = commit?;
        lines += &format!("frame {}: {} pages\n", commit.number, commit.header.commit_pages);
    }
    let facts = scan(&wal, &mut |_| {})?;
    Ok(format!("{lines}ends before frame {}: {:?}\n", facts.end_frame, facts.end_reason))
}

#[allow(dead_code, reason = "the test calls what is above")]
fn main() -> io::Result<()> {
    let path = env::args_os().nth(1).ok_or_else(|| io::Error::other("name a -wal"))?;
    print!("{}", list(path.as_ref())?);
    Ok(())
}
