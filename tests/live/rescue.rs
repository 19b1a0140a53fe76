//! Saves files beside a process that writes all the time, after they were deleted, renamed or replaced: what is saved opens
//! in SQLite, is whole, and has every row that was committed before. `tests/docker/rescues.rs` does the same in containers.

use std::fs;
use std::process::Stdio;

use crate::common::command::{EXE, walscope};
use crate::common::random::Random;
use crate::rescued::{Accident, Writer, happen, rows, set_of, trials, uses_wal};

/// Trials of a plain test run.
const TRIALS: u64 = 40;

/// Gives whether it is shown that what was saved is of one moment. Then every row was in it.
fn trial(seed: u64) -> bool {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let path = data.join("t.db");
    let mut writer = Writer::start(&path, seed);
    writer.wait_for(1 + i64::try_from(random.below(300)).unwrap());
    let accident = random.pick(&Accident::ALL);
    let source = happen(accident, &path, uses_wal(seed), &mut random);
    let committed = writer.rows();
    let ran = walscope(folder.path(), &["rescue", &source.display().to_string(), "-o", "saved", "--json"]);
    let context = || format!("seed {seed}, {accident:?}: {} {}", ran.text(), ran.stderr);
    assert!(ran.code == 0 || ran.code == 1, "{}", context());
    // In rollback mode SQLite notices that a file is gone, and the writer writes no more.
    let document = ran.json();
    let set = set_of(&document, |pid| pid == writer.pid()).unwrap_or_else(|| panic!("{}", context()));
    let stable = set["stable"] == true;
    assert!(ran.code == 1 || stable, "{}", context());
    if stable {
        let saved = rows(&folder.path().join(set["database"].as_str().unwrap()), context);
        assert!(saved >= committed, "{saved} of {committed} rows: {}", context());
    }
    stable
}

#[test]
fn what_a_rescue_saves_has_every_row_that_was_committed_before_it() {
    let trials = trials(TRIALS);
    let saved = (1..=trials).filter(|seed| trial(*seed)).count() as u64;
    let unstable = trials - saved;
    eprintln!(
        "{trials} rescues beside a busy writer: {saved} have every row, {unstable} are not shown to be of one moment"
    );
    assert!(saved > 0 && unstable * 10 <= trials, "{saved} of {trials}");
}

/// A process is killed while its files are looked for. What it had open is gone then, and nobody may say that all was saved.
#[test]
fn a_rescue_beside_a_process_that_ends_never_says_all_without_the_wal() {
    let in_wal_mode = (1..).find(|seed| uses_wal(*seed)).unwrap();
    let (mut without, mut nothing) = (0, 0);
    for seed in 1..=TRIALS {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let mut writer = Writer::start(&path, in_wal_mode);
        writer.wait_for(1 + i64::try_from(random.below(20)).unwrap());
        happen(Accident::AllDeleted, &path, true, &mut random);
        let output = folder.path().join("saved");
        let mut rescue = std::process::Command::new(EXE);
        rescue.arg("rescue").arg(&path).arg("-o").arg(&output).stdout(Stdio::null()).stderr(Stdio::null());
        let mut rescue = rescue.spawn().unwrap();
        // In one of four trials the process lives until the end, and in one it is killed at once.
        let code = match seed % 4 {
            0 => rescue.wait().unwrap().code(),
            _ => {
                let yields = if seed % 4 == 1 { 0 } else { random.below(200) };
                (0..yields).for_each(|_| std::thread::yield_now());
                drop(writer);
                rescue.wait().unwrap().code()
            }
        };
        let saved = output.join("t.db-wal").exists();
        without += u64::from(!saved);
        nothing += u64::from(code == Some(2));
        assert!(code.is_some_and(|code| code <= 2), "seed {seed}: {code:?}");
        assert!(code != Some(0) || saved, "seed {seed}: all is said to be saved without the -wal");
        assert!(code == Some(2) || output.join("manifest.json").exists(), "seed {seed}: {code:?}");
        assert!(seed % 4 != 0 || saved && code < Some(2), "seed {seed}: the process went on: {code:?}");
    }
    eprintln!(
        "{TRIALS} rescues beside a process that ends, {without} of them without the -wal, {nothing} of them found nothing"
    );
}
