//! Every code: a case that raises it and nothing else, a heading in the docs, silence on a clean file.

use std::collections::BTreeSet;

use walscope::evidence::LockState;
use walscope::finding::checks::{CheckName, CheckResult, checks};
use walscope::finding::{Code, Finding, Severity, findings};
use walscope::look::checkpoint::{Basis, Doubt};
use walscope::look::{Bytes, HotJournal, Inspection, Options, inspect};
use walscope::number::PageNumber;
use walscope::report::finding::FindingDocument;
use walscope::tree::Trees;

use crate::common::synthetic::{Shm, WalWriter, sum};
use crate::world::{SALTS, World, at_rest, byte, healthy, open, page_one, with_page_one, writing};

/// The world of one fault.
fn changed(change: impl FnOnce(&mut World)) -> World {
    let mut world = healthy();
    change(&mut world);
    world
}

fn reindexed(change: impl FnOnce(&mut Shm)) -> World {
    changed(|world| world.reindex(change))
}

/// Where block 0 keeps the first slot of a page's search.
fn slot(page: usize) -> usize {
    16384 + page * 383 % 8192 * 2
}

/// The next generation has begun with one frame of page 2, which took the place of frame 1; all frames before were copied.
fn restarted(world: &mut World) {
    world.database()[512..1024].fill(9);
    world.wal().set_salts([SALTS[0] + 1, 99]);
    world.wal().frame_at(1, 2, 4, 12);
    world.shm = None;
}

/// What a transfer as text makes of these bytes.
fn with_carriage_returns(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] }).collect()
}

