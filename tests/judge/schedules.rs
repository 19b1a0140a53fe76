//! Files that change while they are read: what a healthy SQLite does meanwhile must not look like damage.

use walscope::finding::checks::{self, CheckName, CheckResult};
use walscope::finding::{Severity, findings};
use walscope::look::checkpoint::{CheckpointState, diagnose};
use walscope::look::{Inspection, Options, inspect};

use crate::common::synthetic::Shm;
use crate::world::{Moment, Moving, World, at_rest, healthy, open};
use walscope::number::{FrameNumber, FrameOfPage, PageNumber};

fn look(world: Moving) -> Inspection {
    let examined = inspect(&world, &Options::default()).unwrap();
    assert!(world.happened(), "the moment did not come");
    examined
}

fn codes(examined: &Inspection) -> Vec<(String, Severity)> {
    findings(examined).into_iter().map(|finding| (finding.code().name().to_owned(), finding.severity)).collect()
}

/// A commit of one more frame for page 3, copied at once.
fn commit_and_copy(world: &mut World) {
    world.wal().frame(3, 4, 77);
    world.database()[1024..1536].fill(77);
    world.database()[512..1024].fill(9);
    world.reindex(|shm| {
        *shm = Shm { mx_frame: 5, change: 3, backfilled: 5, pages: vec![1, 2, 3, 2, 3], ..shm.clone() };
    });
}

#[test]
fn a_commit_and_a_checkpoint_between_wal_and_database_are_no_damage() {
    for at in [Moment::Wal, Moment::DatabasePage, Moment::WalAgain] {
        let examined = look(Moving::new(healthy(), at, commit_and_copy));
        assert!(examined.settled);
        assert!(codes(&examined).iter().all(|(_, severity)| *severity <= Severity::Notice), "{:?}", codes(&examined));
        assert_eq!(examined.backfill.unwrap().missing, 0);
    }
}

#[test]
fn a_vacuum_that_cuts_the_database_meanwhile_is_no_damage() {
    let examined = look(Moving::new(healthy(), Moment::DatabasePage, |world| {
        world.wal().frame(2, 2, 55);
        world.database()[512..1024].fill(55);
        world.database().truncate(1024);
        world.reindex(|shm| {
            *shm = Shm {
                mx_frame: 5,
                change: 3,
                backfilled: 5,
                pages: vec![1, 2, 3, 2, 2],
                database_pages: 2,
                ..shm.clone()
            };
        });
    }));
    assert!(examined.settled);
    assert_eq!(examined.backfill.as_ref().unwrap().missing, 0);
    assert!(codes(&examined).iter().all(|(_, severity)| *severity <= Severity::Notice), "{:?}", codes(&examined));
}

#[test]
fn a_restart_meanwhile_leaves_no_claim() {
    for at in [Moment::Wal, Moment::DatabasePage, Moment::WalAgain] {
        let examined = look(Moving::new(healthy(), at, |world| {
            commit_and_copy(world);
            world.wal().set_salts([12, 99]);
            world.wal().frame_at(1, 3, 4, 200);
            world.reindex(|shm| {
                *shm = Shm { mx_frame: 1, salts: [12, 99], backfilled: 0, pages: vec![3], ..shm.clone() }
            });
        }));
        assert!(!examined.settled);
        assert!(examined.backfill.is_err());
        assert_eq!(codes(&examined), []);
    }
}

#[test]
fn real_damage_is_found_though_a_commit_comes_meanwhile() {
    let mut world = healthy();
    world.database()[5] ^= 1;
    let examined = look(Moving::new(world, Moment::DatabasePage, commit_and_copy));
    assert_eq!(codes(&examined).remove(0).0, "backfill_not_in_database");
    let listed = examined.backfill.unwrap().listed;
    assert_eq!(listed, [FrameOfPage { page: PageNumber(1), frame: FrameNumber(1) }]);
}

#[test]
fn a_recovery_meanwhile_is_waited_for() {
    let examined = look(Moving::new(healthy(), Moment::DatabasePage, |world| world.reindex(|shm| shm.change = 0)));
    assert!(!examined.settled, "recovery counts iChange from 0");
}

#[test]
fn another_header_of_the_wal_alone_leaves_no_claim() {
    let mut world = healthy();
    world.database()[1024] ^= 1;
    let examined = look(Moving::new(world, Moment::DatabasePage, |world| world.wal().set_salts([12, 99])));
    assert!(!examined.settled && examined.backfill.is_err());
}

