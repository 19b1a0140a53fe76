//! Which wal-index do the visible processes of each side have mapped?

use std::collections::BTreeSet;

use super::identity::{self, Identity};
use super::{About, Because, Kind, Pair, Says, Side};
use crate::evidence::{InodeId, Mapping, Observation};

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
    /// What the path led to: `None` when there was no `-shm`, or when the mapped one was deleted or replaced.
    pub path_leads_to: Option<InodeId>,
}

/// Looks at the visible processes of one side.
///
/// Only processes of the side's own mount namespace count: elsewhere the same path is another file.
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
    let path = format!("{}-shm", evidence.files.database_path);
    let own: Vec<&Mapping> = view
        .mappings
        .iter()
        .filter(|mapping| mapping.shared && mapping.mount_namespace.value() == Some(namespace))
        .collect();
    let at_path = |mapping: &&Mapping| mapping.path == path;
    let nobody = || {
        let denied = match (view.processes_denied, view.denied_reason.as_deref()) {
            (0, _) => String::new(),
            (n, reason) => format!(", and {n} could not be looked at: {}", reason.unwrap_or("no permission")),
        };
        Mapped::Unseen(format!("no process of {} was seen that maps the -shm{denied}", side.label))
    };
    let file = match &evidence.files.shm {
        Observation::Seen { value } => value,
        Observation::Missing { .. } => {
            let cut_off: Vec<_> = own.into_iter().filter(at_path).filter(|mapping| mapping.deleted_suffix).collect();
            if cut_off.is_empty() || !evidence.paths_unchanged {
                return nobody();
            }
            return Mapped::Split(Split { mappings: cut_off, path_leads_to: None });
        }
        other => {
            let reason = other.reason().unwrap_or_default();
            return Mapped::Unseen(format!("the -shm of {} was not seen: {reason}", side.label));
        }
    };
    let Some(id) = file.maps_identity.value() else {
        let reason = file.maps_identity.reason().unwrap_or_default();
        return Mapped::Unseen(format!("the identity as mapped of the -shm of {} was not seen: {reason}", side.label));
    };
    let (this, other): (Vec<_>, Vec<_>) = own.into_iter().partition(|mapping| mapping.inode == *id);
    if !identity::reachable(evidence, file) {
        if this.is_empty() {
            // A mapping of another inode is no split then: it may be the one that took the place of the deleted one.
            return Mapped::Unseen(format!("the -shm of {} was deleted or replaced while it was captured", side.label));
        }
        return Mapped::Split(Split { mappings: this, path_leads_to: None });
    }
    let other: Vec<_> = other.into_iter().filter(at_path).collect();
    if !other.is_empty() {
        return Mapped::Split(Split { mappings: other, path_leads_to: Some(*id) });
    }
    if this.is_empty() { nobody() } else { Mapped::This(this) }
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
        Identity::One(_) => Because::new(kind, About::Both, Says::Supports, format!("{detail}: one inode")),
        Identity::Two(_) => Because::new(kind, About::Both, Says::Refutes, format!("{detail}: two inodes")),
        _ => Because::silent(kind, About::Both, "whether what is mapped is one inode was not decided", detail),
    }
}

fn unseen_others(side: &Side) -> String {
    match side.evidence.mappings.value().map_or(0, |view| view.processes_denied) {
        0 => String::new(),
        n => format!(" ({n} more processes could not be looked at)"),
    }
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

    /// The facts in a sentence.
    pub(super) fn detail(&self, side: &Side) -> String {
        let inodes: Vec<String> = self.inodes().iter().take(LISTED).map(ToString::to_string).collect();
        let leads = match self.path_leads_to {
            Some(id) => format!("while the path leads to {id}"),
            None => "which was deleted or replaced: no path leads to it any more".to_owned(),
        };
        format!("on {} {} maps {}, {leads}", side.label, processes(&self.mappings), inodes.join(", "))
    }
}

/// Processes named in one sentence.
const LISTED: usize = 5;

fn processes(mappings: &[&Mapping]) -> String {
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
