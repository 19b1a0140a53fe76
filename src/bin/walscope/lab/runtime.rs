//! The runtimes in which the two sides run. There is one trait, and each runtime has its own file.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;
use thiserror::Error;

use super::docker::Docker;
use super::folder::Folder;
use super::namespaces::Namespaces;
use super::peer::Peer;
use super::processes::Processes;
use super::progress::Progress;
use super::protocol::CopiedFile;
use super::scenario::Scenario;
use super::volume::{Volume, Volumes};
use crate::stop::Stop;

/// Which runtime is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// Docker when an engine answers, else namespaces, else processes
    Auto,
    /// Two Docker containers
    Docker,
    /// Two containers made by hand: user, mount and PID namespaces
    Namespaces,
    /// Two processes, no containers
    Processes,
}

/// A runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, schemars::JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Docker.
    Docker,
    /// User, mount and PID namespaces.
    Namespaces,
    /// No containers.
    Processes,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "docker",
            Self::Namespaces => "namespaces",
            Self::Processes => "processes",
        })
    }
}

/// What one side sees.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// `writer` or `reader`.
    pub name: &'static str,
    /// The volume at `/data`.
    pub volume: &'static str,
    /// The volume with the database file that is mounted over this side's own; only this file is mounted.
    pub database_of: Option<&'static str>,
    /// The volume at `/also`.
    pub also: Option<&'static str>,
    /// Whether the volume at `/data` is mounted read-only.
    pub read_only: bool,
    /// The side is a chroot jail in place of a container. In the jail its volume has the path that this other volume has
    /// outside.
    pub jailed_at: Option<&'static str>,
}

impl View {
    /// A side that sees one volume at `/data` and nothing else.
    pub const fn of(name: &'static str, volume: &'static str) -> Self {
        Self { name, volume, database_of: None, also: None, read_only: false, jailed_at: None }
    }
}

/// The database's name in a volume.
pub const DATABASE: &str = "t.db";
/// Where a container has its volume.
pub const DATA: &str = "/data";
/// Where a container has its second volume.
pub const ALSO: &str = "/also";

/// Where a side runs. Everything that a runtime makes on the machine is removed when it is dropped, which must be after
/// the peers.
pub trait Runtime {
    /// Which runtime this is.
    fn kind(&self) -> Kind;
    /// Makes an empty volume.
    fn volume(&mut self, volume: &Volume) -> anyhow::Result<()>;
    /// Copies the database with its `-wal` and `-shm` from one volume to another, while nobody writes.
    fn copy(&mut self, from: &'static str, to: &'static str) -> anyhow::Result<Vec<CopiedFile>>;
    /// Starts an actor that sees `view`.
    fn start(&mut self, view: &View) -> anyhow::Result<Peer>;
    /// The folder of the volume as that side sees it.
    fn data(&self, view: &View) -> PathBuf;
    /// The folder of the second volume as that side sees it.
    fn also(&self, view: &View) -> PathBuf;
    /// This executable as that side sees it.
    fn program(&self, view: &View) -> anyhow::Result<PathBuf>;
    /// The volumes, where they are folders of this machine.
    fn volumes(&mut self) -> Option<&mut Volumes>;
    /// The database's path as that side sees it.
    fn database(&self, view: &View) -> PathBuf {
        self.data(view).join(DATABASE)
    }
    /// Starts another walscope process where that side runs; it writes a snapshot to `bundle`, which must not exist.
    fn snapshot(&mut self, peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()>;
    /// The SOURCE by which the driver reaches the database that this actor sees.
    fn source(&self, peer: &Peer, view: &View) -> OsString;
    /// Kills an actor, which closes nothing. The side can be started again.
    fn kill(&mut self, peer: Peer, _view: &View) -> anyhow::Result<()> {
        peer.kill();
        Ok(())
    }
}

/// This machine, or this user, cannot have what a scenario needs.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// A runtime, and why it was chosen.
pub struct Chosen {
    /// The runtime.
    pub runtime: Box<dyn Runtime>,
    /// Why this runtime was chosen.
    pub reason: String,
}

/// The wanted runtime, or with `auto` the best that this machine has for the scenario.
pub fn choose(
    wanted: Wanted,
    scenario: &Scenario,
    id: &str,
    folder: &Folder,
    stop: &Stop,
    progress: &Progress,
) -> anyhow::Result<Chosen> {
    let mut missing = Vec::new();
    if scenario.only_here() {
        let unseen = "an engine's containers cannot be given what only this process sees";
        if wanted == Wanted::Docker {
            return Err(Unavailable(unseen.to_owned()).into());
        }
        missing.push(unseen.to_owned());
    } else if matches!(wanted, Wanted::Auto | Wanted::Docker) {
        match Docker::answers() {
            Ok(engine) => {
                let runtime = Box::new(Docker::new(id, stop, progress)?);
                return Ok(Chosen { runtime, reason: format!("a Docker engine answers, version {engine}") });
            }
            Err(error) => missing.push(format!("no Docker engine answers ({error:#})")),
        }
    }
    if matches!(wanted, Wanted::Auto | Wanted::Namespaces) {
        match Namespaces::new(folder, stop)? {
            Ok(runtime) => {
                let reason = because(&missing, "user, mount and PID namespaces can be made here");
                return Ok(Chosen { runtime: Box::new(runtime), reason });
            }
            Err(reason) => missing.push(format!("no namespaces can be made here ({reason})")),
        }
    }
    if !matches!(wanted, Wanted::Auto | Wanted::Processes) {
        return Err(Unavailable(missing.join("; ")).into());
    }
    let runtime = Box::new(Processes::new(folder, stop)?);
    Ok(Chosen { runtime, reason: because(&missing, "two processes can always be started") })
}

fn because(missing: &[String], own: &str) -> String {
    missing.iter().map(String::as_str).chain([own]).collect::<Vec<_>>().join("; ")
}
