//! Identity says that the files are one, and content or time says that they differ: neither outvotes the other.

use super::*;
use walscope::finding::Severity;
use walscope::number::{Checksum, FrameNumber};

/// What one capture shows that does not fit with the other: content, or less than before.
const CONTRADICTIONS: [fn(&mut [Side; 2]); 2] = [
    |sides| sides[1].wal.last_commit.as_mut().unwrap().checksum = Checksum([1, 1]),
    |sides| sides[1].evidence.samples.iter_mut().for_each(|sample| sample.mx_frame = FrameNumber(8)),
];

fn severities(comparison: &Comparison) -> Vec<(&str, Severity)> {
    comparison.findings.iter().map(|finding| (finding.code().name(), finding.severity)).collect()
}

/// Restored in place, or two copies: nobody knows, whether a process is older than both captures or not, and whether
/// the captures overlap or not.
#[test]
fn content_and_time_never_outvote_identity() {
    for contradict in CONTRADICTIONS {
        for process in [99, 150] {
            for overlap in [false, true] {
                let mut sides = pair();
                contradict(&mut sides);
                started(&mut sides[1], process);
                if overlap {
                    sides[1].evidence.begun = clock(100 * SECOND + SECOND / 2);
                }
                let comparison = compare(&sides, false);
                let verdict = &comparison.verdict;
                assert_eq!([verdict.sharing, verdict.memory, verdict.locks], [Answer::Undecided; 3]);
                assert_eq!(verdict.subject, Subject::Paths);
                assert!(verdict.decided_by.is_empty());
                assert_eq!(says(&comparison, Kind::KernelIdentity), Says::Proves);
                assert_eq!(severities(&comparison), [("captures_diverged", Severity::Error)]);
                assert!(explained(&comparison).contains("restored in place"), "{}", explained(&comparison));
            }
        }
    }
}

/// One process that has both open knows that they are one. The bytes moved between its two looks.
#[test]
fn one_inode_that_one_process_has_open_twice_stays_proven() {
    for contradict in CONTRADICTIONS {
        let mut sides = pair();
        contradict(&mut sides);
        for comparison in [compare(&sides, true), compare_two(&sides, &live())] {
            assert_eq!(comparison.verdict.sharing, Answer::Proven);
            assert_eq!(severities(&comparison), [("captures_diverged", Severity::Warning)]);
        }
    }
}

/// Page frames prove one memory where inode numbers prove nothing.
#[test]
fn page_frames_are_not_outvoted_either() {
    for contradict in CONTRADICTIONS {
        let mut sides = pair();
        on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
        contradict(&mut sides);
        let comparison = compare_two(&sides, &live());
        assert_eq!(comparison.verdict.memory, Answer::Proven);
        assert_ne!(comparison.verdict.sharing, Answer::Refuted);
    }
}

/// On one FUSE mount equal numbers prove nothing, but files overwritten in place are no second memory.
#[test]
fn where_identity_does_not_distinguish_the_files_bundles_refute_nothing_by_content() {
    for contradict in CONTRADICTIONS {
        let mut sides = pair();
        on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
        contradict(&mut sides);
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided);
        assert_eq!(severities(&comparison), [("captures_diverged", Severity::Warning)]);
    }
}

/// A folder that is one says nothing about content that went back.
#[test]
fn one_folder_does_not_outvote_content() {
    let mut sides = pair();
    sides[0].evidence.paths_unchanged = false;
    assert_eq!(compare(&sides, false).verdict.decided_by, [Kind::DirectoryIdentity]);
    CONTRADICTIONS[1](&mut sides);
    let comparison = compare(&sides, false);
    assert_eq!(comparison.verdict.sharing, Answer::Undecided);
    assert!(severities(&comparison).contains(&("captures_diverged", Severity::Error)));
}

/// A WAL that ended earlier, or was an older generation, in a later capture.
#[test]
fn a_wal_that_went_back_leaves_it_undecided() {
    let older: [fn(&mut [Side; 2]); 2] = [
        |sides| {
            // The earlier capture has the next generation already.
            sides[0].wal = wal(4, [101, 9], 1);
            sides[0].shm = Some(index(4, [101, 9]));
        },
        |sides| {
            sides[1].wal = wal(7, SALTS, 0);
            sides[1].shm = Some(index(7, SALTS));
        },
    ];
    for change in older {
        let mut sides = pair();
        for side in &mut sides {
            side.evidence.samples.clear();
        }
        change(&mut sides);
        let comparison = compare(&sides, false);
        assert_eq!(comparison.verdict.sharing, Answer::Undecided, "{:?}", comparison.lineage);
        assert_eq!(severities(&comparison), [("captures_diverged", Severity::Error)]);
        // The other way round it goes on.
        let [a, b] = &mut sides;
        for (x, y) in [(&mut a.evidence.begun, &mut b.evidence.begun), (&mut a.evidence.ended, &mut b.evidence.ended)] {
            std::mem::swap(x, y);
        }
        assert_eq!(compare(&sides, false).verdict.sharing, Answer::Proven);
    }
}

#[test]
fn a_change_counter_that_went_back_leaves_it_undecided() {
    for (earlier, later, expected) in [(5, 4, Answer::Undecided), (5, 5, Answer::Proven), (4, 5, Answer::Proven)] {
        let mut sides = pair();
        (sides[0].database, sides[1].database) = (Some(database(2, earlier)), Some(database(2, later)));
        assert_eq!(compare(&sides, false).verdict.sharing, expected, "{earlier} {later}");
        assert_eq!(compare(&sides, true).verdict.sharing, Answer::Proven);
    }
}
