//! What was observed, as plain data: filled by `linux`, read by `look`, `finding` and `compare`.
//!
//! Nothing here touches the system and nothing here judges. An [`Observation`] that was not seen keeps its reason, and
//! never raises a verdict.

use std::fmt;

pub mod live;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod mapped;

pub use mapped::{Leads, Mapped, MappedIndex, MappingProcess};

/// Something that was looked at: seen, or not seen for a reason.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Observation<T> {
    /// Looked at and seen.
    Seen {
        /// What was seen.
        value: T,
    },
    /// The system refused to show it.
    Denied {
        /// Why.
        reason: String,
    },
    /// It is not there.
    Missing {
        /// Why.
        reason: String,
    },
    /// This kernel or file system cannot tell.
    Unsupported {
        /// Why.
        reason: String,
    },
}

impl<T> Observation<T> {
    /// A value that was seen.
    pub fn seen(value: T) -> Self {
        Self::Seen { value }
    }

    /// Refused, with the reason.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::Denied { reason: reason.into() }
    }

    /// Not there, with the reason.
    pub fn missing(reason: impl Into<String>) -> Self {
        Self::Missing { reason: reason.into() }
    }

    /// Not to be had here, with the reason.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into() }
    }

    /// The value, if it was seen.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Seen { value } => Some(value),
            _ => None,
        }
    }

    /// What is there, or that nothing is; `None` when that could not be seen.
    #[must_use]
    pub fn known(&self) -> Option<Option<&T>> {
        match self {
            Self::Seen { value } => Some(Some(value)),
            Self::Missing { .. } => Some(None),
            Self::Denied { .. } | Self::Unsupported { .. } => None,
        }
    }

    /// Why there is no value.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Seen { .. } => None,
            Self::Denied { reason } | Self::Missing { reason } | Self::Unsupported { reason } => Some(reason),
        }
    }

    /// The same observation of something derived from the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observation<U> {
        match self {
            Self::Seen { value } => Observation::Seen { value: f(value) },
            Self::Denied { reason } => Observation::Denied { reason },
            Self::Missing { reason } => Observation::Missing { reason },
            Self::Unsupported { reason } => Observation::Unsupported { reason },
        }
    }
}

/// A device number, written `major:minor` as in `/proc/PID/maps` (there in hexadecimal) and mountinfo (decimal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl JsonSchema for Device {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Device".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+:[0-9]+$", "description": "A device number as `major:minor`, decimal." })
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split_once(':')
            .and_then(|(major, minor)| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }))
            .ok_or_else(|| serde::de::Error::custom(format!("expected a device as major:minor, found {text:?}")))
    }
}

/// Numbers that may exceed 2^53 travel as decimal strings in JSON.
mod decimal {
    use super::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("expected a decimal number, found {text:?}")))
    }
}

/// A point in time of the file system or the wall clock (CLOCK_REALTIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Nanoseconds since 1970.
    #[must_use]
    pub fn since_1970(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }
}

/// An inode as `/proc/PID/maps` prints it for a mapping of the file.
///
/// This is not always what `stat` says: on btrfs subvolumes the devices differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
pub struct InodeId {
    /// The device column of `maps`.
    pub device: Device,
    /// The inode column of `maps`.
    #[serde(with = "decimal")]
    #[schemars(with = "String")]
    pub inode: u64,
}

impl fmt::Display for InodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} inode {}", self.device, self.inode)
    }
}

/// The file system that a descriptor lives on.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FileSystem {
    /// Type as mountinfo names it (`ext4`, `fuse.bindfs`, `overlay`), or derived from `magic` where mountinfo has no such mount.
    pub name: String,
    /// `f_type` of statfs(2).
    pub magic: u64,
    /// `f_fsid` of statfs(2), as 16 hexadecimal digits.
    pub fsid: String,
}

