//! Where bytes come from: a file read by `pread`, a region of a bundle, or memory.
//!
//! No file is mapped here. A live `-wal` or `-shm` can be truncated while it is mapped, and then SIGBUS would end the
//! reader.

use std::fs::File;
use std::io;
use std::sync::Arc;

/// Bytes that can be read at any offset, without a cursor, from several threads.
///
/// A source keeps the length it had when it was opened. A file that shrinks afterwards gives short reads, never an
/// error and never a signal.
pub trait ReadAt: Send + Sync {
    /// Length in bytes when the source was opened.
    fn len(&self) -> u64;

    /// Reads at `offset` into `buf`, and returns how many bytes were read. Fewer than asked means that the end was
    /// reached.
    ///
    /// # Errors
    /// The error of the operating system.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The first offset, at or after `offset`, that may not be in a hole of a sparse file. If there is only a hole, the
    /// length. Bytes in a hole are read as zero, so `offset` itself is always a right answer.
    fn next_data(&self, offset: u64) -> u64 {
        offset
    }

    /// The first offset, at or after `offset`, that may be in a hole. If there is none, the length.
    fn next_hole(&self, offset: u64) -> u64 {
        self.len().max(offset)
    }

    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file that is read by `pread`, with the length it had when it was opened.
#[derive(Debug, Clone)]
pub struct FileBytes {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl FileBytes {
    /// The whole file, with its present length.
    ///
    /// # Errors
    /// The file's size cannot be read.
    pub fn whole(file: Arc<File>) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, start: 0, len })
    }

    /// A region of a file, such as one member of a bundle.
    #[must_use]
    pub fn region(file: Arc<File>, start: u64, len: u64) -> Self {
        Self { file, start, len }
    }
}

impl ReadAt for FileBytes {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.len.saturating_sub(offset);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let Some(at) = self.start.checked_add(offset) else { return Ok(0) };
        let Some(buf) = buf.get_mut(..want) else { return Ok(0) };
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match pread(&self.file, rest, at.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    fn next_data(&self, offset: u64) -> u64 {
        let data = self.start.checked_add(offset).map_or(u64::MAX, |at| next_data(&self.file, at));
        data.saturating_sub(self.start).max(offset).min(self.len.max(offset))
    }

    #[cfg(all(target_os = "linux", feature = "capture"))]
    fn next_hole(&self, offset: u64) -> u64 {
        let hole = self.start.checked_add(offset).map_or(u64::MAX, |at| next_hole(&self.file, at));
        hole.saturating_sub(self.start).max(offset).min(self.len.max(offset))
    }
}

/// `SEEK_DATA`. It moves the cursor of the descriptor, which nothing here uses.
#[cfg(all(target_os = "linux", feature = "capture"))]
fn next_data(file: &File, offset: u64) -> u64 {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data,
        // There is no data from here on.
        Err(rustix::io::Errno::NXIO) => u64::MAX,
        // The file system does not report its holes.
        Err(_) => offset,
    }
}

/// `SEEK_HOLE`. Where the file system does not report its holes, there is none.
#[cfg(all(target_os = "linux", feature = "capture"))]
fn next_hole(file: &File, offset: u64) -> u64 {
    use rustix::fs::{SeekFrom, seek};
    seek(file, SeekFrom::Hole(offset)).unwrap_or(u64::MAX)
}

/// Without `SEEK_DATA` every byte may be data.
#[cfg(not(all(target_os = "linux", feature = "capture")))]
fn next_data(_: &File, offset: u64) -> u64 {
    offset
}

#[cfg(unix)]
fn pread(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn pread(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

/// WebAssembly without a host has no files.
#[cfg(not(any(unix, windows)))]
fn pread(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let tail = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = tail.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), tail.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buf, offset)
    }
}

/// Borrowed bytes, such as `&[u8]`.
impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn next_data(&self, offset: u64) -> u64 {
        (**self).next_data(offset)
    }
}

/// Two sources, one after the other: the committed part of a captured WAL, and its tail.
pub struct Joined {
    first: Arc<dyn ReadAt>,
    second: Arc<dyn ReadAt>,
}

impl Joined {
    /// `first` followed by `second`.
    #[must_use]
    pub fn new(first: Arc<dyn ReadAt>, second: Arc<dyn ReadAt>) -> Self {
        Self { first, second }
    }
}

impl ReadAt for Joined {
    fn len(&self) -> u64 {
        self.first.len().saturating_add(self.second.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let border = self.first.len();
        if offset >= border {
            return self.second.read_at(buf, offset - border);
        }
        let n = self.first.read_at(buf, offset)?;
        if offset.saturating_add(n as u64) < border {
            return Ok(n);
        }
        let Some(rest) = buf.get_mut(n..) else { return Ok(n) };
        Ok(n + self.second.read_at(rest, 0)?)
    }

    fn next_data(&self, offset: u64) -> u64 {
        let border = self.first.len();
        let in_first = if offset < border { self.first.next_data(offset) } else { offset };
        if in_first < border {
            return in_first;
        }
        border.saturating_add(self.second.next_data(in_first.saturating_sub(border)))
    }
}

/// Reads a whole source into memory. More than `limit` bytes are refused.
///
/// # Errors
/// Reading failed, or the source is longer than `limit`.
pub fn read_all(source: &dyn ReadAt, limit: u64) -> io::Result<Vec<u8>> {
    let len = source.len();
    if len > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("found {len} bytes, at most {limit} can be read at once"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let n = source.read_at(&mut bytes, 0)?;
    bytes.truncate(n);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_reads_across_its_border() {
        let joined = Joined::new(Arc::new(vec![1u8, 2, 3]), Arc::new(vec![4u8, 5]));
        let mut buf = [0; 4];
        assert_eq!(joined.read_at(&mut buf, 1).unwrap(), 4);
        assert_eq!(buf, [2, 3, 4, 5]);
        assert_eq!(joined.read_at(&mut buf, 4).unwrap(), 1);
        assert_eq!(joined.read_at(&mut buf, 5).unwrap(), 0);
    }

    #[test]
    fn a_region_never_reads_beyond_its_end() {
        let file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &file, b"0123456789").unwrap();
        let region = FileBytes::region(Arc::new(file), 2, 3);
        let mut buf = [0; 8];
        assert_eq!(region.read_at(&mut buf, 0).unwrap(), 3);
        assert_eq!(&buf[..3], b"234");
        assert_eq!(region.read_at(&mut buf, 3).unwrap(), 0);
        assert_eq!(region.read_at(&mut buf, u64::MAX).unwrap(), 0);
    }

    #[test]
    fn read_all_refuses_more_than_its_limit() {
        assert!(read_all(&vec![0u8; 10], 9).is_err());
        assert_eq!(read_all(&vec![7u8; 10], 10).unwrap(), vec![7; 10]);
    }
}
