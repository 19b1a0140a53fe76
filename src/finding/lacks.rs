//! What a file system has no room for, as `evidence` shows it.

use super::value::Value;

/// What there is no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lack {
    /// A `-shm` of full size. Without it no connection can be opened.
    Shm {
        /// Bytes that it has; `None`: there is none.
        size: Option<u64>,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that the file system has to add.
        more: u64,
    },
    /// A new `-wal` or `-shm`: no inode is free.
    NewFiles {
        /// How many of them have to be made.
        files: u64,
    },
    /// A new `-journal`: no inode is free. Without it nothing can be written in rollback mode.
    NewJournal,
    /// The beginning of a `-journal`. Without it nothing can be written in rollback mode.
    Journal {
        /// Bytes that the file system has to add.
        more: u64,
    },
    /// One more frame of the `-wal`. Without it nothing can be committed.
    Frame {
        /// Bytes that the file system has to add.
        more: u64,
    },
}

impl Lack {
    /// Whether it only keeps from writing.
    #[must_use]
    pub const fn only_of_writing(self) -> bool {
        matches!(self, Self::NewJournal | Self::Journal { .. } | Self::Frame { .. })
    }
}

impl From<Lack> for Value {
    fn from(lack: Lack) -> Self {
        let named = |what: &'static str, rest: Vec<(&'static str, Value)>| {
            Self::Fields([("what", what.into())].into_iter().chain(rest).collect())
        };
        match lack {
            Lack::Shm { size, needed, more } => {
                named("shm", vec![("size", size.into()), ("needed", needed.into()), ("more", more.into())])
            }
            Lack::NewFiles { files } => named("new_files", vec![("files", files.into())]),
            Lack::NewJournal => named("new_journal", vec![]),
            Lack::Journal { more } => named("journal", vec![("more", more.into())]),
            Lack::Frame { more } => named("frame", vec![("more", more.into())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::value::Fact;

    #[test]
    fn a_lack_is_shown_with_its_name() {
        let mut shown = Vec::new();
        vec![Lack::NewFiles { files: 2 }].show("lacks", &mut shown);
        let fields = Value::Fields(vec![("what", "new_files".into()), ("files", 2u64.into())]);
        assert_eq!(shown, [("lacks", Value::List(vec![fields]))]);
    }
}
