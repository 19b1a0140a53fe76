//! `walscope/rescue/1`: what was saved of the files that processes have open. It is also the `manifest.json` beside the
//! copies.

mod files;

use schemars::JsonSchema;
use serde::Serialize;

use super::finding::FindingDocument;
use super::text::{GREEN, YELLOW, entry, label, many, styled};
use super::{line, table};
use crate::bundle::rescue::{Rescue, Saved};
use crate::evidence::{BehindFuse, KeptBy, NoWal, Part, RescueCause};
use crate::finding::{Code, Finding, Severity};
use crate::say::rescue::Saved as Next;
use crate::shell_word::walscope;
pub use files::{RescuedFile, RescuedJournal};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/rescue/1";

/// What `verify` finds in copies, or why it cannot look at them.
pub type Verified = Result<Vec<Finding>, String>;

/// At most so many processes are named on the page.
const NAMED: usize = 16;

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct RescueDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Version of the walscope that made the copies.
    pub walscope_version: &'static str,
    /// What was asked for.
    pub source: String,
    /// The path of the database, with links resolved.
    pub path: String,
    /// The folder of the copies.
    pub folder: String,
    /// One for each database with its sidecars. Several: processes have different files open under this path.
    pub sets: Vec<RescuedSet>,
    /// Journals with old pages that nobody has open and that are in no set.
    pub apart: Vec<RescuedJournal>,
    /// Files that are open and could not be opened here, with the reason.
    pub refused: Vec<String>,
    /// Number of processes whose descriptors were looked at.
    pub processes_read: u32,
    /// Number of processes whose descriptors could not be seen. They may have more files open.
    pub processes_denied: u32,
    /// Number of processes that ended during the look. What they had open is gone if it was deleted.
    pub processes_ended: u32,
    /// Why, for the first of those whose descriptors could not be seen.
    pub denied_reason: Option<String>,
    /// Whether every process of the machine was visible, and its descriptors too. False within a container: the processes
    /// outside of it may have files open.
    pub every_process: bool,
    /// Whether walscope ran as root.
    pub as_root: bool,
}

/// Files that belong together.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct RescuedSet {
    /// The copy of the database; open this one. Null: nobody has the database open, and it is not at the path.
    pub database: Option<String>,
    /// The command line that checks the copy, for a shell.
    pub check: Option<String>,
    /// Whether at least one of the files lies at the path.
    pub at_path: bool,
    /// Those that lie at the path.
    pub parts_at_path: Vec<Part>,
    /// Parts that lie at the path beside this database, and that are of another one, or not surely of this one. They are not in this set.
    pub parts_of_another: Vec<Part>,
    /// Whether it is not sure which database these files belong to.
    pub pairing_unsure: bool,
    /// Whether the `-shm` was not copied: it is on a FUSE mount and in use, and to open it could harm its processes. No row is
    /// only there.
    pub shm_not_opened: bool,
    /// Processes that have files of the set open, and not the database.
    pub without_database: Vec<u32>,
    /// Processes that have files of the set open for others, behind a FUSE mount. What those have open may be elsewhere.
    pub behind_fuse: Vec<BehindFuse>,
    /// Whether a process that was not seen holds a lock on the database or the `-shm`. It may have other files open.
    pub locked_unseen: bool,
    /// Those of these processes that are known.
    pub unseen_holders: Vec<u32>,
    /// Whether the kernel says that nobody holds a lock on the database, also no process that was not seen: whoever uses it in WAL
    /// mode does.
    pub unlocked: bool,
    /// The processes that have files of the set open. Empty: none was seen.
    pub processes: Vec<KeptBy>,
    /// The copies.
    pub files: Vec<RescuedFile>,
    /// Parts that belong to the set, or may do so, and were found nowhere.
    pub missing: Vec<Part>,
    /// Why a `-wal` may be missing of a database in WAL mode. Null: none is.
    pub no_wal: Option<NoWal>,
    /// Whether it is shown that the copies are of one moment.
    pub stable: bool,
    /// Why that is not shown.
    pub reason: Option<String>,
    /// What kind of reason that is.
    pub cause: Option<RescueCause>,
    /// Number of attempts.
    pub attempts: u32,
    /// What `verify` finds in the copies, warnings and errors: files that do not belong together, or that are damaged. And what shows
    /// only while a wal-index of the files is in use: `database_overwritten`, `wal_truncated`.
    pub findings: Vec<FindingDocument>,
    /// Why `verify` cannot look at the copies: they are no database.
    pub not_verified: Option<String>,
}

