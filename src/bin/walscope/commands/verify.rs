//! `walscope verify`: every checksum again, every file held against the others; of one database, of several, or of all below
//! a folder.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use walscope::linux::Care;
use walscope::linux::mapped::kept;
use walscope::look::Inspection;
use walscope::report::verify::VerifyDocument;
use walscope::report::verify_many::{NotLookedAt, OfOtherFormat, VerifyManyDocument};
use walscope::source::{self, Tree};

use crate::exit::{Exit, message};
use crate::options::{FailOn, Global};
use crate::{kept_open, look, output};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A database, a -wal or -shm alone, a bundle, or a folder: PATH, NAME:/path in a container, or pid:N:/path
    #[arg(value_name = "SOURCE", required = true, long_help = crate::help::SOURCES)]
    pub sources: Vec<OsString>,
    /// Exit with 1 if a finding is at least this grave
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    fail_on: FailOn,
    /// Leave out the pages of tables and indexes; the database is not read as a whole then
    #[arg(long)]
    no_trees: bool,
}

/// Runs it.
pub fn run(args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let tree = |source: &OsStr| source::tree(source, global.care());
    if let [source] = args.sources.as_slice() {
        return match tree(source)? {
            None => one(source, args, global),
            Some(tree) => {
                let mut many = Many::new(!args.no_trees, global);
                many.below(source, tree);
                many.end(args.fail_on)
            }
        };
    }
    let mut many = Many::new(!args.no_trees, global);
    for source in once_each(&args.sources, global.care()) {
        match tree(source) {
            Ok(Some(tree)) => many.below(source, tree),
            Ok(None) => {
                many.add(source, look::verify(source, !args.no_trees, global));
            }
            Err(error) => many.not_looked_at(source, &message(&error.into())),
        }
    }
    many.end(args.fail_on)
}

/// One database.
fn one(source: &OsStr, args: &VerifyArgs, global: &Global) -> anyhow::Result<Exit> {
    let inspection = look::verify(source, !args.no_trees, global)?;
    let document = VerifyDocument::new(&inspection);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(args.fail_on.judge(&document.findings))
}

/// Each source once. A `-wal` or `-shm` whose database is given too is looked at with it: a shell that was given `*` names all
/// three.
fn once_each(sources: &[OsString], care: Care) -> impl Iterator<Item = &OsStr> {
    let all: BTreeSet<&OsStr> = sources.iter().map(OsString::as_os_str).collect();
    let mut given = BTreeSet::new();
    let sibling = move |source: &OsStr| {
        let of = ["-wal", "-shm"].iter().find_map(|suffix| source.as_bytes().strip_suffix(suffix.as_bytes()));
        let of = of.map(OsStr::from_bytes).filter(|database| all.contains(database));
        of.is_some_and(|database| source::is_beside(source, database, care))
    };
    sources.iter().map(OsString::as_os_str).filter(move |source| given.insert(*source) && !sibling(source))
}

/// The databases below a folder that were deleted, and that processes still have open, with how they are saved.
fn deleted(folder: &OsStr, tree: &Tree) -> Vec<(OsString, String)> {
    let Ok(target) = source::target(folder) else { return Vec::new() };
    let open = kept::open_beneath(&target).into_iter().filter(|open| open.gone);
    let label = |open: &kept::Beneath| Some(Path::new(folder).join(open.relative.as_ref()?).into_os_string());
    let each = open.filter_map(|open| Some((label(&open)?, kept_open::rescue_it(&open))));
    each.filter(|(label, _)| !tree.databases.iter().any(|found| found.label == *label)).collect()
}

/// Several databases: what was found so far.
struct Many<'a> {
    trees: bool,
    global: &'a Global,
    begun: Instant,
    databases: Vec<VerifyDocument>,
    not_looked_at: Vec<NotLookedAt>,
    of_other_formats: Vec<OfOtherFormat>,
}

impl<'a> Many<'a> {
    fn new(trees: bool, global: &'a Global) -> Self {
        Self {
            trees,
            global,
            begun: Instant::now(),
            databases: Vec::new(),
            not_looked_at: Vec::new(),
            of_other_formats: Vec::new(),
        }
    }

    /// Every database below a folder.
    fn below(&mut self, folder: &OsStr, tree: Tree) {
        let deleted = deleted(folder, &tree);
        if tree.databases.is_empty() && tree.unread.is_empty() && deleted.is_empty() {
            self.not_looked_at(folder, "no database lies below it");
        }
        for (label, reason) in &deleted {
            self.not_looked_at(label, reason);
        }
        for unread in &tree.unread {
            self.not_looked_at(&unread.label, &unread.reason);
        }
        let other =
            |one: &source::Other| OfOtherFormat { path: one.label.to_string_lossy().into_owned(), format: one.format };
        self.of_other_formats.extend(tree.others.iter().map(other));
        for found in &tree.databases {
            self.add(&found.label, look::verify_found(found, self.trees, self.global));
        }
    }

    fn add(&mut self, source: &OsStr, looked: anyhow::Result<Inspection>) {
        match looked {
            Ok(inspection) => self.databases.push(VerifyDocument::new(&inspection)),
            Err(error) => self.not_looked_at(source, &message(&error)),
        }
    }

    fn not_looked_at(&mut self, source: &OsStr, reason: &str) {
        let path = source.to_string_lossy().into_owned();
        // Most reasons begin with the name.
        let reason = reason.strip_prefix(&format!("{path}: ")).unwrap_or(reason).to_owned();
        self.not_looked_at.push(NotLookedAt { path, reason });
    }

    fn end(self, fail_on: FailOn) -> anyhow::Result<Exit> {
        let took = self.begun.elapsed();
        let document = VerifyManyDocument::new(self.databases, self.not_looked_at, self.of_other_formats);
        output::document(self.global, &document, |width| document.draw(width, took))?;
        let bad = document.databases.iter().any(|one| fail_on.judge(&one.findings) == Exit::Bad);
        Ok(match (document.not_looked_at.is_empty(), bad) {
            (false, _) => Exit::NoAnswer,
            (true, true) => Exit::Bad,
            (true, false) => Exit::Good,
        })
    }
}
