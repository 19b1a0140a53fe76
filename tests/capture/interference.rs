//! A writer acts between the steps of a capture: the bundle then shows one committed state, or says that it does not.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use walscope::bundle::{Capture, Options, Stability, Step, WalMode, write_bundle};
use walscope::evidence::UnstableCause;

use crate::common::restore;
use crate::sqlite_child::{self, SqliteChild};

/// A database with a writer, and the digests of all states it has been in.
struct Scene {
    folder: TempDir,
    path: PathBuf,
    writer: SqliteChild,
    states: Vec<u64>,
    /// How much of the WAL is captured.
    wal: Option<WalMode>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        Self { folder, path, writer: SqliteChild::start(), states: Vec::new(), wal: None }
    }

    /// Runs commands separated by `; `.
    fn play(&mut self, script: &str) {
        for command in script.split("; ") {
            let state = self.writer.run(command);
            self.states.push(state);
        }
    }

    /// A fresh database, brought into the state that `beginning` names.
    fn begin(&mut self, beginning: &str) {
        self.states.clear();
        self.play(&format!("at {}", self.path.display()));
        if beginning == "crashed" {
            let mut victim = SqliteChild::start();
            victim.run(&format!("at {}", self.path.display()));
            victim.run("create WAL");
            victim.run("checkpoint PASSIVE");
            victim.run("update");
            self.states.push(victim.run("spill"));
            victim.kill();
        } else {
            let script = BEGINNINGS.iter().find(|(name, _)| *name == beginning).unwrap().1;
            self.play(script);
        }
    }

    /// Captures while `interfere` may act before each step. Returns the capture and the first state that it may show:
    /// the one at the beginning of its last attempt.
    fn capture(&mut self, attempts: u32, interfere: &mut dyn FnMut(&mut Self, u32, u32, Step)) -> (Capture, usize) {
        let mut bundle = Vec::new();
        let options = Options { wal: self.wal, with_db: true, attempts, chunk_size: 16 << 10, ..Options::default() };
        let path = self.path.clone();
        let mut first_state = 0;
        let mut calls = 0;
        write_bundle(&path, &options, &mut bundle, &mut |attempt, step| {
            if step == Step::Before {
                first_state = self.states.len() - 1;
                calls = 0;
            }
            interfere(self, attempt, calls, step);
            calls += 1;
        })
        .unwrap();
        (opened(&bundle), first_state)
    }

    /// Whether the capture calls itself stable. If so, checks that it is exactly one of the states since `first_state`.
    fn check(&self, capture: &Capture, first_state: usize, what: &str) -> bool {
        let stability = &capture.manifest.stability;
        if !stability.stable {
            assert!(stability.reason.is_some(), "{what}: unstable without a reason");
            return false;
        }
        let restored = restore::restore(capture, self.folder.path());
        let (integrity, digest) = sqlite_child::judge(&restored).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(integrity, "ok", "{what}");
        assert!(self.states[first_state..].contains(&digest), "{what}: called stable, holds a state that never was");
        true
    }
}

fn opened(bundle: &[u8]) -> Capture {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bundle).unwrap();
    Capture::from_file("test", Arc::new(file)).unwrap()
}

/// States of the files that a capture may meet, and how they come about.
const BEGINNINGS: [(&str, &str); 8] = [
    ("frames, some of them checkpointed", "create WAL; read; update; checkpoint PASSIVE; insert 9; unread"),
    ("an empty WAL", "create WAL; checkpoint TRUNCATE"),
    ("nobody has it open", "create WAL; close"),
    ("opened, nothing written yet", "create WAL; close; open"),
    ("a reader holds the checkpoint up", "create WAL; read; update; checkpoint PASSIVE"),
    ("all checkpointed, about to restart", "create WAL; update; checkpoint RESTART"),
    ("rollback mode", "create DELETE; update"),
    // Most pages have no frame yet, so frames do not hide a database that was copied during a checkpoint.
    ("few frames", "create WAL; checkpoint TRUNCATE; insert 1"),
];

/// What the writer does.
const ACTIONS: [&str; 14] = [
    "insert 3",
    "update",
    "update; checkpoint PASSIVE",
    "update; checkpoint TRUNCATE",
    "update; checkpoint RESTART; update",
    "checkpoint TRUNCATE",
    "checkpoint RESTART; insert 1",
    "close",
    "short",
    "spill",
    "spill; rollback; insert 1",
    "spill; commit; checkpoint PASSIVE",
    "delete; vacuum; checkpoint TRUNCATE",
    "create WAL",
];

/// Steps of an attempt, at most: chunks of the database and of the WAL included.
const CALLS: u32 = 20;

