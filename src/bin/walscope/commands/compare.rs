//! `walscope compare`: do two or more sides share one wal-index.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use walscope::bundle::{self, Capture, Options};
use walscope::compare::{self, LivePair, Side};
use walscope::finding::{Finding, rules, surroundings};
use walscope::linux::{self, Care, OpenedFiles};
use walscope::look::{self, Seen};
use walscope::report::compare::CompareDocument;
use walscope::source::{self, Source};

use crate::exit::{Exit, exit_of};
use crate::options::Global;
use crate::{live, output};

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// Two or more bundles or databases: PATH, NAME:/path in a running container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE, required = true, num_args = 2..)]
    pub sources: Vec<OsString>,
    /// End with 3 also if sharing is proven on an assumption: that two captures are of one machine and disk
    #[arg(long)]
    strict: bool,
}

/// The ending of a bundle's file name.
const BUNDLE: &[u8] = b".walsnap";

/// Runs it.
pub fn run(args: &CompareArgs, global: &Global) -> anyhow::Result<Exit> {
    if args.sources.len() < 2 {
        bail!("compare needs two or more SOURCEs, found {}", args.sources.len());
    }
    let options = look::Options { threads: crate::look::threads(global), ..look::Options::default() };
    let document = capture_all(&args.sources, global.care())?.document(&options)?;
    output::document(global, &document, |width| document.draw(width))?;
    let assumed = args.strict && !document.verdict.assuming.is_empty();
    Ok(if assumed { Exit::Undecided } else { exit_of(document.verdict.sharing) })
}

/// A side that was opened and not yet captured.
enum Opened {
    Bundle(Box<Capture>),
    Live(Box<OpenedFiles>),
}

/// Every side, captured.
pub struct Captured {
    /// One for each side.
    pub captures: Vec<Capture>,
    /// Whether all sides are live, and whether after the last capture each path still led to the captured files, all
    /// still open. While a file is open, its inode number cannot be given to another file.
    pub simultaneous: bool,
    /// Evidence about pairs of live sides.
    pub live: Vec<LivePair>,
    /// The pid that each source names, if it names one.
    pub processes: Vec<Option<u32>>,
}

impl Captured {
    /// Judges.
    pub fn document(&self, options: &look::Options<'_>) -> anyhow::Result<CompareDocument> {
        let mut sides = Vec::with_capacity(self.captures.len());
        for (capture, process) in self.captures.iter().zip(&self.processes) {
            let mut side = Side::look_at(capture, options).with_context(|| capture.label.clone())?;
            side.process = *process;
            sides.push(side);
        }
        let mut comparison = compare::compare_live(&sides, self.simultaneous, &self.live);
        comparison.findings.extend(self.captures.iter().flat_map(about_capture));
        Ok(CompareDocument::new(&sides, &comparison, self.simultaneous))
    }
}

/// Captures every side, then tries the live ones against each other.
pub fn capture_all(sources: &[OsString], care: Care) -> anyhow::Result<Captured> {
    let opened = sources.iter().map(|source| open(source, care)).collect::<anyhow::Result<Vec<_>>>()?;
    let options = Options { care, ..Options::default() };
    let mut captures = Vec::with_capacity(sources.len());
    let mut held = Vec::new();
    for (at, (source, opened)) in sources.iter().zip(opened).enumerate() {
        let mut capture = match opened {
            Opened::Bundle(capture) => *capture,
            Opened::Live(files) => {
                let (capture, files) = bundle::capture_opened(*files, &options)?;
                held.push((at, files));
                capture
            }
        };
        capture.label = unique(&label(source, sources), &captures);
        captures.push(capture);
    }
    let live = live::tried(&held, &mut captures)?;
    let simultaneous = held.len() == sources.len() && held.iter().all(|(_, files)| linux::paths_unchanged(files));
    let processes = sources.iter().map(|source| source::process(source)).collect();
    Ok(Captured { captures, simultaneous, live, processes })
}

fn open(source: &OsStr, care: Care) -> anyhow::Result<Opened> {
    match source::open(source, care)? {
        Source::Bundle(capture) => Ok(Opened::Bundle(capture)),
        Source::Files(files) => match files.opened {
            Some(opened) => Ok(Opened::Live(Box::new(opened))),
            None => bail!("{}: found a -wal or -shm alone; compare needs a database or a bundle", source.display()),
        },
    }
}

/// The label of a side. A bundle has its bare name, with as many folders before it as needed to distinguish it from the
/// others. Any other source has the text that was given.
fn label(source: &OsStr, all: &[OsString]) -> String {
    let own = names(source);
    let others: Vec<_> = all.iter().filter(|other| *other != source).map(|other| names(other)).collect();
    let is_bundle = source.as_bytes().ends_with(BUNDLE);
    let mut suffixes = (1..=own.len()).filter(|_| is_bundle).filter_map(|count| own.get(own.len() - count..));
    let told = suffixes.find(|suffix| !others.iter().any(|other| other.ends_with(suffix)));
    told.map(|suffix| suffix.iter().collect::<PathBuf>().to_string_lossy().into_owned())
        .filter(|label| !label.is_empty())
        .unwrap_or_else(|| source.to_string_lossy().into_owned())
}

/// The components of a path, without `.` and the like, and without the ending of bundles.
fn names(source: &OsStr) -> Vec<Component<'_>> {
    let bytes = source.as_bytes();
    let path = Path::new(OsStr::from_bytes(bytes.strip_suffix(BUNDLE).unwrap_or(bytes)));
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// Makes a label unique: verdicts name sides by label, so a source that is given twice needs two labels.
fn unique(label: &str, before: &[Capture]) -> String {
    let taken = |name: &str| before.iter().any(|capture| capture.label == name);
    let numbered = (2..).map(|n| format!("{label} ({n})"));
    std::iter::once(label.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

/// Findings about the capture itself. An unstable capture is not among them: the comparison reports it.
fn about_capture(capture: &Capture) -> Vec<Finding> {
    let mut origin = capture.origin();
    origin.unstable = None;
    let mut found = rules::of_origin(&origin);
    found.extend(surroundings::findings(&capture.manifest.evidence));
    found.extend(surroundings::user_cannot_write(&capture.manifest.evidence));
    for finding in &mut found {
        finding.source = Some(capture.label.clone());
    }
    found
}
