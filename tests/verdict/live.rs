//! What two live sides show together: page frames, beacons, trials.

use super::*;
use walscope::evidence::live::{
    Arrival, CoherenceView, Live, Mapper, PageEntry, Refusal, Sight, Touched, TriedLook, TriedView,
};

fn fuse() -> [Side; 2] {
    let mut sides = pair();
    on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    sides
}

fn pages(live: &mut Live) -> &mut walscope::evidence::live::PagesView {
    seen(&mut live.pages)
}

#[test]
fn two_live_sides_are_decided_by_three_independent_proofs() {
    let verdict = compare_two(&pair(), &live()).verdict;
    assert_eq!(verdict.sharing, Answer::Proven);
    assert_eq!(verdict.subject, Subject::Mappings);
    assert_eq!(verdict.decided_by, [Kind::PhysicalPages, Kind::KernelIdentity, Kind::LockBeacon]);
}

#[test]
fn without_live_sides_pages_and_beacon_are_listed_as_silent() {
    let comparison = compare(&pair(), false);
    for kind in [Kind::PhysicalPages, Kind::LockBeacon] {
        assert_eq!(says(&comparison, kind), Says::Silent);
    }
}

#[test]
fn pages_of_a_shm_that_was_replaced_meanwhile_say_nothing() {
    for frames in [[70, 71], [80, 81]] {
        let mut live = live();
        pages(&mut live).files_in_place = false;
        pages(&mut live).b = vec![by_process(12, &frames)];
        assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Silent);
    }
}

#[test]
fn pages_that_were_not_touched_because_the_file_system_did_not_answer_say_so() {
    for (touched, said) in [(Touched::NotAnswered, "did not answer"), (Touched::Failed, "idle processes")] {
        let mut live = live();
        let pages = pages(&mut live);
        pages.touched = touched;
        for table in pages.a.iter_mut().chain(&mut pages.b) {
            table.reads = Observation::seen(vec![vec![PageEntry(0); 2]; 6]);
        }
        let comparison = compare_two(&fuse(), &live);
        assert_eq!(says(&comparison, Kind::PhysicalPages), Says::Silent);
        let document = document(&fuse(), &comparison);
        let item = document.verdict.because.iter().find(|item| item.kind == Kind::PhysicalPages.into()).unwrap();
        assert!(item.reason.as_ref().unwrap().contains(said), "{item:?}");
    }
}

#[test]
fn on_fuse_pages_prove_memory_and_the_beacon_does_not_prove_locks() {
    let comparison = compare_two(&fuse(), &live());
    assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Supports);
    assert_eq!(items(&comparison, Kind::LockBeacon), [(About::Locks, Says::Supports)]);
    assert_eq!((comparison.verdict.memory, comparison.verdict.locks), (Answer::Proven, Answer::Undecided));
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    assert_eq!(comparison.verdict.decided_by, [Kind::PhysicalPages]);
    assert!(explained(&comparison).contains("probe meet FOLDER"), "{}", explained(&comparison));
}

/// Which kind of file system, whether a beacon that was seen proves locks, and whether one that was not refutes them.
const ASKED: [(&str, u64, Says, Says); 11] = [
    ("ext4", 0xef53, Says::Proves, Says::Refutes),
    ("xfs", 0x5846_5342, Says::Proves, Says::Refutes),
    ("btrfs", 0x9123_683e, Says::Proves, Says::Refutes),
    ("tmpfs", 0x0102_1994, Says::Proves, Says::Refutes),
    ("f2fs", 0xf2f5_2010, Says::Proves, Says::Refutes),
    ("overlay", 0x794c_7630, Says::Proves, Says::Refutes),
    ("fuse.bindfs", 0x6573_5546, Says::Supports, Says::Refutes),
    ("virtiofs", 0x6573_5546, Says::Supports, Says::Refutes),
    ("nfs", 0x6969, Says::Supports, Says::Silent),
    ("nfs4", 0x6969, Says::Supports, Says::Silent),
    ("newfs", 0x1234_5678, Says::Supports, Says::Silent),
];

