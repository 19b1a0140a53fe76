//! Which wal-index do the visible processes of each side have mapped?

use std::collections::BTreeSet;

use super::identity::{self, Identity};
use super::{About, Because, Kind, Pair, Says, Side, continuity};
use crate::evidence::{CutOff, InodeId, Mapping, Observation};

/// What a look at one side's processes came to.
#[derive(Debug)]
pub(super) enum Mapped<'a> {
    /// Visible processes map exactly the side's `-shm`, and none another.
    This(Vec<&'a Mapping>),
    /// Visible processes map another wal-index than the path leads to.
    Split(Split<'a>),
    /// Nothing can be said, for this reason.
    Unseen(String),
}

/// Processes that are cut off from whoever opens the path next.
#[derive(Debug)]
pub(super) struct Split<'a> {
    /// Their mappings.
    pub mappings: Vec<&'a Mapping>,
    /// What the path led to: `None` when there was no `-shm`, or it was deleted or replaced.
    pub path_leads_to: Option<InodeId>,
}

/// Looks at the visible processes of one side.
///
/// Only processes of the side's own mount namespace count for its path: elsewhere the same path is another file. Whoever
/// has the side's database open counts everywhere.
pub(super) fn mapped(side: &Side) -> Mapped<'_> {
    let evidence = &side.evidence;
    let Some(view) = evidence.mappings.value() else {
        let reason = evidence.mappings.reason().unwrap_or_default();
        return Mapped::Unseen(format!("the mappings of {} were not seen: {reason}", side.label));
    };
    let Some(namespace) = evidence.host.namespaces.mount.value() else {
        let reason = evidence.host.namespaces.mount.reason().unwrap_or_default();
        return Mapped::Unseen(format!("the mount namespace of {} was not seen: {reason}", side.label));
    };
    let mappings = || view.mappings.iter().filter(|mapping| mapping.shared);
    let own = || mappings().filter(|mapping| mapping.mount_namespace.value() == Some(namespace));
    let shm = &evidence.files.shm;
    let id = match shm {
        Observation::Seen { value } => match &value.maps_identity {
            Observation::Seen { value } => Some(*value),
            unseen => {
                let reason = unseen.reason().unwrap_or_default();
                let label = &side.label;
                return Mapped::Unseen(format!("the identity as mapped of the -shm of {label} was not seen: {reason}"));
            }
        },
        Observation::Missing { .. } => None,
        unseen => {
            let reason = unseen.reason().unwrap_or_default();
            return Mapped::Unseen(format!("the -shm of {} was not seen: {reason}", side.label));
        }
    };
    let cut_off: Vec<&Mapping> = mappings().filter(|mapping| mapping.cut_off.is_some()).collect();
    let reachable = shm.value().is_some_and(|file| identity::reachable(evidence, file));
    if !cut_off.is_empty() {
        return Mapped::Split(Split { mappings: cut_off, path_leads_to: id.filter(|_| reachable) });
    }
    if shm.value().is_some() && !reachable {
        return Mapped::Unseen(format!("the -shm of {} was deleted or replaced while it was captured", side.label));
    }
    // `maps` escapes a newline and nothing else.
    let path = format!("{}-shm", evidence.files.database_path).replace('\n', "\\012");
    if own().any(|mapping| Some(mapping.inode) != id && mapping.path == path) {
        return Mapped::Unseen(format!(
            "on {} a process was seen once that maps another file under the path of the -shm, and nobody looked again: it may have been closing",
            side.label
        ));
    }
    let this: Vec<&Mapping> = own().filter(|mapping| Some(mapping.inode) == id).collect();
    if !this.is_empty() {
        return Mapped::This(this);
    }
    let denied = match (view.processes_denied, view.denied_reason.as_deref()) {
        (0, _) => String::new(),
        (n, reason) => format!(", and {n} could not be looked at: {}", reason.unwrap_or("no permission")),
    };
    let passing = match view.passing {
        0 => String::new(),
        n => format!(", but for {n} that came and went"),
    };
    let not_listed = match view.mappings_not_listed {
        0 => String::new(),
        n => format!(", and {n} mappings are not listed"),
    };
    Mapped::Unseen(format!("no process of {} was seen that maps the -shm{passing}{denied}{not_listed}", side.label))
}

