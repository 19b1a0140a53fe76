//! What one user may do with the files of a database: what the kernel answers, or what owner, mode and capabilities say.

use super::Observation;

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Bar {
    /// The mount, or its file system, is read-only.
    ReadOnlyMount,
    /// Owner, group, mode, an access list or a security module.
    Rights,
    /// The file has the attribute `immutable` or `append only` (chattr(1)).
    Attribute,
    /// `fs.protected_regular`: in a sticky folder that others can write to, nobody opens a file of another user with O_CREAT.
    StickyFolder,
}

/// Why it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unsure {
    /// The file has an access list, which was not evaluated for this user.
    AccessList,
    /// The process is in another user namespace, and the ids of the file mean nothing here.
    UserNamespace,
    /// A daemon, a server or another kernel decides.
    OtherKernel,
    /// The process has ended, or what was needed could not be read.
    NotSeen,
}

/// Whether something is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Allowed {
    /// It is.
    Yes,
    /// It is not.
    No(Bar),
    /// It is not known.
    NotKnown(Unsure),
}

impl Allowed {
    /// Both are needed: one that is refused decides.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No(_), _) => self,
            (_, Self::No(_)) => other,
            (Self::NotKnown(_), _) => self,
            _ => other,
        }
    }

    /// One of them is enough: one that is allowed decides.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::NotKnown(_), _) => self,
            (_, Self::NotKnown(_)) => other,
            _ => self,
        }
    }

    /// Whether it is allowed for certain.
    #[must_use]
    pub fn is_yes(self) -> bool {
        self == Self::Yes
    }

    /// Whether it is refused for certain.
    #[must_use]
    pub fn is_no(self) -> bool {
        matches!(self, Self::No(_))
    }
}

/// What a user may do with one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileRights {
    /// Open it for reading.
    pub read: Allowed,
    /// Open it for reading and writing.
    pub write: Allowed,
    /// Open it with O_CREAT, which SQLite always does with a `-wal` and a `-shm`.
    pub open_or_create: Allowed,
    /// Delete it.
    pub remove: Allowed,
    /// Bytes.
    pub size: u64,
}

/// Whether a file of the folder could be mapped shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SharedMapping {
    /// The kernel granted it, for reading.
    Granted,
    /// The file system refuses it.
    Refused,
    /// It was not tried, or it failed for another reason.
    NotTried,
}

/// What one user may do with the files of a database, through the path that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightsView {
    /// The process whose rights these are, in the PID namespace of the observer. `None`: the process that looks.
    pub process: Option<u32>,
    /// Its effective user. `None`: not seen.
    pub uid: Option<u32>,
    /// Its effective group.
    pub gid: Option<u32>,
    /// Reach the files through the folders on the way.
    pub way: Allowed,
    /// Make files in the folder.
    pub make: Allowed,
    /// The database. Missing: there is none.
    pub database: Observation<FileRights>,
    /// The `-wal`.
    pub wal: Observation<FileRights>,
    /// The `-shm`.
    pub shm: Observation<FileRights>,
    /// The `-journal`.
    pub journal: Observation<FileRights>,
    /// Whether the file system maps files shared.
    pub shared_mapping: SharedMapping,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_decides_of_two_that_are_needed_and_a_permission_of_two_that_are_enough() {
        let (yes, no, unknown) = (Allowed::Yes, Allowed::No(Bar::Rights), Allowed::NotKnown(Unsure::NotSeen));
        for (a, b, and, or) in [
            (yes, yes, yes, yes),
            (yes, no, no, yes),
            (no, unknown, no, unknown),
            (yes, unknown, unknown, yes),
            (no, no, no, no),
            (unknown, unknown, unknown, unknown),
        ] {
            assert_eq!((a.and(b), b.and(a)), (and, and), "{a:?} {b:?}");
            assert_eq!((a.or(b), b.or(a)), (or, or), "{a:?} {b:?}");
        }
    }
}
