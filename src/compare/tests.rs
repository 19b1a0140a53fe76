//! Every rule by name.

use super::fixtures::*;
use super::*;
use crate::evidence::{LockState, Observation};

fn items(comparison: &Comparison, kind: Kind) -> Vec<(About, Says)> {
    comparison.verdict.because.iter().filter(|item| item.kind == kind).map(|item| (item.about, item.says)).collect()
}

fn says(comparison: &Comparison, kind: Kind) -> Says {
    items(comparison, kind)[0].1
}

fn codes(comparison: &Comparison) -> Vec<&str> {
    comparison.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn unmap(sides: &mut [Side]) {
    for side in sides {
        side.evidence.mappings = Observation::denied("EACCES");
    }
}

/// Every observation of the `-shm`'s generation gone, as on tmpfs and overlay.
fn on(sides: &mut [Side], file_system: &crate::evidence::FileSystem) {
    for side in sides {
        for file in [
            &mut side.evidence.files.shm,
            &mut side.evidence.files.wal,
            &mut side.evidence.files.database,
            &mut side.evidence.files.directory,
        ] {
            seen(file).file_system = Observation::seen(file_system.clone());
            if file_system.name != "ext4" {
                seen(file).generation = Observation::unsupported("ENOTTY");
            }
        }
    }
}

mod kernel_identity {
    use super::*;

    #[test]
    fn one_inode_with_generation_and_birth_proves_memory_and_locks() {
        let comparison = compare(&pair(), false);
        assert_eq!(comparison.verdict.sharing, Answer::Proven);
        assert_eq!(comparison.verdict.memory, Answer::Proven);
        assert_eq!(comparison.verdict.locks, Answer::Proven);
        assert_eq!(comparison.verdict.decided_by, [Kind::KernelIdentity]);
        assert_eq!(items(&comparison, Kind::KernelIdentity), [(About::Both, Says::Proves)]);
        assert!(comparison.findings.is_empty());
    }

    #[test]
    fn a_boot_id_that_was_not_seen_silences() {
        let mut sides = pair();
        sides[1].evidence.host.boot_id = Observation::denied("EACCES");
        let comparison = compare(&sides, true);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn different_boot_ids_do_not_refute() {
        let mut sides = pair();
        sides[1].evidence.host.boot_id = Observation::seen("another".into());
        own_shm(&mut sides[1], 78);
        let comparison = compare(&sides, true);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn without_the_identity_that_maps_prints_it_is_silent() {
        let mut sides = pair();
        with_shm(&mut sides[0], |shm| shm.maps_identity = Observation::denied("mmap: EPERM"));
        assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Silent);
    }

    #[test]
    fn captures_apart_need_generation_and_birth_time() {
        for without in 0..2 {
            let mut sides = pair();
            with_shm(&mut sides[0], |shm| match without {
                0 => shm.generation = Observation::unsupported("ENOTTY"),
                _ => shm.birth_time = Observation::unsupported("no btime"),
            });
            let apart = compare(&sides, false);
            assert_eq!(says(&apart, Kind::KernelIdentity), Says::Supports);
            assert_eq!(apart.verdict.sharing, Answer::Undecided);
            // While both descriptors are open, one of them is enough.
            assert_eq!(compare(&sides, true).verdict.sharing, Answer::Proven);
        }
    }

    #[test]
    fn equal_numbers_without_generation_and_birth_time_never_prove() {
        let mut sides = pair();
        with_shm(&mut sides[0], |shm| {
            shm.generation = Observation::unsupported("ENOTTY");
            shm.birth_time = Observation::unsupported("no btime");
        });
        for simultaneous in [false, true] {
            let comparison = compare(&sides, simultaneous);
            assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Supports);
            assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        }
    }

    #[test]
    fn tmpfs_proves_by_birth_time_and_fsid() {
        let mut sides = pair();
        on(&mut sides, &named("tmpfs", 0x0102_1994));
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Proves);
    }

    #[test]
    fn a_zero_fsid_of_tmpfs_is_no_evidence() {
        let mut sides = pair();
        let zero = crate::evidence::FileSystem { fsid: "0".repeat(16), ..named("tmpfs", 0x0102_1994) };
        on(&mut sides, &zero);
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Supports);
        assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Proves);
    }

    #[test]
    fn on_fuse_everything_equal_supports_only() {
        let mut sides = pair();
        on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
        let comparison = compare(&sides, true);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Supports);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn on_fuse_different_numbers_refute_nothing() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
        let comparison = compare(&sides, true);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn a_listed_name_with_another_magic_is_not_on_the_list() {
        let mut sides = pair();
        on(&mut sides, &named("ext4", 0x6573_5546));
        assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Supports);
    }

    #[test]
    fn another_generation_is_another_inode() {
        let mut sides = pair();
        with_shm(&mut sides[1], |shm| shm.generation = Observation::seen(1));
        assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Refutes);
        // Apart in time the number was reused: the first was gone before the second came.
        assert_ne!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Proves);
    }

    #[test]
    fn two_inodes_at_one_time_refute_memory_and_locks() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        unmap(&mut sides);
        for simultaneous in [false, true] {
            let comparison = compare(&sides, simultaneous);
            assert_eq!(comparison.verdict.sharing, Answer::Refuted);
            assert_eq!(comparison.verdict.memory, Answer::Refuted);
            assert_eq!(comparison.verdict.locks, Answer::Refuted);
            assert_eq!(comparison.verdict.subject, Subject::Paths);
            assert_eq!(comparison.verdict.decided_by, [Kind::KernelIdentity]);
        }
    }

    #[test]
    fn a_shm_born_after_the_earlier_capture_refutes_nothing() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
        assert!(!items(&comparison, Kind::ProcessMappings).contains(&(About::Both, Says::Refutes)));
    }

    #[test]
    fn a_birth_within_a_tick_of_the_look_refutes_nothing() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(100 * SECOND - 5_000_000)));
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(100 * SECOND - 50_000_000)));
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Refutes);
    }

    #[test]
    fn a_wall_clock_that_was_set_in_between_silences() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        for clock in [&mut sides[1].evidence.begun, &mut sides[1].evidence.ended] {
            clock.realtime.seconds += 2;
        }
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
        assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Refutes);
    }

    #[test]
    fn a_clock_offset_that_was_not_seen_silences() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        sides[0].evidence.ended.boottime_offset = None;
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
    }

    #[test]
    fn a_file_system_mounted_anew_refutes_nothing() {
        let mut sides = pair();
        with_shm(&mut sides[1], |shm| seen(&mut shm.maps_identity).device.minor = 9);
        assert_eq!(says(&compare(&sides, false), Kind::KernelIdentity), Says::Silent);
        assert_eq!(says(&compare(&sides, true), Kind::KernelIdentity), Says::Refutes);
    }

    #[test]
    fn a_deleted_shm_neither_proves_nor_refutes_by_identity() {
        for inode in [SHM_INODE, 78] {
            let mut sides = pair();
            unmap(&mut sides);
            own_shm_file(&mut sides[1], inode);
            with_shm(&mut sides[1], |shm| shm.links = 0);
            let comparison = compare(&sides, true);
            assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
            assert_eq!(comparison.verdict.sharing, Answer::Undecided);
            assert_eq!(codes(&comparison), ["shm_deleted"]);
        }
    }

    fn own_shm_file(side: &mut Side, inode: u64) {
        with_shm(side, |shm| *shm = file(inode));
    }

    /// Both on overlays; the second with another device.
    fn two_overlays() -> [Side; 2] {
        let mut sides = pair();
        unmap(&mut sides);
        on(&mut sides, &named("overlay", 0x794c_7630));
        with_shm(&mut sides[1], |shm| {
            shm.device.minor = 9;
            seen(&mut shm.maps_identity).device.minor = 9;
        });
        sides
    }

    #[test]
    fn two_overlays_refute_locks_and_leave_memory_open() {
        let mut sides = two_overlays();
        sides[1].evidence.host.mounts = Observation::seen(vec![mount(5, 6)]);
        let comparison = compare(&sides, true);
        assert_eq!(
            items(&comparison, Kind::KernelIdentity),
            [(About::Locks, Says::Refutes), (About::Memory, Says::Silent)]
        );
        assert_eq!(comparison.verdict.memory, Answer::Undecided);
        assert_eq!(comparison.verdict.locks, Answer::Refuted);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    }

    #[test]
    fn one_overlay_with_other_devices_around_a_copy_up_refutes_nothing() {
        let comparison = compare(&two_overlays(), true);
        assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Silent);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn two_files_of_one_overlay_refute_locks() {
        let mut sides = pair();
        unmap(&mut sides);
        own_shm_file(&mut sides[1], 78);
        on(&mut sides, &named("overlay", 0x794c_7630));
        assert_eq!(compare(&sides, true).verdict.locks, Answer::Refuted);
    }

    #[test]
    fn an_overlay_against_its_own_upper_folder_refutes_locks_though_maps_prints_one_inode() {
        let mut sides = pair();
        on(&mut sides[..1], &named("overlay", 0x794c_7630));
        let comparison = compare(&sides, true);
        assert_eq!(comparison.verdict.locks, Answer::Refuted);
        assert_eq!(comparison.verdict.memory, Answer::Undecided);
    }

    #[test]
    fn everything_equal_on_one_overlay_supports_only() {
        let mut sides = pair();
        on(&mut sides, &named("overlay", 0x794c_7630));
        assert_eq!(items(&compare(&sides, true), Kind::KernelIdentity), [(About::Both, Says::Supports)]);
    }
}