#[test]
fn what_a_beacon_is_worth_is_known_of_each_file_system() {
    let mut unseen = live();
    unseen.beacon.forth = Observation::seen(walscope::evidence::live::BeaconLook { sight: Sight::NotSeen, ..look(5) });
    unseen.beacon.back = unseen.beacon.forth.clone();
    for (name, magic, seen, not_seen) in ASKED {
        let mut sides = pair();
        on(&mut sides, &named(name, magic));
        assert_eq!(says(&compare_two(&sides, &live()), Kind::LockBeacon), seen, "{name}");
        assert_eq!(says(&compare_two(&sides, &unseen), Kind::LockBeacon), not_seen, "{name}");
        // The more careful side counts.
        let ([writer, reader], [careful_writer, careful_reader]) = (pair(), sides);
        for mixed in [[writer, careful_reader], [careful_writer, reader]] {
            assert_eq!(says(&compare_two(&mixed, &live()), Kind::LockBeacon), seen, "{name}");
            assert_eq!(says(&compare_two(&mixed, &unseen), Kind::LockBeacon), not_seen, "{name}");
        }
    }
}

#[test]
fn on_fuse_equal_pages_of_walscope_s_own_descriptors_only_support() {
    let mut live = live();
    pages(&mut live).a.truncate(1);
    pages(&mut live).b.truncate(1);
    let comparison = compare_two(&fuse(), &live);
    assert_eq!(says(&comparison, Kind::PhysicalPages), Says::Supports);
    assert_eq!((comparison.verdict.memory, comparison.verdict.locks), (Answer::Undecided, Answer::Undecided));
    assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Proves);
}

#[test]
fn on_fuse_a_process_whose_pages_were_not_seen_leaves_it_undecided() {
    let mut live = live();
    pages(&mut live).b.push(by_process(13, &[0, 0]));
    let comparison = compare_two(&fuse(), &live);
    assert_eq!(says(&comparison, Kind::PhysicalPages), Says::Supports);
    assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Proves);
}

#[test]
fn different_frames_refute_memory_whatever_the_identity_says() {
    let mut live = live();
    for table in &mut pages(&mut live).b {
        table.reads = Observation::seen(vec![entries(&[80, 81]); 6]);
    }
    for sides in [pair(), fuse()] {
        let comparison = compare_two(&sides, &live);
        assert_eq!(items(&comparison, Kind::PhysicalPages), [(About::Memory, Says::Refutes)]);
        assert_eq!((comparison.verdict.memory, comparison.verdict.sharing), (Answer::Refuted, Answer::Refuted));
    }
    assert_eq!(compare_two(&pair(), &live).verdict.locks, Answer::Proven);
}

#[test]
fn a_process_with_other_pages_than_its_own_path_leads_to_refutes() {
    let mut live = live();
    pages(&mut live).b.push(by_process(13, &[90, 91]));
    let comparison = compare_two(&fuse(), &live);
    assert_eq!(comparison.verdict.memory, Answer::Refuted);
    assert_eq!(comparison.verdict.subject, Subject::Mappings);
}

#[test]
fn a_page_that_moves_between_two_looks_says_nothing() {
    let mut live = live();
    let moving: Vec<_> = (0..6).map(|round| entries(&[100 + round])).collect();
    for table in &mut pages(&mut live).a {
        table.reads = Observation::seen(moving.clone());
    }
    for table in &mut pages(&mut live).b {
        table.reads = Observation::seen(vec![entries(&[80]); 6]);
    }
    assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Silent);
    // The frame that it had is used by the other side now: equal before the move is not one.
    let mut reused = moving.clone();
    reused[0] = entries(&[80]);
    for table in &mut pages(&mut live).a {
        table.reads = Observation::seen(reused.clone());
    }
    assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Silent);
    // Twice apart is not often enough.
    for table in &mut pages(&mut live).a {
        let mut reads = moving.clone();
        reads[1] = entries(&[100]);
        reads[2] = entries(&[100]);
        table.reads = Observation::seen(reads);
    }
    assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Silent);
}

#[test]
fn frames_that_read_as_zero_are_no_equal_frames() {
    for entry in [0, 1 << 63, 1 << 63 | 1 << 61, 1 << 63 | 70] {
        let mut live = live();
        let view = pages(&mut live);
        for table in view.a.iter_mut().chain(&mut view.b) {
            table.reads = Observation::seen(vec![vec![PageEntry(entry)]; 6]);
        }
        let comparison = compare_two(&pair(), &live);
        assert_eq!(says(&comparison, Kind::PhysicalPages), Says::Silent, "{entry:x}");
    }
}

#[test]
fn on_an_overlay_walscope_s_own_descriptor_neither_proves_nor_refutes() {
    let mut sides = pair();
    on(&mut sides, &named("overlay", 0x794c_7630));
    let mut live = live();
    pages(&mut live).a.truncate(1);
    pages(&mut live).b.truncate(1);
    assert_eq!(says(&compare_two(&sides, &live), Kind::PhysicalPages), Says::Silent);
    pages(&mut live).b[0] = table(Mapper::Descriptor, &[90]);
    assert_eq!(says(&compare_two(&sides, &live), Kind::PhysicalPages), Says::Silent);
}

