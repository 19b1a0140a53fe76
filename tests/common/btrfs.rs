//! A btrfs that a test makes for itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A btrfs in a file, mounted for one test.
pub struct Btrfs {
    folder: tempfile::TempDir,
}

impl Btrfs {
    /// Makes and mounts a btrfs; `None`, with a message, where that is not possible.
    pub fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let run = |command: &str, arguments: &[&str]| {
            let mut command = Command::new(command);
            command.args(arguments).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        fs::create_dir(folder.path().join("mnt")).unwrap();
        fs::File::create(folder.path().join("image")).unwrap().set_len(256 << 20).unwrap();
        let there = run("mkfs.btrfs", &["-q", "image"]) && run("mount", &["-o", "loop", "image", "mnt"]);
        super::have("btrfs", there).then_some(Self { folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("mnt").join(name)
    }

    pub fn subvolume(&self, arguments: &[&Path]) {
        let verb = if arguments.len() == 1 { "create" } else { "snapshot" };
        let output = Command::new("btrfs").args(["subvolume", verb]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path().join("mnt")).status();
    }
}