mod directory_identity {
    use super::*;

    /// Nobody has the database open any more: no -shm, no -wal.
    fn at_rest() -> [Side; 2] {
        let mut sides = pair();
        for side in &mut sides {
            side.evidence.files.shm = Observation::missing("ENOENT");
            side.evidence.files.wal = Observation::missing("ENOENT");
            side.evidence.mappings = Observation::seen(Default::default());
            side.shm = None;
            side.wal = crate::analysis::wal::WalFacts::absent();
            side.evidence.samples.clear();
        }
        sides
    }

    #[test]
    fn one_directory_proves_paths_where_the_shm_is_missing() {
        let comparison = compare(&at_rest(), false);
        assert_eq!(comparison.verdict.sharing, Answer::Proven);
        assert_eq!(comparison.verdict.subject, Subject::Paths);
        assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
    }

    #[test]
    fn a_denied_shm_is_not_a_missing_one() {
        let mut sides = at_rest();
        for side in &mut sides {
            side.evidence.files.shm = Observation::denied("EACCES");
        }
        assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn a_shm_made_anew_leaves_the_word_to_the_directory() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::seen(time(150 * SECOND)));
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
        assert_eq!(comparison.verdict.subject, Subject::Paths);
        // Without the birth time nobody knows that it was made anew.
        with_shm(&mut sides[1], |shm| shm.birth_time = Observation::denied("no statx"));
        assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn a_file_with_a_mount_of_its_own_silences_the_directory() {
        let mut sides = at_rest();
        seen(&mut sides[0].evidence.files.database).mount_id = Observation::seen(6);
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::DirectoryIdentity), Says::Silent);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn a_mount_id_that_was_not_seen_silences_the_directory() {
        let mut sides = at_rest();
        seen(&mut sides[1].evidence.files.directory).mount_id = Observation::unsupported("old kernel");
        assert_eq!(says(&compare(&sides, false), Kind::DirectoryIdentity), Says::Silent);
    }

    #[test]
    fn another_file_name_silences_the_directory() {
        let mut sides = at_rest();
        sides[1].evidence.files.database_path = "/data/u.db".into();
        assert_eq!(says(&compare(&sides, false), Kind::DirectoryIdentity), Says::Silent);
    }

    #[test]
    fn btrfs_directories_by_st_dev_support_only() {
        let mut sides = at_rest();
        for side in &mut sides {
            seen(&mut side.evidence.files.directory).file_system = Observation::seen(named("btrfs", 0x9123_683e));
        }
        assert_eq!(says(&compare(&sides, true), Kind::DirectoryIdentity), Says::Supports);
    }

    #[test]
    fn two_directories_without_a_shm_refute() {
        let mut sides = at_rest();
        sides[1].evidence.files.directory = Observation::seen(file(3));
        let comparison = compare(&sides, true);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(comparison.verdict.decided_by, [Kind::DirectoryIdentity]);
    }

    #[test]
    fn where_the_shm_decides_the_directory_only_supports() {
        assert_eq!(says(&compare(&pair(), false), Kind::DirectoryIdentity), Says::Supports);
    }
}

