//! `walscope rescue`: copies of the files that processes still have open, also of those that were deleted or renamed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use walscope::bundle::rescue::{self, Again, Apart, Rescue, Saved, SavedApart};
use walscope::evidence::Part;
use walscope::finding::{Code, Finding, findings};
use walscope::linux::mapped::kept::{self, Among, KeptFile, KeptSet, KeptView};
use walscope::linux::{Care, Target};
use walscope::look;
use walscope::report::line;
use walscope::report::rescue::{RescueDocument, Verified};
use walscope::source;

use crate::bundle_file;
use crate::exit::Exit;
use crate::options::Global;
use crate::output;

/// At most so many databases beneath a folder are named.
const NAMED: usize = 8;
/// The name of the document beside the copies.
const MANIFEST: &str = "manifest.json";
/// The folder of the journals that are in no set.
const APART: &str = "apart";

/// Arguments of `rescue`.
#[derive(Debug, clap::Args)]
pub struct RescueArgs {
    /// The path that the database has or had: PATH, NAME:/path in a running container, or pid:N:/path
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// A new folder for the copies (mode 0700), or one that is empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// How often to try if the files change while they are copied
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: u32,
}

/// Runs it.
pub fn run(args: &RescueArgs, global: &Global) -> anyhow::Result<Exit> {
    let target = source::target(args.source.as_os_str())?;
    let look = |among: Among<'_>| rescue::look(&target, global.care(), among);
    let (mut view, apart) = match look(Among::All) {
        Ok((view, apart)) if view.sets.is_empty() => {
            bail!("{}{}{}", nothing(args, &view), lone(&apart), open_beneath(&target))
        }
        Ok(found) => found,
        Err(error) => bail!("{error}{}", open_beneath(&target)),
    };
    if global.strict_atime
        && let Some(file) = files(&view, &apart).find(|file| file.access_time_may_move)
    {
        bail!(
            "{}: refused by strict access times: O_NOATIME needs the file's owner or CAP_FOWNER",
            file.path.display()
        );
    }
    check_room(
        if args.output.exists() { &args.output } else { bundle_file::folder(&args.output) },
        files(&view, &apart),
    )?;
    make_folder(&args.output)?;
    let (mut sets, mut in_use) = (Vec::new(), Vec::new());
    let processes = |sets: &[KeptSet]| sets.iter().flat_map(|set| &set.by).map(|by| by.pid).collect::<BTreeSet<u32>>();
    let mut known = processes(&view.sets);
    let named = |set| rescue::named_after(set).and_then(|path| path.file_name().map(OsString::from));
    let own_folders = view.sets.len() > 1
        || view.sets.iter().any(|set| named(set).is_some_and(|name| name == MANIFEST || name == APART));
    for (number, set) in (1..).zip(&view.sets) {
        let folder = if own_folders { args.output.join(number.to_string()) } else { args.output.clone() };
        if own_folders {
            make_folder(&folder)?;
        }
        let name = named(set).unwrap_or_else(|| OsString::from("database"));
        let again = |who| {
            let now = match who {
                Again::Everybody => look(Among::All).ok()?.0.sets,
                Again::Known => look(Among::These(&known)).ok()?.0.sets,
            };
            known.extend(processes(&now));
            now.into_iter().find(|now| now.has_files_of(set))
        };
        match rescue::save(set, &folder, &name, args.attempts, again) {
            Ok(saved) => {
                sets.push(saved);
                in_use.push(wrong_in_use(set));
            }
            // The others may still be saved.
            Err(error) => view.refused.push(error.to_string()),
        }
    }
    let mut saved_apart = Vec::new();
    for journal in &apart {
        match save_apart(journal, &args.output.join(APART)) {
            Ok(saved) => saved_apart.extend(saved),
            Err(error) => view.refused.push(format!("{error:#}")),
        }
    }
    if sets.is_empty() {
        bail!("nothing was saved: {}", view.refused.join("; "));
    }
    let verified = sets.iter().zip(in_use).map(|(saved, in_use)| {
        let mut found = check(saved).map_err(|error| error.to_string())?;
        found.extend(in_use);
        Ok(found)
    });
    let verified: Vec<Verified> = verified.collect();
    let rescue = Rescue {
        source: args.source.to_string_lossy().into_owned(),
        path: view.path,
        folder: args.output.clone(),
        sets,
        apart: saved_apart,
        refused: view.refused,
        processes_read: view.processes_read,
        processes_denied: view.processes_denied,
        processes_ended: view.processes_ended,
        denied_reason: view.denied_reason,
        every_process: view.every_process,
        as_root: rustix::process::geteuid().is_root(),
    };
    let document = RescueDocument::new(&rescue, &verified);
    write_manifest(&args.output, &document)?;
    output::document(global, &document, |width| document.draw(width))?;
    Ok(if document.is_whole() { Exit::Good } else { Exit::Bad })
}

