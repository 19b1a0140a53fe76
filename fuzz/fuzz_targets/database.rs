//! Any bytes as a database with its `-wal` and `-shm`: one look at all three, as `inspect` and `verify` take it, with a walk over
//! the trees.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use walscope::evidence::{ByteLock, LockState, LocksView, ShmLocks};
use walscope::look::{Bytes, Options, inspect};
use walscope::report::inspect::InspectDocument;
use walscope::report::verify::VerifyDocument;
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

fn locks() -> LocksView {
    let lock = |state| ByteLock { state, reason: None, holders: Vec::new() };
    let shm = ShmLocks {
        write: lock(LockState::Free),
        checkpoint: lock(LockState::Free),
        recover: lock(LockState::Free),
        read: std::array::from_fn(|slot| lock(if slot == 1 { LockState::Shared } else { LockState::Free })),
        dead_man_switch: lock(LockState::Shared),
    };
    LocksView::new(shm, lock(LockState::Shared))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((database, wal, shm)) = parts(bytes) else { return };
    let drawn = is_drawn(bytes);
    let memory = Bytes {
        database: Some(database.to_vec()),
        wal: Some(wal.to_vec()),
        shm: (!shm.is_empty()).then(|| shm.to_vec()),
        locks: (bytes[1] % 2 == 1).then(locks),
    };
    let inspection = inspect(&memory, &Options { trees: true, ..Options::default() }).unwrap();
    let verified = VerifyDocument::new(&inspection);
    let inspected = InspectDocument::new(&inspection);
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
