//! One side of a set-up: where its SQLite process is, and how walscope is run beside it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::common::command::{Ran, run};

/// Who runs walscope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum As {
    Root,
    /// Uid 1000 without a capability.
    User,
}

/// Where a process is.
#[derive(Clone)]
pub enum Place {
    /// In a container of this name.
    Container(String),
    /// In namespaces of its own, without a container.
    Namespaces {
        /// Options of nsenter that lead there.
        enter: &'static [&'static str],
        /// What makes an ordinary user of the root there.
        drop: &'static [&'static str],
        /// walscope where every user may run it.
        program: PathBuf,
    },
}

pub const USER_1000: &[&str] = &["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"];
/// In a user namespace that has one user only.
pub const NO_CAPABILITIES: &[&str] = &["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];

pub struct Side {
    pub place: Place,
    /// The database as the process sees it.
    pub path: String,
    /// The pid of the process, on the host.
    pub pid: u32,
}

impl Side {
    /// A process that was started with this path as its last argument, and that `is_it` accepts.
    pub fn find(place: Place, path: &str, is_it: impl Fn(u32) -> bool) -> Self {
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let started_so = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
            words.first().is_some_and(|word| word.ends_with(b"/sqlite3")) && words.contains(&path.as_bytes())
        };
        let found: Vec<u32> = pids.filter(started_so).filter(|&pid| is_it(pid)).collect();
        assert_eq!(found.len(), 1, "processes of {path}: {found:?}");
        Self { place, path: path.to_owned(), pid: found[0] }
    }

    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').unwrap().0
    }

    /// `NAME:/path`; none where there is no container.
    pub fn by_name(&self) -> Option<String> {
        match &self.place {
            Place::Container(name) => Some(format!("{name}:{}", self.path)),
            Place::Namespaces { .. } => None,
        }
    }

    pub fn by_pid(&self) -> String {
        format!("pid:{}:{}", self.pid, self.path)
    }

    /// Runs walscope where the process is.
    pub fn walscope(&self, who: As, arguments: &[&str]) -> Ran {
        let mut command = Command::new("timeout");
        command.arg("120");
        match &self.place {
            Place::Container(name) => {
                let user = if who == As::Root { "0" } else { "1000" };
                command.args(["docker", "exec", "-u", user, name, "/walscope"]);
            }
            Place::Namespaces { enter, drop, program } => {
                command.args(["nsenter", "-t", &self.pid.to_string()]).args(*enter);
                if who == As::User {
                    command.args(*drop);
                }
                command.arg(program);
            }
        }
        run(command.args(arguments))
    }
}

pub fn mount_namespace(pid: u32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/mnt")).ok().map(|file| file.ino())
}
