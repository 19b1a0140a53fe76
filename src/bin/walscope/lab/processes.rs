//! Two processes without containers, and folders as volumes. This runs everywhere.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::folder::Folder;
use super::payload::PROGRAM;
use super::peer::Peer;
use super::protocol::{CopiedFile, Request};
use super::runtime::{DATABASE, Kind, Runtime, Unavailable, View};
use super::volume::{Volume, Volumes};
use crate::stop::Stop;

/// Two processes.
pub struct Processes {
    volumes: Volumes,
}

impl Processes {
    /// Makes the runtime. Its volumes are folders in `folder`.
    pub fn new(folder: &Folder, stop: &Stop) -> anyhow::Result<Self> {
        Ok(Self { volumes: Volumes::new(folder, stop)? })
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
        if view.jailed_at.is_some() {
            return self.volumes.jail(view);
        }
        if view.read_only {
            return Err(Unavailable("a process has no read-only mount of its own".to_owned()).into());
        }
        if let Some(other) = view.database_of {
            // Mounting needs privileges: a hard link to the file has the same effect on SQLite.
            let (from, to) = (self.volumes.path(other).join(DATABASE), self.database(view));
            fs::hard_link(&from, &to).with_context(|| format!("{} as {}", from.display(), to.display()))?;
        }
        self.volumes.process(view.name)
    }

    fn data(&self, view: &View) -> PathBuf {
        self.volumes.path(view.jailed_at.unwrap_or(view.volume))
    }

    fn also(&self, view: &View) -> PathBuf {
        self.volumes.path(view.also.unwrap_or(view.volume))
    }

    fn program(&self, view: &View) -> anyhow::Result<PathBuf> {
        Ok(if view.jailed_at.is_some() { PROGRAM.into() } else { std::env::current_exe()? })
    }

    fn volumes(&mut self) -> Option<&mut Volumes> {
        Some(&mut self.volumes)
    }

    fn snapshot(&mut self, peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()> {
        if view.jailed_at.is_some() {
            return self.volumes.snapshot_in_jail(peer, view, bundle);
        }
        let program = std::env::current_exe()?.into();
        peer.demand(&Request::Snapshot { program, database: self.database(view).into(), bundle: bundle.into() })
    }

    fn source(&self, peer: &Peer, view: &View) -> OsString {
        peer.source(&self.database(view))
    }
}