/// A code, how grave it is in use, and a world that raises it.
pub fn cases() -> Vec<(&'static str, Severity, World)> {
    use Severity::{Error, Info, Notice, Warning};
    let nothing_copied = |world: &mut World| world.reindex(|shm| shm.backfilled = 0);
    vec![
        ("backfill_not_in_database", Error, changed(|world| world.database()[1024] ^= 1)),
        (
            "database_header_unusable",
            Error,
            changed(|world| {
                // Page 1 is in no frame, and it begins as a table.
                let mut wal = WalWriter::new(512, false, SALTS);
                wal.frame(2, 4, 2);
                (world.wal, world.shm) = (Some(wal), None);
                world.database()[100..108].copy_from_slice(&[13, 0, 0, 0, 0, 2, 0, 0]);
                world.database()[23] = 33;
            }),
        ),
        ("database_opaque", Notice, with_page_one(&[0xe5; 512])),
        ("database_opaque", Warning, with_page_one(&[0; 512])),
        (
            "database_bytes_mangled",
            Error,
            changed(|world| {
                (world.wal, world.shm) = (None, None);
                world.database()[1536..1900].fill(b'\n');
                *world.database() = with_carriage_returns(world.database());
            }),
        ),
        (
            "database_overwritten",
            Error,
            changed(|world| {
                // The WAL was emptied by a checkpoint, and then another database was copied over this one.
                world.reindex(|shm| (shm.mx_frame, shm.backfilled, shm.attempted) = (0, 0, 0));
                world.wal().bytes.clear();
                world.database()[16..18].copy_from_slice(&[4, 0]);
            }),
        ),
        (
            "database_pages_zero",
            Error,
            changed(|world| {
                (world.wal, world.shm) = (None, None);
                let database = world.database();
                database[512..].fill(0);
                // A size that is to be believed, and a table with a row.
                (database[31], database[95]) = (4, 5);
                database[100..110].copy_from_slice(&[13, 0, 0, 0, 1, 1, 0, 0, 1, 0]);
                database[256..259].copy_from_slice(&[0x81, 0x7d, 1]);
            }),
        ),
        (
            "database_too_short",
            Error,
            changed(|world| {
                // Page 4 has no frame.
                nothing_copied(world);
                world.database().truncate(3 * 512);
            }),
        ),
        ("database_wal2", Error, with_page_one(&page_one(3, 5, 3_053_000))),
        (
            "page_size_differs",
            Error,
            changed(|world| {
                nothing_copied(world);
                world.database()[16..18].copy_from_slice(&[4, 0]);
            }),
        ),
        ("shm_backfill_beyond_mx_frame", Error, reindexed(|shm| shm.backfilled = 5)),
        (
            "shm_beyond_wal",
            Error,
            changed(|world| {
                world.wal().frame(3, 0, 7);
                world.reindex(|shm| *shm = Shm { mx_frame: 5, pages: vec![1, 2, 3, 2, 3], ..shm.clone() });
            }),
        ),
        ("shm_frames_unreachable", Error, changed(|world| world.shm()[slot(3)..slot(3) + 2].fill(0))),
        ("shm_header_checksum_wrong", Warning, changed(|world| (world.shm()[41], world.shm()[89]) = (0xaa, 0xaa))),
        ("shm_header_contradicts_wal", Error, reindexed(|shm| shm.database_pages = 9)),
        ("shm_header_copies_differ", Warning, changed(|world| world.shm()[8] ^= 1)),
        ("shm_of_other_wal", Error, reindexed(|shm| shm.salts = [11, 23])),
        ("shm_pages_wrong", Error, reindexed(|shm| shm.pages[2] = 7)),
        (
            "shm_slots_duplicate",
            Warning,
            changed(|world| world.shm()[slot(3) + 2..slot(3) + 4].copy_from_slice(&3u16.to_le_bytes())),
        ),
        (
            "shm_slots_out_of_order",
            Error,
            changed(|world| {
                // Frames 2 and 4 of page 2 stand one behind the other.
                for (at, frame) in [(slot(2), 4u16), (slot(2) + 2, 2)] {
                    world.shm()[at..at + 2].copy_from_slice(&frame.to_le_bytes());
                }
            }),
        ),
        (
            "shm_truncated",
            Error,
            changed(|world| {
                world.shm().clear();
                world.locks.as_mut().unwrap().read[1] = byte(LockState::Shared);
            }),
        ),
        (
            "shm_version_unsupported",
            Error,
            changed(|world| {
                let shm = world.shm();
                shm[..4].copy_from_slice(&3_007_001u32.to_le_bytes());
                let (a, b) = sum(false, (0, 0), &shm[..40]);
                shm[40..44].copy_from_slice(&a.to_le_bytes());
                shm[44..48].copy_from_slice(&b.to_le_bytes());
                shm.copy_within(..48, 48);
            }),
        ),
        (
            "wal_ahead_of_shm",
            Notice,
            changed(|world| {
                let mut before = WalWriter::new(512, false, crate::world::SALTS);
                before.frame_of(1, 0, &page_one(2, 5, 3_053_000)).frame(2, 0, 2).frame(3, 4, 3);
                let checksum = before.checksum();
                world.reindex(|shm| {
                    *shm = Shm { mx_frame: 3, frame_checksum: checksum, pages: vec![1, 2, 3], ..shm.clone() };
                });
            }),
        ),
        ("wal_beside_rollback_database", Warning, with_page_one(&page_one(1, 5, 3_053_000))),
        (
            "wal_bytes_mangled",
            Error,
            changed(|world| {
                world.shm = None;
                // A page of line feeds, each with a carriage return before it now.
                world.wal().frame(3, 4, b'\n');
                world.wal().bytes = with_carriage_returns(&world.wal().bytes);
            }),
        ),
        (
            "wal_commits_behind_break",
            Warning,
            changed(|world| {
                world.wal().frame(3, 4, 1).frame(2, 4, 1);
                let at = world.wal().offset(5) + 100;
                world.wal().bytes[at] ^= 1;
            }),
        ),
        (
            "wal_header_unusable",
            Error,
            changed(|world| {
                world.shm = None;
                world.wal().bytes[27] ^= 1;
            }),
        ),
        (
            "stale_frames_not_in_database",
            Warning,
            changed(|world| {
                restarted(world);
                world.database()[1024] ^= 1;
            }),
        ),
        (
            "wal_of_other_database",
            Error,
            changed(|world| {
                nothing_copied(world);
                world.database()[27] += 1;
            }),
        ),
        ("wal_truncated", Error, changed(|world| world.wal().bytes.truncate(32 + 3 * (24 + 512)))),
        (
            "wal_version_unsupported",
            Error,
            changed(|world| {
                world.shm = None;
                world.wal().set_header_field(4, 3_007_001);
            }),
        ),
        (
            "database_emptied",
            Notice,
            changed(|world| {
                world.reindex(|shm| (shm.mx_frame, shm.backfilled, shm.attempted) = (0, 0, 0));
                (world.database, world.wal, world.locks) = (Some(Vec::new()), None, Some(at_rest()));
            }),
        ),
        ("wal_without_database", Warning, changed(|world| (world.database, world.shm) = (None, None))),
        ("written_in_wal_reset_range", Info, with_page_one(&page_one(2, 5, 3_040_001))),
    ]
}