#[test]
fn a_read_only_mapping_is_no_proof() {
    let mut live = live();
    pages(&mut live).a[1].writable = false;
    assert_ne!(says(&compare_two(&fuse(), &live), Kind::PhysicalPages), Says::Proves);
}

#[test]
fn on_other_file_systems_a_process_counts_only_under_the_side_s_own_path() {
    let mut live = live();
    pages(&mut live).b[1].same_path = false;
    assert_eq!(says(&compare_two(&fuse(), &live), Kind::PhysicalPages), Says::Supports);
    assert_eq!(compare_two(&pair(), &live).verdict.sharing, Answer::Proven);
}

#[test]
fn on_other_file_systems_a_process_that_was_not_read_leaves_it_undecided() {
    let beyond: fn(&mut Live) = |live| pages(live).not_looked_at = 1;
    let elsewhere: fn(&mut Live) = |live| {
        let other = by_process(13, &[0, 0]);
        pages(live).b.push(walscope::evidence::live::PageTable { same_path: false, ..other });
    };
    for change in [beyond, elsewhere] {
        let mut live = live();
        assert_eq!(says(&compare_two(&fuse(), &live), Kind::PhysicalPages), Says::Proves);
        change(&mut live);
        assert_eq!(says(&compare_two(&fuse(), &live), Kind::PhysicalPages), Says::Supports);
        assert_eq!(says(&compare_two(&pair(), &live), Kind::PhysicalPages), Says::Proves);
    }
}

#[test]
fn an_unseen_beacon_refutes_only_when_it_was_surely_there() {
    let mut live = live();
    let not_seen = walscope::evidence::live::BeaconLook { sight: Sight::NotSeen, ..look(5) };
    live.beacon.forth = Observation::seen(not_seen);
    live.beacon.back = live.beacon.forth.clone();
    let comparison = compare_two(&fuse(), &live);
    assert_eq!((comparison.verdict.memory, comparison.verdict.locks), (Answer::Proven, Answer::Refuted));
    for change in 0..3 {
        let mut look = not_seen;
        match change {
            0 => look.held_throughout = false,
            1 => look.files_in_place = false,
            _ => look.sight = Sight::Garbled,
        }
        live.beacon.forth = Observation::seen(look);
        live.beacon.back = live.beacon.forth.clone();
        assert_eq!(says(&compare_two(&fuse(), &live), Kind::LockBeacon), Says::Silent, "{change}");
    }
    live.beacon.forth = Observation::unsupported("EINVAL");
    live.beacon.back = Observation::unsupported("EINVAL");
    let comparison = compare_two(&fuse(), &live);
    assert_eq!(says(&comparison, Kind::LockBeacon), Says::Silent);
    assert_eq!(comparison.verdict.locks, Answer::Undecided);
}

#[test]
fn locks_without_memory_and_memory_without_locks_are_no_contradiction() {
    let mut live = live();
    for table in &mut pages(&mut live).b {
        table.reads = Observation::seen(vec![entries(&[80, 81]); 6]);
    }
    let comparison = compare_two(&fuse(), &live);
    assert!(!explained(&comparison).contains("contradicts"), "{}", explained(&comparison));
}

#[test]
fn one_wal_index_beside_two_databases_is_not_called_shared() {
    for sides in [pair(), fuse()] {
        let mut sides = sides;
        sides[1].evidence.files.database = Observation::seen(file(79));
        let comparison = compare_two(&sides, &live());
        assert_eq!(comparison.verdict.memory, Answer::Proven);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        sides[1].evidence.files.database = Observation::denied("EACCES");
        assert_eq!(compare_two(&sides, &live()).verdict.sharing, Answer::Undecided);
    }
}

fn tried(refusal: Refusal) -> TriedLook {
    let seen = || Observation::seen(refusal);
    TriedLook { by_description: seen(), by_process: seen(), as_sqlite: seen(), held_throughout: true }
}

/// What a trial on a folder showed: every lock refused, both ways.
fn folder(forth: Arrival, back: Arrival, made: u32) -> Live {
    let found = CoherenceView { forth, back, round_trips: vec![900; made as usize], wanted: 4, made };
    let tried = TriedView { forth: tried(Refusal::Refused), back: tried(Refusal::Refused) };
    Live { coherence: Some(Observation::seen(found)), tried: Some(Observation::seen(tried)), ..live() }
}

