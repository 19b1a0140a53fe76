//! Any bytes as a bundle: read, and everything in it decoded.
#![no_main]

use std::io::Write;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use walscope::analysis::frames::{self, FrameBytes};
use walscope::analysis::shm::WalIndex;
use walscope::analysis::wal::scan;
use walscope::snapshot::{Capture, DatabaseBytes, WalBytes};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let Ok(capture) = Capture::from_file("x", Arc::new(file)) else { return };
    match &capture.wal {
        WalBytes::Full(wal) => {
            let facts = scan(wal.as_ref(), &mut |_| {}).unwrap();
            frames::visit(FrameBytes::Whole(wal.as_ref()), &facts, 1..=u64::MAX, &mut |_| Ok(())).unwrap();
        }
        WalBytes::Headers { bytes, facts } => {
            frames::visit(FrameBytes::Headers(bytes.as_ref()), facts, 1..=u64::MAX, &mut |_| Ok(())).unwrap();
        }
        WalBytes::Missing | WalBytes::NotCaptured => {}
    }
    if let Some(shm) = &capture.shm {
        let _ = WalIndex::open(shm.as_ref());
    }
    if let DatabaseBytes::FirstPage(db) | DatabaseBytes::Full(db) = &capture.database {
        let mut head = [0; 100];
        let n = db.read_at(&mut head, 0).unwrap();
        let _ = walscope::format::db::parse_head(&head[..n]);
    }
});
