//! The head of a wal-index: the one way to read it, and what it tells of a wal-index that processes have mapped.

use std::io;

use super::Why;
use super::marks_and_locks::{ReadMark, read_marks};
use crate::bytes::ReadAt;
use crate::evidence::{MappedIndex, Observation};
use crate::format::ParseError;
use crate::format::shm::{HEAD_SIZE, IndexHead, IndexHeader, parse_head};

/// Reads the head of a `-shm`, and decodes it if there is enough of it.
pub(super) fn read(bytes: &dyn ReadAt) -> io::Result<Result<IndexHead, ParseError>> {
    let mut head = [0; HEAD_SIZE];
    let got = bytes.read_at(&mut head, 0)?;
    Ok(parse_head(head.get(..got).unwrap_or_default()))
}

/// What the head of a mapped wal-index tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MappedHead {
    /// The head; `None` when it could not be read, or there is too little of it.
    pub head: Option<IndexHead>,
    /// The header that a reader would use, or why there is none.
    pub header: Result<IndexHeader, Why>,
    /// The read marks with the locks of their slots; empty without a head.
    pub read_marks: Vec<ReadMark>,
}

impl MappedHead {
    /// Decodes the head that was read when the mapping was found. No file is read here: of 10,000 processes, a search for
    /// all wal-indexes reads 136 bytes of each file that they map.
    #[must_use]
    pub fn of(index: &MappedIndex) -> Self {
        let head = match &index.head {
            Observation::Seen { value } => match read(value) {
                Ok(head) => head.map_err(Why::TooShort),
                Err(error) => Err(Why::Recorded(error.to_string())),
            },
            unseen => Err(Why::Recorded(unseen.reason().unwrap_or_default().to_owned())),
        };
        Self {
            header: head.as_ref().map_err(Why::clone).and_then(|head| head.trusted().copied().ok_or(Why::NotTrusted)),
            read_marks: head.as_ref().map(|head| read_marks(head, Some(&index.locks))).unwrap_or_default(),
            head: head.ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Device, InodeId, LockState, ShmLocks};
    use crate::number::FrameNumber;

    fn told(head: Observation<Vec<u8>>) -> MappedHead {
        let identity = InodeId { device: Device { major: 8, minor: 1 }, inode: 7 };
        let locks = ShmLocks::unknown("not asked");
        let size = None;
        let (processes, subvolume) = (Vec::new(), None);
        MappedHead::of(&MappedIndex { identity, subvolume, processes, processes_not_listed: 0, head, size, locks })
    }

    #[test]
    fn a_head_that_says_nothing_says_why() {
        let denied = told(Observation::denied("no permission"));
        assert_eq!((denied.header, denied.head), (Err(Why::Recorded("no permission".to_owned())), None));
        let short = told(Observation::seen(vec![0; HEAD_SIZE - 1]));
        assert!(matches!(short.header, Err(Why::TooShort(_))) && short.read_marks.is_empty());
        let zeros = told(Observation::seen(vec![0; HEAD_SIZE]));
        assert_eq!(zeros.header, Err(Why::NotTrusted));
        let marks: Vec<_> = zeros.read_marks.iter().map(|mark| (mark.mark, mark.lock)).collect();
        assert_eq!(marks, [(Some(FrameNumber::NONE), LockState::Unknown); 5]);
    }
}