fn trial(forth: Arrival, back: Arrival, made: u32) -> Verdict {
    probe(Met::Folder(None), &folder(forth, back, made))
}

#[test]
fn a_trial_proves_memory_only_when_every_number_came_back() {
    use Arrival::{Arrived, Lost, NotKnown};
    assert_eq!(trial(Arrived, Arrived, 4).memory, Answer::Proven);
    assert_eq!(trial(Arrived, Arrived, 4).sharing, Answer::Proven);
    assert_eq!(trial(Arrived, Arrived, 3).memory, Answer::Undecided);
    assert_eq!(trial(NotKnown, Arrived, 4).memory, Answer::Undecided);
    assert_eq!(trial(Arrived, Lost, 0).memory, Answer::Refuted);
    assert_eq!(trial(Lost, NotKnown, 0).memory, Answer::Refuted);
}

#[test]
fn locks_of_a_folder_are_proven_by_being_refused_both_ways() {
    use Refusal::{Garbled, Granted, Refused};
    let judged = |change: &dyn Fn(&mut TriedView)| {
        let mut live = folder(Arrival::Arrived, Arrival::Arrived, 4);
        change(seen(live.tried.as_mut().unwrap()));
        // Whatever was seen, on FUSE it does not decide.
        let fuse = named("fuse.bindfs", 0x6573_5546);
        let verdict = probe(Met::Folder(Some(&fuse)), &live);
        (verdict.locks, verdict.sharing)
    };
    let same = |answer| (answer, answer);
    assert_eq!(judged(&|_| {}), same(Answer::Proven));
    type Field = fn(&mut TriedLook) -> &mut Observation<Refusal>;
    let fields: [Field; 3] = [|look| &mut look.by_description, |look| &mut look.by_process, |look| &mut look.as_sqlite];
    for field in fields {
        for back in [false, true] {
            let of = |view: &mut TriedView, what: Observation<Refusal>, held: bool| {
                let look = if back { &mut view.back } else { &mut view.forth };
                *field(look) = what;
                look.held_throughout = held;
            };
            assert_eq!(judged(&|view| of(view, Observation::seen(Granted), true)), same(Answer::Refuted));
            assert_eq!(judged(&|view| of(view, Observation::seen(Granted), false)), same(Answer::Undecided));
            assert_eq!(judged(&|view| of(view, Observation::seen(Garbled), true)), same(Answer::Undecided));
            assert_eq!(judged(&|view| of(view, Observation::seen(Refused), false)), same(Answer::Proven));
        }
    }
    // SQLite uses locks of processes: where the kernel has no others, these are enough.
    let without = |field: Field| {
        judged(&|view| {
            for look in [&mut view.forth, &mut view.back] {
                *field(look) = Observation::unsupported("EINVAL");
            }
        })
    };
    assert_eq!(without(fields[0]), same(Answer::Proven));
    assert_eq!((without(fields[1]), without(fields[2])), (same(Answer::Undecided), same(Answer::Undecided)));
}

#[test]
fn a_folder_in_which_no_locks_were_tried_is_proven_by_what_is_seen_on_local_file_systems_alone() {
    let mut live = folder(Arrival::Arrived, Arrival::Arrived, 4);
    live.tried = None;
    for (system, locks) in [
        (Some(ext4()), Answer::Proven),
        (Some(named("nfs4", 0x6969)), Answer::Undecided),
        (Some(named("fuse.bindfs", 0x6573_5546)), Answer::Undecided),
        (None, Answer::Undecided),
    ] {
        let verdict = probe(Met::Folder(system.as_ref()), &live);
        assert_eq!((verdict.memory, verdict.locks), (Answer::Proven, locks), "{system:?}");
        // What stays open is named, with what it means for WAL mode.
        let told = walscope::say::verdict::explain_try(&verdict);
        let open = "did not decide whether a lock here keeps others out: if not, two writers write over each other. Memory is shared.";
        assert_eq!(told.contains(open), locks == Answer::Undecided, "{told}");
    }
    let told = walscope::say::verdict::explain_try(&trial(Arrival::NotKnown, Arrival::Arrived, 4));
    assert!(told.contains("one memory of a file") && told.contains("Locks work. WAL mode needs both"), "{told}");
}