/// What one open descriptor says about its file: fstat, statx, ioctl, statfs, and a mapping of its own.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FileView {
    /// `st_dev`.
    pub device: Device,
    /// `st_ino`.
    #[serde(with = "decimal")]
    #[schemars(with = "String")]
    pub inode: u64,
    /// `st_mode`, type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_nlink`: 0 means that no path leads to it any more.
    pub links: u64,
    /// Bytes.
    pub size: u64,
    /// Content changed.
    pub modified: Timestamp,
    /// Inode changed.
    pub changed: Timestamp,
    /// Last access.
    pub accessed: Timestamp,
    /// `stx_btime` of statx(2).
    pub birth_time: Observation<Timestamp>,
    /// Inode generation, FS_IOC_GETVERSION.
    pub generation: Observation<u32>,
    /// `stx_mnt_id` of statx(2): the mount through which it was opened.
    pub mount_id: Observation<u64>,
    /// The same by a number that no other mount ever has while the machine is up (STATX_MNT_ID_UNIQUE, Linux 6.8).
    #[serde(default = "not_recorded::<u64>")]
    pub unique_mount_id: Observation<u64>,
    /// `diskseq` of the block device that `device` names (Linux 5.15): another one each time a disk is attached under
    /// its number.
    #[serde(default = "not_recorded::<u64>")]
    pub disk_sequence: Observation<u64>,
    /// The file system.
    pub file_system: Observation<FileSystem>,
    /// Device and inode as the kernel prints them for a mapping of this file. Only looked at for the `-shm`.
    pub maps_identity: Observation<InodeId>,
}

/// What a bundle of an earlier walscope has instead.
fn not_recorded<T>() -> Observation<T> {
    Observation::missing("the walscope that made this capture did not look")
}

/// The files of one database as one side sees them, and the directory that SQLite would create siblings in.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FilesView {
    /// The database's path with symbolic links resolved, as the process whose files they are sees it.
    pub database_path: String,
    /// How many symbolic links the name of the database itself led through.
    #[serde(default)]
    pub links_followed: u32,
    /// The directory of the resolved path.
    pub directory: Observation<FileView>,
    /// The database.
    pub database: Observation<FileView>,
    /// The `-wal`.
    pub wal: Observation<FileView>,
    /// The `-shm`.
    pub shm: Observation<FileView>,
    /// The `-journal`.
    pub journal: Observation<FileView>,
}

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Mount {
    /// Mount id.
    pub id: u64,
    /// Parent's mount id.
    pub parent: u64,
    /// `st_dev` of files on it.
    pub device: Device,
    /// The part of the file system that is mounted.
    pub root: String,
    /// Where.
    pub mount_point: String,
    /// Type.
    pub fs_type: String,
    /// Source.
    pub source: String,
    /// Options of the superblock.
    pub super_options: String,
}

/// Identifiers of the namespaces a process lives in, as the links in `/proc/PID/ns` read (`mnt:[4026531841]`).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Namespaces {
    /// Mounts.
    pub mount: Observation<String>,
    /// Process ids.
    pub pid: Observation<String>,
    /// Users.
    pub user: Observation<String>,
    /// Clock offsets.
    pub time: Observation<String>,
}

/// The container a process belongs to, as far as its cgroup path names one.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Container {
    /// Runtime as the path names it: `docker`, `podman`, `containerd`, `kubernetes`.
    pub runtime: String,
    /// Full id as the path has it.
    pub id: String,
    /// Its name, where the runtime was there to be asked.
    #[serde(default)]
    pub name: Option<String>,
}

/// Who this side is, from the process whose files were looked at: kernel, namespaces, container, user.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HostView {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Observation<String>,
    /// Kernel release, uname(2).
    pub kernel_release: Observation<String>,
    /// Host name, uname(2); a container's short id, usually. Missing for another process's files.
    pub host_name: Observation<String>,
    /// The process whose files were looked at, in the PID namespace of the observer: the capturing one, or another.
    pub pid: u32,
    /// Its effective user; 4294967295 where it could not be seen.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Its container. Missing: its cgroup path names none (with cgroup namespaces it seldom does).
    pub container: Observation<Container>,
    /// The mounts that the database's directory and files were reached through.
    pub mounts: Observation<Vec<Mount>>,
}

/// The clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ClockSample {
    /// CLOCK_BOOTTIME in nanoseconds, as this process sees it.
    pub boottime: u64,
    /// CLOCK_REALTIME.
    pub realtime: Timestamp,
    /// Offset that the process's time namespace adds to CLOCK_BOOTTIME, nanoseconds; 0 outside of time namespaces.
    /// `None` when `/proc/self/timens_offsets` could not be read: then the clock is not comparable with others.
    pub boottime_offset: Option<i64>,
}

