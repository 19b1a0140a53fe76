//! Any bytes as a bundle: read, and everything in it decoded.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use walscope::wal::frames::{self, FrameBytes};
use walscope::shm::WalIndex;
use walscope::wal::scan;
use walscope::compare::{Answer, Side, compare};
use walscope::bundle::Capture;
use walscope::look::{DatabaseSeen, WalSeen};
use walscope::number::FrameNumber;
use walscope_fuzz::archive;
use walscope_fuzz::bits::Bits;

fuzz_target!(|bytes: &[u8]| {
    let Ok(capture) = Capture::from_file("x", archive::file(bytes)) else { return };
    match &capture.wal {
        WalSeen::Whole(wal) => {
            let facts = scan(wal.as_ref(), &mut |_| {}).unwrap();
            frames::visit(FrameBytes::Whole(wal.as_ref()), &facts, FrameNumber::FIRST..=FrameNumber::LARGEST, 1, &mut |_| Ok(())).unwrap();
        }
        WalSeen::Headers { bytes, facts } => {
            frames::visit(FrameBytes::Headers(bytes.as_ref()), facts, FrameNumber::FIRST..=FrameNumber::LARGEST, 1, &mut |_| Ok(())).unwrap();
        }
        WalSeen::Absent | WalSeen::NotSeen => {}
    }
    if let Some(shm) = &capture.shm {
        let _ = WalIndex::open(shm.as_ref());
    }
    if let DatabaseSeen::FirstPage(db) | DatabaseSeen::Whole(db) = &capture.database {
        let mut head = [0; 100];
        let n = db.read_at(&mut head, 0).unwrap();
        let _ = walscope::format::db::parse_head(&head[..n]);
    }
    let side = Side::from_capture(&capture).unwrap();
    assert_ne!(compare(&[side.clone(), side], false).verdict.sharing, Answer::Proven);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(4) {
        archive::repair(&mut data[..size], &mut Bits::new(seed));
    }
    size
});