impl RescuedSet {
    fn new(saved: &Saved, verified: &Verified) -> Self {
        let files: Vec<RescuedFile> = saved.files.iter().map(RescuedFile::from).collect();
        let copied = |part| files.iter().find(|file| file.part == part);
        let database = copied(Part::Database).map(|file| file.copy.clone());
        let copy = saved.files.iter().find(|file| file.part == Part::Database).map(|file| &file.copy);
        let check = copy.map(|copy| walscope("verify", copy, ""));
        let mut missing = Vec::new();
        if database.is_none() {
            missing.push(Part::Database);
        }
        // Whoever has a wal-index open has a -wal open.
        let without_wal = copied(Part::Shm).is_some() && copied(Part::Wal).is_none() && !saved.by.is_empty();
        let facts = saved.facts.clone();
        if without_wal || facts.no_wal.is_some() {
            missing.push(Part::Wal);
        }
        missing.extend(facts.lost.iter().copied().filter(|part| *part != Part::Shm));
        missing = Part::ALL.into_iter().filter(|part| missing.contains(part) && copied(*part).is_none()).collect();
        Self {
            database,
            check,
            at_path: saved.at_path,
            parts_at_path: facts.at_path,
            parts_of_another: facts.of_another,
            pairing_unsure: facts.pairing_unsure,
            // Without the -wal of this set, the -shm at the path is that of another one.
            shm_not_opened: facts.shm_not_opened && copied(Part::Shm).is_none() && copied(Part::Wal).is_some(),
            without_database: facts.without_database,
            behind_fuse: facts.behind_fuse.clone(),
            locked_unseen: facts.locked_unseen,
            unseen_holders: facts.unseen_holders,
            unlocked: facts.unlocked,
            no_wal: facts.no_wal,
            processes: saved.by.clone(),
            missing,
            files,
            stable: saved.unstable.is_none(),
            reason: saved.unstable.as_ref().map(|unstable| unstable.reason.clone()),
            cause: saved.unstable.as_ref().map(|unstable| unstable.cause),
            attempts: saved.attempts,
            not_verified: verified.as_ref().err().cloned(),
            findings: verified
                .iter()
                .flatten()
                .filter(|finding| finding.severity >= Severity::Warning)
                .map(FindingDocument::from)
                .collect(),
        }
    }