/// Runs every action before every step, in each attempt. Returns how many captures were stable and how many were not.
fn all_schedules(beginning: &str) -> (u32, u32) {
    let mut scene = Scene::new();
    let (mut stable, mut unstable) = (0, 0);
    for action in ACTIONS {
        for at in 0..CALLS {
            scene.begin(beginning);
            let mut acted = false;
            let (capture, first) = scene.capture(2, &mut |scene, _, call, _| {
                if call == at {
                    acted = true;
                    scene.play(action);
                }
            });
            let what = format!("{beginning}: {action:?} before call {at}");
            match scene.check(&capture, first, &what) {
                true => stable += 1,
                false => unstable += 1,
            }
            if !acted {
                assert!(
                    capture.manifest.stability.stable,
                    "{what}: left alone and still {:?}",
                    capture.manifest.stability
                );
                break;
            }
        }
    }
    (stable, unstable)
}

macro_rules! schedules {
    ($($name:ident: $beginning:expr;)*) => {
        $(#[test]
        fn $name() {
            let (stable, unstable) = all_schedules($beginning);
            assert!(stable > 0 && unstable > 0, "{stable} stable, {unstable} unstable: nothing was tested");
        })*
    };
}

schedules! {
    interference_with_frames_in_the_wal_is_harmless_or_labelled: BEGINNINGS[0].0;
    interference_with_an_empty_wal_is_harmless_or_labelled: BEGINNINGS[1].0;
    interference_with_a_closed_database_is_harmless_or_labelled: BEGINNINGS[2].0;
    interference_with_a_fresh_connection_is_harmless_or_labelled: BEGINNINGS[3].0;
    interference_beside_a_reader_is_harmless_or_labelled: BEGINNINGS[4].0;
    interference_before_a_restart_is_harmless_or_labelled: BEGINNINGS[5].0;
    interference_in_rollback_mode_is_harmless_or_labelled: BEGINNINGS[6].0;
    interference_with_few_frames_in_the_wal_is_harmless_or_labelled: BEGINNINGS[7].0;
    interference_after_a_crash_is_harmless_or_labelled: "crashed";
}

#[test]
fn several_interferences_in_one_attempt_are_harmless_or_labelled() {
    let mut scene = Scene::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for round in 0..150 {
        let beginning = BEGINNINGS[next(BEGINNINGS.len() as u64) as usize].0;
        scene.begin(beginning);
        let mut played = String::new();
        let (capture, first) = scene.capture(2, &mut |scene, attempt, call, _| {
            if next(4) == 0 {
                let action = ACTIONS[next(ACTIONS.len() as u64) as usize];
                played.push_str(&format!(" {attempt}.{call} {action:?}"));
                scene.play(action);
            }
        });
        scene.check(&capture, first, &format!("round {round}: {beginning}:{played}"));
    }
}

/// A capture of one attempt with one action before one step, and a capture with a second, undisturbed attempt.
fn disturbed_once(beginning: &str, action: &str, at: Step) {
    for attempts in [1, 2] {
        let mut scene = Scene::new();
        scene.begin(beginning);
        let (capture, first) = scene.capture(attempts, &mut |scene, attempt, _, step| {
            if attempt == 1 && step == at {
                scene.play(action);
            }
        });
        let stability = capture.manifest.stability.clone();
        assert_eq!((stability.stable, stability.attempts), (attempts == 2, attempts), "{:?}", stability.reason);
        scene.check(&capture, first, action);
    }
}

#[test]
fn an_update_and_truncate_while_the_database_is_copied_is_unstable_and_a_second_attempt_stable() {
    disturbed_once("an empty WAL", "update; checkpoint TRUNCATE", Step::DatabaseChunk(1));
}

#[test]
fn a_short_lived_writer_that_leaves_no_siblings_is_unstable_and_a_second_attempt_stable() {
    disturbed_once("nobody has it open", "short", Step::DatabaseChunk(1));
}

#[test]
fn a_restart_while_the_wal_is_copied_is_unstable_and_a_second_attempt_stable() {
    let restart = "checkpoint RESTART; update";
    disturbed_once("frames, some of them checkpointed", restart, Step::WalChunk(1));
}

#[test]
fn a_database_that_shrinks_while_it_is_copied_is_padded_and_labelled() {
    let mut scene = Scene::new();
    scene.begin("few frames");
    let (capture, _) = scene.capture(1, &mut |scene, _, _, step| {
        if step == Step::DatabaseChunk(1) {
            scene.play("delete; vacuum; checkpoint PASSIVE");
        }
    });
    let stability = capture.manifest.stability;
    assert_eq!(stability.reason.as_deref(), Some("a file became shorter while it was copied"));
    assert!(capture.manifest.members.iter().any(|member| member.name == "db" && member.padded > 0));
}

