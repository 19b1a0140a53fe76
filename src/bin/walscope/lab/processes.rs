//! Two processes and folders for volumes: no containers, but it runs anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::actor;
use super::folder::Folder;
use super::interrupt::Interrupt;
use super::peer::{Peer, Start};
use super::protocol::{CopiedFile, Request};
use super::runtime::{DATABASE, Kind, Runtime, View};

/// Two processes.
pub struct Processes {
    volumes: PathBuf,
    interrupt: Interrupt,
}

impl Processes {
    /// Volumes are folders in `folder`.
    pub fn new(folder: &Folder, interrupt: &Interrupt) -> anyhow::Result<Self> {
        Ok(Self { volumes: folder.sub("volumes")?, interrupt: interrupt.clone() })
    }
}

impl Runtime for Processes {
    fn kind(&self) -> Kind {
        Kind::Processes
    }

    fn volume(&mut self, name: &'static str) -> anyhow::Result<()> {
        let path = self.volumes.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())
    }

    fn copy(&mut self, from: &'static str, to: &'static str) -> anyhow::Result<Vec<CopiedFile>> {
        actor::copy(&self.volumes.join(from), &self.volumes.join(to))
    }

    fn start(&mut self, view: &View) -> anyhow::Result<Peer> {
        if let Some(other) = view.database_of {
            // No mount without privileges: a second name of the file has the same effect on SQLite.
            let (from, to) = (self.volumes.join(other).join(DATABASE), self.database(view));
            fs::hard_link(&from, &to).with_context(|| format!("{} as {}", from.display(), to.display()))?;
        }
        let program = std::env::current_exe()?;
        match Peer::start(view.name, Command::new(program).args(["lab", "actor", view.name]), &self.interrupt)? {
            Start::Ready(peer) => Ok(peer),
            Start::Unavailable(reason) => bail!("{}: {reason}", view.name),
        }
    }

    fn database(&self, view: &View) -> PathBuf {
        self.volumes.join(view.volume).join(DATABASE)
    }

    fn snapshot(&mut self, peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()> {
        let program = std::env::current_exe()?.into();
        peer.demand(&Request::Snapshot { program, database: self.database(view).into(), bundle: bundle.into() })
    }
}
