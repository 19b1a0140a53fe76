//! What a bundle is: a plain tar that is read back bit for bit, and refused with a reason when anything is wrong.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use walscope::bundle::{Capture, Manifest, Options, SnapshotError, WalMode, WalSummary, capture_live, write_bundle};
use walscope::evidence::Observation;
use walscope::look::{DatabaseSeen, HotJournal, WalSeen};
use walscope::source::{self, Source};

use crate::common::restore::{self, bytes};
use crate::common::rewritten::rewritten;
use crate::sqlite_child::{self, SqliteChild};

/// A database with frames after `mxFrame`, held open by another process.
fn live() -> (TempDir, PathBuf, SqliteChild) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = SqliteChild::start();
    writer.run(&format!("at {}", path.display()));
    writer.run("create WAL");
    writer.run("checkpoint PASSIVE");
    writer.run("insert 20");
    writer.run("spill");
    (folder, path, writer)
}

fn bundle(path: &Path, options: &Options) -> (Vec<u8>, Manifest) {
    let mut out = Vec::new();
    let manifest = write_bundle(path, options, &mut out, &mut |_, _| {}).unwrap();
    (out, manifest)
}

fn read(bundle: &[u8]) -> Result<Capture, SnapshotError> {
    let file = tempfile::tempfile().unwrap();
    (&file).write_all(bundle).unwrap();
    Capture::from_file("x.walsnap", Arc::new(file))
}

fn sibling(path: &Path, suffix: &str) -> Vec<u8> {
    std::fs::read(format!("{}{suffix}", path.display())).unwrap()
}

#[test]
fn a_bundle_is_read_back_bit_for_bit() {
    let (_folder, path, _writer) = live();
    let (written, manifest) = bundle(&path, &Options { with_db: true, ..Options::default() });
    let capture = read(&written).unwrap();
    assert_eq!(capture.manifest, manifest);
    assert!(manifest.stability.stable, "{:?}", manifest.stability);
    assert!(manifest.members.iter().any(|member| member.name == "wal-tail"), "nothing behind mxFrame was tested");
    assert_eq!(bytes(capture.shm.unwrap().as_ref()), sibling(&path, "-shm"));
    let WalSeen::Whole(wal) = capture.wal else { panic!("the WAL is there and small") };
    assert_eq!(bytes(wal.as_ref()), sibling(&path, "-wal"));
    let DatabaseSeen::Whole(database) = capture.database else { panic!("with_db") };
    assert_eq!(bytes(database.as_ref()), sibling(&path, ""));
}

#[test]
fn files_restored_from_a_bundle_hold_committed_transactions_and_no_spilled_pages() {
    let (folder, path, mut writer) = live();
    let (written, _) = bundle(&path, &Options { with_db: true, ..Options::default() });
    let restored = restore::restore(&read(&written).unwrap(), folder.path());
    let committed = writer.run("rollback");
    assert_eq!(sqlite_child::judge(&restored).unwrap(), ("ok".to_owned(), committed));
}

#[test]
fn without_with_db_only_the_first_page_is_captured_and_with_wal_none_no_wal() {
    let (_folder, path, _writer) = live();
    let (written, _) = bundle(&path, &Options { wal: Some(WalMode::None), ..Options::default() });
    let capture = read(&written).unwrap();
    assert!(matches!(capture.wal, WalSeen::NotSeen));
    assert!(!walscope::compare::Side::from_capture(&capture).unwrap().wal_captured);
    let DatabaseSeen::FirstPage(page) = capture.database else { panic!("a first page") };
    assert_eq!(bytes(page.as_ref()), sibling(&path, "")[..1024]);
}

#[test]
fn with_the_whole_database_the_whole_wal_is_captured_whatever_its_size() {
    let (_folder, path, _writer) = live();
    let wal = std::fs::OpenOptions::new().write(true).open(format!("{}-wal", path.display())).unwrap();
    wal.set_len((64 << 20) + 1).unwrap();
    for (with_db, mode) in [(false, WalMode::Headers), (true, WalMode::Full)] {
        let options = Options { with_db, ..Options::default() };
        let manifest = write_bundle(&path, &options, &mut std::io::sink(), &mut |_, _| {}).unwrap();
        assert_eq!(manifest.wal_mode, mode);
    }
}

