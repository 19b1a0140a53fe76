//! What walscope says about a database, by the same steps as `inspect` takes.

use std::path::Path;
use std::process::Command;

use walscope::evidence::{ByteLock, LocksView};
use walscope::finding::{Code, Finding, Severity, findings};
use walscope::look::checkpoint::CheckpointFacts;
use walscope::look::marks_and_locks::{ReadMark, read_marks};
use walscope::look::{Options, Seen, inspect};
use walscope::report::checkpoint::CheckpointDocument;
use walscope::say;
use walscope::say::checkpoint::sentence;
use walscope::source::{self, Source};
use walscope::wal::WalFacts;

use crate::common::contradictions::contradict;

/// One look.
pub struct Look {
    pub facts: CheckpointFacts,
    pub wal: WalFacts,
    pub marks: Vec<ReadMark>,
    pub locks: Option<LocksView>,
    pub findings: Vec<Finding>,
    /// The wal-index was held against the WAL, entry by entry.
    pub index_compared: bool,
    /// The frames that are said to be copied were held against the database.
    pub backfill_compared: bool,
    /// Each page was looked for in both files.
    pub pages_looked_for: bool,
    /// Page 1 of the database was held against those in the WAL.
    pub page_ones_compared: bool,
    /// The frames of the generation before were held against the database.
    pub stale_compared: bool,
    /// All trees were walked over.
    pub trees_walked: bool,
}

impl Look {
    pub fn at(path: &Path) -> Self {
        let Source::Files(files) = source::open(path.as_os_str(), walscope::linux::Care::default()).unwrap() else {
            panic!("a bundle")
        };
        let seen = inspect(files.as_ref(), &Options { trees: true, ..Options::default() }).unwrap();
        let found = findings(&seen);
        let wal = seen.wal.expect("a look at the WAL");
        Self {
            facts: seen.checkpoint.expect("a diagnosis"),
            marks: seen
                .shm
                .as_ref()
                .map(|shm| read_marks(shm, seen.locks.as_ref().map(|locks| &locks.shm)))
                .unwrap_or_default(),
            wal,
            locks: seen.locks,
            findings: found,
            index_compared: seen.index.is_ok(),
            backfill_compared: seen.backfill.is_ok_and(|backfill| backfill.pages > 0),
            pages_looked_for: seen.pages.is_ok(),
            page_ones_compared: seen.page_ones.is_ok(),
            stale_compared: seen.stale.is_ok(),
            trees_walked: seen.trees.is_ok(),
        }
    }

    /// What is said of the checkpoint.
    pub fn told(&self) -> String {
        say::checkpoint::checkpoint(&self.facts, &self.wal, &self.findings)
    }

    /// Nothing of what SQLite does, or leaves behind when it is killed, is worth more than a notice, and no sentence
    /// contradicts a finding beside it. A commit that nobody was told of and that was never copied is named in a warning.
    pub fn check_findings(&self, unconfirmed: bool) {
        let wal = &self.wal;
        assert_eq!(wal.frames.unrelated, 0, "SQLite wrote every frame: {:?}, {:?}", wal.unrelated, wal.generations);
        for finding in &self.findings {
            let innocent = unconfirmed && finding.code() == Code::StaleFramesNotInDatabase;
            assert!(finding.severity <= Severity::Notice || innocent, "{finding:?}");
            let said = sentence(&self.facts, &self.wal, &self.findings);
            assert!(!contradict(said, finding), "{said:?} beside {finding:?}");
        }
    }

    /// The command itself says the same, and `verify` finds nothing.
    pub fn check_command(&self, path: &Path) {
        let output = Command::new(env!("CARGO_BIN_EXE_walscope"))
            .args(["inspect", "--json", "--fail-on", "warning"])
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let verified = Command::new(env!("CARGO_BIN_EXE_walscope"))
            .args(["verify", "--fail-on", "warning"])
            .arg(path)
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        // The command also looks at the processes, which takes too long for every look.
        let Source::Files(files) = source::open(path.as_os_str(), walscope::linux::Care::default()).unwrap() else {
            panic!("a bundle")
        };
        let mut seen = inspect(files.as_ref(), &Options { trees: true, ..Options::default() }).unwrap();
        seen.surroundings = files.surroundings();
        let foretold = CheckpointDocument::new(&self.facts, &self.wal, &findings(&seen));
        let foretold = serde_json::to_value(&foretold).unwrap();
        assert_eq!(without_ages(&json["checkpoint"]), without_ages(&foretold), "inspect --json: checkpoint");
        let committed = json["wal"]["frames"]["committed"].as_u64();
        assert_eq!(committed.unwrap_or_default(), self.wal.frames.committed, "inspect --json: committed");
    }
}

/// The text of a document without how long ago processes were started: two looks are not at one time.
fn without_ages(document: &serde_json::Value) -> String {
    let text = document.to_string();
    let mut parts = text.split(", process started ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once(" ago").map_or(part, |(_, rest)| rest));
    }
    kept
}

/// Who holds a lock byte, as far as seen, in order.
pub fn pids(lock: &ByteLock) -> Vec<u32> {
    let mut pids: Vec<u32> = lock.holders.iter().filter_map(|holder| holder.pid).collect();
    pids.sort_unstable();
    pids
}