/// The mappings as evidence. `shm` is what the identity of the `-shm` came to.
///
/// They decide alone only against sharing; for it they lift the subject from paths to mappings.
pub(super) fn because(pair: &Pair<'_>, shm: &Identity) -> Because {
    let kind = Kind::ProcessMappings;
    let (a, b) = (mapped(pair.a), mapped(pair.b));
    let splits: Vec<String> = [(pair.a, &a), (pair.b, &b)]
        .into_iter()
        .filter_map(|(side, mapped)| match mapped {
            Mapped::Split(split) => Some(split.detail(side)),
            _ => None,
        })
        .collect();
    if !splits.is_empty() {
        return Because::new(kind, About::Both, Says::Refutes, splits.join("; "));
    }
    let (a, b) = match (a, b) {
        (Mapped::This(a), Mapped::This(b)) => (a, b),
        (a, b) => {
            let reasons: Vec<String> = [a, b]
                .into_iter()
                .filter_map(|mapped| match mapped {
                    Mapped::Unseen(reason) => Some(reason),
                    _ => None,
                })
                .collect();
            let detail = "what running processes have mapped was not seen on both sides";
            return Because::silent(kind, About::Both, reasons.join("; "), detail);
        }
    };
    let detail = format!(
        "the -shm of each side is mapped: by {} on {}{}, by {} on {}{}",
        processes(&a),
        pair.a.label,
        unseen_others(pair.a),
        processes(&b),
        pair.b.label,
        unseen_others(pair.b)
    );
    match shm {
        Identity::One(_) => match at_work(pair, &a, &b) {
            Ok(()) => Because::new(kind, About::Both, Says::Supports, format!("{detail}: one inode")),
            Err(reason) => Because::silent(kind, About::Both, reason, detail),
        },
        Identity::Two(_) => Because::new(kind, About::Both, Says::Refutes, format!("{detail}: two inodes")),
        _ => Because::silent(kind, About::Both, "whether what is mapped is one inode was not decided", detail),
    }
}

/// Whether processes of both sides were seen at work on what their paths lead to: what a verdict about mappings needs.
pub(super) fn seen_at_work(pair: &Pair<'_>) -> bool {
    match (mapped(pair.a), mapped(pair.b)) {
        (Mapped::This(a), Mapped::This(b)) => at_work(pair, &a, &b).is_ok(),
        _ => false,
    }
}

/// Whether what is mapped on both sides was mapped by processes of both, at one time, for the files that the paths lead to.
///
/// # Errors
/// Why that cannot be said.
fn at_work(pair: &Pair<'_>, a: &[&Mapping], b: &[&Mapping]) -> Result<(), String> {
    for (side, mapped) in [(pair.a, a), (pair.b, b)] {
        uses_its_files(side, mapped)?;
        if let Some(pid) = side.process.filter(|pid| !mapped.iter().any(|mapping| mapping.pid == *pid)) {
            return Err(format!("process {pid} of {} does not map the -shm itself", side.label));
        }
    }
    // In one mount namespace the processes of one side are those of the other.
    let namespaces = [pair.a, pair.b].map(|side| side.evidence.host.namespaces.mount.value());
    let all: BTreeSet<(u32, Option<u64>)> =
        a.iter().chain(b).map(|mapping| (mapping.pid, mapping.start_time)).collect();
    if namespaces[0] == namespaces[1] && all.len() < 2 {
        return Err(format!(
            "{} and {} are of one mount namespace, and one process alone was seen there that maps the -shm",
            pair.a.label, pair.b.label
        ));
    }
    continuity::together(pair, a, b)
}