/// Codes of what was seen around the files, not in them.
fn cases_of_circumstances() -> Vec<(&'static str, Severity, Inspection)> {
    let changed = |change: fn(&mut Inspection)| {
        let mut look = inspect(&Bytes::default(), &Options::default()).unwrap();
        change(&mut look);
        look
    };
    vec![
        (
            "access_time_moved",
            Severity::Notice,
            changed(|look| look.origin.access_time_moved = vec!["a.db".to_owned()]),
        ),
        ("bundle_readable_by_others", Severity::Notice, changed(|look| look.origin.readable_by_others = true)),
        ("bundle_unstable", Severity::Warning, changed(|look| look.origin.unstable = Some("why".to_owned()))),
        ("files_replaced", Severity::Notice, changed(|look| look.replaced = true)),
        (
            "trees_damaged",
            Severity::Error,
            changed(|look| {
                let mut trees = Trees::default();
                trees.fault_count = 1;
                look.trees = Ok(trees);
            }),
        ),
        (
            "pages_never_used",
            Severity::Warning,
            changed(|look| {
                let mut trees = Trees::default();
                (trees.pages, trees.never_used, trees.first_never_used) = (9, 1, Some(PageNumber(7)));
                look.trees = Ok(trees);
            }),
        ),
        (
            "hot_journal",
            Severity::Notice,
            changed(|look| (look.hot_journal, look.database_absent) = (HotJournal::Waits, false)),
        ),
    ]
}

#[test]
fn every_code_has_a_case_that_raises_it_and_nothing_else() {
    for (code, severity, world) in cases() {
        assert_eq!(world.codes(), [(code.to_owned(), severity)], "the case of {code}");
    }
    for (code, severity, look) in cases_of_circumstances() {
        assert_eq!(codes(&findings(&look)), [(code, severity)]);
    }
    let mut examined = healthy().examine();
    examined.wal.as_mut().unwrap().file_size = 64 << 20;
    assert_eq!(codes(&findings(&examined)), [("wal_large_little_live", Severity::Notice)]);
    let raised = raised();
    let of_checks = Code::ALL.iter().filter(|code| code.check().is_some());
    let missing: Vec<&str> = of_checks.map(|code| code.name()).filter(|name| !raised.contains(name)).collect();
    assert_eq!(missing, [""; 0], "no case raises these");
}

fn codes(findings: &[Finding]) -> Vec<(&'static str, Severity)> {
    findings.iter().map(|finding| (finding.code().name(), finding.severity)).collect()
}

/// The codes that the cases above raise.
fn raised() -> BTreeSet<&'static str> {
    let worlds = cases().into_iter().map(|(code, ..)| code);
    let circumstances = cases_of_circumstances().into_iter().map(|(code, ..)| code);
    worlds.chain(circumstances).chain(["wal_large_little_live"]).collect()
}

