//! Idle processes on one FUSE mount: their pages are touched, so that page frames can be compared.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common;
use crate::common::command::walscope;
use crate::sqlite::Sqlite;

/// A folder mounted by bindfs; unmounted on drop.
pub struct Bindfs(tempfile::TempDir);

impl Bindfs {
    /// The folder that the mount shows.
    pub fn folder(&self) -> std::path::PathBuf {
        self.0.path().join("mount")
    }

    pub fn mount() -> Option<Self> {
        let there = rustix::process::geteuid().is_root() && Path::new("/dev/fuse").exists();
        let there = there && Command::new("bindfs").arg("--version").output().is_ok_and(|out| out.status.success());
        if !common::have("fuse", there) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let [low, mount] = ["low", "mount"].map(|name| folder.path().join(name));
        std::fs::create_dir(&low).unwrap();
        std::fs::create_dir(&mount).unwrap();
        assert!(Command::new("bindfs").args([&low, &mount]).stdout(Stdio::null()).status().unwrap().success());
        Some(Self(folder))
    }
}

impl Drop for Bindfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path().join("mount")).status();
    }
}

fn compared(folder: &Path, of: [&Sqlite; 2]) -> Value {
    let sources = of.map(|one| format!("pid:{}:{}/t.db", one.pid(), folder.display()));
    walscope(folder, &["compare", &sources[0], &sources[1], "--json"]).json()
}

#[test]
fn idle_processes_on_one_fuse_mount_have_one_memory() {
    let Some(bindfs) = Bindfs::mount() else { return };
    let folder = bindfs.0.path().join("mount");
    let (mut a, mut b) = (Sqlite::open(&folder.join("t.db")), Sqlite::open(&folder.join("t.db")));
    a.run("INSERT INTO t VALUES(1)");
    b.run("INSERT INTO t VALUES(2)");
    // The second look finds pages that the first one dropped.
    for _ in 0..2 {
        let document = compared(&folder, [&a, &b]);
        assert_eq!(document["verdict"]["memory"], "proven", "{document:#}");
    }
}

/// Another program has opened the file meanwhile: then nothing is in the page tables of the idle processes.
#[test]
fn idle_processes_whose_pages_another_program_dropped_have_one_memory() {
    let Some(bindfs) = Bindfs::mount() else { return };
    let folder = bindfs.folder();
    let (mut a, mut b) = (Sqlite::open(&folder.join("t.db")), Sqlite::open(&folder.join("t.db")));
    a.run("INSERT INTO t VALUES(1)");
    b.run("INSERT INTO t VALUES(2)");
    std::fs::read(folder.join("t.db-shm")).unwrap();
    let document = compared(&folder, [&a, &b]);
    assert_eq!(document["verdict"]["memory"], "proven", "{document:#}");
}