mod process_mappings {
    use super::*;

    #[test]
    fn a_process_seen_on_each_side_makes_mappings_the_subject() {
        let comparison = compare(&pair(), false);
        assert_eq!(comparison.verdict.subject, Subject::Mappings);
        assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Supports);
        assert!(comparison.explanation.contains("processes seen on writer and reader"));
    }

    #[test]
    fn denied_maps_leave_the_subject_at_paths() {
        let mut sides = pair();
        unmap(&mut sides[1..]);
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Proven);
        assert_eq!(comparison.verdict.subject, Subject::Paths);
        assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Silent);
        assert!(comparison.explanation.contains("running processes have mapped is not judged"));
        assert!(comparison.explanation.contains("EACCES"));
    }

    #[test]
    fn private_mappings_and_other_mount_namespaces_do_not_count() {
        for change in 0..2 {
            let mut sides = pair();
            let mapping = &mut seen(&mut sides[0].evidence.mappings).mappings[0];
            match change {
                0 => mapping.shared = false,
                _ => mapping.mount_namespace = Observation::seen("mnt:[99]".into()),
            }
            assert_eq!(compare(&sides, false).verdict.subject, Subject::Paths);
        }
    }

    #[test]
    fn a_process_on_another_inode_under_the_same_path_refutes_as_split_brain() {
        let mut sides = pair();
        seen(&mut sides[0].evidence.mappings).mappings.push(mapping(13, "mnt:[11]", 70));
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(comparison.verdict.memory, Answer::Refuted);
        assert_eq!(comparison.verdict.locks, Answer::Refuted);
        assert_eq!(comparison.verdict.subject, Subject::Mappings);
        assert_eq!(comparison.verdict.decided_by, [Kind::ProcessMappings]);
        assert_eq!(codes(&comparison), ["split_brain"]);
        assert_eq!(comparison.findings[0].evidence["pids"], serde_json::json!([13]));
        assert_eq!(comparison.findings[0].evidence["mapped"], serde_json::json!(["254:1 inode 70"]));
        assert!(comparison.explanation.contains("contradicts itself"), "{}", comparison.explanation);
    }

    #[test]
    fn another_path_or_another_namespace_is_no_split_brain() {
        for change in 0..3 {
            let mut sides = pair();
            let mut other = mapping(13, "mnt:[11]", 70);
            match change {
                0 => other.path = "/elsewhere/t.db-shm".into(),
                1 => other.mount_namespace = Observation::seen("mnt:[99]".into()),
                _ => other.shared = false,
            }
            seen(&mut sides[0].evidence.mappings).mappings.push(other);
            assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
        }
    }

    #[test]
    fn a_process_that_maps_a_deleted_shm_refutes() {
        for how in 0..2 {
            let mut sides = pair();
            match how {
                0 => with_shm(&mut sides[0], |shm| shm.links = 0),
                _ => sides[0].evidence.paths_unchanged = false,
            }
            let comparison = compare(&sides, false);
            assert_eq!(comparison.verdict.sharing, Answer::Refuted);
            assert_eq!(comparison.verdict.subject, Subject::Mappings);
            assert_eq!(codes(&comparison), ["split_brain", "shm_deleted"]);
        }
    }

    #[test]
    fn a_process_that_keeps_a_shm_which_is_no_longer_there_refutes() {
        let mut sides = pair();
        sides[0].evidence.files.shm = Observation::missing("ENOENT");
        seen(&mut sides[0].evidence.mappings).mappings[0].deleted_suffix = true;
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(codes(&comparison), ["split_brain"]);
    }

    #[test]
    fn the_successor_of_a_shm_that_was_deleted_during_the_capture_is_no_split_brain() {
        let mut sides = pair();
        with_shm(&mut sides[0], |shm| shm.links = 0);
        seen(&mut sides[0].evidence.mappings).mappings[0].inode.inode = 78;
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert_eq!(codes(&comparison), ["shm_deleted"]);
    }

    #[test]
    fn processes_of_two_sides_on_two_inodes_refute() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::ProcessMappings), Says::Refutes);
        assert_eq!(comparison.verdict.subject, Subject::Mappings);
        assert_eq!(comparison.verdict.decided_by, [Kind::KernelIdentity, Kind::ProcessMappings]);
    }

    #[test]
    fn processes_that_could_not_be_looked_at_are_counted() {
        let mut sides = pair();
        seen(&mut sides[0].evidence.mappings).processes_denied = 4;
        let comparison = compare(&sides, false);
        let item = comparison.verdict.because.iter().find(|item| item.kind == Kind::ProcessMappings).unwrap();
        assert!(item.detail.contains("4 more processes"), "{}", item.detail);
    }
}

