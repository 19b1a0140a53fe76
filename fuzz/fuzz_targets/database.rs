//! Any bytes as a database with its `-wal` and `-shm`: one look at all three, as `inspect` and `verify` take it.
#![no_main]

use std::io;
use std::sync::Arc;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use walscope::look::{DatabaseSight, Sight, WalSight, examine};
use walscope::finding::rules::Facts;
use walscope::bytes::ReadAt;
use walscope::evidence::{ByteLock, LockState, LocksView, ShmLocks};
use walscope::report::inspect::{self, Sizes, SourceKind};
use walscope::report::verify;
use walscope_fuzz::bits::Bits;
use walscope_fuzz::chain;
use walscope_fuzz::text::{assert_harmless, is_drawn};

/// Two lengths in 16 bits: of the database and of the `-wal`. What is left is the `-shm`.
const LENGTHS: usize = 4;

fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (lengths, rest) = bytes.split_at_checked(LENGTHS)?;
    let length =
        |at: usize, rest: &[u8]| usize::from(u16::from_le_bytes([lengths[at], lengths[at + 1]])).min(rest.len());
    let (database, rest) = rest.split_at(length(0, rest));
    let (wal, shm) = rest.split_at(length(2, rest));
    Some((database, wal, shm))
}

struct Memory {
    database: Arc<Vec<u8>>,
    wal: Arc<Vec<u8>>,
    shm: Arc<Vec<u8>>,
    used: bool,
}

impl Sight for Memory {
    fn database(&self) -> io::Result<DatabaseSight> {
        Ok(DatabaseSight::Whole(self.database.clone()))
    }

    fn wal(&self) -> io::Result<WalSight> {
        Ok(WalSight::Whole(self.wal.clone()))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok((!self.shm.is_empty()).then(|| self.shm.clone() as Arc<dyn ReadAt>))
    }

    fn locks(&self) -> Option<LocksView> {
        let lock = |state| ByteLock { state, reason: None, holders: Vec::new() };
        self.used.then(|| LocksView {
            shm: ShmLocks {
                write: lock(LockState::Free),
                checkpoint: lock(LockState::Free),
                recover: lock(LockState::Free),
                read: std::array::from_fn(|slot| lock(if slot == 1 { LockState::Shared } else { LockState::Free })),
                dead_man_switch: lock(LockState::Shared),
            },
            database: lock(LockState::Shared),
        })
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((database, wal, shm)) = parts(bytes) else { return };
    let drawn = is_drawn(bytes);
    let of = |bytes: &[u8]| Arc::new(bytes.to_vec());
    let memory = Memory { database: of(database), wal: of(wal), shm: of(shm), used: bytes[1] % 2 == 1 };
    let examined = examine(&memory).unwrap();
    let sizes = Sizes {
        database: Some(database.len() as u64),
        wal: Some(wal.len() as u64),
        shm: (!shm.is_empty()).then_some(shm.len() as u64),
    };
    let source = inspect::Source { label: "x".into(), kind: SourceKind::Files, path: "x".into(), stable: None };
    let verified = verify::build(source.clone(), &Facts::of(&examined), Default::default());
    let inspected = inspect::build(source, sizes, &Facts::of(&examined), Default::default());
    // The two commands judge the same facts.
    assert_eq!(verified.findings, inspected.findings);
    if drawn {
        let width = 20 + bytes.len() % 100;
        assert_harmless(&verified.draw(width));
        assert_harmless(&inspected.draw(width));
        serde_json::to_string(&inspected).unwrap();
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if size > LENGTHS && seed % 2 == 0 {
        let at = LENGTHS + usize::from(u16::from_le_bytes([data[0], data[1]]));
        let length = usize::from(u16::from_le_bytes([data[2], data[3]]));
        let end = (at + length).min(size);
        if let Some(wal) = data.get_mut(at..end) {
            chain::repair(wal, &mut Bits::new(seed));
        }
    }
    size
});
