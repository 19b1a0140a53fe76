//! Files that claim terabytes: a capture and a comparison work by what is stored in them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use walscope::bundle::manifest::{LeftOutReason, Member};
use walscope::bundle::{Capture, Manifest, Options, WalMode, write_bundle};
use walscope::compare::{Side, compare_live};
use walscope::look;

use crate::sqlite_child::SqliteChild;

const HUGE: u64 = 8 << 40;
/// More than any of these captures needs.
const ENOUGH: u64 = 80 << 20;

/// Keeps what it is given, and refuses more than is enough: so a capture that works by a claimed size ends with an error.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > ENOUGH {
            return Err(io::Error::other("works by the claimed size"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A database in use, of which one file is `HUGE`. With `tail` there is a byte at its very end.
fn live(suffix: &str, tail: bool) -> Option<(TempDir, PathBuf, SqliteChild)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = SqliteChild::start();
    writer.run(&format!("at {}", path.display()));
    writer.run("create WAL");
    writer.run("insert 20");
    let file = OpenOptions::new().write(true).open(format!("{}{suffix}", path.display())).unwrap();
    if let Err(error) = file.set_len(HUGE) {
        println!("SKIPPED: a file of 8 TiB on the file system of the temporary folder: {error}");
        return None;
    }
    if tail {
        file.write_all_at(b"x", HUGE - 1).unwrap();
    }
    Some((folder, path, writer))
}

fn captured(path: &Path, options: &Options) -> (Capture, Manifest) {
    let mut out = Bounded(Vec::new());
    let manifest = write_bundle(path, options, &mut out, &mut |_, _| {}).unwrap();
    let file = tempfile::tempfile().unwrap();
    (&file).write_all(&out.0).unwrap();
    (Capture::from_file("x.walsnap", Arc::new(file)).unwrap(), manifest)
}

fn member<'a>(manifest: &'a Manifest, name: &str) -> &'a Member {
    manifest.members.iter().find(|member| member.name.ends_with(name)).unwrap_or_else(|| panic!("{manifest:?}"))
}

/// Judges two captures, which looks at every part of them.
fn compared(a: &Capture, b: &Capture) {
    let options = look::Options::default();
    let sides = [a, b].map(|capture| Side::look_at(capture, &options).unwrap());
    let _ = compare_live(&sides, false, &[]);
}

#[test]
fn a_wal_index_that_claims_terabytes_is_captured_up_to_the_blocks_that_frames_need() {
    for (tail, reason) in [(false, LeftOutReason::Hole), (true, LeftOutReason::NotIndexed)] {
        let Some((_folder, path, _writer)) = live("-shm", tail) else { return };
        let (capture, manifest) = captured(&path, &Options::default());
        let shm = member(&manifest, "shm.sparse");
        assert_eq!(shm.length + shm.left_out.iter().map(|out| out.length).sum::<u64>(), HUGE);
        assert!(shm.length <= 1 << 20, "{shm:?}");
        assert_eq!(shm.left_out.last().unwrap().reason, reason, "{shm:?}");
        assert!(manifest.stability.stable, "{:?}", manifest.stability);
        let (mut kept, mut found) = (vec![0; 32 << 10], vec![0; 32 << 10]);
        let file = std::fs::File::open(format!("{}-shm", path.display())).unwrap();
        file.read_exact_at(&mut kept, 0).unwrap();
        let bytes = capture.shm.clone().unwrap();
        assert_eq!((bytes.read_at(&mut found, 0).unwrap(), bytes.len()), (kept.len(), HUGE));
        assert_eq!(found, kept);
        compared(&capture, &capture);
    }
}

#[test]
fn a_wal_that_claims_terabytes_is_captured_without_its_holes() {
    for wal in [None, Some(WalMode::Full), Some(WalMode::Headers)] {
        for tail in [false, true] {
            let Some((_folder, path, _writer)) = live("-wal", tail) else { return };
            let (_capture, manifest) = captured(&path, &Options { wal, ..Options::default() });
            let name = if wal == Some(WalMode::Full) { "wal-tail.sparse" } else { "wal-headers.sparse" };
            let member = member(&manifest, name);
            assert!(member.length <= 1 << 20, "{member:?}");
            assert_eq!((member.left_out.len(), member.padded), (1, 0), "{member:?}");
        }
    }
}

#[test]
fn a_database_that_claims_terabytes_is_captured_without_its_holes() {
    for with_db in [false, true] {
        let Some((_folder, path, _writer)) = live("", true) else { return };
        let (_capture, manifest) = captured(&path, &Options { with_db, ..Options::default() });
        if with_db {
            let db = member(&manifest, "db.sparse");
            assert_eq!(db.length + db.left_out.iter().map(|out| out.length).sum::<u64>(), HUGE);
        }
    }
}