    /// Whether everything that was open was copied as of one moment, and fits together.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stable && self.missing.is_empty() && !self.pairing_unsure && !self.locked_unseen && self.fits()
    }

    /// Whether each of its files lies at the path.
    fn lies_at_path(&self) -> bool {
        self.files.iter().all(|file| !file.deleted && self.parts_at_path.contains(&file.part))
    }

    /// Whether `verify` finds nothing wrong with the copies.
    fn fits(&self) -> bool {
        self.findings.is_empty() && self.not_verified.is_none()
    }

    fn is_overwritten(&self) -> bool {
        self.findings.iter().any(|finding| finding.code == Code::DatabaseOverwritten.name())
    }

    fn held_by(&self) -> String {
        let name = |from: &KeptBy| match &from.command {
            Some(command) => format!("pid {} ({})", from.pid, line(command)),
            None => format!("pid {}", from.pid),
        };
        let names: Vec<String> = self.processes.iter().take(NAMED).map(name).collect();
        match self.processes.len().saturating_sub(NAMED) {
            0 if names.is_empty() => "nobody that is seen from here".to_owned(),
            0 => names.join(", "),
            more => {
                format!("{} and {}", names.join(", "), many(u64::try_from(more).unwrap_or(0), "other process"))
            }
        }
    }

    /// What else has to be known of the set.
    fn facts(&self, as_root: bool) -> Vec<String> {
        let mut facts = Vec::new();
        if self.pairing_unsure {
            facts.push(
                "It is not sure which database these files belong to: names, order and locks of the descriptors contradict each \
                 other. Try each -wal or -journal beside a copy of each database."
                    .to_owned(),
            );
        }
        if !self.parts_of_another.is_empty() {
            facts.push(format!(
                "{} at the path: of another database, or not surely of this one. It is not in this set. SQLite takes what lies beside a \
                 database for its own: let nothing open this one at the path.",
                named(&self.parts_of_another)
            ));
        }
        if self.shm_not_opened {
            facts.push(
                "The -shm was not copied: it is on a FUSE mount and in use, and to open it could harm its processes. No row is lost: \
                 SQLite makes it anew from the -wal."
                    .to_owned(),
            );
        }
        if !self.without_database.is_empty() {
            let pids: Vec<String> = self.without_database.iter().map(u32::to_string).collect();
            facts.push(format!(
                "Files of this set came from pid {}, which does not have the database open: by their names they belong together.",
                pids.join(", ")
            ));
        }
        facts.extend(self.behind_fuse.iter().map(through_fuse));
        if self.locked_unseen {
            let pids: Vec<String> = self.unseen_holders.iter().map(u32::to_string).collect();
            let who = if pids.is_empty() { "A process".to_owned() } else { format!("pid {}", pids.join(", ")) };
            let help = if as_root { "on the host" } else { "as root, and" };
            facts.push(format!(
                "{who} holds a lock on the database, and what it has open could not be seen. A -wal, -journal or database that was \
                 deleted may be missing. Run this {help} outside of the container."
            ));
        }
        facts
    }

    fn deleted(&self) -> Vec<String> {
        self.files.iter().filter(|file| file.deleted).map(|file| file.part.to_string()).collect()
    }
}

fn named(parts: &[Part]) -> String {
    parts.iter().map(|part| part.to_string()).collect::<Vec<_>>().join(", ")
}

/// Where what processes behind a FUSE mount have open can be saved.
fn through_fuse(behind: &BehindFuse) -> String {
    let of = format!("pid {} serves a FUSE mount: it has these files open for processes behind it.", behind.pid);
    match &behind.open {
        Some((pid, path)) => {
            let path = line(path);
            format!(
                "{of} pid {pid} has {path} open there, and may have a deleted -wal of it. Save that, too, by the next line."
            )
        }
        None => format!(
            "{of} A -wal that was deleted there is known to them alone: walscope rescue of the path below that mount saves it."
        ),
    }
}

fn why_no_wal(why: NoWal) -> &'static str {
    match why {
        NoWal::Open => {
            " The database is in WAL mode and a process has it open, so there is a -wal, unless the process has not read from it yet."
        }
        NoWal::Ended => {
            " The database is in WAL mode, and processes ended during the look: if one of them had a deleted -wal open, it is lost. \
             If nobody had the database open, nothing is missing."
        }
        NoWal::Unseen => {
            " The database is in WAL mode, and a process that could not be seen may have a deleted -wal open."
        }
    }
}

impl RescueDocument {
    /// Makes the document. `verified` has what was found in the copies of each set.
    #[must_use]
    pub fn new(rescue: &Rescue, verified: &[Verified]) -> Self {
        Self {
            schema: SCHEMA,
            walscope_version: env!("CARGO_PKG_VERSION"),
            source: rescue.source.clone(),
            path: rescue.path.to_string_lossy().into_owned(),
            folder: rescue.folder.to_string_lossy().into_owned(),
            sets: rescue.sets.iter().zip(verified).map(|(saved, verified)| RescuedSet::new(saved, verified)).collect(),
            apart: rescue.apart.iter().map(RescuedJournal::from).collect(),
            refused: rescue.refused.clone(),
            processes_read: rescue.processes_read,
            processes_denied: rescue.processes_denied,
            processes_ended: rescue.processes_ended,
            denied_reason: rescue.denied_reason.clone(),
            every_process: rescue.every_process,
            as_root: rescue.as_root,
        }
    }

