//! Which processes seem cut off from the `-shm` of one side, and whether they stay cut off.

use std::collections::{BTreeMap, BTreeSet};

use super::settle;
use crate::evidence::{FileOpen, InodeId, Mapping, MappingsView, Observation};
use crate::linux::path_leads::PathLeads;

/// Looks until it is clear what is cut off. `look` returns what is mapped, and where the path of the `-shm` led during
/// the whole look, if that was one place.
///
/// A mapping is kept as cut off when every look showed it, for the same process and inode, while the path led to the
/// same place. Other mappings that seemed cut off are left out and counted. In the same way, a process must be seen
/// without the database or the -wal open at every look: its mappings and its descriptors are read one after the other,
/// and it can open or close files in between.
///
/// folklore: a connection that lives for a moment is often closed between the look at the mappings and the look at the
/// descriptors. Then nobody knows which files it had open, and no verdict was possible about the processes that stay.
/// So such a mapping is looked for again: if it is gone, it is left out. Seen in 5 of 120 comparisons beside processes
/// that open and close all the time; held by `a_mapping_that_was_gone_before_its_files_were_seen_is_left_out` and
/// `short_lived_connections_beside_others_leave_the_subject_at_mappings`.
pub(super) fn settled(
    mut look: impl FnMut() -> (Option<PathLeads>, Observation<MappingsView>),
    pause: impl FnMut(),
) -> Observation<MappingsView> {
    let (leads, mut first) = look();
    let Observation::Seen { value: view } = &mut first else { return first };
    let mut later = BTreeMap::new();
    let standing = settle::settle(suspects(view), pause, |suspected| {
        let (leads_now, now) = look();
        let Some(now) = now.value().filter(|_| leads.is_some() && leads_now == leads) else { return BTreeSet::new() };
        let open = suspected.iter().filter(|(_, suspicion)| *suspicion == Suspicion::Unclear);
        later.extend(open.filter_map(|(suspect, _)| Some((*suspect, clear(view, now, suspect)?))));
        let mut suspects = suspects(now);
        suspects.retain(|(suspect, suspicion)| *suspicion == Suspicion::CutOff || !later.contains_key(suspect));
        suspects
    });
    let before = view.mappings.len();
    view.mappings.retain(|mapping| {
        let key = suspect(mapping);
        let gone = key.is_some_and(|key| later.get(&key) == Some(&Clear::Gone));
        match mapping.cut_off {
            Some(_) => key.is_some_and(|key| standing.contains(&(key, Suspicion::CutOff))),
            None => !(gone && not_settled(mapping)),
        }
    });
    view.passing = u32::try_from(before - view.mappings.len()).unwrap_or(u32::MAX);
    for mapping in view.mappings.iter_mut().filter(|mapping| not_settled(mapping)) {
        let key = suspect(mapping);
        let stands = || key.is_some_and(|key| standing.contains(&(key, Suspicion::OtherFiles)));
        if key.is_some_and(|key| later.get(&key) == Some(&Clear::Open)) {
            (mapping.database_open, mapping.wal_open) = (FileOpen::Open, FileOpen::Open);
        } else if uses_others(mapping) && !stands() {
            (mapping.database_open, mapping.wal_open) = (FileOpen::NotKnown, FileOpen::NotKnown);
        }
    }
    first
}

/// One process, by pid and start, and an inode.
type Suspect = (u32, u64, InodeId);

/// What is to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Suspicion {
    /// It seems cut off.
    CutOff,
    /// It seems to use the wal-index for another database or `-wal`.
    OtherFiles,
    /// Which files it uses it for was not seen.
    Unclear,
}

/// What a later look made clear about a mapping.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clear {
    /// The process does not have it any more.
    Gone,
    /// The process has the database and the `-wal` open.
    Open,
}

/// What this look makes clear about a mapping whose files were not both seen open.
fn clear(first: &MappingsView, now: &MappingsView, wanted: &Suspect) -> Option<Clear> {
    let of = |view: &MappingsView| -> Vec<(FileOpen, FileOpen)> {
        let these = view.mappings.iter().filter(|mapping| suspect(mapping).as_ref() == Some(wanted));
        these.map(|mapping| (mapping.database_open, mapping.wal_open)).collect()
    };
    let seen = of(now);
    // A list that was cut short, or a process that can no longer be looked at, shows nobody as gone.
    let whole = now.mappings_not_listed == 0 && now.processes_denied <= first.processes_denied;
    match seen.is_empty() {
        true => whole.then_some(Clear::Gone),
        false => seen.iter().all(|open| *open == (FileOpen::Open, FileOpen::Open)).then_some(Clear::Open),
    }
}