impl ClockSample {
    /// CLOCK_BOOTTIME of the initial time namespace, nanoseconds: comparable between containers of one kernel.
    #[must_use]
    pub fn host_boottime(&self) -> Option<u64> {
        self.boottime.checked_add_signed(self.boottime_offset?.checked_neg()?)
    }
}

/// What the wal-index said at one moment; both header copies were equal and their checksums right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WalIndexSample {
    /// Clocks before the header was read.
    pub before: ClockSample,
    /// Clocks after it was read.
    pub after: ClockSample,
    /// `mxFrame`.
    pub mx_frame: u32,
    /// Both salts, as the WAL's big-endian numbers.
    pub salts: [u32; 2],
    /// `aFrameCksum`: meaningless while `mx_frame` is 0.
    pub frame_checksum: [u32; 2],
    /// `nBackfill`.
    pub backfilled: u32,
}

/// One mapping of a wal-index in `/proc/PID/maps`: of the inode in question, or under the same path. Of several that a
/// process has of one file under one path, one for each block, the first in the file.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Mapping {
    /// Process, in the PID namespace of the observer.
    pub pid: u32,
    /// `/proc/PID/comm`.
    pub command: Option<String>,
    /// Field 22 of `/proc/PID/stat`: with the pid it names one process.
    pub start_time: Option<u64>,
    /// The process's mount namespace, as `/proc/PID/ns/mnt` reads.
    pub mount_namespace: Observation<String>,
    /// The process's container.
    pub container: Option<Container>,
    /// What is mapped.
    pub inode: InodeId,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// Length of the mapping, bytes.
    pub length: u64,
    /// `s` in the permissions: shared. A private mapping is no wal-index in use.
    pub shared: bool,
    /// The path column without a trailing ` (deleted)`.
    pub path: String,
    /// Whether the path column ended with ` (deleted)`. OpenZFS prints that for live inodes too.
    pub deleted_suffix: bool,
    /// What the process is cut off from, when it kept this mapping through several looks. A process that closes a
    /// database removes the `-shm` first and unmaps it afterwards: seen once, that says nothing.
    #[serde(default)]
    pub cut_off: Option<CutOff>,
    /// Whether the process has the side's database open, by device and inode. `null`: not known. A wal-index in use
    /// belongs to a database that is open; through several looks without it, the process has another one.
    #[serde(default)]
    pub database_open: Option<bool>,
    /// The same of the side's `-wal`.
    #[serde(default)]
    pub wal_open: Option<bool>,
}

/// Why whoever opens the path does not meet the process that has another wal-index mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOff {
    /// It was mapped under the side's path, which leads to another file now, or to none.
    Path,
    /// The process has the side's database open, and maps this file as its wal-index instead of the side's `-shm`.
    Database,
}

/// Every mapping found, and how far one could look.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct MappingsView {
    /// Mappings of the `-shm` in question, or of another file under the same path.
    pub mappings: Vec<Mapping>,
    /// Processes whose maps could be read.
    pub processes_read: u32,
    /// Processes whose maps could not be read, with the reason of the first.
    pub processes_denied: u32,
    /// Why the first of them could not be read.
    pub denied_reason: Option<String>,
    /// Mappings that seemed cut off and were gone, or reachable again, at a further look; they are left out.
    #[serde(default)]
    pub passing: u32,
    /// Mappings left out of `mappings`, because there were too many. Those that speak against sharing are left out last.
    #[serde(default)]
    pub mappings_not_listed: u64,
}

/// State of one lock byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    /// Nobody holds it.
    Free,
    /// Held shared, by one or more.
    Shared,
    /// Held exclusively.
    Exclusive,
    /// No evidence.
    Unknown,
}

/// Somebody who holds a lock, as far as visible from here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
pub struct Holder {
    /// Process, in the PID namespace of the observer.
    pub pid: Option<u32>,
    /// `/proc/PID/comm`.
    pub command: Option<String>,
    /// Container, as docker names or ids go.
    pub container: Option<String>,
}