#[test]
fn a_clean_database_raises_nothing() {
    let mut world = healthy();
    for locks in [Some(open()), Some(writing()), Some(at_rest()), None] {
        world.locks = locks;
        assert_eq!(world.codes(), []);
        let examined = world.examine();
        assert_eq!(examined.backfill.unwrap().pages, 2, "pages 1 and 3 are compared, page 2 has a later frame");
        assert_eq!(examined.index.unwrap().compared, 4);
    }
}

#[test]
fn what_is_wrong_in_a_wal_index_that_nobody_uses_is_a_notice() {
    for (code, severity, mut world) in cases().into_iter().filter(|(code, ..)| code.starts_with("shm_")) {
        // The first to open a -shm cuts it to 3 bytes itself.
        if code == "shm_truncated" {
            continue;
        }
        for locks in [Some(at_rest()), None] {
            world.locks = locks;
            // Frames that no file has are lost, whoever opens it next.
            let expected = if code == "shm_beyond_wal" { Severity::Warning } else { Severity::Notice };
            assert_eq!(world.codes(), [(code.to_owned(), expected)], "{severity:?}");
        }
    }
}

#[test]
fn frames_that_were_never_copied_are_an_error_at_rest_if_the_index_fits_the_wal() {
    let mut world = changed(|world| world.database()[1024] ^= 1);
    for locks in [Some(at_rest()), None] {
        world.locks = locks;
        assert_eq!(world.codes(), [("backfill_not_in_database".to_owned(), Severity::Error)]);
    }
    let finding = FindingDocument::from(&world.findings()[0]);
    assert_eq!(finding.evidence["pages"], serde_json::json!([{"page": 3, "frame": 3}]));
    // Frames of a transaction that is not committed explain nothing: nobody copies them.
    let mut open = changed(|world| world.database()[1024] ^= 1);
    open.wal().frame(3, 0, 1);
    assert_eq!(open.codes(), [("backfill_not_in_database".to_owned(), Severity::Error)]);
    let finding = FindingDocument::from(&open.findings()[0]);
    assert_eq!(finding.evidence["pages"], serde_json::json!([{"page": 3, "frame": 3}]));
    // The WAL goes on behind what the index knows: the next opener recovers, nobody believes nBackfill.
    world.wal().frame(2, 4, 1);
    assert_eq!(world.codes(), []);
}

#[test]
fn a_database_that_ends_too_soon_does_not_hold_what_was_copied() {
    let world = changed(|world| world.database().truncate(1024));
    let [copied, pages] = ["backfill_not_in_database", "database_too_short"];
    assert_eq!(world.codes(), [(copied.to_owned(), Severity::Error), (pages.to_owned(), Severity::Error)]);
    // Page 3 has a frame, page 4 has none.
    let found = FindingDocument::from(&world.findings()[1]);
    assert_eq!([&found.evidence["missing"], &found.evidence["first_missing"]], [1, 4]);
}

#[test]
fn an_empty_database_is_reported_as_a_missing_one() {
    let world = changed(|world| (world.database, world.shm) = (Some(Vec::new()), None));
    assert_eq!(world.codes(), [("wal_without_database".to_owned(), Severity::Warning)]);
}

#[test]
fn a_wal_deleted_under_its_connections_is_an_error() {
    let world = changed(|world| world.wal = None);
    assert_eq!(world.codes(), [("shm_of_other_wal".to_owned(), Severity::Error)]);
}

#[test]
fn a_wal_deleted_under_a_wal_index_in_use_is_an_error_also_if_that_counts_nothing() {
    let mut world = reindexed(|shm| (shm.mx_frame, shm.backfilled, shm.attempted) = (0, 0, 0));
    world.wal = None;
    assert_eq!(world.codes(), [("shm_of_other_wal".to_owned(), Severity::Error)]);
    let seen = world.examine();
    let checkpoint = seen.checkpoint.as_ref().unwrap();
    assert_eq!(checkpoint.basis, Basis::Doubted(Doubt::OtherGeneration));
    let mut checks = checks(&seen, &world.findings()).into_iter();
    let check = checks.find(|check| check.check == CheckName::ShmHeaderAgainstWal).unwrap();
    assert_eq!((check.result, check.not_checked), (CheckResult::Failed, None));
    // An empty -wal is what a checkpoint leaves, and a -shm that nobody uses is a left-over.
    world.locks = Some(at_rest());
    assert_eq!(world.codes(), []);
    world.locks = None;
    assert_eq!(world.codes(), []);
}

