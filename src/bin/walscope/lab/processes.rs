//! Two processes without containers, and folders as volumes. This runs everywhere.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::folder::Folder;
use super::interrupt::Interrupt;
use super::peer::Peer;
use super::protocol::{CopiedFile, Request};
use super::runtime::{DATABASE, Kind, Runtime, View};
use super::volume::{Volume, Volumes};

/// Two processes.
pub struct Processes {
    volumes: Volumes,
    interrupt: Interrupt,
}

impl Processes {
    /// Makes the runtime. Its volumes are folders in `folder`.
    pub fn new(folder: &Folder, interrupt: &Interrupt) -> anyhow::Result<Self> {
        Ok(Self { volumes: Volumes::new(folder, interrupt)?, interrupt: interrupt.clone() })
    }
}

impl Runtime for Processes {
    fn kind(&self) -> Kind {
        Kind::Processes
    }

    fn volume(&mut self, volume: &Volume) -> anyhow::Result<()> {
        self.volumes.make(volume)
    }

    fn copy(&mut self, from: &'static str, to: &'static str) -> anyhow::Result<Vec<CopiedFile>> {
        self.volumes.copy(from, to)
    }

    fn start(&mut self, view: &View) -> anyhow::Result<Peer> {
        if let Some(other) = view.database_of {
            // Mounting needs privileges: a hard link to the file has the same effect on SQLite.
            let (from, to) = (self.volumes.path(other).join(DATABASE), self.database(view));
            fs::hard_link(&from, &to).with_context(|| format!("{} as {}", from.display(), to.display()))?;
        }
        let program = std::env::current_exe()?;
        Peer::start(view.name, Command::new(program).args(["lab", "actor", view.name]), &self.interrupt)?.ready()
    }

    fn database(&self, view: &View) -> PathBuf {
        self.volumes.path(view.volume).join(DATABASE)
    }

    fn snapshot(&mut self, peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()> {
        let program = std::env::current_exe()?.into();
        peer.demand(&Request::Snapshot { program, database: self.database(view).into(), bundle: bundle.into() })
    }

    fn source(&self, peer: &Peer, view: &View) -> OsString {
        peer.source(&self.database(view))
    }
}
