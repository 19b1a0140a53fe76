//! One file that was saved, and its copy.

use schemars::JsonSchema;
use serde::Serialize;

use crate::bundle::rescue::{SavedApart, SavedFile, Whose};
use crate::evidence::{InodeId, Part};
use crate::report::line;
use crate::report::text::count;

/// A journal that was copied apart from the sets.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct RescuedJournal {
    /// Whether none of the databases that were saved needs it. False: it is not known which of them does.
    pub of_none: bool,
    /// The journal and its copy.
    pub file: RescuedFile,
}

impl From<&SavedApart> for RescuedJournal {
    fn from(apart: &SavedApart) -> Self {
        Self { of_none: apart.whose == Whose::OfNone, file: RescuedFile::from(&apart.file) }
    }
}

impl RescuedJournal {
    /// What is known of it, as a sentence.
    pub(super) fn told(&self) -> String {
        let (path, copy) = (line(&self.file.path), line(&self.file.copy));
        match self.of_none {
            true => format!(
                "{path} has old pages of a database, and of none that was saved. Its copy is {copy}. SQLite would write these pages into \
                 a database that is put beside it."
            ),
            false => format!(
                "{path} has old pages of a database, and it is not known whether of one that was saved. Its copy is {copy}. SQLite writes \
                 these pages into the database that lies beside it: its own is whole only then, and any other one is damaged."
            ),
        }
    }
}

/// One file and its copy.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct RescuedFile {
    /// What it is.
    pub part: Part,
    /// The copy.
    pub copy: String,
    /// Bytes of the copy.
    pub size: u64,
    /// The path by which the file was opened, or that it has now, as the kernel prints it.
    pub path: String,
    /// Whether no path leads to the file any more.
    pub deleted: bool,
    /// Device and inode.
    pub identity: InodeId,
    /// A process that has it open. Null: it was opened by its path.
    pub pid: Option<u32>,
    /// The number of its descriptor there: `/proc/PID/fd/N`.
    pub descriptor: Option<u32>,
    /// Its owner: st_uid. The copy is the caller's alone.
    pub uid: u32,
    /// Its group: st_gid.
    pub gid: u32,
    /// Its permissions, octal: `0644`.
    pub mode: String,
    /// Whether reading may have changed its access time.
    pub access_time_may_have_moved: bool,
}

impl From<&SavedFile> for RescuedFile {
    fn from(file: &SavedFile) -> Self {
        let (pid, descriptor) = file.descriptor.unzip();
        Self {
            part: file.part,
            copy: file.copy.to_string_lossy().into_owned(),
            size: file.size,
            path: file.path.to_string_lossy().into_owned(),
            deleted: file.deleted,
            identity: InodeId { device: file.id.device, inode: file.id.inode },
            pid,
            descriptor,
            uid: file.owner.uid,
            gid: file.owner.gid,
            mode: format!("{:04o}", file.owner.mode),
            access_time_may_have_moved: file.access_time_may_have_moved,
        }
    }
}

impl RescuedFile {
    /// Its row of the table.
    pub(super) fn row(&self) -> Vec<String> {
        let from = match (self.pid, self.descriptor) {
            (Some(pid), Some(descriptor)) => format!("/proc/{pid}/fd/{descriptor}"),
            _ => "its path".to_owned(),
        };
        let state = if self.deleted { "deleted" } else { "" };
        vec![self.copy.clone(), count(self.size), self.path.clone(), from, state.to_owned()]
    }
}
