//! What was observed, as plain data: filled by `linux`, read by `look`, `finding` and `compare`.
//!
//! Nothing here touches the system and nothing here judges. An [`Observation`] that was not seen keeps its reason, and
//! never raises a verdict.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Serialize},
};

mod contact;
#[cfg(feature = "capture")]
mod decimal;
pub mod file_system;
mod files;
mod host;
mod identity;
mod kept;
mod kept_log;
pub mod live;
mod lock_slot;
mod locks;
mod mapped;
mod mappings;
mod observation;
mod other_names;
mod renamed;
mod rights;
mod sample;
mod space;
mod started_at;
mod time;
mod unstable;
mod users;

pub use crate::number::Device;
pub use contact::Contact;
pub use files::{FileSystem, FileView, FilesView, MountAccess};
pub use host::{Container, HostView, Mount, Namespaces, id_in_documents};
pub use identity::InodeId;
pub use kept::{BehindFuse, KeptBy, NoWal, Part, Parts, RescueCause, SetFacts, is_aside};
pub use kept_log::{JournalHolds, KeptLog, LogPlace};
pub use lock_slot::{LockSlot, NoSuchLock};
pub use locks::{ByteLock, Holder, LockState, LocksView, ProcessState, ShmLocks, Tracer};
pub use mapped::{
    DatabaseContent, InSight, Leads, LockedDatabase, LockingProcess, Mapped, MappedIndex, MappingProcess,
};
pub use mappings::{CutOff, FileOpen, Mapping, MappingsView, Root};
pub use observation::Observation;
pub use other_names::{KeptPages, OtherName, OtherNames, WalElsewhere};
pub use renamed::{Renamed, RenamedPart};
pub use rights::{Allowed, Bar, FileRights, RightsView, SharedMapping, Unsure};
pub use sample::WalIndexSample;
pub use space::SpaceView;
pub use started_at::StartedAt;
pub use time::{ClockSample, Timestamp};
pub use unstable::UnstableCause;
pub use users::{Access, DatabaseLock, OtherDatabase, OtherIndex, Role, SwitchLock, User, UsersView};

/// Everything that one side saw besides the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Evidence {
    /// The clocks after the files were opened and before they were read.
    pub begun: ClockSample,
    /// The clocks after the last look, in which the paths were checked. The descriptors were open from `begun` to here.
    pub ended: ClockSample,
    /// Kernel, namespaces, container, user.
    pub host: HostView,
    /// Identities at the end of the capture, from descriptors that were open all the time.
    pub files: FilesView,
    /// Whether each path still led to the opened file at the end. `false` if a `-shm` was replaced.
    pub paths_unchanged: bool,
    /// Whether the path still led to the same name in the same folder at the end. The files may have been replaced.
    #[cfg_attr(feature = "capture", serde(default))]
    pub folder_unchanged: bool,
    /// Processes that map the `-shm`.
    pub mappings: Observation<MappingsView>,
    /// Processes that use the database: what they have open, mapped and locked.
    #[cfg_attr(feature = "capture", serde(default = "not_recorded::<UsersView>"))]
    pub users: Observation<UsersView>,
    /// Processes among them that go on with a database that was renamed, and with the `-wal` of its old name.
    #[cfg_attr(feature = "capture", serde(default))]
    pub renamed: Vec<Renamed>,
    /// A `-wal` of the database that was deleted, and that one of them still has open without using the wal-index at the path.
    #[cfg_attr(feature = "capture", serde(default))]
    pub deleted_wals: Vec<KeptLog>,
    /// Rollback journals that processes use: of the database at the path, and gone from there; or at the path, and of another
    /// database.
    #[cfg_attr(feature = "capture", serde(default))]
    pub journals: Vec<KeptLog>,
    /// The locks.
    pub locks: Observation<LocksView>,
    /// Beacons by which captures meet.
    #[cfg_attr(feature = "capture", serde(default = "not_recorded::<Contact>"))]
    pub contact: Observation<Contact>,
    /// The wal-index at several moments, oldest first.
    pub samples: Vec<WalIndexSample>,
    /// Page tables of the mappings of the `-shm`. Those of two captures cannot be compared, because page frames are
    /// used again at once.
    #[cfg_attr(feature = "capture", serde(default = "not_recorded::<Vec<live::PageTable>>"))]
    pub page_tables: Observation<Vec<live::PageTable>>,
    /// The room on the file system of the folder.
    #[cfg_attr(feature = "capture", serde(default = "not_recorded::<SpaceView>"))]
    pub space: Observation<SpaceView>,
}

impl Evidence {
    /// Whether the path still led to this file when the capture ended.
    #[must_use]
    pub fn reachable(&self, file: &FileView) -> bool {
        self.paths_unchanged && file.links > 0
    }
}

/// The observation for a field that is missing in a bundle of an earlier walscope.
#[cfg(feature = "capture")]
fn not_recorded<T>() -> Observation<T> {
    Observation::missing("the walscope that made this capture did not look")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "capture")]
    #[test]
    fn devices_and_inodes_travel_as_strings() {
        let id = InodeId { device: Device { major: 254, minor: 3 }, inode: u64::MAX };
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, r#"{"device":"254:3","inode":"18446744073709551615"}"#);
        assert_eq!(serde_json::from_str::<InodeId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<Device>("\"254\"").is_err());
    }

    #[test]
    fn an_unseen_observation_keeps_its_reason() {
        let denied: Observation<u32> = Observation::denied("EACCES");
        assert_eq!(denied.value(), None);
        assert_eq!(denied.clone().map(|n| n + 1).reason(), Some("EACCES"));
        #[cfg(feature = "capture")]
        assert_eq!(serde_json::from_str::<Observation<u32>>(&serde_json::to_string(&denied).unwrap()).unwrap(), denied);
    }

    #[test]
    fn host_boottime_takes_the_namespace_offset_out() {
        let realtime = Timestamp { seconds: 0, nanoseconds: 0 };
        let clock = ClockSample { boottime: 1_500, realtime, boottime_offset: Some(500) };
        assert_eq!(clock.host_boottime(), Some(1_000));
        assert_eq!(ClockSample { boottime_offset: None, ..clock }.host_boottime(), None);
    }
}
