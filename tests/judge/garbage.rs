//! A -shm of uninitialised memory, full hash tables, endless chains, hostile counts: the work stays in proportion to the
//! files, whatever their numbers say, and what is wrong is said.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use walscope::bytes::ReadAt;
use walscope::evidence::LocksView;
use walscope::finding::{Severity, findings};
use walscope::look::{DatabaseSeen, Options, Seen, WalSeen, inspect};
use walscope::shm::{BlockFacts, WalIndex};

use crate::common::command::walscope;
use crate::common::in_memory;
use crate::common::synthetic::Shm;
use crate::world::{World, healthy};
use walscope::number::PageNumber;

/// Counts what is read.
struct Counted(Vec<u8>, Arc<AtomicU64>);

impl ReadAt for Counted {
    fn len(&self) -> u64 {
        ReadAt::len(&self.0)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        // A reading of nothing is work, too.
        self.1.fetch_add(1 + buf.len() as u64, Ordering::Relaxed);
        self.0.read_at(buf, offset)
    }
}

struct Watched<'a>(&'a World, Arc<AtomicU64>);

impl Watched<'_> {
    fn counted(&self, bytes: &[u8]) -> Arc<dyn ReadAt> {
        Arc::new(Counted(bytes.to_vec(), Arc::clone(&self.1)))
    }
}

impl Seen for Watched<'_> {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(DatabaseSeen::Whole(self.counted(self.0.database.as_ref().unwrap())))
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(WalSeen::Whole(self.counted(&self.0.wal.as_ref().unwrap().bytes)))
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.0.shm.as_ref().map(|bytes| self.counted(bytes)))
    }

    fn locks(&self) -> Option<LocksView> {
        Seen::locks(self.0)
    }
}

/// Findings above info; fails when more is read than the files have bytes, many times over.
fn judged(world: &World, what: &str) -> Vec<String> {
    let read = Arc::new(AtomicU64::new(0));
    let examined = inspect(&Watched(world, Arc::clone(&read)), &Options::default()).unwrap();
    let files = [world.database.as_ref().unwrap().len(), world.wal.as_ref().unwrap().bytes.len()];
    let bytes = files.into_iter().sum::<usize>() + world.shm.as_ref().map_or(0, Vec::len);
    // Buffers are larger than these files.
    let most = 8 * (bytes as u64 + (1 << 20));
    assert!(read.load(Ordering::Relaxed) <= most, "{what}: {read:?} bytes read of {bytes}");
    let found = findings(&examined);
    found
        .into_iter()
        .filter(|found| found.severity > Severity::Info)
        .map(|found| found.code().name().to_owned())
        .collect()
}

/// xorshift: what malloc may hand out, as far as anybody knows.
fn garbage(seed: u64, length: usize) -> Vec<u8> {
    // Never 0, and another one for each seed.
    let mut state = seed * 2 + 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| byte()).collect()
}

#[test]
fn a_wal_index_of_garbage_is_refused() {
    for seed in 0..200 {
        let mut world = healthy();
        world.shm = Some(garbage(seed, 32_768 * (1 + seed as usize % 3) - seed as usize));
        let found = judged(&world, "garbage");
        assert_eq!(found, ["shm_header_copies_differ"], "seed {seed}");
    }
}

#[test]
fn garbage_after_a_right_head_is_reported_as_far_as_it_counts() {
    for seed in 0..200 {
        let mut world = healthy();
        let noise = garbage(seed, 32_768 - 136);
        world.shm.as_mut().unwrap()[136..].copy_from_slice(&noise);
        let found = judged(&world, "garbage behind the head");
        for code in ["shm_pages_wrong", "shm_frames_unreachable"] {
            assert!(found.iter().any(|found| found == code), "seed {seed}: {code} of {found:?}");
        }
    }
}

