//! What walscope says about a database, by the same steps as `inspect` takes.

use std::path::Path;
use std::process::Command;

use walscope::analysis::checkpoint::{CheckpointFacts, ReadMark, diagnose, read_marks};
use walscope::analysis::findings::{Facts, findings};
use walscope::analysis::wal::{WalFacts, scan};
use walscope::bytes::ReadAt;
use walscope::evidence::{ByteLock, ShmLocks};
use walscope::finding::{Finding, Severity};
use walscope::format::{db, shm};
use walscope::source::{self, Source};

/// One look.
pub struct Look {
    pub facts: CheckpointFacts,
    pub wal: WalFacts,
    pub marks: Vec<ReadMark>,
    pub locks: Option<ShmLocks>,
    pub findings: Vec<Finding>,
}

impl Look {
    pub fn at(path: &Path) -> Self {
        let Source::Files(files) = source::open(path.as_os_str(), false).unwrap() else { panic!("a bundle") };
        let head = |bytes: &dyn ReadAt, len: usize| {
            let mut head = vec![0; len];
            let n = bytes.read_at(&mut head, 0).unwrap();
            head.truncate(n);
            head
        };
        let database = files.database.as_deref().and_then(|bytes| db::parse_head(&head(bytes, 100)).ok());
        let shm = files.shm.as_deref().and_then(|bytes| shm::parse_head(&head(bytes, shm::HEAD_SIZE)).ok());
        let locks = files.shm.as_ref().map(|_| files.locks());
        let wal = match &files.wal {
            Some(wal) => scan(wal.as_ref(), &mut |_| {}).unwrap(),
            None => WalFacts::absent(),
        };
        // Nobody works while this looks: a second look at the -shm must say the same.
        let after = files.shm.as_deref().and_then(|bytes| shm::parse_head(&head(bytes, shm::HEAD_SIZE)).ok());
        assert_eq!(shm, after, "the -shm moved under the look");
        let locks = locks.map(|locks| locks.value().expect("locks can be seen").shm.clone());
        let found = findings(&Facts {
            database: database.as_ref(),
            wal: Some(&wal),
            shm: shm.as_ref(),
            locks: locks.as_ref(),
            hot_journal: files.hot_journal,
            access_time_moved: &files.access_time_moved,
            ..Facts::default()
        });
        Self {
            facts: diagnose(&wal, shm.as_ref(), locks.as_ref()),
            marks: shm.as_ref().map(|shm| read_marks(shm, locks.as_ref())).unwrap_or_default(),
            wal,
            locks,
            findings: found,
        }
    }

    /// Nothing of what SQLite does, or leaves behind when it is killed, is worth more than a notice.
    pub fn check_findings(&self) {
        for finding in &self.findings {
            assert!(finding.severity <= Severity::Notice, "{finding:?}");
        }
    }

    /// The command itself says the same.
    pub fn check_command(&self, path: &Path) {
        let output = Command::new(env!("CARGO_BIN_EXE_walscope"))
            .args(["inspect", "--json", "--fail-on", "warning"])
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["checkpoint"], serde_json::to_value(&self.facts).unwrap(), "inspect --json: checkpoint");
        let committed = json["wal"]["frames"]["committed"].as_u64();
        assert_eq!(committed.unwrap_or_default(), self.wal.frames.committed, "inspect --json: committed");
    }
}

/// Who holds a lock byte, as far as seen, in order.
pub fn pids(lock: &ByteLock) -> Vec<u32> {
    let mut pids: Vec<u32> = lock.holders.iter().filter_map(|holder| holder.pid).collect();
    pids.sort_unstable();
    pids
}