#[test]
fn an_index_too_short_for_its_frames_is_reported() {
    let world = changed(|world| {
        for _ in 0..4059 {
            world.wal().frame(2, 4, 9);
        }
        world.reindex(|shm| {
            let mut pages = vec![1, 2, 3];
            pages.resize(4062, 2);
            *shm = Shm { mx_frame: 4063, pages, ..shm.clone() };
        });
    });
    let found = FindingDocument::from(&world.findings()[0]);
    assert_eq!((found.code.as_str(), &found.evidence["needed"]), ("shm_truncated", &65536.into()));
    assert_eq!(world.codes().len(), 1, "{:?}", world.codes());
    let mut world = world;
    world.locks = Some(at_rest());
    let found = FindingDocument::from(&world.findings()[0]);
    assert_eq!((found.code.as_str(), &found.evidence["unindexed"]), ("shm_frames_unreachable", &1.into()));
}

#[test]
fn the_codes_stand_in_the_documents_and_nothing_else_does() {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    let headings: Vec<String> = sections().into_iter().map(|(code, _)| code).collect();
    assert_eq!(headings, codes);
    insta::assert_snapshot!(codes.join("\n"));
}

/// Each section of `docs/findings.md`: its code, and the line in italics with the severities.
fn sections() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/findings.md")).unwrap();
    let sections = text.split("\n## ").skip(1).map(|section| {
        let (code, text) = section.split_once('\n').unwrap();
        let summary = text.split("\n\n").find_map(|text| text.trim().strip_prefix('*')?.strip_suffix('*')).unwrap();
        (code.to_owned(), summary.split_once(": ").unwrap().0.to_owned())
    });
    sections.collect()
}

#[test]
fn the_documents_name_the_severities_of_the_table_and_no_others() {
    for (code, (_, severities)) in Code::ALL.iter().zip(sections()) {
        let words: Vec<&str> = severities.split(|c: char| !c.is_ascii_alphabetic()).collect();
        for (severity, name) in [
            (Severity::Info, "info"),
            (Severity::Notice, "notice"),
            (Severity::Warning, "warning"),
            (Severity::Error, "error"),
        ] {
            let listed = code.severities().contains(&severity);
            assert_eq!(listed, words.contains(&name), "{code}: docs/findings.md says {severities:?}");
        }
    }
}

#[test]
fn every_severity_that_is_raised_is_in_the_table() {
    let in_use = cases().into_iter().map(|(code, _, world)| (code, world));
    let at_rest = cases().into_iter().map(|(code, _, mut world)| {
        world.locks = Some(at_rest());
        (code, world)
    });
    for (code, world) in in_use.chain(at_rest) {
        for finding in world.findings() {
            assert!(finding.code().severities().contains(&finding.severity), "the case of {code}: {finding:?}");
        }
    }
}

/// Findings about what lies around the files take mounts, links and processes. Tests that have them name the code that
/// they expect.
#[test]
fn every_code_that_no_world_raises_is_expected_by_a_test_elsewhere() {
    let raised = raised();
    let elsewhere: String = texts("tests");
    for code in Code::ALL.iter().filter(|code| !raised.contains(code.name())) {
        assert_eq!(code.check(), None, "{code} belongs to a check of verify: raise it in cases()");
        assert!(elsewhere.contains(&format!("\"{code}\"")), "no test raises {code}");
    }
}

/// All Rust text below a folder.
fn texts(folder: &str) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &texts(path.to_str().unwrap());
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text += &std::fs::read_to_string(path).unwrap();
        }
    }
    text
}