#[test]
fn a_beacon_alone_proves_nothing_and_with_one_identity_memory_and_locks() {
    let [side, _] = pair();
    // A relay can copy the locks of one file to another.
    let unknown = [PeerUnknown::NotRead, PeerUnknown::Differs, PeerUnknown::DiffersOrToken, PeerUnknown::UnseenHere];
    for unknown in unknown {
        let verdict = probe(Met::Unknown(unknown), &live());
        assert_eq!((verdict.memory, verdict.locks), (Answer::Undecided, Answer::Undecided));
        let explanation = walscope::say::verdict::explain_probe(&verdict, false);
        assert!(explanation.contains("probe meet FOLDER"), "{explanation}");
        assert_eq!(explanation.contains("--token"), unknown == PeerUnknown::DiffersOrToken, "{explanation}");
    }
    let verdict = probe(Met::SameIdentity(&side), &live());
    assert_eq!((verdict.sharing, verdict.subject), (Answer::Proven, Subject::Paths));
    assert_eq!(verdict.decided_by, [Kind::KernelIdentity, Kind::LockBeacon]);
    // What neither side was shown may be two.
    for change in 0..2 {
        let [mut side, _] = pair();
        match change {
            0 => side.evidence.files.wal = Observation::denied("EACCES"),
            _ => side.evidence.files.database = Observation::unsupported("EIO"),
        }
        let verdict = probe(Met::SameIdentity(&side), &live());
        assert_eq!((verdict.sharing, verdict.locks), (Answer::Undecided, Answer::Proven));
        let explanation = walscope::say::verdict::explain_probe(&verdict, false);
        assert!(explanation.contains("That database and -wal are one is not shown"), "{explanation}");
        assert!(verdict.pairs[0].doubt.is_some());
    }
    let [mut side, _] = pair();
    side.evidence.files.wal = Observation::missing("ENOENT");
    assert_eq!(probe(Met::SameIdentity(&side), &live()).sharing, Answer::Undecided, "its -shm is in use");
    side.evidence.locks = Observation::seen(locks(LockState::Free));
    assert_eq!(probe(Met::SameIdentity(&side), &live()).sharing, Answer::Proven);
    let [side, _] = fuse();
    let verdict = probe(Met::SameIdentity(&side), &live());
    assert_eq!((verdict.memory, verdict.locks), (Answer::Undecided, Answer::Undecided));
}

#[test]
fn what_processes_of_this_side_hold_counts_in_a_probe_as_in_a_comparison() {
    use walscope::evidence::{Access, DatabaseLock, FileOpen, OtherIndex, SwitchLock, User};
    let here = |change: &dyn Fn(&mut Side)| {
        let [mut side, _] = pair();
        change(&mut side);
        let verdict = probe(Met::SameIdentity(&side), &live());
        (verdict.sharing, verdict.subject, walscope::say::verdict::explain_probe(&verdict, false))
    };
    let user = |side: &mut Side, change: &dyn Fn(&mut User)| {
        change(&mut seen(&mut side.evidence.users).users[0]);
    };
    let (undecided, told) = ((Answer::Undecided, Subject::Paths), "process 11");
    let on_replaced = here(&|side| user(side, &|user| user.on_replaced_files = true));
    let other_wal = here(&|side| seen(&mut side.evidence.mappings).mappings[0].wal_open = FileOpen::NotOpen);
    let index = |certain| Some(OtherIndex { inode: None, path: Some("/data/other.db-shm".into()), certain });
    let without = |side: &mut Side, certain: bool| {
        user(side, &|user| {
            (user.mapped, user.dead_man_switch) = (Access::No, SwitchLock::NotHeld);
            (user.database_lock, user.other_index) = (DatabaseLock::Shared, index(certain));
        });
    };
    let may_be_elsewhere = here(&|side| without(side, false));
    for (sharing, subject, says) in [on_replaced, other_wal, may_be_elsewhere] {
        assert_eq!((sharing, subject), undecided, "{says}");
        assert!(says.contains(told), "{says}");
    }
    let elsewhere = here(&|side| without(side, true));
    let cut_off = here(&|side| seen(&mut side.evidence.mappings).mappings.push(cut_off(13, "mnt:[1]", 99)));
    for ((sharing, subject, says), told) in [(elsewhere, told), (cut_off, "process 13")] {
        assert_eq!((sharing, subject), (Answer::Refuted, Subject::Mappings), "{says}");
        assert!(says.contains(told), "{says}");
        assert_eq!(says.matches(told).count(), 1, "named once: {says}");
    }
    // A process that has lost its locks leaves the paths as they are, as in a comparison.
    let (sharing, subject, _) = here(&|side| user(side, &|user| user.dead_man_switch = SwitchLock::NotHeld));
    assert_eq!((sharing, subject), (Answer::Proven, Subject::Paths));
}
