//! From a capture to a side of a comparison.

use std::io;
use std::sync::Arc;

use crate::bundle::Capture;
use crate::bytes::ReadAt;
use crate::format::shm::{self, IndexHead};
use crate::look::WalSeen;
use crate::number::Stride;
use crate::wal::{Scan, WalFacts};

use super::{FrameHeaders, Side};

impl Side {
    /// Decodes what a capture holds of the `-shm` and the `-wal`.
    ///
    /// Where only frame headers were captured, the facts are those of the scan at capture; without any of the `-wal`,
    /// they are those of an absent one, and `wal_captured` tells which.
    ///
    /// # Errors
    /// Only what reading reported; bad content is part of the facts.
    pub fn from_capture(capture: &Capture) -> io::Result<Self> {
        let (wal, frame_headers) = wal_of(&capture.wal)?;
        Ok(Self {
            stable: capture.manifest.stability.stable,
            shm: capture.shm.as_deref().map(head_of).transpose()?.flatten(),
            wal,
            wal_captured: !matches!(capture.wal, WalSeen::NotSeen),
            frame_headers,
            ..Self::new(capture.label.clone(), capture.manifest.evidence.clone())
        })
    }
}

/// The head of a `-shm`; `None` when it is shorter than that, which is normal for one that nobody has open.
fn head_of(shm: &dyn ReadAt) -> io::Result<Option<IndexHead>> {
    let mut head = [0; shm::HEAD_SIZE];
    let n = shm.read_at(&mut head, 0)?;
    Ok(shm::parse_head(head.get(..n).unwrap_or_default()).ok())
}

fn wal_of(bytes: &WalSeen) -> io::Result<(WalFacts, Option<FrameHeaders>)> {
    Ok(match bytes {
        WalSeen::Absent | WalSeen::NotSeen => (WalFacts::absent(), None),
        WalSeen::Whole(bytes) => {
            let facts = Scan::new(bytes.as_ref()).facts()?;
            let headers = facts
                .page_size()
                .map(|page_size| FrameHeaders { bytes: Arc::clone(bytes), stride: page_size.stride() });
            (facts, headers)
        }
        WalSeen::Headers { bytes, facts } => {
            ((**facts).clone(), Some(FrameHeaders { bytes: Arc::clone(bytes), stride: Stride::HEADERS }))
        }
    })
}