fn suspects(view: &MappingsView) -> BTreeSet<(Suspect, Suspicion)> {
    let of = |mapping: &Mapping| {
        let suspect = suspect(mapping)?;
        let suspicions = [
            mapping.cut_off.is_some().then_some(Suspicion::CutOff),
            uses_others(mapping).then_some(Suspicion::OtherFiles),
            not_settled(mapping).then_some(Suspicion::Unclear),
        ];
        Some(suspicions.into_iter().flatten().map(move |suspicion| (suspect, suspicion)))
    };
    view.mappings.iter().filter_map(of).flatten().collect()
}

/// Whether the process seems to use the wal-index for another database or `-wal`.
fn uses_others(mapping: &Mapping) -> bool {
    mapping.cut_off.is_none() && [mapping.database_open, mapping.wal_open].contains(&FileOpen::NotOpen)
}

/// Whether the process was not seen with both the database and the `-wal` open.
fn not_settled(mapping: &Mapping) -> bool {
    mapping.cut_off.is_none() && [mapping.database_open, mapping.wal_open].iter().any(|open| *open != FileOpen::Open)
}

/// The suspect for a mapping. `None` without a start time: then the process could be confused with a later one of the
/// same pid.
fn suspect(mapping: &Mapping) -> Option<Suspect> {
    Some((mapping.pid, mapping.start_time?, mapping.inode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{CutOff, Device, Root};

    fn mapping(pid: u32, inode: u64, cut_off: Option<CutOff>) -> Mapping {
        Mapping {
            pid,
            command: None,
            start_time: Some(5),
            mount_namespace: Observation::seen("mnt:[1]".into()),
            root: Root::Same,
            container: None,
            inode: InodeId { device: Device { major: 8, minor: 1 }, inode },
            address: 0,
            offset: 0,
            length: 32_768,
            shared: true,
            path: "/data/t.db-shm".into(),
            deleted_suffix: false,
            cut_off,
            database_open: FileOpen::Open,
            wal_open: FileOpen::Open,
        }
    }

    fn view(mappings: Vec<Mapping>) -> Observation<MappingsView> {
        Observation::seen(MappingsView { mappings, ..MappingsView::default() })
    }

    /// Pids that are kept, the number of mappings left out, and the number of looks.
    fn kept(look: impl Fn(usize) -> (PathLeads, Observation<MappingsView>)) -> (Vec<u32>, u32, usize) {
        let mut looks = 0;
        let seen = settled(
            || {
                looks += 1;
                let (leads, seen) = look(looks);
                (Some(leads).filter(|leads| *leads != PathLeads::Unknown), seen)
            },
            || {},
        );
        let seen = seen.value().unwrap();
        (seen.mappings.iter().map(|mapping| mapping.pid).collect(), seen.passing, looks)
    }

    const CUT: Option<CutOff> = Some(CutOff::Path);

    #[test]
    fn without_a_suspicion_one_look_is_enough() {
        assert_eq!(kept(|_| (PathLeads::Here, view(vec![mapping(1, 7, None)]))), (vec![1], 0, 1));
    }

    #[test]
    fn what_stays_cut_off_counts() {
        let both = || view(vec![mapping(1, 7, None), mapping(2, 8, CUT)]);
        assert_eq!(kept(|_| (PathLeads::Here, both())), (vec![1, 2], 0, 6));
    }

    #[test]
    fn a_process_in_closing_is_no_split() {
        for last in 1..=5 {
            let looks = |look| if look <= last { vec![mapping(2, 8, CUT)] } else { vec![] };
            assert_eq!(kept(|look| (PathLeads::Here, view(looks(look)))), (vec![], 1, last + 1));
        }
    }

    #[test]
    fn another_process_under_the_same_pid_another_inode_and_a_path_that_moved_are_no_confirmation() {
        let next = |change: fn(&mut Mapping)| {
            let mut next = mapping(2, 8, CUT);
            change(&mut next);
            kept(move |look| (PathLeads::Here, view(vec![if look == 1 { mapping(2, 8, CUT) } else { next.clone() }])))
        };
        assert_eq!(next(|_| {}).0, [2]);
        assert_eq!(next(|next| next.start_time = Some(6)), (vec![], 1, 2));
        assert_eq!(next(|next| next.inode.inode = 9), (vec![], 1, 2));
        assert_eq!(next(|next| next.cut_off = None), (vec![], 1, 2));
        let moved = |look| if look < 3 { PathLeads::Here } else { PathLeads::Nowhere };
        assert_eq!(kept(|look| (moved(look), view(vec![mapping(2, 8, CUT)]))), (vec![], 1, 3));
    }

    #[test]
    fn a_path_that_moved_during_the_looks_confirms_nothing() {
        // None is kept when the path did not lead to one place during a look: two such looks may be of different
        // wal-indexes.
        assert_eq!(kept(|_| (PathLeads::Unknown, view(vec![mapping(2, 8, CUT)]))), (vec![], 1, 2));
    }

    #[test]
    fn that_the_database_is_not_open_counts_only_when_it_stays_so() {
        let mapping =
            |open| Mapping { database_open: Some(open).into(), wal_open: FileOpen::Open, ..mapping(2, 8, None) };
        for last in 1..=6 {
            let seen = settle_all(|look| view(vec![mapping(look > last)]));
            // Seen open once is open.
            assert_eq!(seen.mappings[0].database_open, Some(last < 6).into(), "{last}");
            assert_eq!(seen.passing, 0);
        }
    }

    #[test]
    fn a_mapping_that_was_gone_before_its_files_were_seen_is_left_out() {
        let (yes, no, unknown) = (FileOpen::Open, FileOpen::NotOpen, FileOpen::NotKnown);
        let with = |database_open, wal_open| Mapping { database_open, wal_open, ..mapping(2, 8, None) };
        for first in [(unknown, unknown), (yes, unknown), (no, unknown)] {
            let after = |next: fn(MappingsView) -> MappingsView| {
                let seen = settle_all(|look| {
                    let with = MappingsView { mappings: vec![with(first.0, first.1)], ..MappingsView::default() };
                    Observation::seen(if look < 3 { with } else { next(with) })
                });
                let files = seen.mappings.iter().map(|mapping| (mapping.database_open, mapping.wal_open)).collect();
                (files, seen.passing)
            };
            let stays: (Vec<_>, u32) = after(|view| view);
            assert_eq!(stays, (vec![first], 0));
            let gone = |view| MappingsView { mappings: vec![], ..view };
            assert_eq!(after(gone), (vec![], 1));
            // Whoever can no longer be looked at is not known to be gone.
            let last = if first.0 == no { (unknown, unknown) } else { first };
            assert_eq!(after(|view| MappingsView { mappings: vec![], processes_denied: 1, ..view }), (vec![last], 0));
            let opened = after(|mut view| {
                (view.mappings[0].database_open, view.mappings[0].wal_open) = (FileOpen::Open, FileOpen::Open);
                view
            });
            assert_eq!(opened, (vec![(yes, yes)], 0));
        }
    }

    #[test]
    fn of_a_process_that_seems_to_use_other_files_one_unclear_look_is_no_confirmation() {
        let at = |look| if look == 2 { FileOpen::NotKnown } else { FileOpen::NotOpen };
        let seen = settle_all(|look| view(vec![Mapping { database_open: at(look), ..mapping(2, 8, None) }]));
        assert_eq!(seen.mappings[0].database_open, FileOpen::NotKnown);
    }

    fn settle_all(look: impl Fn(usize) -> Observation<MappingsView>) -> MappingsView {
        let mut looks = 0;
        let look = || {
            looks += 1;
            (Some(PathLeads::Here), look(looks))
        };
        settled(look, || {}).value().unwrap().clone()
    }

    #[test]
    fn a_process_without_a_start_cannot_be_recognised_again() {
        let nameless = || Mapping { start_time: None, ..mapping(2, 8, CUT) };
        assert_eq!(kept(|_| (PathLeads::Here, view(vec![nameless()]))), (vec![], 1, 1));
    }
}
