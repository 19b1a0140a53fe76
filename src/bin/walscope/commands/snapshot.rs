//! `walscope snapshot`: bytes and evidence of one side into one bundle.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use walscope::bundle::{self, Manifest, Options, WalMode};
use walscope::evidence::Observation;
use walscope::finding::{Finding, rules};
use walscope::linux::challenge::contact::Held;
use walscope::linux::{self, OpenedFiles};
use walscope::report::line;
use walscope::report::snapshot::SnapshotDocument;
use walscope::source;

use crate::bundle_file::{self, BundleFile, folder};
use crate::exit::{self, Exit};
use crate::forbidden::{self, Destination};
use crate::holding;
use crate::options::Global;
use crate::output;

/// Time between two looks for files that cause no event here, for example on a file system that another kernel writes
/// to.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Arguments of `snapshot`.
#[derive(Debug, clap::Args)]
pub struct SnapshotArgs {
    /// The database: PATH, NAME:/path in a running container, or pid:N:/path
    #[arg(value_name = "SOURCE", long_help = crate::help::SOURCE)]
    pub source: PathBuf,
    /// The new file of the bundle (mode 0600), or - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How much of the -wal to capture [default: full up to 64 MiB or with --with-db, otherwise headers]
    #[arg(long, value_enum)]
    wal: Option<WalArg>,
    /// Capture the whole database, not only its first page
    #[arg(long)]
    with_db: bool,
    /// Wait until the database, its -wal and its -shm exist
    #[arg(long)]
    wait: bool,
    /// How often to try if the files change during the capture
    #[arg(long, value_name = "N", default_value_t = Options::default().attempts, value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: u32,
    /// Samples of the wal-index after the capture; if two sides take them at the same time, they show an order in time
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=200))]
    samples: u32,
    /// Milliseconds between two samples
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    interval: u32,
    /// Hold a lock beacon on the -shm from before the capture on, and after the bundle is whole: for SECONDS (--hold=60), or without a number until a signal, or until standard input ends if that is a pipe. A capture of another side that is made meanwhile sees it, which shows that both met
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    hold: Option<Option<u32>>,
    /// Replace FILE if it is a regular file
    #[arg(long)]
    force: bool,
}

/// How much of the `-wal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WalArg {
    /// Every byte
    Full,
    /// The header and the frame headers, no page content
    Headers,
    /// Nothing
    None,
}

/// Runs it.
pub fn run(args: &SnapshotArgs, global: &Global) -> anyhow::Result<Exit> {
    let options = Options {
        wal: args.wal.map(|wal| match wal {
            WalArg::Full => WalMode::Full,
            WalArg::Headers => WalMode::Headers,
            WalArg::None => WalMode::None,
        }),
        with_db: args.with_db,
        attempts: args.attempts,
        samples: args.samples,
        interval: Duration::from_millis(args.interval.into()),
        care: global.care(),
        ..Options::default()
    };
    // A beacon is held as long as this lives.
    let mut beacon = None;
    let document = if args.output.as_os_str() == "-" {
        to_stdout(args, &options, &mut beacon)?
    } else {
        to_file(args, &options, &mut beacon)?
    };
    // When the bundle goes to standard output, the report goes to standard error.
    if document.file.is_some() {
        output::document(global, &document, |width| document.draw(width))?;
    } else if global.json {
        output::write_json(io::stderr().lock(), &document)?;
    } else if !document.findings.is_empty() {
        output::complain(&document.draw(output::width(global)));
    }
    if let Some(seconds) = args.hold {
        holding::wait(seconds.map(|seconds| Duration::from_secs(seconds.into())))?;
    }
    Ok(if document.stable { Exit::Good } else { Exit::Bad })
}

fn to_stdout(
    args: &SnapshotArgs,
    options: &Options,
    beacon: &mut Option<Arc<Held>>,
) -> anyhow::Result<SnapshotDocument> {
    let out = io::stdout().lock();
    if out.is_terminal() {
        bail!(
            "a bundle is binary and holds a database's content: it is not written to a terminal; use -o FILE, or redirect"
        );
    }
    let held = await_files(args, options, Destination::Stdout, || Ok(()))?;
    let options = with_beacon(args, options, &held, beacon)?;
    let mut out = io::BufWriter::new(out);
    let manifest = bundle::write_bundle(held.target.clone(), &options, &mut out, &mut |_, _| {})
        .map_err(anyhow::Error::from)
        .and_then(|manifest| Ok(out.flush().map(|()| manifest)?))
        // For other commands a reader that closes the pipe is no error. Here it is one, because the reader has only
        // half a bundle.
        .map_err(|error| {
            if exit::broken_pipe(&error) {
                anyhow!("standard output was closed before the bundle was whole")
            } else {
                error
            }
        })?;
    drop(out);
    if args.hold.is_some() {
        linux::end_standard_output().context("ending standard output")?;
    }
    Ok(SnapshotDocument::new(&manifest, None, &found(&manifest)))
}