#[test]
fn a_database_that_another_program_rewrites_in_place_is_not_of_one_moment() {
    let mut scene = Scene::new();
    scene.begin("an empty WAL");
    scene.play("update");
    let mut acted = false;
    let (capture, _) = scene.capture(1, &mut |scene, _, _, step| {
        if step == Step::DatabaseChunk(1) {
            acted = true;
            let database = std::fs::OpenOptions::new().write(true).open(&scene.path).unwrap();
            let size = database.metadata().unwrap().len();
            database.write_all_at(&vec![0x5a; size as usize], 0).unwrap();
        }
    });
    assert!(acted, "the database is copied in one piece");
    let stability = capture.manifest.stability;
    assert!(!stability.stable, "half of the old database and half of the new one were called stable");
    let reason = stability.reason.unwrap();
    assert!(reason.contains("the database"), "{reason}");
}

#[test]
fn a_half_checkpointed_database_without_its_wal_and_without_a_wal_index_is_unstable() {
    const FRAME: usize = 24 + 1024;
    let mut scene = Scene::new();
    scene.begin("an empty WAL");
    scene.play("update");
    std::mem::replace(&mut scene.writer, SqliteChild::start()).kill();
    let beside = |suffix: &str| format!("{}{suffix}", scene.path.display());
    // The database as an interrupted checkpoint leaves it.
    let wal = std::fs::read(beside("-wal")).unwrap();
    let frames: Vec<&[u8]> = wal[32..].chunks_exact(FRAME).collect();
    let database = std::fs::OpenOptions::new().write(true).open(&scene.path).unwrap();
    for frame in &frames[..frames.len() / 2] {
        let page = u32::from_be_bytes(frame[..4].try_into().unwrap());
        database.write_all_at(&frame[24..], u64::from(page - 1) * 1024).unwrap();
    }
    std::fs::remove_file(beside("-shm")).unwrap();
    let alone = scene.folder.path().join("alone.db");
    std::fs::copy(&scene.path, &alone).unwrap();
    let judged = sqlite_child::judge(&alone);
    assert!(!judged.is_ok_and(|(_, digest)| scene.states.contains(&digest)), "the database alone is a state");

    for (wal, stable) in [(WalMode::None, false), (WalMode::Headers, false), (WalMode::Full, true)] {
        scene.wal = Some(wal);
        let (capture, first) = scene.capture(5, &mut |_, _, _, _| {});
        let stability = &capture.manifest.stability;
        // No process has it open that could change it: one attempt is enough.
        assert_eq!((stability.stable, stability.attempts), (stable, 1), "{wal:?}: {:?}", stability.reason);
        assert!(!stable || scene.check(&capture, first, "half checkpointed"));
    }
}

#[test]
fn a_persistent_wal_at_rest_is_of_one_moment() {
    for wal in [None, Some(WalMode::None)] {
        let mut scene = Scene::new();
        scene.wal = wal;
        scene.play(&format!("at {}", scene.path.display()));
        scene.play("create WAL; persist; close");
        let left = |suffix: &str| std::fs::metadata(format!("{}{suffix}", scene.path.display())).unwrap().len();
        assert_eq!((left("-wal"), left("-shm")), (0, 32768));
        let (capture, first) = scene.capture(1, &mut |_, _, _, _| {});
        assert!(capture.manifest.mx_frame.is_some_and(|frames| frames > 0), "the left-over -shm counts no frames");
        assert!(capture.manifest.stability.stable, "{:?}", capture.manifest.stability);
        assert!(wal.is_some() || scene.check(&capture, first, "a persistent WAL"));
    }
}

#[test]
fn a_wal_index_of_another_wal_is_not_left_over_while_somebody_has_it_open() {
    let mut scene = Scene::new();
    scene.begin("frames, some of them checkpointed");
    let wal = std::fs::OpenOptions::new().write(true).open(format!("{}-wal", scene.path.display())).unwrap();
    wal.set_len(0).unwrap();
    let (capture, _) = scene.capture(1, &mut |_, _, _, _| {});
    let stability = capture.manifest.stability;
    assert!(!stability.stable && stability.reason.unwrap().contains("cut off"));
}

