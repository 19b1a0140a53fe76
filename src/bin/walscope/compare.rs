//! `walscope compare`: do two or more sides share one wal-index.

use std::path::Path;

use anyhow::{Context, bail};
use walscope::analysis::findings::{self, Facts};
use walscope::compare::{self, Answer, Side};
use walscope::finding::Finding;
use walscope::linux::{self, OpenedFiles};
use walscope::report::compare::CompareDocument;
use walscope::snapshot::{self, Capture, Options};
use walscope::source::{self, Source};

use crate::args::Global;
use crate::exit::Exit;
use crate::output;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Two or more bundles or databases
    #[arg(value_name = "SOURCE", required = true, num_args = 2..)]
    sources: Vec<String>,
}

/// Runs it.
pub fn run(args: &CompareArgs, global: &Global) -> anyhow::Result<Exit> {
    if args.sources.len() < 2 {
        bail!("compare needs two or more SOURCEs, found {}", args.sources.len());
    }
    let (captures, simultaneous) = capture_all(&args.sources, global.strict_atime)?;
    let mut sides = Vec::with_capacity(captures.len());
    for capture in &captures {
        sides.push(Side::from_capture(capture).with_context(|| capture.label.clone())?);
    }
    let mut comparison = compare::compare(&sides, simultaneous);
    comparison.findings.extend(captures.iter().flat_map(about_capture));
    let document = CompareDocument::new(&sides, &comparison, simultaneous);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(exit_of(document.verdict.sharing))
}

/// The exit code of a verdict.
pub fn exit_of(sharing: Answer) -> Exit {
    match sharing {
        Answer::Proven => Exit::Good,
        Answer::Refuted => Exit::Bad,
        Answer::Undecided => Exit::Undecided,
    }
}

/// A side that was opened and not yet captured.
enum Opened {
    Bundle(Box<Capture>),
    Live(OpenedFiles),
}

/// Captures every side. Simultaneous: all are live, and when the last had been captured each path still led to the
/// files that its capture is of, all of them open. While a file is held open, its inode number cannot be given to another.
fn capture_all(sources: &[String], strict_atime: bool) -> anyhow::Result<(Vec<Capture>, bool)> {
    let opened = sources.iter().map(|source| open(source, strict_atime)).collect::<anyhow::Result<Vec<_>>>()?;
    let options = Options { strict_atime, ..Options::default() };
    let mut captures = Vec::with_capacity(sources.len());
    let mut held = Vec::new();
    for (source, opened) in sources.iter().zip(opened) {
        let mut capture = match opened {
            Opened::Bundle(capture) => *capture,
            Opened::Live(files) => {
                let (capture, files) = snapshot::capture_opened(files, &options)?;
                held.push(files);
                capture
            }
        };
        capture.label = unique(&short(source, sources), &captures);
        captures.push(capture);
    }
    let simultaneous = held.len() == sources.len() && held.iter().all(linux::paths_unchanged);
    Ok((captures, simultaneous))
}

fn open(source: &str, strict_atime: bool) -> anyhow::Result<Opened> {
    match source::open(source, strict_atime)? {
        Source::Bundle(capture) => Ok(Opened::Bundle(capture)),
        Source::Files(files) => match files.opened {
            Some(opened) => Ok(Opened::Live(opened)),
            None => bail!("{source}: found a -wal or -shm alone; compare needs a database or a bundle"),
        },
    }
}

/// What a side is called: a bundle by its bare name where no other has the same, everything else as it was given.
fn short(source: &str, all: &[String]) -> String {
    let bare = |source: &str| Some(Path::new(source).file_name()?.to_str()?.strip_suffix(".walsnap")?.to_owned());
    let Some(name) = bare(source).filter(|name| !name.is_empty()) else { return source.to_owned() };
    let alone = all.iter().filter(|other| bare(other).as_deref() == Some(&name)).count() == 1;
    if alone { name } else { source.to_owned() }
}

/// Verdicts name sides by label, so that one given twice needs two.
fn unique(label: &str, before: &[Capture]) -> String {
    let taken = |name: &str| before.iter().any(|capture| capture.label == name);
    let numbered = (2..).map(|n| format!("{label} ({n})"));
    std::iter::once(label.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// What is to be said about a capture as such. That it is unstable, comparing says itself.
fn about_capture(capture: &Capture) -> Vec<Finding> {
    let mut found = findings::findings(&Facts {
        readable_by_others: capture.readable_by_others,
        access_time_moved: &capture.manifest.access_time_moved,
        ..Facts::default()
    });
    for finding in &mut found {
        finding.detail = format!("{}: {}", capture.label, finding.detail);
        finding.evidence.insert("source".to_owned(), capture.label.clone().into());
    }
    found
}