#[test]
fn a_restart_between_the_size_of_the_database_and_the_wal_leaves_nothing_to_compare() {
    // Without a -shm, as in exclusive mode, only the header of the WAL shows it.
    let mut world = healthy();
    world.database().truncate(1024);
    let examined = look(Moving::new(world, Moment::Wal, |world| {
        world.wal().set_salts([12, 99]);
        world.wal().frame_at(1, 2, 9, 200);
    }));
    assert!(examined.changed && examined.pages.is_err() && examined.page_ones.is_err() && examined.stale.is_err());
    assert_eq!(codes(&examined), []);
}

#[test]
fn files_replaced_during_a_look_are_not_compared() {
    // The last connection closed and deleted -wal and -shm, which stand still from then on; the next changed the database.
    for at in [Moment::Wal, Moment::DatabasePage, Moment::WalAgain] {
        let examined = look(Moving::new(healthy(), at, |world| {
            world.replaced = true;
            world.database()[1024..1536].fill(201);
            world.database()[24..28].copy_from_slice(&9u32.to_be_bytes());
        }));
        assert!(examined.look_again() && !examined.settled);
        assert_eq!(codes(&examined), [("files_replaced".to_owned(), Severity::Notice)]);
        let checks = checks::checks(&examined, &[]);
        let held_against =
            |check: &&checks::Check| check.check.name().contains("against") || check.check == CheckName::ShmHash;
        assert!(checks.iter().filter(held_against).all(|check| check.result == CheckResult::Skipped), "{checks:?}");
    }
    // Whatever stands there then, nothing is said that takes two files.
    for (code, severity, mut world) in crate::codes::cases() {
        world.replaced = true;
        let alone = ["database_opaque", "database_wal2"].contains(&code)
            || code.contains("_version_")
            || code.contains("_header_");
        let grave = world.codes().into_iter().filter(|(_, severity)| *severity >= Severity::Warning);
        assert!(grave.clone().all(|(found, _)| alone && found == code), "{code} {severity:?}: {:?}", world.codes());
    }
}

#[test]
fn a_connection_that_closes_meanwhile_leaves_no_claim() {
    let mut world = healthy();
    world.database()[1024] ^= 1;
    let examined = look(Moving::new(world, Moment::DatabasePage, |world| world.locks = Some(at_rest())));
    assert!(examined.look_again() && !examined.settled && examined.backfill.is_err());
    assert_eq!(codes(&examined), []);
}

#[test]
fn a_wal_that_is_emptied_at_the_last_close_is_no_loss() {
    let mut world = healthy();
    world.database()[512..1024].fill(9);
    world.reindex(|shm| *shm = Shm { backfilled: 4, attempted: 4, ..shm.clone() });
    world.wal().bytes.clear();
    for locks in [open(), at_rest()] {
        world.locks = Some(locks);
        assert_eq!(world.codes(), []);
    }
    world.locks = Some(open());
    let examined = world.examine();
    let checkpoint = diagnose(examined.wal.as_ref().unwrap(), examined.shm.as_ref(), examined.locks.as_ref());
    assert_eq!((checkpoint.state, checkpoint.pending), (CheckpointState::Complete, 0));
    // Emptied between the head and the WAL, when all had been copied.
    let examined = look(Moving::new(healthy(), Moment::Wal, |world| {
        world.database()[512..1024].fill(9);
        world.reindex(|shm| *shm = Shm { backfilled: 4, attempted: 4, ..shm.clone() });
        world.wal().bytes.clear();
    }));
    assert_eq!(codes(&examined), []);
    // With a frame that was not copied it is a loss.
    let mut world = healthy();
    world.wal().bytes.clear();
    assert_eq!(world.codes(), [("wal_truncated".to_owned(), Severity::Error)]);
}

proptest::proptest! {
    #[test]
    fn any_bytes_get_an_answer(at in 0usize..40_000, byte: u8, file in 0..3, cut in 0usize..40_000) {
        let mut world = healthy();
        let bytes = match file {
            0 => world.database(),
            1 => &mut world.wal().bytes,
            _ => world.shm(),
        };
        let len = bytes.len();
        bytes[at % len] = byte;
        if cut % 4 == 0 {
            bytes.truncate(cut % len);
        }
        world.findings();
        world.reindex(|shm| *shm = Shm { mx_frame: u32::MAX, backfilled: u32::MAX, database_pages: u32::MAX, ..shm.clone() });
        world.findings();
    }
}
