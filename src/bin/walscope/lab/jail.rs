//! Sides that are chroot jails: processes of one mount namespace, each with a root of its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use rustix::mount::{UnmountFlags, unmount};

use super::namespaces::{below, deliver, furnish, with_payload};
use super::payload::{LIBRARIES, PROGRAM, Payload};
use super::peer::Peer;
use super::protocol::Request;
use super::runtime::{DATABASE, Unavailable, View};
use super::volume::Volumes;
use crate::output;

/// A root that is mounted.
#[derive(Debug)]
pub struct Jail(PathBuf);

impl Jail {
    fn build(root: PathBuf, mounts: &[(PathBuf, PathBuf)]) -> anyhow::Result<Self> {
        let jail = Self(root);
        let built = furnish(&jail.0, mounts.iter().map(|(outside, inside)| (outside.as_path(), inside.as_path())));
        built.map_err(|error| Unavailable(format!("no jail can be built here: {error:#}")))?;
        Ok(jail)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        // What is mounted below the root goes with it.
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            output::complain(&format!("walscope: {} is left mounted: {error}\n", self.0.display()));
        }
    }
}

impl Volumes {
    /// Starts an actor in the jail of this side, which is built first if it is not there.
    pub fn jail(&mut self, view: &View) -> anyhow::Result<Peer> {
        let at = view.jailed_at.context("the side is no jail")?;
        let root = self.root(view)?;
        if !self.jails.contains_key(view.name) {
            let own = vec![(self.path(view.volume), self.path(at))];
            let mounts: Vec<_> = with_payload(&Payload::of_this_program()?, own).collect();
            self.jails.insert(view.name, Jail::build(root.clone(), &mounts)?);
        }
        let mut command = Command::new(std::env::current_exe()?);
        Peer::start(view.name, command.args(["lab", "jail", view.name]).arg(root), &self.stop)?.ready()
    }

    fn root(&self, view: &View) -> anyhow::Result<PathBuf> {
        self.folder(&format!("jail-{}", view.name))
    }

    /// Takes a snapshot in a jail.
    pub fn snapshot_in_jail(&self, peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()> {
        let part = Path::new("/tmp").join(format!("{}.part", view.name));
        let database = self.path(view.jailed_at.context("the side is no jail")?).join(DATABASE);
        let (program, database) = (PROGRAM.into(), database.into());
        peer.demand(&Request::Snapshot { program, database, bundle: part.clone().into() })?;
        deliver(&below(&self.root(view)?, &part)?, bundle)
    }
}

/// The role `jail`: goes into a jail and becomes the actor.
pub fn enter(side: &str, root: &Path) -> anyhow::Result<()> {
    std::os::unix::fs::chroot(root).with_context(|| root.display().to_string())?;
    std::env::set_current_dir("/")?;
    let mut actor = Command::new(PROGRAM);
    let actor = actor.args(["lab", "actor", side]).env_clear().env("LD_LIBRARY_PATH", OsString::from(LIBRARIES));
    Err(actor.exec()).context("running the executable in the jail")
}