fn to_file(args: &SnapshotArgs, options: &Options, beacon: &mut Option<Arc<Held>>) -> anyhow::Result<SnapshotDocument> {
    let name = args.output.display().to_string();
    let destination = Destination::File(&args.output);
    let mut held = await_files(args, options, destination, || {
        bundle_file::check_name(&args.output, args.force).with_context(|| name.clone())
    })?;
    let mut file = BundleFile::create(folder(&args.output))
        .with_context(|| format!("{name}: cannot create a file in its folder"))?;
    let mut manifest = capture(args, &held, &with_beacon(args, options, &held, beacon)?, &mut file)?;
    while args.wait && !has_wal_index(&manifest) {
        // The last connection closed between the look and the capture, and removed both files.
        wait_for(&args.source)?;
        file.restart().with_context(|| name.clone())?;
        // The source is opened again: a restarted container has another process under its name.
        held = regular(forbidden::open(&args.source, options.care, destination)?)?;
        manifest = capture(args, &held, &with_beacon(args, options, &held, beacon)?, &mut file)?;
    }
    let size = file.publish(&args.output, args.force).with_context(|| format!("{name}: cannot be given its name"))?;
    Ok(SnapshotDocument::new(&manifest, Some((name, size)), &found(&manifest)))
}

/// The options with a beacon on the `-shm` of these files, if one is wanted.
fn with_beacon(
    args: &SnapshotArgs,
    options: &Options,
    held: &OpenedFiles,
    beacon: &mut Option<Arc<Held>>,
) -> anyhow::Result<Options> {
    *beacon = args.hold.map(|_| holding::hold(held)).transpose()?;
    Ok(Options { hold: beacon.clone(), ..options.clone() })
}

/// Opens the files to capture. Errors that can be found before the waiting are reported before it.
fn await_files(
    args: &SnapshotArgs,
    options: &Options,
    destination: Destination<'_>,
    check: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<OpenedFiles> {
    let open = || forbidden::open(&args.source, options.care, destination);
    if !args.wait {
        let files = open()?;
        return check().and_then(|()| regular(files));
    }
    if source::target(args.source.as_os_str())?.exists() {
        open()?;
    }
    check()?;
    wait_for(&args.source)?;
    regular(open()?)
}

/// Reports at once a file that is no regular file: no bundle of it could be of one moment.
fn regular(files: OpenedFiles) -> anyhow::Result<OpenedFiles> {
    for file in [&files.database, &files.wal, &files.shm] {
        if let Observation::Unsupported { reason } = file {
            bail!("{reason}");
        }
    }
    Ok(files)
}

fn capture(
    args: &SnapshotArgs,
    held: &OpenedFiles,
    options: &Options,
    file: &mut BundleFile,
) -> anyhow::Result<Manifest> {
    let mut out = io::BufWriter::new(file);
    let manifest = bundle::write_bundle(held.target.clone(), options, &mut out, &mut |_, _| {})?;
    out.flush().with_context(|| args.output.display().to_string())?;
    Ok(manifest)
}

fn has_wal_index(manifest: &Manifest) -> bool {
    let files = &manifest.evidence.files;
    files.wal.value().is_some() && files.shm.value().is_some()
}

fn found(manifest: &Manifest) -> Vec<Finding> {
    rules::of_origin(&manifest.origin(&manifest.path))
}

/// Waits until the database and both siblings exist. Ctrl-C ends it.
fn wait_for(database: &Path) -> anyhow::Result<()> {
    let target = source::target(database.as_os_str())?;
    let mut watch = None;
    let mut said = false;
    loop {
        if watch.is_none() && target.pid().is_none() {
            // SQLite puts the siblings beside the target of a symbolic link.
            watch = watch_folder(&fs::canonicalize(database).unwrap_or_else(|_| database.to_owned()));
        }
        if walscope::linux::complete(&target) {
            return Ok(());
        }
        if !said {
            output::complain(&format!(
                "walscope: waiting for {} with its -wal and -shm\n",
                line(&database.to_string_lossy())
            ));
            said = true;
        }
        match &watch {
            Some(watch) => await_event(watch)?,
            None => std::thread::sleep(LOOK_AGAIN),
        }
    }
}

/// A watch for new names beside the database; none where the folder is missing or the kernel refuses.
fn watch_folder(database: &Path) -> Option<rustix::fd::OwnedFd> {
    let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
    let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, folder(database), events).ok()?;
    Some(watch)
}

/// Returns at the next event, and after [`LOOK_AGAIN`] at the latest.
fn await_event(watch: &rustix::fd::OwnedFd) -> anyhow::Result<()> {
    let limit = Timespec::try_from(LOOK_AGAIN)?;
    match poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(io::Error::from(error)).context("waiting for files to appear"),
    }
    // The events themselves say nothing that the next look would not; they are read so that the next wait blocks.
    let mut events = [0; 4096];
    while rustix::io::read(watch, &mut events).is_ok_and(|n| n > 0) {}
    Ok(())
}