mod temporal {
    use super::*;

    fn samples(a: &[(u64, u32)], b: &[(u64, u32)]) -> [Side; 2] {
        let mut sides = pair();
        for (side, samples) in sides.iter_mut().zip([a, b]) {
            side.evidence.samples = samples.iter().map(|(at, mx_frame)| sample(*at, *mx_frame)).collect();
        }
        sides
    }

    #[test]
    fn a_side_behind_what_the_other_had_shown_refutes_memory() {
        let comparison = compare(&samples(&[(100, 9)], &[(200, 8)]), false);
        assert_eq!(items(&comparison, Kind::Temporal), [(About::Memory, Says::Refutes)]);
        assert_eq!(comparison.verdict.memory, Answer::Refuted);
        assert_eq!(comparison.verdict.locks, Answer::Proven);
        assert_eq!(comparison.verdict.decided_by, [Kind::Temporal]);
        assert_eq!(comparison.verdict.subject, Subject::Paths);
    }

    #[test]
    fn overlapping_samples_have_no_order() {
        assert_eq!(says(&compare(&samples(&[(100, 9)], &[(105, 8)]), false), Kind::Temporal), Says::Silent);
        assert_eq!(says(&compare(&samples(&[(100, 9)], &[(110, 8)]), false), Kind::Temporal), Says::Silent);
    }

