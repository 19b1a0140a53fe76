//! What holds for any two sides: missing evidence never raises a verdict, and order does not matter.

use proptest::prelude::*;

use super::pieces::{LIVE_PIECES, PIECES, of};
use super::*;
use walscope::evidence::live::{BeaconLook, Live, Mapper, Sight};
use walscope::evidence::{
    Access, Contact, DatabaseLock, FileOpen, FileView, MountAccess, Observation, OtherIndex, SwitchLock,
};
use walscope::number::Checksum;

/// Differences that a pair can have.
const VARIATIONS: u32 = 41;
/// Differences that what two live sides show can have.
const LIVE_VARIATIONS: u32 = 8;

fn vary(sides: &mut [Side; 2], which: u32) {
    let [a, b] = sides;
    match which {
        0 => own_shm(b, 78),
        1 => with_shm(b, |shm| shm.birth_time = Observation::seen(time(150 * SECOND))),
        2 => with_shm(a, |shm| shm.links = 0),
        3 => a.evidence.paths_unchanged = false,
        20 => {
            a.evidence.paths_unchanged = false;
            a.evidence.folder_unchanged = false;
        }
        4 => with_shm(b, |shm| shm.generation = Observation::seen(1)),
        5 => with_shm(b, |shm| shm.file_system = Observation::seen(named("overlay", 0x794c_7630))),
        6 => with_shm(a, |shm| shm.file_system = Observation::seen(named("fuse.bindfs", 0x6573_5546))),
        7 => a.evidence.files.shm = Observation::missing("ENOENT"),
        8 => b.evidence.files.shm = Observation::missing("ENOENT"),
        9 => b.evidence.files.directory = Observation::seen(file(3)),
        10 => b.evidence.files.database = Observation::seen(file(79)),
        11 => b.evidence.samples.iter_mut().for_each(|sample| sample.mx_frame = walscope::number::FrameNumber(8)),
        12 => b.wal = wal(12, SALTS, 0),
        13 => {
            if let Observation::Seen { value } = &mut a.evidence.mappings {
                value.mappings.push(cut_off(13, "mnt:[11]", 70));
            }
        }
        16 => {
            if let Observation::Seen { value } = &mut b.evidence.mappings {
                value.mappings.iter_mut().for_each(|mapping| mapping.start_time = Some(150 * 100));
            }
        }
        17 => {
            // The captures overlap.
            b.evidence.begun = clock(100 * SECOND + SECOND / 2);
        }
        18 => b.evidence.files.wal = Observation::seen(file(80)),
        19 => a.evidence = b.evidence.clone(),
        21 => with_shm(b, |shm| shm.disk_sequence = Observation::seen(10)),
        22 => {
            with_shm(a, |shm| shm.unique_mount_id = Observation::seen(500));
            with_shm(b, |shm| shm.unique_mount_id = Observation::seen(500));
        }
        23 => of(&mut b.evidence.files.database, |file| file.birth_time = Observation::seen(time(51 * SECOND))),
        24 => of(&mut b.evidence.files.wal, |file| file.birth_time = Observation::seen(time(51 * SECOND))),
        25 => {
            if let Observation::Seen { value } = &mut b.evidence.mappings {
                value.mappings.iter_mut().for_each(|mapping| mapping.database_open = FileOpen::NotOpen);
            }
        }
        26 => {
            b.evidence.files.database =
                Observation::seen(FileView { birth_time: Observation::seen(time(150 * SECOND)), ..file(79) });
        }
        27..=32 => {
            let Observation::Seen { value } = &mut b.evidence.users else { return };
            for user in &mut value.users {
                match which {
                    27 => (user.database_lock, user.dead_man_switch) = (DatabaseLock::None, SwitchLock::NotHeld),
                    28 => user.mapped = Access::No,
                    29 => user.database_lock = DatabaseLock::Exclusive,
                    30 => user.on_replaced_files = true,
                    31 => user.other_index = Some(OtherIndex { inode: None, path: None, certain: false }),
                    _ => user.other_index = Some(OtherIndex { inode: None, path: None, certain: true }),
                }
            }
        }
        33 => of(&mut b.evidence.files.directory, |file| file.mount_access = Observation::seen(MountAccess::ReadOnly)),
        34 => with_shm(b, |shm| shm.mount_access = Observation::seen(MountAccess::ReadOnly)),
        35 => seen(&mut b.evidence.locks).shm.dead_man_switch.state = LockState::Free,
        36 => seen(&mut b.evidence.locks).database.state = LockState::Exclusive,
        37 => b.database = Some(database(1, 5)),
        38 => b.database = Some(database(2, 4)),
        39 => b.wal.last_commit.as_mut().into_iter().for_each(|last| last.checksum = Checksum([1, 1])),
        40 => {
            a.evidence.contact = Observation::seen(Contact { held: Some(7), seen: Vec::new() });
            b.evidence.contact = Observation::seen(Contact { held: None, seen: vec![7] });
        }
        14 => b.evidence.host.boot_id = Observation::seen("another".into()),
        _ => b.wal = wal(4, [101, 9], 1),
    }
}

