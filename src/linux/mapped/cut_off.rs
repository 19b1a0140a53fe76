//! Which processes seem cut off from the `-shm` of one side, and whether they stay cut off.

use std::collections::BTreeSet;

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
pub(super) fn settled(
    mut look: impl FnMut() -> (Option<PathLeads>, Observation<MappingsView>),
    pause: impl FnMut(),
) -> Observation<MappingsView> {
    let (leads, mut first) = look();
    let Observation::Seen { value: view } = &mut first else { return first };
    let standing = settle::settle(suspects(view), pause, |_| {
        let (leads_now, now) = look();
        now.value().filter(|_| leads.is_some() && leads_now == leads).map(suspects).unwrap_or_default()
    });
    let before = view.mappings.len();
    view.mappings
        .retain(|mapping| mapping.cut_off.is_none() || suspect(mapping).is_some_and(|key| standing.contains(&key)));
    view.passing = u32::try_from(before - view.mappings.len()).unwrap_or(u32::MAX);
    for mapping in view.mappings.iter_mut().filter(|mapping| uses_others(mapping)) {
        if !suspect(mapping).is_some_and(|key| standing.contains(&key)) {
            (mapping.database_open, mapping.wal_open) = (FileOpen::NotKnown, FileOpen::NotKnown);
        }
    }
    first
}

/// One process, by pid and start, and an inode.
type Suspect = (u32, u64, InodeId);

fn suspects(view: &MappingsView) -> BTreeSet<Suspect> {
    let suspects = view.mappings.iter().filter(|mapping| mapping.cut_off.is_some() || uses_others(mapping));
    suspects.filter_map(suspect).collect()
}

/// Whether the process seems to use the wal-index for another database or `-wal`.
fn uses_others(mapping: &Mapping) -> bool {
    mapping.database_open == FileOpen::NotOpen || mapping.wal_open == FileOpen::NotOpen
}

/// The suspect for a mapping. `None` without a start time: then the process could be confused with a later one of the
/// same pid.
fn suspect(mapping: &Mapping) -> Option<Suspect> {
    Some((mapping.pid, mapping.start_time?, mapping.inode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{CutOff, Device};

    fn mapping(pid: u32, inode: u64, cut_off: Option<CutOff>) -> Mapping {
        Mapping {
            pid,
            command: None,
            start_time: Some(5),
            mount_namespace: Observation::seen("mnt:[1]".into()),
            container: None,
            inode: InodeId { device: Device { major: 8, minor: 1 }, inode },
            offset: 0,
            length: 32_768,
            shared: true,
            path: "/data/t.db-shm".into(),
            deleted_suffix: false,
            cut_off,
            database_open: FileOpen::NotKnown,
            wal_open: FileOpen::NotKnown,
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
            assert_eq!(seen.mappings[0].database_open, (last == 6).then_some(false).into(), "{last}");
            assert_eq!(seen.passing, 0);
        }
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