#[test]
fn a_table_without_an_empty_slot_is_reported_only_where_frames_are_searched() {
    let fill = |world: &mut World, value: &dyn Fn(usize) -> u16| {
        for (at, slot) in world.shm.as_mut().unwrap()[16_384..32_768].chunks_exact_mut(2).enumerate() {
            if slot == [0, 0] {
                slot.copy_from_slice(&value(at).to_le_bytes());
            }
        }
    };
    // Behind the block's end; to frames behind mxFrame; a chain that only ever meets one frame.
    let fillings: [&dyn Fn(usize) -> u16; 3] = [&|_| 0xffff, &|at| 5 + (at % 4_000) as u16, &|_| 4];
    for filling in fillings {
        let mut world = healthy();
        fill(&mut world, filling);
        let found = judged(&world, "a full table");
        assert!(found.contains(&"shm_frames_unreachable".to_owned()), "{found:?}");
        let examined = world.examine();
        let index = examined.index.unwrap();
        assert_eq!((index.full_blocks, index.unreachable), (1, 4));

        // Recovery of an empty WAL leaves a block that was never set: nobody searches it.
        world.wal.as_mut().unwrap().bytes.truncate(32);
        world.reindex(|shm| *shm = Shm { mx_frame: 0, backfilled: 0, pages: vec![], ..shm.clone() });
        fill(&mut world, filling);
        assert_eq!(judged(&world, "a full table at mxFrame 0"), [""; 0]);
    }
}

#[test]
fn counts_larger_than_any_file_are_reported_and_cost_nothing() {
    for hostile in [5, 4_063, 1 << 31, u32::MAX - 1, u32::MAX] {
        let mut world = healthy();
        world.reindex(|shm| shm.mx_frame = hostile);
        let too_few = |found: Vec<String>| {
            // Which of the two: it cannot be told from files alone whether the count is wrong, or frames are gone.
            assert!(
                found.iter().any(|code| code == "shm_beyond_wal" || code == "wal_truncated"),
                "{hostile}: {found:?}"
            );
        };
        too_few(judged(&world, "mxFrame"));

        world.reindex(|shm| shm.backfilled = hostile);
        assert!(judged(&world, "nBackfill").contains(&"shm_backfill_beyond_mx_frame".to_owned()), "{hostile}");

        world.reindex(|shm| (shm.database_pages, shm.attempted) = (hostile, hostile));
        assert!(judged(&world, "nPage").contains(&"shm_header_contradicts_wal".to_owned()), "{hostile}");

        world.reindex(|shm| {
            *shm =
                Shm { mx_frame: hostile, backfilled: hostile, attempted: hostile, marks: [hostile; 5], ..shm.clone() };
        });
        too_few(judged(&world, "all"));
    }
}

#[test]
fn no_more_blocks_are_read_than_the_file_has() {
    let bytes = Shm { mx_frame: u32::MAX, pages: vec![1; 9_000], ..Shm::default() }.bytes(false);
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted(bytes, Arc::clone(&read));
    let index = WalIndex::open(&counted).unwrap();
    assert_eq!(index.blocks(), 3);
    assert!(index.block(3).is_err() && index.block(u32::MAX).is_err());
    let _ = index.frame_of_page(PageNumber(7), u32::MAX.into()).unwrap();
    assert_eq!(index.page_of_frame(u32::MAX.into()).unwrap(), None);
    // One page in every entry: each slot of a block leads to one, and a chain is as long as there are entries.
    let facts = BlockFacts::of(&index.block(2).unwrap(), u32::MAX.into());
    assert_eq!(facts.indexed, 4_096);
    assert!(read.load(Ordering::Relaxed) < 10 * 32_768, "{read:?}");
}

#[test]
fn every_command_ends_on_garbage_and_says_what_it_is() {
    let folder = in_memory();
    let at = folder.path();
    let world = healthy();
    std::fs::write(at.join("t.db"), world.database.unwrap()).unwrap();
    std::fs::write(at.join("t.db-wal"), &world.wal.as_ref().unwrap().bytes).unwrap();
    let mut hostile = world.shm.unwrap();
    hostile[136..].copy_from_slice(&garbage(7, 32_768 - 136));
    for (shm, said) in [(garbage(3, 100_000), "shm_header_copies_differ"), (hostile, "shm_pages_wrong")] {
        std::fs::write(at.join("t.db-shm"), shm).unwrap();
        for words in [
            &["inspect", "t.db", "--json"][..],
            &["verify", "t.db", "--json"],
            &["shm", "t.db", "--pages", "--hash", "--json"],
            &["wal", "t.db", "--json"],
            &["compare", "t.db", "t.db", "--json"],
            &["snapshot", "t.db", "-o", "b.walsnap", "--force"],
        ] {
            let ran = walscope(at, words);
            assert!((0..=3).contains(&ran.code), "{words:?}: {} {}", ran.code, ran.stderr);
            assert!(!ran.stderr.contains("panicked"), "{words:?}: {}", ran.stderr);
        }
        let document = walscope(at, &["verify", "t.db", "--json"]).json();
        let found = document["findings"].as_array().unwrap();
        assert!(found.iter().any(|finding| finding["code"] == said), "{said}: {found:#?}");
    }
}
