//! Whether anybody wrote to a file while it was being copied: inotify(7) on the open descriptors.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::evidence::Part;
use crate::evidence::file_system::FileSystemKind;
use crate::linux::stat;

use super::unstable::Unwatched;

/// What a watch has seen since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    /// Nobody wrote.
    None,
    /// Somebody wrote to this file.
    Seen(Part),
    /// Unknown, for this reason.
    Unknown(Unwatched),
}

/// A watch on one file. When there is no reason, it was set up and can be asked.
pub(super) struct Watch {
    file: Part,
    set_up: Result<OwnedFd, Unwatched>,
}

impl Watch {
    /// Begins to watch a file. Without an open file there is nothing that anybody could write to.
    pub(super) fn start(file: Part, opened: Option<&File>) -> Self {
        Self { file, set_up: set_up(opened) }
    }

    /// Whether anybody wrote since the start.
    pub(super) fn writes(&self) -> Writes {
        let queue = match &self.set_up {
            Ok(queue) => queue,
            Err(reason) => return Writes::Unknown(*reason),
        };
        let mut buffer = [MaybeUninit::uninit(); 512];
        // Any event counts: a write, or a queue that overflowed.
        match Reader::new(queue, &mut buffer).next() {
            Ok(_) => Writes::Seen(self.file),
            Err(Errno::WOULDBLOCK) => Writes::None,
            Err(e) => Writes::Unknown(Unwatched::Refused(e)),
        }
    }
}

fn set_up(file: Option<&File>) -> Result<OwnedFd, Unwatched> {
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(Unwatched::Refused)?;
    if let Some(file) = file {
        let kind = FileSystemKind::by_magic(stat::magic_of(file).map_err(Unwatched::Refused)?);
        if !kind.reports_writes {
            return Err(Unwatched::FileSystem(kind.title));
        }
        // Through the magic link, which leads to the open inode, whatever the path leads to now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        inotify::add_watch(&queue, path, WatchFlags::MODIFY).map_err(Unwatched::Refused)?;
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_write_through_another_descriptor_disturbs_and_reading_does_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let opened = File::open(file.path()).unwrap();
        let watch = Watch::start(Part::Database, Some(&opened));
        std::fs::read(file.path()).unwrap();
        assert_eq!(watch.writes(), Writes::None);
        file.as_file().write_all(b"x").unwrap();
        assert_eq!(watch.writes(), Writes::Seen(Part::Database));
    }

    #[test]
    fn a_truncation_of_an_unlinked_file_disturbs() {
        let file = tempfile::tempfile().unwrap();
        let watch = Watch::start(Part::Wal, Some(&file));
        file.set_len(10).unwrap();
        assert_eq!(watch.writes(), Writes::Seen(Part::Wal));
    }
}