    #[test]
    fn other_salts_are_not_comparable() {
        let mut sides = samples(&[(100, 9)], &[(200, 0)]);
        sides[1].evidence.samples[0].salts = [101, 3];
        assert_eq!(says(&compare(&sides, false), Kind::Temporal), Says::Silent);
    }

    #[test]
    fn an_unknown_clock_offset_is_not_comparable() {
        let mut sides = samples(&[(100, 9)], &[(200, 8)]);
        sides[1].evidence.samples[0].before.boottime_offset = None;
        assert_eq!(says(&compare(&sides, false), Kind::Temporal), Says::Silent);
    }

    #[test]
    fn time_namespaces_are_accounted_for() {
        let mut sides = samples(&[(100, 9)], &[(200, 8)]);
        let later = &mut sides[1].evidence.samples[0];
        later.before.boottime_offset = Some(150);
        later.after.boottime_offset = Some(150);
        assert_eq!(says(&compare(&sides, false), Kind::Temporal), Says::Silent);
    }

    #[test]
    fn interleaved_advances_support_and_never_prove() {
        let mut sides = samples(&[(100, 9), (300, 11)], &[(200, 10), (400, 12)]);
        assert_eq!(says(&compare(&sides, false), Kind::Temporal), Says::Supports);
        on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
        assert_eq!(compare(&sides, false).verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn standing_still_supports_nothing() {
        let sides = samples(&[(100, 9), (300, 9)], &[(200, 9), (400, 9)]);
        assert_eq!(says(&compare(&sides, false), Kind::Temporal), Says::Silent);
    }
}

mod content {
    use super::*;

    #[test]
    fn equal_checksums_support_and_never_prove() {
        let mut sides = pair();
        on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::ContentLineage), Says::Supports);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    }

    #[test]
    fn another_checksum_at_the_common_frame_refutes_both() {
        let mut sides = pair();
        sides[1].wal.last_commit.as_mut().unwrap().checksum = [1, 1];
        let comparison = compare(&sides, false);
        assert_eq!(items(&comparison, Kind::ContentLineage), [(About::Both, Says::Refutes)]);
        assert_eq!(comparison.verdict.locks, Answer::Refuted);
        assert_eq!(comparison.lineage[0].relation, Some(Relation::Diverged));
    }

    #[test]
    fn other_generations_are_silent() {
        let mut sides = pair();
        sides[1].wal = wal(9, [101, 3], 1);
        sides[1].shm = Some(index(9, [101, 3]));
        assert_eq!(says(&compare(&sides, false), Kind::ContentLineage), Says::Silent);
    }