fn vary_live(live: &mut Live, which: u32) {
    let view = seen(&mut live.pages);
    match which {
        0 => view.b[0] = table(Mapper::Descriptor, &[90, 91]),
        1 => view.b[1] = by_process(12, &[90, 91]),
        2 => view.a.push(by_process(13, &[70, 92])),
        3 => view.b.push(by_process(14, &[0, 0])),
        4 => view.a[1].writable = false,
        5 => view.b[1].same_path = false,
        6 => live.beacon.forth = Observation::seen(BeaconLook { sight: Sight::NotSeen, ..look(5) }),
        _ => live.beacon.back = Observation::seen(BeaconLook { sight: Sight::Garbled, ..look(6) }),
    }
}

/// The kinds that prove an aspect.
pub fn proofs(comparison: &Comparison, aspect: About) -> Vec<Kind> {
    let items = comparison.verdict.because();
    items
        .filter(|item| item.says == Says::Proves && (item.about == aspect || item.about == About::Both))
        .map(|item| item.kind)
        .collect()
}

fn answers(comparison: &Comparison) -> impl PartialEq + std::fmt::Debug + use<> {
    let verdict = &comparison.verdict;
    let because: Vec<_> = verdict.because().map(|item| (item.kind, item.about, item.says)).collect();
    (verdict.sharing, verdict.memory, verdict.locks, verdict.subject, because)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A refuted verdict can only become a proven one where the proof already stood and was outvoted by what was
    /// removed; an undecided one never.
    #[test]
    fn removing_evidence_never_adds_a_proof(
        variations in prop::collection::vec(0..VARIATIONS, 0..4),
        removals in prop::collection::vec((0..2usize, prop::sample::select(PIECES)), 0..4),
        live_variations in prop::collection::vec(0..LIVE_VARIATIONS, 0..4),
        live_removals in prop::collection::vec(prop::sample::select(LIVE_PIECES), 0..4),
        simultaneous: bool,
    ) {
        let (mut sides, mut tried) = (pair(), live());
        for which in variations {
            vary(&mut sides, which);
        }
        for which in live_variations {
            vary_live(&mut tried, which);
        }
        let judge = |sides: &[Side; 2], tried: &Live| {
            compare_live(sides, simultaneous, &[LivePair { at: (0, 1), live: tried.clone() }])
        };
        let full = judge(&sides, &tried);
        for (side, piece) in removals {
            (piece.take)(&mut sides[side]);
        }
        for piece in live_removals {
            (piece.take)(&mut tried);
        }
        let less = judge(&sides, &tried);
        for aspect in [About::Memory, About::Locks] {
            let before = proofs(&full, aspect);
            for kind in proofs(&less, aspect) {
                prop_assert!(before.contains(&kind), "{kind:?} proves only with less evidence");
            }
        }
        // What processes hold can only hold a proof back. Its proofs are listed, and were compared above.
        let held_back = full.verdict.pairs.iter().any(|pair| pair.held_back.is_some());
        if full.verdict.sharing == Answer::Undecided && !held_back {
            prop_assert_ne!(less.verdict.sharing, Answer::Proven);
        }
    }

    #[test]
    fn the_order_of_the_sides_does_not_matter(
        variations in prop::collection::vec(0..VARIATIONS, 0..4),
        simultaneous: bool,
    ) {
        let mut sides = pair();
        for which in variations {
            vary(&mut sides, which);
        }
        let forth = compare(&sides, simultaneous);
        sides.reverse();
        let back = compare(&sides, simultaneous);
        prop_assert_eq!(answers(&forth), answers(&back));
        prop_assert_eq!(&forth.verdict.decided_by, &back.verdict.decided_by);
        let label = |c: &Comparison, side: SideIndex| c.sides[side.0].label.clone();
        let lineage = |c: &Comparison| {
            let found = &c.lineage[0];
            (found.relation, found.ahead.map(|side| label(c, side)), found.commits)
        };
        prop_assert_eq!(lineage(&forth), lineage(&back));
        let codes = |c: &Comparison| {
            let mut codes: Vec<_> = c.findings.iter().map(|finding| finding.code()).collect();
            codes.sort();
            codes
        };
        prop_assert_eq!(codes(&forth), codes(&back));
    }
}
