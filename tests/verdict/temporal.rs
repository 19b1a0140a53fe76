//! What was shown when.

use super::*;

fn samples(a: &[(u64, u32)], b: &[(u64, u32)]) -> [Side; 2] {
    let mut sides = apart();
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
    assert_eq!(comparison.verdict.locks, Answer::Undecided);
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
    sides[1].evidence.samples[0].salts = walscope::number::Salts([101, 3]);
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

#[test]
fn falling_behind_at_different_times_refutes_only_with_a_process_older_than_both() {
    for (at, refuted) in [(99, true), (150, false)] {
        let mut sides = apart();
        sides[1].evidence.samples.iter_mut().for_each(|sample| sample.mx_frame = walscope::number::FrameNumber(8));
        started(&mut sides[1], at);
        let comparison = compare(&sides, false);
        assert_eq!(says(&comparison, Kind::Temporal) == Says::Refutes, refuted, "{at}");
        let expected: &[&str] = if refuted { &[] } else { &["captures_diverged"] };
        assert_eq!(codes(&comparison), expected);
    }
}

#[test]
fn samples_are_not_ordered_by_a_clock_that_was_set() {
    // What is shown at 100 is behind what was shown at 200, or the other way round, by the time since boot alone.
    for (at, expected) in [(200, Says::Refutes), (50, Says::Silent)] {
        for step in [-1_000_000, -1, 1, 1_000_000] {
            let mut sides = samples(&[(100, 9)], &[(at, 8)]);
            for sample in &mut sides[1].evidence.samples {
                sample.before.realtime.seconds += step;
                sample.after.realtime.seconds += 2 * step;
            }
            assert_eq!(says(&compare(&sides, false), Kind::Temporal), expected, "{at}, {step} s");
        }
    }
}