    #[test]
    fn equal_bytes_are_always_listed_and_always_silent() {
        let comparison = compare(&pair(), true);
        let item = comparison.verdict.because.iter().find(|item| item.kind == Kind::EqualBytes).unwrap();
        assert_eq!(item.says, Says::Silent);
        assert!(item.reason.as_deref().unwrap().contains("prove nothing"));
    }
}

mod groups {
    use super::*;

    fn three() -> Vec<Side> {
        let mut sides: Vec<Side> = pair().into();
        sides.push(side("third", 13, 300));
        sides
    }

    #[test]
    fn three_proven_sides_are_one_group() {
        let comparison = compare(&three(), false);
        assert_eq!(comparison.verdict.sharing, Answer::Proven);
        assert_eq!(comparison.verdict.subject, Subject::Mappings);
        assert_eq!(comparison.verdict.groups, [["writer", "reader", "third"]]);
        assert_eq!(comparison.lineage.len(), 2);
        assert!(comparison.verdict.because[0].detail.starts_with("writer / reader: "));
    }

    #[test]
    fn one_refuted_pair_refutes_all() {
        let mut sides = three();
        own_shm(&mut sides[2], 78);
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(comparison.verdict.groups, [vec!["writer", "reader"], vec!["third"]]);
    }

    #[test]
    fn a_refuted_pair_inside_a_group_refutes() {
        let mut sides = three();
        // Apart in time each proves with the middle one, but the outer two contradict each other.
        sides[0].evidence.samples = vec![sample(100, 9)];
        sides[1].evidence.samples.clear();
        sides[2].evidence.samples = vec![sample(300, 8)];
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.groups, [["writer", "reader", "third"]]);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
    }

    #[test]
    fn an_undecided_pair_between_proven_ones_is_proven_through_the_third() {
        let mut sides = three();
        sides[0].evidence.host.boot_id = Observation::seen("boot".into());
        assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
        sides[2].evidence.host.boot_id = Observation::denied("EACCES");
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert_eq!(comparison.verdict.groups, [vec!["writer", "reader"], vec!["third"]]);
    }

    #[test]
    fn fewer_than_two_sides_are_undecided() {
        assert_eq!(compare(&[], true).verdict.sharing, Answer::Undecided);
        assert_eq!(compare(&pair()[..1], true).verdict.sharing, Answer::Undecided);
    }
}

mod findings {
    use super::*;

    #[test]
    fn a_database_mounted_as_a_single_file_is_named() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        sides[1].evidence.files.directory = Observation::seen(file(3));
        let comparison = compare(&sides, true);
        assert_eq!(comparison.verdict.sharing, Answer::Refuted);
        assert_eq!(codes(&comparison), ["database_shared_wal_index_not"]);
        assert!(comparison.findings[0].advice.contains("Mount the folder"));
    }

    #[test]
    fn a_copy_is_named() {
        let mut sides = pair();
        own_shm(&mut sides[1], 78);
        sides[1].evidence.files.database = Observation::seen(file(79));
        assert_eq!(codes(&compare(&sides, true)), ["different_databases"]);
    }

    #[test]
    fn an_unstable_bundle_is_named() {
        let mut sides = pair();
        sides[0].stable = false;
        assert_eq!(codes(&compare(&sides, true)), ["bundle_unstable"]);
    }

    #[test]
    fn codes_are_sorted_and_unique() {
        let mut sorted = super::super::findings::CODES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, super::super::findings::CODES);
    }
}

mod lineage {
    use super::*;

    fn told(sides: &[Side]) -> Lineage {
        compare(sides, false).lineage.remove(0)
    }

    /// Gives a side `frames` commits in a generation.
    fn at(side: &mut Side, frames: u64, salts: [u32; 2], sequence: u32) {
        side.wal = wal(frames, salts, sequence);
        side.shm = Some(index(u32::try_from(frames).unwrap(), salts));
        side.frame_headers = Some(headers(frames, salts));
        side.evidence.samples.clear();
    }

    #[test]
    fn the_same_last_commit_is_identical() {
        let lineage = told(&pair());
        assert_eq!((lineage.relation, lineage.ahead), (Some(Relation::Identical), None));
    }

    #[test]
    fn more_commits_are_a_continuation() {
        let mut sides = pair();
        at(&mut sides[1], 12, SALTS, 0);
        let lineage = told(&sides);
        assert_eq!(lineage.relation, Some(Relation::Continuation));
        assert_eq!(lineage.ahead.as_deref(), Some("reader"));
        assert_eq!((lineage.commits, lineage.frames), (Some(3), Some(3)));
    }