    /// Whether all that was open was copied, each set as of one moment.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.refused.is_empty()
            && !self.may_be_elsewhere()
            && !self.journal_unclear()
            && self.sets.iter().all(RescuedSet::is_whole)
    }

    /// Whether a journal was saved of which it is not known whose it is.
    fn journal_unclear(&self) -> bool {
        self.apart.iter().any(|journal| !journal.of_none)
    }

    /// Whether nobody was seen to have any of it open, not everybody was seen, and it is not known that nobody holds a lock on the
    /// database: then a process may have a `-wal` that was deleted.
    fn may_be_elsewhere(&self) -> bool {
        let nobody = |set: &RescuedSet| set.database.is_some() && set.unlocked;
        self.is_unseen() && !self.sets.iter().any(nobody)
    }

    /// Whether nobody was seen to have any of it open, and not everybody was seen. Nothing points to other files of this path then,
    /// but nothing would.
    fn is_unseen(&self) -> bool {
        !self.every_process && self.sets.iter().all(|set| set.processes.is_empty())
    }

    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let mut out = String::new();
        for set in &self.sets {
            out.push_str(&set.picture());
        }
        out.push('\n');
        out.push_str(&entry("Saved", &self.diagnosis(), width));
        for (number, set) in (1..).zip(&self.sets) {
            if self.sets.len() > 1 {
                out.push('\n');
                out.push_str(&entry(&format!("Set {number}"), &set.summary(), width));
            }
            out.push_str(&set.lines(self.as_root, width));
        }
        for journal in &self.apart {
            out.push_str(&entry("Apart", &styled(YELLOW, &journal.told()), width));
        }
        for refused in &self.refused {
            out.push_str(&entry("Not saved", &line(refused), width));
        }
        if let Some(reason) = &self.denied_reason {
            let denied = u64::from(self.processes_denied);
            let unseen = format!(
                "what {} {} open could not be seen ({}). {} to save the files of every process.",
                many(denied, "process"),
                if denied == 1 { "has" } else { "have" },
                line(reason),
                if self.as_root {
                    "Root may not see it here: run this on the host, outside of the container,"
                } else {
                    "Run this as root"
                }
            );
            out.push_str(&entry("Unseen", &unseen, width));
        } else if !self.every_process {
            let unseen = "not every process of the machine is visible here, as within a container. Run this on the host, as root, \
                          to save the files of every process.";
            out.push_str(&entry("Unseen", unseen, width));
        }
        if self.is_unseen() && !self.may_be_elsewhere() {
            let nothing = "nobody holds a lock on the database at the path, and nothing of it is missing there. A process that goes on \
                           with other files, which had this path before, would not show.";
            out.push_str(&entry("", nothing, width));
        }
        out.push('\n');
        let apart = self.apart.iter().map(|journal| &journal.file);
        let rows: Vec<Vec<String>> =
            self.sets.iter().flat_map(|set| &set.files).chain(apart).map(RescuedFile::row).collect();
        out.push_str(&table::draw(&["copy", "bytes", "opened as", "from", "state"], &rows, width));
        out
    }

    fn diagnosis(&self) -> String {
        let held = self.sets.iter().filter(|set| !set.processes.is_empty()).count();
        let sets = match self.sets.len() {
            1 => String::new(),
            n => {
                let who = if held > 1 { "Processes use" } else { "There are" };
                format!(
                    " {who} {n} different sets of files under this path: each is in a folder of its own. The set of the \
                     processes comes first. Compare their rows before you go on with one of them."
                )
            }
        };
        let whole = if self.is_whole() {
            // What the others have open of a path that leads to other files by now, no lock shows.
            let seen = if self.every_process { "all that is open" } else { "all that the processes seen have open" };
            styled(GREEN, &format!("{seen}, and as of one moment."))
        } else {
            styled(YELLOW, "not everything, or not as of one moment; the lines below say what.")
        };
        format!("{whole}{sets} {}", self.next())
    }

    /// What to do now.
    fn next(&self) -> String {
        let pids = self.sets.iter().flat_map(|set| &set.processes).map(|process| process.pid);
        let mut pids: Vec<u32> = pids.collect();
        pids.sort_unstable();
        pids.dedup();
        let one = self.sets.first().filter(|set| self.sets.len() == 1 && set.database.is_some());
        let has = |part| one.is_some_and(|set| set.files.iter().any(|file| file.part == part));
        let owner = one.and_then(|set| set.files.first()).map(|file| (file.uid, file.gid, file.mode.as_str()));
        Next {
            database: self.sets.iter().any(|set| set.database.is_some()),
            pids: &pids,
            unstable: self.sets.iter().find_map(|set| set.cause),
            as_root: self.as_root,
            behind_fuse: self.sets.iter().any(|set| !set.behind_fuse.is_empty()),
            incomplete: !self.refused.is_empty()
                || self.may_be_elsewhere()
                || self.sets.iter().any(|set| !set.missing.is_empty() || set.locked_unseen),
            journal_unclear: self.journal_unclear(),
            contradict: self.sets.iter().any(|set| !set.fits()),
            overwritten: self.sets.iter().any(RescuedSet::is_overwritten),
            all_at_path: one.is_some_and(RescuedSet::lies_at_path),
            one: one.is_some_and(|set| !set.pairing_unsure),
            journal: has(Part::Journal),
            owner,
        }
        .next()
    }
}