#[test]
fn a_capture_of_frame_headers_keeps_the_facts_of_the_whole_wal() {
    let (_folder, path, _writer) = live();
    let (written, _) = bundle(&path, &Options { wal: Some(WalMode::Headers), ..Options::default() });
    let WalSeen::Headers { bytes: headers, facts } = read(&written).unwrap().wal else { panic!("headers") };
    let whole = sibling(&path, "-wal");
    assert_eq!(*facts, walscope::wal::scan(&whole, &mut |_| {}).unwrap());
    assert!(facts.frames.uncommitted > 0 && facts.frames.committed > 0, "{:?}", facts.frames);
    let mut expected = whole[..32].to_vec();
    whole[32..].chunks(24 + 1024).for_each(|frame| expected.extend(&frame[..24]));
    assert_eq!(bytes(headers.as_ref()), expected);
    // The end of a table's page is the end of a row's random bytes.
    let content = &whole[whole.len() - 40..];
    assert!(!written.windows(40).any(|window| window == content), "page content in the bundle");
}

#[test]
fn tar_lists_a_bundle_of_private_regular_files_marker_first_manifest_last() {
    let (_folder, path, _writer) = live();
    let (written, manifest) = bundle(&path, &Options { with_db: true, ..Options::default() });
    let tar = |arguments: &[&str]| {
        let mut child = Command::new("tar")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = written.clone();
        let feeder = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = feeder.join().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let names = tar(&["tf", "-"]);
    let names: Vec<&str> = names.lines().collect();
    let mut expected = vec!["walscope-bundle"];
    expected.extend(manifest.members.iter().map(|member| member.name.as_str()));
    expected.push("manifest.json");
    assert_eq!(names, expected);
    for name in ["shm", "shm-before", "shm-after", "wal", "wal-tail", "db", "proc/self/mountinfo"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert!(tar(&["tvf", "-"]).lines().all(|line| line.starts_with("-rw------- ")));
}

#[test]
fn a_bundle_cut_anywhere_is_refused_with_offset_needed_and_found() {
    let (_folder, path, _writer) = live();
    let (written, _) = bundle(&path, &Options::default());
    let odd = [1, 31, 100, 262, 511, 513, 700, 1025, 5000, written.len() - 1, written.len() - 513];
    for end in (0..written.len()).step_by(512).chain(odd) {
        let Err(error) = read(&written[..end]) else { panic!("cut at {end} and accepted") };
        let text = error.to_string();
        assert!(text.starts_with("x.walsnap: "), "{text}");
        assert!(text.contains("offset") && text.contains("needed") && text.contains("found"), "{end}: {text}");
        assert!(end < 512 || text.contains("cut short"), "{end}: {text}");
    }
}

#[test]
fn no_flipped_bit_makes_reading_panic() {
    let (_folder, path, _writer) = live();
    let (written, _) = bundle(&path, &Options { wal: Some(WalMode::Headers), ..Options::default() });
    let mut refused = 0;
    for at in (0..written.len()).step_by(97) {
        let mut flipped = written.clone();
        flipped[at] ^= 1 << (at % 8);
        refused += u32::from(read(&flipped).is_err());
    }
    assert!(refused > 0);
}

#[test]
fn a_bundle_of_a_newer_walscope_is_refused_by_its_version() {
    let (_folder, path, _writer) = live();
    let (written, manifest) = bundle(&path, &Options::default());
    let refused = |bundle: &[u8]| read(bundle).err().unwrap().to_string();
    let newer = "x.walsnap: written by a newer walscope, bundle version 2, this one reads up to 1";
    assert_eq!(refused(&rewritten(&written, "walscope-bundle", b"walscope bundle 2\n")), newer);
    assert_eq!(refused(&rewritten(&written, "manifest.json", br#"{"bundle_version":2,"else":1}"#)), newer);
    let same = serde_json::to_vec(&manifest).unwrap();
    assert!(read(&rewritten(&written, "manifest.json", &same)).is_ok());
}

#[test]
fn a_manifest_that_lies_is_refused() {
    let (_folder, path, _writer) = live();
    let (written, manifest) = bundle(&path, &Options { wal: Some(WalMode::Headers), ..Options::default() });
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        let json = serde_json::to_vec(&manifest).unwrap();
        read(&rewritten(&written, "manifest.json", &json)).err().unwrap().to_string()
    };
    assert!(refused(&|m| m.members[0].length += 1).contains("needed 137 bytes as manifest.json says, found 136"));
    assert!(refused(&|m| m.members[0].name = "../../etc/passwd".to_owned()).contains("no such member"));
    assert!(refused(&|m| m.wal_summary = None).contains("wal_summary"));
    let count = |m: &mut Manifest| m.wal_summary.as_mut().unwrap().frames.in_file = u64::MAX;
    assert!(refused(&count).contains("needed 18446744073709551615 frame headers"));
    type Change<'a> = &'a dyn Fn(&mut WalSummary);
    let summary = |change: Change<'_>| refused(&|m| change(m.wal_summary.as_mut().unwrap()));
    let faults: [(Change<'_>, &str); 9] = [
        (&|s| s.frames.uncommitted = u64::MAX, "valid is not"),
        (&|s| (s.frames.valid, s.frames.uncommitted) = (u64::MAX, u64::MAX - s.frames.committed), "in_file is not"),
        (&|s| s.frames.residue = u64::MAX, "in_file is not"),
        (&|s| s.last_commit = None, "last_commit is not"),
        (&|s| s.last_commit.as_mut().unwrap().frame.0 += 1, "last_commit is not"),
        (&|s| s.commits = u64::MAX, "commits does not fit"),
        (&|s| s.end_frame.0 = 0, "end_frame is not"),
        (&|s| s.generations[0].frames = u64::MAX, "generations have more"),
        (&|s| s.file_size = 33, "does not fit into file_size"),
    ];
    for (change, broken) in faults {
        let text = summary(change);
        assert!(
            text.contains("member `manifest.json`: wal_summary does not add up") && text.contains(broken),
            "{text}"
        );
    }
    let deep = "[".repeat(100_000);
    let text = read(&rewritten(&written, "manifest.json", deep.as_bytes())).err().unwrap().to_string();
    assert!(text.contains("manifest.json"), "{text}");
    let huge = vec![b' '; (16 << 20) + 1];
    let text = read(&rewritten(&written, "manifest.json", &huge)).err().unwrap().to_string();
    assert!(text.contains("found 16777217 bytes, at most 16777216"), "{text}");
}

#[test]
fn a_bundle_that_could_not_be_read_back_is_not_written() {
    let (_folder, path, _writer) = live();
    let options = Options { samples: 40_000, interval: Duration::ZERO, ..Options::default() };
    let written = write_bundle(&path, &options, &mut std::io::sink(), &mut |_, _| {});
    let text = written.expect_err("its manifest is longer than what is read").to_string();
    assert!(text.contains("manifest.json") && text.contains("at most 16777216"), "{text}");
}

#[test]
fn a_live_capture_equals_a_bundle_and_sees_who_maps_the_wal_index() {
    let (_folder, path, _writer) = live();
    let capture = capture_live(&path, &Options::default()).unwrap();
    assert!(!capture.readable_by_others);
    assert_eq!(bytes(capture.shm.unwrap().as_ref()), sibling(&path, "-shm"));
    let evidence = capture.manifest.evidence;
    assert!(evidence.paths_unchanged);
    assert_eq!(evidence.samples.len(), 3);
    let mappings = evidence.mappings.value().unwrap();
    let shm = evidence.files.shm.value().unwrap().maps_identity.value().unwrap();
    assert!(mappings.mappings.iter().any(|mapping| mapping.inode == *shm), "{mappings:?}");
}

#[test]
fn a_bundle_that_others_can_read_says_so() {
    let (folder, path, _writer) = live();
    let file = folder.path().join("t.walsnap");
    std::fs::write(&file, bundle(&path, &Options::default()).0).unwrap();
    for (mode, readable) in [(0o600, false), (0o640, true), (0o604, true)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Capture::open(&file).unwrap().readable_by_others, readable, "{mode:o}");
    }
}

#[test]
fn an_absent_wal_is_an_answer() {
    let (_folder, path, mut writer) = live();
    writer.run("close");
    let (written, manifest) = bundle(&path, &Options::default());
    assert!(manifest.stability.stable, "{:?}", manifest.stability);
    assert!(matches!(manifest.evidence.files.wal, Observation::Missing { .. }));
    let capture = read(&written).unwrap();
    assert!(matches!(capture.wal, WalSeen::Absent) && capture.shm.is_none());
}

#[test]
fn a_source_is_recognized_by_content_whatever_its_name() {
    let (folder, path, _writer) = live();
    let file = folder.path().join("innocent.txt");
    let open = |path: &Path| source::open(path.as_os_str(), walscope::linux::Care::default()).unwrap();
    let shape = |source: Source| match source {
        Source::Files(f) => {
            format!("{:?}", [f.database.is_some(), f.wal.is_some(), f.shm.is_some(), f.opened.is_some()])
        }
        Source::Bundle(capture) => format!("bundle {}", capture.label == file.to_str().unwrap()),
    };
    assert_eq!(shape(open(&path)), "[true, true, true, true]");
    for (content, expected) in [
        (sibling(&path, "-wal"), "[false, true, false, false]"),
        (sibling(&path, "-shm"), "[false, false, true, false]"),
        (bundle(&path, &Options::default()).0, "bundle true"),
        (Vec::new(), "[true, false, false, true]"),
        (vec![0xe7; 5120], "[true, false, false, true]"),
    ] {
        std::fs::write(&file, content).unwrap();
        assert_eq!(shape(open(&file)), expected);
    }
}

#[test]
fn siblings_without_a_database_are_a_source_and_missing_files_are_not() {
    let (folder, path, writer) = live();
    writer.kill();
    std::fs::remove_file(&path).unwrap();
    let Source::Files(files) = source::open(path.as_os_str(), walscope::linux::Care::default()).unwrap() else {
        panic!("files")
    };
    assert!(files.database.is_none() && files.wal.is_some() && files.shm.is_some());
    assert!(source::open(folder.path().join("none.db").as_os_str(), walscope::linux::Care::default()).is_err());
    assert!(source::open(folder.path().as_os_str(), walscope::linux::Care::default()).is_err(), "a directory");
}

#[test]
fn a_finished_journal_is_not_hot_and_a_bundle_without_that_field_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA journal_mode=PERSIST; CREATE TABLE t(x); INSERT INTO t VALUES(randomblob(5000));")
        .unwrap();
    drop(db);
    let mut written = Vec::new();
    let manifest = write_bundle(path.as_path(), &Options::default(), &mut written, &mut |_, _| {}).unwrap();
    assert!(manifest.stability.stable, "{:?}", manifest.stability);
    assert!(manifest.evidence.files.journal.value().unwrap().size > 0, "a finished journal keeps its length");
    assert_eq!((manifest.hot_journal, manifest.hot_journal()), (Some(false), HotJournal::None));
    // A journal that a rollback would use.
    let journal = folder.path().join("t.db-journal");
    let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    std::os::unix::fs::FileExt::write_all_at(&std::fs::File::options().write(true).open(journal).unwrap(), &magic, 0)
        .unwrap();
    let hot = write_bundle(path.as_path(), &Options::default(), &mut Vec::new(), &mut |_, _| {}).unwrap();
    assert_eq!(hot.hot_journal, Some(true));
    // The manifest as older versions wrote it.
    let mut older = serde_json::to_value(&manifest).unwrap();
    older.as_object_mut().unwrap().remove("hot_journal").unwrap();
    let bundle = rewritten(&written, "manifest.json", &serde_json::to_vec(&older).unwrap());
    let name = folder.path().join("older.walsnap");
    std::fs::write(&name, bundle).unwrap();
    let read = Capture::open(&name).unwrap().manifest;
    assert_eq!((read.hot_journal, read.hot_journal()), (None, HotJournal::Waits));
}
