//! How a capture becomes a side of a comparison.

use std::io;
use std::sync::Arc;

use crate::bundle::Capture;
use crate::look::{self, Depth, Inspection, Options, WalSeen};
use crate::number::Stride;
use crate::wal::WalFacts;

use super::{FrameHeaders, Side};

impl Side {
    /// Looks at a capture with one thread, as deep as a comparison needs: see [`Side::look_at`].
    ///
    /// # Errors
    /// Only what reading reported; bad content is part of the facts.
    pub fn from_capture(capture: &Capture) -> io::Result<Self> {
        Self::look_at(capture, &Options::default())
    }

    /// Looks at a capture as far as a comparison needs: the head of the `-shm`, and one pass over the `-wal`. Of the
    /// options, only the threads and the progress are used.
    ///
    /// If only frame headers were captured, the facts are those of the pass at capture. If the `-wal` was left out,
    /// they are those of an absent one, and `wal_captured` is `false`.
    ///
    /// # Errors
    /// Only what reading reported; bad content is part of the facts.
    pub fn look_at(capture: &Capture, options: &Options<'_>) -> io::Result<Self> {
        let Inspection { origin, database, shm, wal, .. } =
            look::inspect(capture, &Options { depth: Depth::Frames, ..*options })?;
        Ok(Self {
            stable: origin.unstable.is_none(),
            unstable: capture.manifest.stability.cause,
            database,
            shm,
            frame_headers: frame_headers(&capture.wal, wal.as_ref()),
            wal_captured: wal.is_some(),
            wal: wal.unwrap_or_else(WalFacts::absent),
            ..Self::new(origin.label, capture.manifest.evidence.clone())
        })
    }
}

/// Where the frame headers of a captured `-wal` are.
fn frame_headers(wal: &WalSeen, facts: Option<&WalFacts>) -> Option<FrameHeaders> {
    let (bytes, stride) = match wal {
        WalSeen::Absent | WalSeen::NotSeen => return None,
        WalSeen::Whole(bytes) => (bytes, facts.and_then(WalFacts::page_size)?.stride()),
        WalSeen::Headers { bytes, .. } => (bytes, Stride::HEADERS),
    };
    Some(FrameHeaders { bytes: Arc::clone(bytes), stride })
}
