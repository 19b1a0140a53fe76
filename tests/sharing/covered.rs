//! A mount that is put over the folder of a database in use.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::common;
use crate::common::command::{connect, walscope};
use crate::sqlite::Sqlite;

/// Unmounts on drop.
struct Over(PathBuf);

impl Over {
    fn with(folder: &Path, other: Option<&Path>) -> Option<Self> {
        let size = CString::new("size=4m").unwrap();
        let done = match other {
            Some(other) => mount_bind(other, folder),
            None => mount("tmpfs", folder, "tmpfs", MountFlags::empty(), Some(size.as_c_str())),
        };
        common::have("the right to mount", done.is_ok()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn made(path: &Path) {
    connect(path).execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(0)").unwrap();
}

#[test]
fn what_lies_beneath_a_mount_that_was_put_over_it_is_told_and_saved() {
    for (bind, empty) in [(true, false), (false, false), (false, true)] {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let (data, other) = (root.join("data"), root.join("other"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&other).unwrap();
        made(&data.join("t.db"));
        made(&other.join("t.db"));
        let mut process = Sqlite::open(&data.join("t.db"));
        process.run("INSERT INTO t VALUES(1)");
        assert_eq!(walscope(&root, &["inspect", "data/t.db"]).code, 0);
        let Some(over) = Over::with(&data, bind.then_some(&other)) else { return };
        if !bind && !empty {
            fs::copy(other.join("t.db"), data.join("t.db")).unwrap();
        }
        let ran = walscope(&root, &["inspect", "data/t.db", "--json"]);
        if empty {
            assert!(ran.code == 2 && ran.stderr.contains("walscope rescue data/t.db"), "{}", ran.stderr);
        } else {
            let document = ran.json();
            let found = document["findings"].as_array().unwrap().iter();
            let codes: Vec<_> = found.filter(|one| one["severity"] == "error").map(|one| one["code"].clone()).collect();
            assert_eq!((ran.code, codes), (1, vec!["worker_on_replaced_files".into()]), "{bind}");
        }
        let ran = walscope(&root, &["rescue", "data/t.db", "-o", "saved", "--json"]);
        let document = ran.json();
        let sets = document["sets"].as_array().unwrap();
        assert_eq!((ran.code, sets.len()), (0, if empty { 1 } else { 2 }), "{document:#}");
        assert_eq!(sets[0]["processes"][0]["pid"], process.pid());
        // With its -wal: all that is committed.
        let copy = root.join(sets[0]["database"].as_str().unwrap());
        let rows: i64 =
            Connection::open(copy).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
        drop(over);
        assert_eq!(walscope(&root, &["inspect", "data/t.db"]).code, 0);
    }
}