/// One lock byte and who holds it. Held with no holder listed means: not visible from here.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ByteLock {
    /// State.
    pub state: LockState,
    /// Why the state is unknown.
    pub reason: Option<String>,
    /// Holders visible from here.
    pub holders: Vec<Holder>,
}

impl ByteLock {
    /// A byte about which nothing is known.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { state: LockState::Unknown, reason: Some(reason.into()), holders: Vec::new() }
    }

    /// Held by anybody, as far as known.
    #[must_use]
    pub fn held(&self) -> bool {
        matches!(self.state, LockState::Shared | LockState::Exclusive)
    }
}

/// The lock bytes of a `-shm`, by name. Offsets as in wal.c: 120 WRITE, 121 CKPT, 122 RECOVER, 123..127 READ0..READ4,
/// 128 the dead-man switch of os_unix.c.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ShmLocks {
    /// WRITE, byte 120.
    pub write: ByteLock,
    /// CKPT, byte 121.
    pub checkpoint: ByteLock,
    /// RECOVER, byte 122.
    pub recover: ByteLock,
    /// READ0 to READ4, bytes 123 to 127.
    pub read: [ByteLock; 5],
    /// The dead-man switch, byte 128: held shared by every connection that has the `-shm` open.
    pub dead_man_switch: ByteLock,
}

impl ShmLocks {
    /// Nothing known, for one reason.
    #[must_use]
    pub fn unknown(reason: &str) -> Self {
        let byte = || ByteLock::unknown(reason);
        Self {
            write: byte(),
            checkpoint: byte(),
            recover: byte(),
            read: [byte(), byte(), byte(), byte(), byte()],
            dead_man_switch: byte(),
        }
    }

    /// Leaves out the holders whose process is known and does not pass.
    pub fn retain_holders(&mut self, passes: impl Fn(u32) -> bool) {
        let named = [&mut self.write, &mut self.checkpoint, &mut self.recover, &mut self.dead_man_switch];
        for byte in named.into_iter().chain(&mut self.read) {
            byte.holders.retain(|holder| holder.pid.is_none_or(&passes));
        }
    }
}

/// The locks that were seen, both ways: by asking the kernel (F_OFD_GETLK) and by reading `/proc/locks`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LocksView {
    /// The `-shm`'s lock bytes.
    pub shm: ShmLocks,
    /// The database's SHARED range (510 bytes at 0x40000002): shows connections that have no `-shm`, as in exclusive mode.
    pub database: ByteLock,
}

/// Everything one side saw besides the bytes.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Evidence {
    /// Clocks when the files had been opened, before the first look at them.
    pub begun: ClockSample,
    /// Clocks after the last look, for which the paths were checked: the descriptors were open from `begun` to here.
    pub ended: ClockSample,
    /// Kernel, namespaces, container, user.
    pub host: HostView,
    /// Identities at the end of the capture, from descriptors that were open throughout.
    pub files: FilesView,
    /// Whether at the end each path still led to the file that had been opened. `false` for a `-shm` that was replaced.
    pub paths_unchanged: bool,
    /// Whether at the end the path still led to the same name in the same folder, whatever became of the files.
    #[serde(default)]
    pub folder_unchanged: bool,
    /// Processes that map the `-shm`.
    pub mappings: Observation<MappingsView>,
    /// Locks.
    pub locks: Observation<LocksView>,
    /// The wal-index at several moments, oldest first.
    pub samples: Vec<WalIndexSample>,
    /// Page tables of the mappings of the `-shm`. From two captures they say nothing: page frames are used again at once.
    #[serde(default = "not_recorded::<Vec<live::PageTable>>")]
    pub page_tables: Observation<Vec<live::PageTable>>,
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let json = serde_json::to_string(&denied).unwrap();
        assert_eq!(serde_json::from_str::<Observation<u32>>(&json).unwrap(), denied);
    }

    #[test]
    fn host_boottime_takes_the_namespace_offset_out() {
        let realtime = Timestamp { seconds: 0, nanoseconds: 0 };
        let clock = ClockSample { boottime: 1_500, realtime, boottime_offset: Some(500) };
        assert_eq!(clock.host_boottime(), Some(1_000));
        assert_eq!(ClockSample { boottime_offset: None, ..clock }.host_boottime(), None);
    }
}
