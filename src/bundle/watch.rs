//! Whether anybody wrote to a file while it was being copied: inotify(7) on the open descriptors.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::evidence::file_system::FileSystemKind;
use crate::linux::stat;

/// What a watch has seen since its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Writes {
    /// Nobody wrote.
    None,
    /// Somebody wrote; a sentence about it.
    Seen(String),
    /// Unknown, for this reason.
    Unknown(String),
}

/// A watch on one file. When there is no reason, it was set up and can be asked.
pub(super) struct Watch {
    name: &'static str,
    set_up: Result<OwnedFd, String>,
}

impl Watch {
    /// Begins to watch a file, called `name` in reasons. Without a file there is nothing that anybody could write to.
    pub(super) fn start(name: &'static str, file: Option<&File>) -> Self {
        Self { name, set_up: set_up(file) }
    }

    /// Whether anybody wrote since the start.
    pub(super) fn writes(&self) -> Writes {
        let queue = match &self.set_up {
            Ok(queue) => queue,
            Err(reason) => return Writes::Unknown(reason.clone()),
        };
        let mut buffer = [MaybeUninit::uninit(); 512];
        // Any event counts: a write, or a queue that overflowed.
        match Reader::new(queue, &mut buffer).next() {
            Ok(_) => Writes::Seen(format!("the {} was written to during the capture", self.name)),
            Err(Errno::WOULDBLOCK) => Writes::None,
            Err(e) => Writes::Unknown(format!("writes could not be watched: inotify: {e}")),
        }
    }
}

fn set_up(file: Option<&File>) -> Result<OwnedFd, String> {
    let unwatched = |e: io::Error| format!("writes could not be watched: inotify: {e}");
    let queue = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|e| unwatched(e.into()))?;
    if let Some(file) = file {
        let kind = FileSystemKind::by_magic(stat::magic_of(file).map_err(unwatched)?);
        if !kind.reports_writes {
            return Err(format!("writes could not be watched: {} does not report those of other mounts", kind.title));
        }
        // Through the magic link, which leads to the open inode, whatever the path leads to now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        inotify::add_watch(&queue, path, WatchFlags::MODIFY).map_err(|e| unwatched(e.into()))?;
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
        let watch = Watch::start("database", Some(&opened));
        std::fs::read(file.path()).unwrap();
        assert_eq!(watch.writes(), Writes::None);
        file.as_file().write_all(b"x").unwrap();
        assert_eq!(watch.writes(), Writes::Seen("the database was written to during the capture".to_owned()));
    }

    #[test]
    fn a_truncation_of_an_unlinked_file_disturbs() {
        let file = tempfile::tempfile().unwrap();
        let watch = Watch::start("-wal", Some(&file));
        file.set_len(10).unwrap();
        assert!(matches!(watch.writes(), Writes::Seen(_)));
    }
}
