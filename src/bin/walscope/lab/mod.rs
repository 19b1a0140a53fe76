//! `walscope lab`: the published two-container experiment, rerun with real SQLite and judged by kernel evidence.
//!
//! A driver starts a writer and a reader, each in its own container if possible. While both hold the database open,
//! another walscope process on each side takes a snapshot. Then the driver compares the two live sides from outside, or
//! the snapshots if that is not possible. Everything that it makes is removed, also after Ctrl-C.

mod actor;
mod all;
mod disk;
mod docker;
mod document;
mod experiment;
mod folder;
mod jail;
mod look;
mod means;
mod namespaces;
mod payload;
mod peer;
mod processes;
mod progress;
mod protocol;
mod runtime;
mod scenario;
mod scenarios;
mod upheaval;
mod volume;

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::options::Global;
use crate::output;
use crate::stop::{Interrupted, Stop};
pub use all::LabAllDocument;
use anyhow::{Context, bail};
use clap::Subcommand;
pub use document::LabDocument;
use experiment::Both;
use folder::Folder;
use progress::Progress;
use protocol::FileJob;
use runtime::Wanted;
use scenario::{Act, Scenario};

/// Arguments of `lab`.
#[derive(Debug, clap::Args)]
pub struct LabArgs {
    /// What the two sides run in
    #[arg(long, value_enum, default_value_t = Wanted::Auto)]
    runtime: Wanted,
    /// The scenario: how the two sides get the database
    #[arg(long, value_enum, default_value = "shared")]
    scenario: scenario::Chosen,
    /// Run every scenario that this machine can run, and print the results as a table
    #[arg(long, conflicts_with = "scenario")]
    all: bool,
    /// With --all: fail if a scenario had to be skipped
    #[arg(long, requires = "all")]
    require_all: bool,
    /// Rows of each batch; each row is a transaction of its own
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows: u32,
    /// Keep the two snapshots in this folder as writer.walsnap and reader.walsnap, and the evidence that needs both live
    /// sides as live.json; with --all, in a folder for each scenario
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// What the driver starts.
    #[command(subcommand)]
    role: Option<Role>,
}

/// What the driver starts: not for people.
#[derive(Debug, Subcommand)]
enum Role {
    /// Opens the database and obeys standard input.
    #[command(hide = true)]
    Actor {
        side: String,
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Becomes a program that dies with the driver.
    #[command(hide = true)]
    Attend {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// Copies a database.
    #[command(hide = true)]
    Copy { from: PathBuf, to: PathBuf },
    /// Does something with the files of a database.
    #[command(hide = true)]
    Files {
        #[arg(value_enum)]
        job: FileJob,
        database: PathBuf,
    },
    /// Goes into a jail and becomes the actor.
    #[command(hide = true)]
    Jail { side: String, root: PathBuf },
    /// Copies locks between the files of two databases.
    #[command(hide = true)]
    Relay { one: PathBuf, other: PathBuf },
    /// Makes namespaces.
    #[command(hide = true)]
    Enter { inside: String },
    /// Builds a root and becomes the actor.
    #[command(hide = true)]
    Inside { inside: String },
}

/// Runs it.
pub fn run(args: &LabArgs, global: &Global) -> anyhow::Result<Exit> {
    match &args.role {
        None => drive(args, global),
        Some(role) => play(role),
    }
}

fn play(role: &Role) -> anyhow::Result<Exit> {
    match role {
        Role::Actor { side, pid } => actor::run(side, *pid),
        Role::Attend { program } => volume::attend(program),
        Role::Copy { from, to } => output::write_json(std::io::stdout(), &actor::copy(from, to)?),
        Role::Files { job, database } => actor::files(*job, database),
        Role::Jail { side, root } => jail::enter(side, root),
        Role::Relay { one, other } => upheaval::relay(one, other),
        Role::Enter { inside } => namespaces::enter(inside),
        Role::Inside { inside } => namespaces::inside(inside),
    }?;
    Ok(Exit::Good)
}

fn drive(args: &LabArgs, global: &Global) -> anyhow::Result<Exit> {
    // This comes before anything is made that a signal could leave behind.
    let stop = Stop::listen()?;
    let judged = if args.all { all::run(args, global, &stop) } else { one(args, global, &stop) };
    match judged {
        Err(error) if error.is::<Interrupted>() || stop.check().is_err() => {
            output::complain("walscope: interrupted\n");
            Ok(Exit::Interrupted)
        }
        other => other,
    }
}

fn one(args: &LabArgs, global: &Global, stop: &Stop) -> anyhow::Result<Exit> {
    let scenario = args.scenario.0;
    if scenario.needs_mounts() {
        volume::private_mounts()?;
    }
    let document = experiment(args, scenario, args.keep.as_deref(), &Progress::new(global), stop)?;
    output::document(global, &document, |width| document.draw(width))?;
    stop.check()?;
    Ok(crate::exit::exit_of(document.comparison.verdict.sharing))
}

/// Runs one scenario from beginning to end. When this returns, everything is removed except what is to be kept.
fn experiment(
    args: &LabArgs,
    scenario: &'static Scenario,
    keep: Option<&Path>,
    progress: &Progress,
    stop: &Stop,
) -> anyhow::Result<LabDocument> {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").context("/proc/sys/kernel/random/uuid")?;
    let id = id.trim().split('-').next().unwrap_or_default().to_owned();
    let folder = Folder::create(&id)?;
    let bundles = bundles(keep, &folder)?;

    let mut chosen = runtime::choose(args.runtime, scenario, &id, &folder, stop, progress)?;
    let kind = chosen.runtime.kind();
    progress.note(&document::headline(kind, scenario))?;
    progress.note(&format!("runtime {kind}: {}", chosen.reason))?;
    let mut outcome = experiment::run(chosen.runtime.as_mut(), scenario, args.rows, bundles, progress)?;
    // The runtime is removed before the verdict is printed, so that a reader of the verdict can rely on that.
    drop(chosen.runtime);
    let looked = outcome.looked.take().context("the scenario has no look at the two sides")?;
    // What the live sides showed together does not belong to a snapshot of an earlier time.
    let of_one_time = !scenario.acts().any(|act| matches!(act, Act::Snapshot(_)));
    if let (Some(keep), Some(live), true) = (keep, &looked.live, of_one_time) {
        look::keep(live, keep)?;
    }
    Ok(LabDocument::new((kind, chosen.reason), scenario, outcome, looked))
}

/// Where the bundles go. Existing files are not overwritten: that is an error before the experiment.
fn bundles(keep: Option<&Path>, folder: &Folder) -> anyhow::Result<Both<PathBuf>> {
    let place = match keep {
        None => folder.sub("kept")?,
        Some(keep) => {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(keep).with_context(|| keep.display().to_string())?;
            keep.to_owned()
        }
    };
    let both = Both { writer: place.join("writer.walsnap"), reader: place.join("reader.walsnap") };
    let live = look::kept(&place);
    let all = [&both.writer, &both.reader, &live];
    if let Some(there) = all.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        bail!("{}: is there already", there.display());
    }
    Ok(both)
}
