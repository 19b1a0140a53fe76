//! Two Docker containers. The image is made from this executable when the lab starts. Everything has a unique label and
//! is removed by that label.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use walscope::linux::child::{self, Ended, Feed};

use super::actor;
use super::payload::{LIBRARIES, PROGRAM, Payload};
use super::peer::Peer;
use super::progress::Progress;
use super::protocol::CopiedFile;
use super::runtime::{ALSO, DATA, DATABASE, Kind, Runtime, View};
use super::volume::{Volume, Volumes};
use crate::output;
use crate::stop::Stop;

/// How long an engine may take to report its version. An engine that takes longer counts as not there.
const ANSWER: Duration = Duration::from_secs(10);
/// How long any other call may take.
const CALL: Duration = Duration::from_secs(300);

/// A Docker engine, with an image of this program.
pub struct Docker {
    id: String,
    stop: Stop,
}

impl Docker {
    /// The version of the engine, if an engine answers.
    pub fn answers() -> anyhow::Result<String> {
        let version = ["version", "--format", "{{.Server.Version}} {{.Server.Os}}"];
        let answer = call(&version, None, None, ANSWER)?.success("docker version")?;
        match answer.split_once(' ') {
            Some((version, "linux")) => Ok(version.to_owned()),
            _ => bail!("docker version: found {answer:?}, needed an engine for Linux containers"),
        }
    }

    /// Makes the image.
    pub fn new(id: &str, stop: &Stop, progress: &Progress) -> anyhow::Result<Self> {
        let docker = Self { id: id.to_owned(), stop: stop.clone() };
        let payload = Payload::of_this_program()?;
        progress.note(&format!("making an image of this executable and {} libraries", payload.files.len() - 1))?;
        // The image has a label, not only a name: an interrupted import leaves an image without a name.
        let label = format!("LABEL {}", docker.label());
        let library_path = format!("ENV LD_LIBRARY_PATH={LIBRARIES}");
        let image = docker.image();
        let import = ["import", "--change", &label, "--change", &library_path, "-", &image];
        docker.call(&import, Some(&|stdin| payload.write_tar(stdin)), None)?.success("docker import")?;
        stop.check()?;
        Ok(docker)
    }

    fn label(&self) -> String {
        format!("walscope.lab={}", self.id)
    }

    fn image(&self) -> String {
        format!("walscope-lab:{}", self.id)
    }

    fn name(&self, part: &str) -> String {
        format!("walscope-lab-{}-{part}", self.id)
    }

    fn call(&self, arguments: &[&str], feed: Option<Feed<'_>>, stdout: Option<Stdio>) -> anyhow::Result<Ended> {
        call(arguments, feed, stdout, CALL)
    }

    /// Makes one call that must succeed, then checks whether the user wants to stop.
    fn docker(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let what = format!("docker {}", arguments.first().unwrap_or(&""));
        let said = self.call(arguments, None, None)?.success(&what)?;
        self.stop.check()?;
        Ok(said)
    }

    /// Removes everything that `list` lists with the label of this lab.
    fn remove(&self, list: &[&str], remove: &[&str]) -> anyhow::Result<()> {
        let filter = format!("label={}", self.label());
        let listed = self.call(&[list, &["--filter", &filter]].concat(), None, None)?.success("docker")?;
        let mut found: Vec<&str> = listed.split_whitespace().collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Ok(());
        }
        self.call(&[remove, &found].concat(), None, None)?.success("docker")?;
        Ok(())
    }
}

/// Runs docker's command line to its end.
fn call(arguments: &[&str], feed: Option<Feed<'_>>, stdout: Option<Stdio>, within: Duration) -> anyhow::Result<Ended> {
    let what = || format!("docker {}", arguments.first().unwrap_or(&""));
    child::run(Command::new("docker").args(arguments), feed, stdout, within).with_context(what)
}

impl Runtime for Docker {
    fn kind(&self) -> Kind {
        Kind::Docker
    }

    fn volume(&mut self, volume: &Volume) -> anyhow::Result<()> {
        if volume.is_mount() {
            bail!("{}: an engine has no such volume", volume.name);
        }
        self.docker(&["volume", "create", "--label", &self.label(), &self.name(volume.name)]).map(drop)
    }

    fn copy(&mut self, from: &'static str, to: &'static str) -> anyhow::Result<Vec<CopiedFile>> {
        let (label, image) = (self.label(), self.image());
        let (from, to) = (volume_at(&self.name(from), "/from"), volume_at(&self.name(to), "/to"));
        let run = ["run", "--network", "none", "--label", &label, "--mount", &from, "--mount", &to, &image];
        let said = self.docker(&[&run[..], &[PROGRAM, "lab", "copy", "/from", "/to"]].concat())?;
        serde_json::from_str(&said).with_context(|| format!("the copying container said {said:?}"))
    }

    fn start(&mut self, view: &View) -> anyhow::Result<Peer> {
        let mut run = Command::new("docker");
        run.args(["run", "--interactive", "--network", "none"]);
        run.args(["--label", &self.label(), "--name", &self.name(view.name)]);
        let data = volume_at(&self.name(view.volume), DATA);
        run.args(["--mount", &if view.read_only { format!("{data},readonly") } else { data }]);
        if let Some(also) = view.also {
            run.args(["--mount", &volume_at(&self.name(also), ALSO)]);
        }
        if let Some(other) = view.database_of {
            let folder = self.docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &self.name(other)])?;
            run.args(["--mount", &format!("type=bind,source={folder}/{DATABASE},target={DATA}/{DATABASE}")]);
        }
        run.args([&self.image(), PROGRAM, "lab", "actor", view.name]);
        Peer::start(view.name, &mut run, &self.stop)?.ready()
    }

    fn data(&self, _view: &View) -> PathBuf {
        DATA.into()
    }

    fn also(&self, _view: &View) -> PathBuf {
        ALSO.into()
    }

    fn program(&self, _view: &View) -> anyhow::Result<PathBuf> {
        Ok(PROGRAM.into())
    }

    fn volumes(&mut self) -> Option<&mut Volumes> {
        None
    }

    fn snapshot(&mut self, _peer: &mut Peer, view: &View, bundle: &Path) -> anyhow::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(bundle);
        let file = file.with_context(|| bundle.display().to_string())?;
        let (container, database) = (self.name(view.name), self.database(view));
        let database = database.to_string_lossy();
        let exec = ["exec", &container, PROGRAM, "snapshot", "--look-anyway", &database, "-o", "-"];
        let ended = self.call(&exec, None, Some(file.into()))?;
        self.stop.check()?;
        actor::judge_snapshot(ended.status, &ended.stderr)
    }

    fn source(&self, _peer: &Peer, view: &View) -> OsString {
        let mut source = OsString::from(format!("{}:", self.name(view.name)));
        source.push(self.database(view));
        source
    }

    fn kill(&mut self, peer: Peer, view: &View) -> anyhow::Result<()> {
        self.docker(&["kill", &self.name(view.name)])?;
        // The `docker` command that was attached to the container ends with it.
        drop(peer);
        self.docker(&["rm", &self.name(view.name)]).map(drop)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Containers are removed first: they use the volumes and the image.
        let results = [
            self.remove(&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"]),
            self.remove(&["volume", "ls", "--quiet"], &["volume", "rm", "--force"]),
            self.remove(&["images", "--all", "--quiet"], &["rmi", "--force"]),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            output::complain(&format!("walscope: something of {} may be left behind: {error:#}\n", self.label()));
        }
    }
}

fn volume_at(volume: &str, target: &str) -> String {
    format!("type=volume,source={volume},target={target}")
}