/// Every file that is copied.
fn files<'a>(view: &'a KeptView, apart: &'a [Apart]) -> impl Iterator<Item = &'a KeptFile> {
    view.sets.iter().flat_map(|set| set.files.iter()).chain(apart.iter().map(|journal| &journal.file))
}

/// Copies a journal that is in no set. Its name is that of no copy in the folder.
fn save_apart(journal: &Apart, folder: &Path) -> anyhow::Result<Option<SavedApart>> {
    let number = (1..).map(|number| folder.with_extension(number.to_string()));
    let folder = std::iter::once(folder.to_owned()).chain(number).find(|folder| !folder.exists());
    let Some(folder) = folder else { return Ok(None) };
    make_folder(&folder)?;
    let saved = rescue::save_apart(&journal.file, &folder)?;
    Ok(saved.map(|file| SavedApart { file, whose: journal.whose }))
}

/// What `verify` finds in the copies.
fn check(saved: &Saved) -> anyhow::Result<Vec<Finding>> {
    let Some(database) = saved.files.iter().find(|file| file.part == Part::Database) else { return Ok(Vec::new()) };
    // With a whole path it is not taken for one in a container.
    let source = source::open(std::path::absolute(&database.copy)?.as_os_str(), Care::default())?;
    let inspection = look::inspect(source.seen(), &look::Options { trees: true, ..look::Options::default() })?;
    Ok(findings(&inspection))
}

/// What is wrong with the files and shows only while a wal-index of them is in use.
fn wrong_in_use(set: &KeptSet) -> Vec<Finding> {
    if set.files.get(Part::Shm).is_none() {
        return Vec::new();
    }
    let found = rescue::look_in_use(set).map(|inspection| findings(&inspection)).unwrap_or_default();
    let of_copies = |finding: &Finding| matches!(finding.code(), Code::DatabaseOverwritten | Code::WalTruncated);
    found.into_iter().filter(of_copies).collect()
}

fn nothing(args: &RescueArgs, view: &KeptView) -> String {
    let unseen = match (&view.denied_reason, view.processes_denied) {
        (Some(reason), denied) => {
            let who =
                if denied == 1 { "1 other process has".to_owned() } else { format!("{denied} other processes have") };
            let help = match rustix::process::geteuid().is_root() {
                true => "root may not see it here: run this on the host, outside of the container",
                false => "run this as root",
            };
            format!("; what {who} open could not be seen ({reason}): {help}")
        }
        (None, _) => String::new(),
    };
    let refused: String = view.refused.iter().map(|refused| format!("; {refused}")).collect();
    format!(
        "{}: No such file or directory, and no process that is seen has it open{unseen}{refused}; a file that was renamed is \
         known by its new name only, and walscope ps lists open databases",
        args.source.display()
    )
}

/// Names journals that lie there without a database.
fn lone(apart: &[Apart]) -> String {
    let named = apart.iter().map(|journal| journal.file.path.display().to_string());
    let named: Vec<String> = named.collect();
    match named.as_slice() {
        [] => String::new(),
        _ => format!(
            "; {} lies there and has old pages of a database that was deleted or renamed: keep it, and name that database",
            named.join(", ")
        ),
    }
}

/// Names databases that processes have open beneath the path, if it is a folder, or was one.
fn open_beneath(target: &Target) -> String {
    let found = kept::open_beneath(target);
    if found.is_empty() {
        return String::new();
    }
    let each =
        found.iter().take(NAMED).map(|found| format!("{} (pid {})", found.source.to_string_lossy(), found.by.pid));
    let more = found.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; open there: {}{more}: name one of these", each.collect::<Vec<_>>().join(", "))
}

/// Makes the folder, or takes one that is empty.
fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let shown = || folder.display().to_string();
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(folder).with_context(shown)?;
            if entries.next().is_some() {
                bail!("{}: is not empty; name a new folder", folder.display());
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(shown),
    }
}

/// Refuses at once where the copies cannot fit.
fn check_room<'a>(folder: &Path, files: impl Iterator<Item = &'a KeptFile>) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let needed = files.filter_map(|kept| Some(kept.file.metadata().ok()?.blocks().saturating_mul(512)));
    let needed = needed.fold(0, u64::saturating_add);
    let Ok(room) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    if needed > free {
        bail!("{}: needed {needed} bytes for the copies, found {free} free", folder.display());
    }
    Ok(())
}

fn write_manifest(folder: &Path, document: &RescueDocument) -> anyhow::Result<()> {
    let path = folder.join(MANIFEST);
    let shown = || line(&path.to_string_lossy());
    let mut file: File =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).with_context(shown)?;
    output::write_json(&mut file, document).with_context(shown)?;
    file.flush().and_then(|()| file.sync_all()).with_context(shown)
}