    #[test]
    fn a_live_wal_index_bounds_what_counts() {
        let mut sides = pair();
        sides[0].shm = Some(index(7, SALTS));
        let lineage = told(&sides);
        assert_eq!(lineage.ahead.as_deref(), Some("reader"));
        assert_eq!((lineage.commits, lineage.frames), (Some(2), Some(2)));
        // Nobody has it open: the -shm is a leftover, and the WAL's last commit counts.
        sides[0].evidence.locks = Observation::seen(locks(LockState::Free));
        assert_eq!(told(&sides).relation, Some(Relation::Identical));
    }

    #[test]
    fn a_wal_index_beyond_the_wal_counts_no_further_than_the_wal() {
        let mut sides = pair();
        sides[1].shm = Some(index(u32::MAX / 20, SALTS));
        assert_eq!(told(&sides).relation, Some(Relation::Identical));
    }

    #[test]
    fn without_frame_headers_a_common_frame_may_stay_unknown() {
        let mut sides = pair();
        at(&mut sides[1], 12, SALTS, 0);
        sides[1].frame_headers = None;
        assert_eq!(told(&sides).relation, None);
    }

    #[test]
    fn a_wal_that_was_left_out_is_told_by_the_wal_index() {
        let mut sides = pair();
        sides[0].wal = crate::analysis::wal::WalFacts::absent();
        sides[0].frame_headers = None;
        assert_eq!(told(&sides).relation, Some(Relation::Identical));
    }

    #[test]
    fn more_in_the_database_is_checkpointed() {
        let mut sides = pair();
        sides[1].shm.as_mut().unwrap().checkpoint.backfilled = 9;
        let lineage = told(&sides);
        assert_eq!(lineage.relation, Some(Relation::Checkpointed));
        assert_eq!(lineage.ahead.as_deref(), Some("reader"));
    }

    #[test]
    fn salt1_counted_up_with_the_sequence_is_restarted() {
        let mut sides = pair();
        at(&mut sides[1], 2, [102, 999], 2);
        let lineage = told(&sides);
        assert_eq!(lineage.relation, Some(Relation::Restarted));
        assert_eq!(lineage.ahead.as_deref(), Some("reader"));
    }

    #[test]
    fn frames_of_the_older_generation_left_in_the_file_are_a_restart() {
        let mut sides = pair();
        at(&mut sides[0], 2, [0xdead, 999], 0);
        sides[0].wal.generations.push(crate::analysis::wal::Generation { salt1: 100, salt2: 7, frames: 7 });
        let lineage = told(&sides);
        assert_eq!(lineage.relation, Some(Relation::Restarted));
        assert_eq!(lineage.ahead.as_deref(), Some("writer"));
    }

    #[test]
    fn other_salts_beside_the_same_database_are_a_restart() {
        let mut sides = pair();
        at(&mut sides[1], 2, [0xdead, 999], 0);
        assert_eq!(told(&sides).relation, Some(Relation::Restarted));
        sides[1].evidence.files.database = Observation::denied("EACCES");
        assert_eq!(told(&sides).relation, Some(Relation::Unrelated));
    }

    #[test]
    fn two_wal_files_over_one_database_are_unrelated() {
        let mut sides = pair();
        at(&mut sides[1], 2, [0xdead, 999], 0);
        sides[1].evidence.files.wal = Observation::seen(file(79));
        assert_eq!(told(&sides).relation, Some(Relation::Unrelated));
    }

    #[test]
    fn a_restart_known_to_the_wal_index_only_is_restarted() {
        let mut sides = pair();
        sides[1].shm = Some(index(0, [101, 3]));
        let lineage = told(&sides);
        assert_eq!(lineage.relation, Some(Relation::Restarted));
        assert_eq!(lineage.ahead.as_deref(), Some("reader"));
    }

    #[test]
    fn without_a_wal_on_a_side_nothing_is_claimed() {
        let mut sides = pair();
        sides[1].wal = crate::analysis::wal::WalFacts::absent();
        sides[1].shm = None;
        let lineage = told(&sides);
        assert_eq!(lineage.relation, None);
        assert!(lineage.explanation.contains("reader"));
    }
}