impl RescuedSet {
    /// The database with its sidecars, as a tree.
    fn picture(&self) -> String {
        let name = |path: &str| line(path.rsplit('/').next().unwrap_or(path));
        let mut out = String::new();
        for (at, file) in self.files.iter().enumerate() {
            let branch = match (at, at + 1 == self.files.len()) {
                (0, _) => "",
                (_, true) => "└─ ",
                (_, false) => "├─ ",
            };
            let state = if file.deleted { "  deleted" } else { "" };
            out.push_str(&format!("{branch}{}  ──▶  {}{state}\n", name(&file.path), line(&file.copy)));
        }
        out
    }

    /// What the set is, where there are several.
    fn summary(&self) -> String {
        let wal = self.files.iter().find(|file| file.part == Part::Wal);
        let wal = match wal {
            Some(file) if file.size > 0 => format!("a -wal of {}", many(file.size, "byte")),
            Some(_) => "an empty -wal".to_owned(),
            None => "no -wal".to_owned(),
        };
        let at_path = match self.parts_at_path.as_slice() {
            [] => "nothing of it lies at the path".to_owned(),
            parts if parts.len() == self.files.len() => "all of it lies at the path".to_owned(),
            parts => format!("of it at the path: {}", named(parts)),
        };
        format!("{wal}; {at_path}.")
    }

    fn lines(&self, as_root: bool, width: usize) -> String {
        let mut out = String::new();
        if let Some(check) = &self.check {
            // Not wrapped: it is to be copied.
            out.push_str(&label("Check", width));
            out.push_str(&format!("{check}\n"));
        }
        out.push_str(&entry("Open in", &self.held_by(), width));
        let deleted = self.deleted();
        if !deleted.is_empty() {
            let them = if deleted.len() == 1 { "it is" } else { "they are" };
            let text = format!(
                "{}: no path leads there any more, and {them} gone when the process ends.",
                deleted.join(", "),
            );
            out.push_str(&entry("Deleted", &text, width));
        }
        if !self.missing.is_empty() {
            let why = self.no_wal.map_or("", why_no_wal);
            let text = format!(
                "{}: nobody that is seen from here has it open, and it is not at the path.{why}",
                named(&self.missing)
            );
            out.push_str(&entry("Missing", &styled(YELLOW, &text), width));
        }
        for fact in self.facts(as_root) {
            out.push_str(&entry("", &styled(YELLOW, &fact), width));
        }
        for behind in &self.behind_fuse {
            let Some((pid, path)) = &behind.open else { continue };
            out.push_str(&label("Behind FUSE", width));
            out.push_str(&format!("{}\n", walscope("rescue", format!("pid:{pid}:{path}"), "-o ANOTHER_FOLDER")));
        }
        for finding in &self.findings {
            let text = format!("{} [{}] {}", finding.title, finding.code, finding.detail);
            out.push_str(&entry("Wrong", &styled(YELLOW, &text), width));
        }
        if let Some(reason) = &self.not_verified {
            out.push_str(&entry("Wrong", &styled(YELLOW, &format!("{}.", line(reason))), width));
        }
        if let Some(reason) = &self.reason {
            let text = format!("after {}: {}.", many(u64::from(self.attempts), "attempt"), line(reason));
            out.push_str(&entry("Changed", &styled(YELLOW, &text), width));
        }
        out
    }
}