#[test]
fn a_wal_of_another_generation_is_no_traffic_while_somebody_has_the_wal_index_open() {
    let mut scene = Scene::new();
    scene.begin("an empty WAL");
    scene.play("update");
    let path = format!("{}-wal", scene.path.display());
    let older = std::fs::read(&path).unwrap();
    scene.play("checkpoint RESTART");
    // The header in the file is the one of before until the first frame is written.
    let cause = |scene: &mut Scene| scene.capture(1, &mut |_, _, _, _| {}).0.manifest.stability.cause;
    assert_eq!(cause(&mut scene), None);
    scene.play("update");
    assert_eq!(cause(&mut scene), None);
    // Written over in place, as cp does.
    std::fs::write(&path, older).unwrap();
    assert_eq!(cause(&mut scene), Some(UnstableCause::WalCutOff));
    std::mem::replace(&mut scene.writer, SqliteChild::start()).kill();
    assert_eq!(cause(&mut scene), None, "nobody uses the -shm any more");
}

/// The stability of a capture without the WAL's pages, with one attempt or two, while something is done during the
/// first.
fn without_wal_pages(wal: WalMode, attempts: u32, action: &str) -> Stability {
    let mut scene = Scene::new();
    scene.wal = Some(wal);
    scene.begin("an empty WAL");
    scene.play("update");
    let mut acted = false;
    let (capture, _) = scene.capture(attempts, &mut |scene, attempt, _, step| {
        if attempt == 1 && step == Step::DatabaseChunk(1) {
            acted = true;
            scene.play(action);
        }
    });
    assert!(acted, "the database is copied in one piece");
    capture.manifest.stability
}

#[test]
fn a_database_without_the_pages_of_its_wal_is_unstable_during_a_checkpoint() {
    for wal in [WalMode::None, WalMode::Headers] {
        let first = without_wal_pages(wal, 1, "checkpoint PASSIVE");
        assert!(!first.stable, "{wal:?}: a mixed database was called stable");
        assert!(first.reason.as_deref().unwrap().contains("checkpoint"), "{:?}", first.reason);
        let second = without_wal_pages(wal, 2, "checkpoint PASSIVE");
        assert_eq!((second.stable, second.attempts), (true, 2), "{:?}", second.reason);
        // Commits only lengthen the WAL.
        let beside = without_wal_pages(wal, 1, "insert 3; update");
        assert!(beside.stable, "{:?}", beside.reason);
    }
    // With the pages the same checkpoint is harmless.
    assert!(without_wal_pages(WalMode::Full, 1, "checkpoint PASSIVE").stable);
}

#[test]
fn a_database_that_is_gone_before_the_next_attempt_leaves_a_whole_bundle_labelled_unstable() {
    let mut scene = Scene::new();
    scene.begin("frames, some of them checkpointed");
    let (capture, _) = scene.capture(3, &mut |scene, attempt, _, step| match (attempt, step) {
        (1, Step::WalChunk(1)) => scene.play("checkpoint RESTART; update"),
        (2, Step::Before) => {
            for suffix in ["", "-wal", "-shm"] {
                std::fs::remove_file(format!("{}{suffix}", scene.path.display())).unwrap();
            }
        }
        _ => {}
    });
    let stability = capture.manifest.stability;
    assert_eq!((stability.stable, stability.attempts), (false, 1));
    let reason = stability.reason.unwrap();
    assert!(reason.contains("restarted") && reason.contains("No such file"), "{reason}");
    assert!(matches!(capture.database, walscope::look::DatabaseSeen::Whole(_)));
}

#[test]
fn commits_during_the_copy_are_cut_off_at_the_captured_mx_frame() {
    let mut scene = Scene::new();
    // The reader keeps the WAL from being restarted.
    scene.begin("a reader holds the checkpoint up");
    let (capture, first) = scene.capture(1, &mut |scene, _, _, step| {
        if matches!(step, Step::DatabaseChunk(1) | Step::WalCommitted | Step::WalTail) {
            scene.play("update; checkpoint PASSIVE");
        }
    });
    assert!(scene.check(&capture, first, "commits"), "{:?}", capture.manifest.stability);
    let names: Vec<&str> = capture.manifest.members.iter().map(|member| member.name.as_str()).collect();
    assert!(names.contains(&"wal-tail"), "{names:?}");
    assert!(capture.manifest.evidence.samples.len() == 3);
}

#[test]
fn capturing_leaves_no_file_behind_and_changes_none() {
    let mut scene = Scene::new();
    scene.begin("frames, some of them checkpointed");
    let before = listing(scene.folder.path());
    scene.capture(1, &mut |_, _, _, _| {});
    assert_eq!(listing(scene.folder.path()), before);
}

fn listing(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    // Reading through std here drops no lock that matters: this process has none.
    files.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}