/// Whether each of these processes has the database and the `-wal` open that the path leads to.
///
/// # Errors
/// Which has not, or of which that was not seen.
fn uses_its_files(side: &Side, mapped: &[&Mapping]) -> Result<(), String> {
    for mapping in mapped {
        for (name, open) in [("database", mapping.database_open), ("-wal", mapping.wal_open)] {
            let process = processes(&[mapping]);
            match open {
                Some(true) => {}
                Some(false) => {
                    return Err(format!(
                        "{process} maps the -shm, and has another {name} open than that of {}",
                        side.label
                    ));
                }
                None => return Err(format!("whether {process} has the {name} of {} open was not seen", side.label)),
            }
        }
    }
    Ok(())
}

/// Processes that map the wal-index of a side, wherever they are, and have not the database, or the `-wal`, open that its
/// path leads to.
pub(super) fn of_others(side: &Side, open: fn(&Mapping) -> Option<bool>) -> Vec<&Mapping> {
    let id = side.evidence.files.shm.value().and_then(|file| file.maps_identity.value());
    let mappings = side.evidence.mappings.value().into_iter().flat_map(|view| &view.mappings);
    let of_this = mappings.filter(|mapping| mapping.shared && mapping.cut_off.is_none() && Some(&mapping.inode) == id);
    of_this.filter(|mapping| open(mapping) == Some(false)).collect()
}

fn unseen_others(side: &Side) -> String {
    let Some(view) = side.evidence.mappings.value() else { return String::new() };
    let said = [
        (u64::from(view.processes_denied), "more processes could not be looked at"),
        (view.mappings_not_listed, "more mappings are not listed"),
    ];
    said.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(" ({n} {what})")).collect()
}

impl Split<'_> {
    /// The inodes that are mapped.
    pub(super) fn inodes(&self) -> BTreeSet<InodeId> {
        self.mappings.iter().map(|mapping| mapping.inode).collect()
    }

    /// The processes that map them.
    pub(super) fn pids(&self) -> BTreeSet<u32> {
        self.mappings.iter().map(|mapping| mapping.pid).collect()
    }

    /// Whether somebody is cut off although the side's path leads where it always did: the database has another name.
    pub(super) fn by_database(&self) -> bool {
        self.of(CutOff::Database).next().is_some()
    }

    fn of(&self, cut_off: CutOff) -> impl Iterator<Item = &Mapping> {
        self.mappings.iter().copied().filter(move |mapping| mapping.cut_off == Some(cut_off))
    }

    /// The facts in a sentence.
    pub(super) fn detail(&self, side: &Side) -> String {
        let leads = match self.path_leads_to {
            Some(id) => format!("while the path leads to {id}"),
            None => "which was deleted or replaced: no path leads to it any more".to_owned(),
        };
        let by_path: Vec<&Mapping> = self.of(CutOff::Path).collect();
        let by_database: Vec<&Mapping> = self.of(CutOff::Database).collect();
        let mut facts = Vec::new();
        if !by_path.is_empty() {
            facts.push(format!("on {} {} maps {}, {leads}", side.label, processes(&by_path), inodes(&by_path)));
        }
        if let Some(first) = by_database.first() {
            let deleted = if first.deleted_suffix { ", deleted" } else { "" };
            facts.push(format!(
                "{} has the database of {} open, and maps {} ({}{deleted}) as its wal-index, not the -shm of {}",
                processes(&by_database),
                side.label,
                inodes(&by_database),
                first.path,
                side.label
            ));
        }
        facts.join("; ")
    }
}

fn inodes(mappings: &[&Mapping]) -> String {
    let inodes: BTreeSet<InodeId> = mappings.iter().map(|mapping| mapping.inode).collect();
    inodes.iter().take(LISTED).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Processes named in one sentence.
const LISTED: usize = 5;

pub(super) fn processes(mappings: &[&Mapping]) -> String {
    let all: BTreeSet<(u32, Option<&str>)> =
        mappings.iter().map(|mapping| (mapping.pid, mapping.command.as_deref())).collect();
    let mut named: Vec<String> = all
        .iter()
        .take(LISTED)
        .map(|(pid, command)| format!("process {pid}{}", command.map(|name| format!(" ({name})")).unwrap_or_default()))
        .collect();
    if all.len() > LISTED {
        named.push(format!("{} more", all.len() - LISTED));
    }
    named.join(", ")
}
