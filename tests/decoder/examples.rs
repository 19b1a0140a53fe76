//! The programs in `examples/` say what is true of the files in `testdata/`; the iterator over the valid chain agrees with the scan.

use std::fs;
use std::path::{Path, PathBuf};

use walscope::wal::{Frame, commits, scan, valid_frames};

#[path = "../../examples/checkpoint.rs"]
mod checkpoint;
#[path = "../../examples/commits.rs"]
mod list;
#[path = "../../examples/verdict.rs"]
mod verdict;

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

#[test]
fn the_example_of_commits_lists_them_and_why_the_chain_ends() {
    let said = list::list(&testdata("cases/wal-torn-frame/t.db-wal")).unwrap();
    let facts = scan(&fs::read(testdata("cases/wal-torn-frame/t.db-wal")).unwrap(), &mut |_| {}).unwrap();
    assert_eq!(said.lines().count() as u64, facts.commits + 1, "{said}");
    assert!(said.ends_with("TornFrame\n"), "{said}");
}

#[test]
fn the_example_of_a_checkpoint_shows_its_state() {
    let said = checkpoint::state(&testdata("cases/six-classes-wal/t.db")).unwrap();
    assert!(said.ends_with(" frames wait\n"), "{said}");
}

#[test]
fn the_example_of_a_verdict_refutes_what_is_copied() {
    let bundle = |name: &str| testdata("bundles/copied").join(name);
    let said = verdict::verdict(&bundle("reader.walsnap"), &bundle("writer.walsnap")).unwrap();
    assert!(said.starts_with("Refuted\n"), "{said}");
}

#[test]
fn the_frames_of_the_valid_chain_are_those_of_the_scan() {
    let mut seen = 0;
    for case in fs::read_dir(testdata("cases")).unwrap() {
        let Ok(wal) = fs::read(case.unwrap().path().join("t.db-wal")) else { continue };
        let mut valid: Vec<Frame> = Vec::new();
        let facts = scan(&wal, &mut |frame| valid.extend(frame.valid.then_some(*frame))).unwrap();
        let chain: Vec<Frame> = valid_frames(&wal.as_slice()).map(Result::unwrap).collect();
        assert_eq!(chain, valid);
        assert_eq!(commits(&wal).count() as u64, facts.commits);
        seen += chain.len();
    }
    assert!(seen > 20, "only {seen} frames");
}
