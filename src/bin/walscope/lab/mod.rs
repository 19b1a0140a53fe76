//! `walscope lab`: the published two-container experiment, rerun with real SQLite and judged by kernel evidence.
//!
//! A driver starts a writer and a reader, each in its own container where that can be had; has another walscope process
//! take a snapshot beside each while both hold the database open; and compares the two. Everything it makes is removed,
//! also after Ctrl-C.

mod actor;
mod command;
mod docker;
mod document;
mod experiment;
mod folder;
mod interrupt;
mod namespaces;
mod payload;
mod peer;
mod processes;
mod progress;
mod protocol;
mod runtime;
mod scenario;

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use walscope::bytes::read_all;
use walscope::compare::{Side, compare};
use walscope::report::compare::CompareDocument;
use walscope::snapshot::Capture;

use crate::args::Global;
use crate::exit::Exit;
use crate::output;
pub use document::LabDocument;
use experiment::{Both, Experiment, Outcome};
use folder::Folder;
use interrupt::{Interrupt, Interrupted};
use progress::Progress;
use runtime::Wanted;

/// More than any `-shm` that `--rows` can make.
const MOST_SHM: u64 = 64 << 20;

/// Arguments of `lab`.
#[derive(Debug, clap::Args)]
pub struct LabArgs {
    /// Where the two sides run
    #[arg(long, value_enum, default_value_t = Wanted::Auto)]
    runtime: Wanted,
    /// What the two sides are given
    #[arg(long, value_enum, default_value = "shared")]
    scenario: scenario::Chosen,
    /// Rows of each batch; each row is a transaction of its own
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows: u32,
    /// Keep the two snapshots in this folder, as writer.walsnap and reader.walsnap
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
    Actor { side: String },
    /// Copies a database.
    #[command(hide = true)]
    Copy { from: PathBuf, to: PathBuf },
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
        Role::Actor { side } => actor::run(side),
        Role::Copy { from, to } => output::write_json(std::io::stdout(), &actor::copy(from, to)?),
        Role::Enter { inside } => namespaces::enter(inside),
        Role::Inside { inside } => namespaces::inside(inside),
    }?;
    Ok(Exit::Good)
}

fn drive(args: &LabArgs, global: &Global) -> anyhow::Result<Exit> {
    // Before anything is made that a signal could leave behind.
    let interrupt = Interrupt::listen()?;
    let judged = experiment(args, global, &interrupt);
    match judged {
        Err(error) if error.is::<Interrupted>() || interrupt.check().is_err() => {
            output::complain("walscope: interrupted\n");
            Ok(Exit::Interrupted)
        }
        other => other,
    }
}

fn experiment(args: &LabArgs, global: &Global, interrupt: &Interrupt) -> anyhow::Result<Exit> {
    let progress = Progress::new(global);
    let scenario = args.scenario.0;
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").context("/proc/sys/kernel/random/uuid")?;
    let id = id.trim().split('-').next().unwrap_or_default().to_owned();
    let folder = Folder::create(&id)?;
    let bundles = bundles(args.keep.as_deref(), &folder)?;

    let mut chosen = runtime::choose(args.runtime, &id, &folder, interrupt, &progress)?;
    let kind = chosen.runtime.kind();
    progress.note(&document::headline(kind, scenario))?;
    progress.note(&format!("runtime {kind}: {}", chosen.reason))?;
    let outcome = Experiment {
        runtime: chosen.runtime.as_mut(),
        scenario,
        rows: args.rows,
        bundles: bundles.clone(),
        progress: &progress,
        outcome: Outcome::default(),
    }
    .run()?;
    // Gone before the verdict is printed: whoever reads it may rely on that.
    drop(chosen.runtime);

    let captures = [capture("writer", &bundles.writer)?, capture("reader", &bundles.reader)?];
    let sides = captures.iter().map(Side::from_capture).collect::<Result<Vec<_>, _>>()?;
    let comparison = CompareDocument::new(&sides, &compare(&sides, false), false);
    let document = LabDocument::new((kind, chosen.reason), scenario, outcome, comparison, equal_shm(&captures)?);
    output::document(global, &document, |width| document.draw(width))?;
    interrupt.check()?;
    Ok(crate::compare::exit_of(document.comparison.verdict.sharing))
}

/// Where the bundles go. What is there already is not overwritten, and that is said before the experiment.
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
    if let Some(there) = [&both.writer, &both.reader].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        bail!("{}: is there already", there.display());
    }
    Ok(both)
}

fn capture(label: &str, bundle: &Path) -> anyhow::Result<Capture> {
    let mut capture = Capture::open(bundle)?;
    capture.label = label.to_owned();
    Ok(capture)
}

fn equal_shm(captures: &[Capture; 2]) -> anyhow::Result<Option<bool>> {
    let [writer, reader] = captures;
    let (Some(writer), Some(reader)) = (&writer.shm, &reader.shm) else { return Ok(None) };
    Ok(Some(read_all(writer.as_ref(), MOST_SHM)? == read_all(reader.as_ref(), MOST_SHM)?))
}
