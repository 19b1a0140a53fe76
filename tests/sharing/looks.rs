//! Several looks at a database that another process reads.

use std::num::NonZeroUsize;

use walscope::linux::Care;
use walscope::look::over_time::{Outcome, OverTime};
use walscope::look::{Depth, Options};
use walscope::say::over_time::over_time;
use walscope::source;

use crate::sqlite::Sqlite;

#[test]
fn one_reader_that_was_there_for_a_while_is_not_several() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let mut writer = Sqlite::open(&path);
    writer.run("INSERT INTO t VALUES(1)");
    let mut reader = Sqlite::open(&path);
    reader.run("BEGIN; SELECT x FROM t");
    writer.run("INSERT INTO t VALUES(2)");
    let mut over = OverTime::default();
    for look in 0..6 {
        if look == 3 {
            let told = over_time(&over);
            assert!(over.outcome() == Outcome::Kept && told.contains("the same reader"), "{told}");
            reader.run("COMMIT");
        }
        let care = Care { strict_atime: false, look_anyway: false };
        let options = Options { depth: Depth::CrossChecked, threads: NonZeroUsize::MIN, ..Options::default() };
        over.add(&source::inspect(path.as_os_str(), care, &options).unwrap().1);
    }
    let told = over_time(&over);
    assert_eq!(over.outcome(), Outcome::OneForAWhile, "{told}");
    assert!(told.contains("at 3 of 6 looks") && told.contains(&format!("pid {}", reader.pid())), "{told}");
    assert!(told.contains("It was gone at the last look"), "{told}");
}
