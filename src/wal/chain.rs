//! The valid chain, frame by frame, for callers that stop early or take frames one by one.

use std::io;

use crate::bytes::ReadAt;
use crate::format::wal::{FrameHeader, HEADER_SIZE, frame_checksum, parse_header};
use crate::number::{ByteOrder, Checksum, FrameNumber, PageSize, Salts};

use super::{Frame, header_fault};

/// The frames of the valid chain, in order: the committed frames, and those after the last commit. It ends where SQLite
/// would stop reading. [`super::scan`] explains why it ends there, and what follows.
///
/// One frame is read at a time, by one thread. [`super::Scan`] is faster for a whole WAL.
///
/// ```
/// let wal = std::fs::read("testdata/cases/wal-repeated-commit/t.db-wal")?;
/// let first = walscope::wal::valid_frames(&wal).next().transpose()?;
/// assert!(first.is_some_and(|frame| frame.valid && frame.offset == 32));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn valid_frames(wal: &dyn ReadAt) -> impl Iterator<Item = io::Result<Frame>> {
    let mut begun: Option<Option<Chain>> = None;
    std::iter::from_fn(move || {
        let chain = match &mut begun {
            Some(chain) => chain,
            None => match Chain::begin(wal) {
                Ok(chain) => begun.insert(chain),
                Err(error) => {
                    begun = Some(None);
                    return Some(Err(error));
                }
            },
        };
        let next = chain.as_mut()?.next(wal).transpose();
        if !matches!(next, Some(Ok(_))) {
            *chain = None;
        }
        next
    })
}

/// The commit frames of the valid chain, in order: `header.commit_pages` is the size of the database after each.
///
/// Where SQLite repeats the commit frame as padding, each repetition is a commit. [`super::transactions`] tells them
/// apart.
pub fn commits(wal: &dyn ReadAt) -> impl Iterator<Item = io::Result<Frame>> {
    valid_frames(wal).filter(|frame| frame.as_ref().map_or(true, |frame| frame.header.is_commit()))
}

/// The checksum that the next frame has to continue.
struct Chain {
    order: ByteOrder,
    page_size: PageSize,
    salts: Salts,
    seed: Checksum,
    next: FrameNumber,
    buffer: Vec<u8>,
}

impl Chain {
    /// Before the first frame; `None` where SQLite uses no frame of this WAL.
    fn begin(wal: &dyn ReadAt) -> io::Result<Option<Self>> {
        let mut head = [0; HEADER_SIZE];
        let got = wal.read_at(&mut head, 0)?;
        let header =
            parse_header(head.get(..got).unwrap_or_default()).ok().filter(|header| header_fault(header).is_none());
        let usable = header.and_then(|header| Some((header, header.checksum_order()?, header.page_size()?)));
        Ok(usable.map(|(header, order, page_size)| Self {
            order,
            page_size,
            salts: header.salts,
            seed: header.checksum,
            next: FrameNumber::FIRST,
            buffer: vec![0; page_size.stride().to_usize()],
        }))
    }

    fn next(&mut self, wal: &dyn ReadAt) -> io::Result<Option<Frame>> {
        let (number, offset) = (self.next, self.page_size.offset_of(self.next));
        let got = wal.read_at(&mut self.buffer, offset)?;
        let Some(header) = self.buffer.first_chunk().map(FrameHeader::of).filter(|_| got == self.buffer.len()) else {
            return Ok(None);
        };
        let follows = frame_checksum(self.order, self.seed, &self.buffer) == header.checksum;
        if header.salts != self.salts || header.page == 0 || !follows {
            return Ok(None);
        }
        (self.seed, self.next) = (header.checksum, number.next());
        Ok(Some(Frame { number, offset, header, checksum_ok: true, valid: true }))
    }
}
