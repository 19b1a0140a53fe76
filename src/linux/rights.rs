//! What the user who asks may do with the files of a database. For this process the kernel is asked. For another process
//! owner, mode, groups and capabilities are compared as the kernel does it, and what is not sure is not known.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    Access, AtFlags, CWD, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, accessat, fstatvfs, getxattr, statx,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgid, getuid};

use crate::evidence::file_system::{AskedLocks, FileSystemKind};
use crate::evidence::{Allowed, Bar, FileRights, Observation, RightsView, SharedMapping, Unsure};
use crate::linux::mapped_identity;
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::{Proc, Process};
use crate::linux::stat::magic_of;
use crate::linux::text::credentials::{self, Capability, Credentials, IdMap};
use crate::linux::unseen::and_then;

/// What the kernel shows in place of a user or group that has no number here (`/proc/sys/kernel/overflowuid`).
const OVERFLOW: u32 = 65534;
/// `S_ISVTX`, and the bits with which a group and others may write.
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// Bits of a permission.
const READ: u32 = 4;
const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// What the user who asks may do with these files: that of the process in whose view they are, or else of this process.
#[must_use]
pub fn rights_view(files: &OpenedFiles) -> RightsView {
    let proc = Proc::system();
    let process = files.target.process(&proc).ok();
    let user = User::of(&proc, process.as_ref(), files.target.pid().is_some());
    let folder = Facts::of(&files.directory);
    let protects = protects_regular(&proc);
    let of = |file: &Observation<Arc<File>>| {
        and_then(file, |file| Observation::seen(user.file(file, &files.directory, folder.as_ref(), protects)))
    };
    let ids = user.ids();
    RightsView {
        process: files.target.pid(),
        uid: ids.map(|ids| ids.0),
        gid: ids.map(|ids| ids.1),
        way: user.way(files),
        make: user.may(&files.directory, folder.as_ref(), WRITE | SEARCH),
        database: of(&files.database),
        wal: of(&files.wal),
        shm: of(&files.shm),
        journal: of(&files.journal),
        shared_mapping: shared_mapping(files),
    }
}

/// Whether the file system refuses to map files shared. The database is tried, and only with a mapping through which nothing
/// is read: it says the same about the `-shm`, and a `-shm` in use is left alone.
///
/// folklore: FUSE with `direct_io`, and virtiofs and 9p with `cache=none`, refuse it. SQLite then fails at the first read in WAL
/// mode (SQLITE_IOERR_SHMMAP) and leaves a -shm of zeros. Seen with bindfs 1.14.7 `-o direct_io`; held by
/// `a_file_system_without_shared_mappings_is_named`.
fn shared_mapping(files: &OpenedFiles) -> SharedMapping {
    let Some(database) = files.database.value() else { return SharedMapping::NotTried };
    let device = |file: &File| {
        statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::INO).map(|s| (s.stx_dev_major, s.stx_dev_minor))
    };
    if device(database).ok() != device(&files.directory).ok() {
        return SharedMapping::NotTried;
    }
    mapped_identity::shared_mapping(database)
}

/// `fs.protected_regular`; `None`: it could not be read. Kernels before 4.19 have none.
fn protects_regular(proc: &Proc) -> Option<u32> {
    match proc.read("sys/fs/protected_regular") {
        Ok(text) => std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && proc.has("sys/fs") => Some(0),
        Err(_) => None,
    }
}

/// What the kernel looks at when it decides about one file.
#[derive(Debug, Clone, Copy)]
struct Facts {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    immutable: bool,
    append_only: bool,
    read_only_mount: bool,
    access_list: bool,
    /// The kernel itself decides, and no daemon or server.
    of_this_kernel: bool,
}

impl Facts {
    fn of(file: &File) -> Option<Self> {
        let found = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).ok()?;
        let kind = magic_of(file).map(FileSystemKind::by_magic);
        Some(Self {
            mode: found.stx_mode.into(),
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            immutable: found.stx_attributes.contains(StatxAttributes::IMMUTABLE),
            append_only: found.stx_attributes.contains(StatxAttributes::APPEND),
            read_only_mount: fstatvfs(file).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)),
            access_list: has_access_list(file),
            of_this_kernel: kind.is_ok_and(|kind| kind.asked_locks == AskedLocks::Enforced),
        })
    }

    /// What is refused to everybody.
    fn refused_to_all(&self, wanted: u32) -> Option<Bar> {
        let folder = self.mode & 0o170_000 == 0o040_000;
        if wanted & WRITE == 0 {
            None
        } else if self.read_only_mount {
            Some(Bar::ReadOnlyMount)
        } else if self.immutable || self.append_only && !folder {
            Some(Bar::Attribute)
        } else {
            None
        }
    }
}

/// Whether a file has an access list of its own. Where that could not be seen it counts as one.
fn has_access_list(file: &File) -> bool {
    // A descriptor that was opened with O_PATH has no attributes.
    match getxattr(by_descriptor(file), "system.posix_acl_access", &mut [0_u8; 1024]) {
        Ok(size) => size > 0,
        Err(Errno::NODATA | Errno::OPNOTSUPP) => false,
        Err(_) => true,
    }
}

/// A name that leads to the file of a descriptor, through the mount that it was opened by.
fn by_descriptor(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The user who asks.
struct User {
    /// The credentials, as far as they were seen.
    credentials: Option<Credentials>,
    /// This process: the kernel can be asked.
    own: bool,
    /// Which ids of this user namespace have a number in that of the process; `None`: it is the same namespace.
    maps: Option<Maps>,
    /// This process sees all ids as they are.
    every_id: bool,
}

/// The maps of a user namespace.
enum Maps {
    Known { users: IdMap, groups: IdMap },
    NotSeen,
}

impl User {
    fn of(proc: &Proc, process: Option<&Process>, other: bool) -> Self {
        let read = |name: &str| process?.read(name).ok();
        let namespace = process.map(|process| process.link("ns/user"));
        let own_namespace = proc.this_process().map(|this| this.link("ns/user")).ok();
        let ids = |name: &str| read(name).and_then(|text| IdMap::parse(&text));
        let same = match (&namespace, &own_namespace) {
            (Some(a), Some(b)) => a.value().is_some() && a.value() == b.value(),
            _ => false,
        };
        let maps = (other && !same).then(|| match (ids("uid_map"), ids("gid_map")) {
            (Some(users), Some(groups)) => Maps::Known { users, groups },
            _ => Maps::NotSeen,
        });
        let own_map = proc.this_process().ok().and_then(|this| IdMap::parse(&this.read("uid_map").ok()?));
        Self {
            credentials: read("status").and_then(|text| credentials::parse(&text)),
            own: !other,
            maps,
            every_id: own_map.is_some_and(|map| map.is_whole()),
        }
    }

    /// Effective user and group.
    fn ids(&self) -> Option<(u32, u32)> {
        match self.own {
            true => Some((geteuid().as_raw(), getegid().as_raw())),
            false => self.credentials.as_ref().map(|found| (found.uid, found.gid)),
        }
    }

    fn file(&self, file: &File, folder: &File, folder_facts: Option<&Facts>, protects: Option<u32>) -> FileRights {
        let facts = Facts::of(file);
        let read = self.may(file, facts.as_ref(), READ);
        FileRights {
            read,
            write: read.and(self.may(file, facts.as_ref(), READ | WRITE)),
            open_or_create: self.open_or_create(facts.as_ref(), folder_facts, protects),
            remove: self.may(folder, folder_facts, WRITE | SEARCH).and(self.remove(facts.as_ref(), folder_facts)),
            size: facts.map_or(0, |facts| facts.size),
        }
    }

    /// Whether this user may do something with a file or folder.
    fn may(&self, file: &File, facts: Option<&Facts>, wanted: u32) -> Allowed {
        let Some(facts) = facts else { return Allowed::NotKnown(Unsure::NotSeen) };
        match facts.refused_to_all(wanted) {
            Some(bar) => Allowed::No(bar),
            None if self.own => asked(file, wanted),
            None => self.by_mode(facts, wanted),
        }
    }

    /// As the kernel decides: owner, then group, then others, then capabilities (`generic_permission`, fs/namei.c).
    fn by_mode(&self, facts: &Facts, wanted: u32) -> Allowed {
        let Some(user) = &self.credentials else { return Allowed::NotKnown(Unsure::NotSeen) };
        if !facts.of_this_kernel {
            return Allowed::NotKnown(Unsure::OtherKernel);
        }
        if !self.every_id && [facts.uid, facts.gid, user.fs_uid].contains(&OVERFLOW) {
            return Allowed::NotKnown(Unsure::UserNamespace);
        }
        let has = |shift: u32| (facts.mode >> shift) & wanted == wanted;
        let by_class = if facts.uid == user.fs_uid {
            has(6)
        } else if facts.access_list {
            return self.capable(facts, wanted).or(Allowed::NotKnown(Unsure::AccessList));
        } else if facts.gid == user.fs_gid || user.groups.contains(&facts.gid) {
            has(3)
        } else {
            has(0)
        };
        if by_class { Allowed::Yes } else { self.capable(facts, wanted) }
    }

    /// Whether a capability lets the user do it in spite of the mode. In another user namespace it counts for files whose owner
    /// and group have a number there (`privileged_wrt_inode_uidgid`, kernel/capability.c).
    fn capable(&self, facts: &Facts, wanted: u32) -> Allowed {
        let Some(user) = &self.credentials else { return Allowed::NotKnown(Unsure::NotSeen) };
        let reads = wanted & WRITE == 0 && user.has(Capability::DacReadSearch);
        if !user.has(Capability::DacOverride) && !reads {
            return Allowed::No(Bar::Rights);
        }
        match &self.maps {
            None => Allowed::Yes,
            Some(Maps::Known { users, groups }) if users.has(facts.uid) && groups.has(facts.gid) => Allowed::Yes,
            Some(Maps::Known { .. }) => Allowed::No(Bar::Rights),
            Some(Maps::NotSeen) => Allowed::NotKnown(Unsure::UserNamespace),
        }
    }

    /// Whether the file may be opened with O_CREAT (`may_create_in_sticky`, fs/namei.c).
    ///
    /// folklore: with `fs.protected_regular`, the default of systemd, not even root opens a file of another user with O_CREAT in a
    /// sticky folder that others can write to, such as /tmp, unless it is the file of the folder's owner. SQLite opens -wal and
    /// -shm with O_CREAT, and then opens them read-only: root cannot write to such a database. Measured with SQLite 3.40.1
    /// on Linux 6.18; held by `a_file_of_another_user_in_a_sticky_folder_is_not_opened_to_be_made`.
    fn open_or_create(&self, file: Option<&Facts>, folder: Option<&Facts>, protects: Option<u32>) -> Allowed {
        let (Some(file), Some(folder)) = (file, folder) else { return Allowed::NotKnown(Unsure::NotSeen) };
        let user = self.credentials.as_ref().map(|user| user.fs_uid);
        if folder.mode & STICKY == 0 || file.uid == folder.uid || Some(file.uid) == user {
            return Allowed::Yes;
        }
        let open = folder.mode & OTHERS_WRITE != 0 || folder.mode & GROUP_WRITES != 0;
        match protects {
            _ if !open => Allowed::Yes,
            Some(0) => Allowed::Yes,
            Some(1) if folder.mode & OTHERS_WRITE == 0 => Allowed::Yes,
            Some(_) if user.is_some() => Allowed::No(Bar::StickyFolder),
            _ => Allowed::NotKnown(Unsure::NotSeen),
        }
    }

    /// Whether a sticky folder lets the user delete this file (`check_sticky`, include/linux/fs.h).
    fn remove(&self, file: Option<&Facts>, folder: Option<&Facts>) -> Allowed {
        let (Some(file), Some(folder)) = (file, folder) else { return Allowed::NotKnown(Unsure::NotSeen) };
        let Some(user) = &self.credentials else { return Allowed::NotKnown(Unsure::NotSeen) };
        if file.immutable || file.append_only || folder.append_only {
            return Allowed::No(Bar::Attribute);
        }
        if folder.mode & STICKY == 0 || [file.uid, folder.uid].contains(&user.fs_uid) {
            return Allowed::Yes;
        }
        match (user.has(Capability::Fowner), &self.maps) {
            (true, None) => Allowed::Yes,
            (true, Some(_)) => Allowed::NotKnown(Unsure::UserNamespace),
            (false, _) => Allowed::No(Bar::StickyFolder),
        }
    }

    /// Whether the folders on the way may be searched: those of the path that was given, and those of the resolved one. This
    /// process has gone there.
    fn way(&self, files: &OpenedFiles) -> Allowed {
        let mut way = self.asked_by_real_user(Facts::of(&files.directory).as_ref());
        if self.own {
            return way;
        }
        for path in [files.database_path.as_path(), files.target.path()] {
            for folder in path.parent().unwrap_or(Path::new("/")).ancestors() {
                let opened = files.target.at(folder.to_owned()).open(OFlags::PATH | OFlags::DIRECTORY);
                way = way.and(match opened.map(File::from) {
                    Ok(folder) => self.may(&folder, Facts::of(&folder).as_ref(), SEARCH),
                    Err(_) => Allowed::NotKnown(Unsure::NotSeen),
                });
            }
        }
        way
    }
}

impl User {
    /// Whether SQLite can see that a file is there which it may not write to.
    ///
    /// folklore: SQLite asks that by access(2), which goes by the real user, and takes the capabilities of a user other than root
    /// for none. Where only CAP_DAC_READ_SEARCH lets a user into the folder, SQLite takes a -wal that is there for one
    /// that cannot be made. Measured with SQLite 3.40.1; held by `sqlite_run_with_capabilities_does_what_inspect_says`.
    fn asked_by_real_user(&self, folder: Option<&Facts>) -> Allowed {
        let (Some(user), Some(folder)) = (&self.credentials, folder) else { return Allowed::Yes };
        let without = Credentials { effective: 0, ..user.clone() };
        let plain = User { credentials: Some(without), own: false, maps: None, every_id: self.every_id };
        let needed = user.real_uid != 0 && !user.has(Capability::DacOverride) && user.has(Capability::DacReadSearch);
        if needed && !plain.by_mode(folder, SEARCH).is_yes() {
            Allowed::NotKnown(Unsure::NotSeen)
        } else {
            Allowed::Yes
        }
    }
}

/// Asks the kernel about this process, with its effective ids and capabilities: faccessat2(2), AT_EACCESS.
fn asked(file: &File, wanted: u32) -> Allowed {
    let each = [(READ, Access::READ_OK), (WRITE, Access::WRITE_OK), (SEARCH, Access::EXEC_OK)];
    let all = each.into_iter().filter(|(bit, _)| wanted & bit != 0);
    let access = all.fold(Access::empty(), |access, (_, one)| access | one);
    match accessat(CWD, by_descriptor(file), access, AtFlags::EACCESS) {
        Ok(()) => Allowed::Yes,
        Err(Errno::ACCESS) => Allowed::No(Bar::Rights),
        Err(Errno::PERM) => not_permitted(file, access),
        Err(Errno::ROFS) => Allowed::No(Bar::ReadOnlyMount),
        Err(_) => Allowed::NotKnown(Unsure::NotSeen),
    }
}

/// What EPERM means.
///
/// folklore: an immutable file gives EPERM, and so does a seccomp filter that does not know faccessat2(2), as older container runtimes
/// have one. access(2) for the same ids is older than every filter. Held by `a_filter_of_system_calls_is_no_attribute_of_a_file`.
fn not_permitted(file: &File, access: Access) -> Allowed {
    let same_ids = getuid() == geteuid() && getgid() == getegid();
    match same_ids.then(|| accessat(CWD, by_descriptor(file), access, AtFlags::empty())) {
        Some(Ok(())) => Allowed::Yes,
        Some(Err(Errno::PERM)) => Allowed::No(Bar::Attribute),
        // It does not look at capabilities as the other call does.
        _ => Allowed::NotKnown(Unsure::NotSeen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(fs_uid: u32, groups: &[u32], effective: u64) -> User {
        let credentials = Credentials {
            real_uid: fs_uid,
            uid: fs_uid,
            gid: fs_uid,
            fs_uid,
            fs_gid: fs_uid,
            groups: groups.to_vec(),
            effective,
        };
        User { credentials: Some(credentials), own: false, maps: None, every_id: true }
    }

    fn file(uid: u32, gid: u32, mode: u32) -> Facts {
        Facts {
            mode,
            uid,
            gid,
            size: 0,
            immutable: false,
            append_only: false,
            read_only_mount: false,
            access_list: false,
            of_this_kernel: true,
        }
    }

    const REFUSED: Allowed = Allowed::No(Bar::Rights);

    #[test]
    fn owner_group_others_and_capabilities_decide_in_this_order() {
        let all = READ | WRITE;
        for (user, file, expected) in [
            (user(1, &[], 0), file(1, 9, 0o600), Allowed::Yes),
            // The owner is not let in as one of the others.
            (user(1, &[], 0), file(1, 1, 0o066), REFUSED),
            (user(1, &[9], 0), file(2, 9, 0o660), Allowed::Yes),
            (user(1, &[9], 0), file(2, 9, 0o606), REFUSED),
            (user(1, &[8], 0), file(2, 9, 0o606), Allowed::Yes),
            (user(1, &[], 1 << 1), file(2, 9, 0), Allowed::Yes),
            (user(1, &[], 1 << 2), file(2, 9, 0), REFUSED),
            (user(0, &[], 0), file(2, 9, 0o600), REFUSED),
        ] {
            assert_eq!(user.by_mode(&file, all), expected, "{:?} {file:?}", user.credentials);
        }
        assert_eq!(user(1, &[], 1 << 2).by_mode(&file(2, 9, 0), READ), Allowed::Yes);
    }

    #[test]
    fn what_is_not_sure_is_not_known() {
        let listed = Facts { access_list: true, ..file(2, 9, 0o660) };
        assert_eq!(user(1, &[9], 0).by_mode(&listed, WRITE), Allowed::NotKnown(Unsure::AccessList));
        // The owner and who overrides everything need no list.
        assert_eq!(user(2, &[], 0).by_mode(&listed, WRITE), Allowed::Yes);
        assert_eq!(user(1, &[], 1 << 1).by_mode(&listed, WRITE), Allowed::Yes);
        let served = Facts { of_this_kernel: false, ..file(1, 1, 0o666) };
        assert_eq!(user(1, &[], 0).by_mode(&served, WRITE), Allowed::NotKnown(Unsure::OtherKernel));
        let inside = User { every_id: false, ..user(1, &[], 0) };
        assert_eq!(inside.by_mode(&file(OVERFLOW, 1, 0o666), READ), Allowed::NotKnown(Unsure::UserNamespace));
        let unseen = User { credentials: None, ..user(1, &[], 0) };
        assert_eq!(unseen.by_mode(&file(1, 1, 0o666), READ), Allowed::NotKnown(Unsure::NotSeen));
        let map = |text: &[u8]| IdMap::parse(text).unwrap();
        let maps = Maps::Known { users: map(b"0 1000 1\n"), groups: map(b"0 1000 1\n") };
        let root_inside = User { maps: Some(maps), ..user(1000, &[], u64::MAX) };
        assert_eq!(root_inside.by_mode(&file(1000, 1000, 0), WRITE), Allowed::Yes);
        assert_eq!(root_inside.by_mode(&file(0, 0, 0o644), WRITE), REFUSED);
        assert_eq!(root_inside.by_mode(&file(1000, 0, 0o044), WRITE), REFUSED);
        let not_seen = User { maps: Some(Maps::NotSeen), ..user(1000, &[], u64::MAX) };
        assert_eq!(not_seen.by_mode(&file(0, 0, 0o644), WRITE), Allowed::NotKnown(Unsure::UserNamespace));
    }

    /// The table of what a kernel with `fs.protected_regular` did when SQLite opened such files.
    #[test]
    fn a_file_of_another_user_in_a_sticky_folder_is_not_opened_to_be_made() {
        const CLOSED: Allowed = Allowed::No(Bar::StickyFolder);
        let folder = |mode| file(1002, 1000, mode);
        for (protects, mode, owner, asks, expected) in [
            (1, 0o1777, 1000, 0, CLOSED),
            (1, 0o1777, 0, 1000, CLOSED),
            (1, 0o1777, 1000, 1000, Allowed::Yes),
            (1, 0o1777, 1002, 1000, Allowed::Yes),
            (1, 0o1775, 1001, 1000, Allowed::Yes),
            (2, 0o1775, 1001, 1000, CLOSED),
            (2, 0o1755, 1001, 1000, Allowed::Yes),
            (2, 0o777, 1001, 1000, Allowed::Yes),
            (0, 0o1777, 1001, 1000, Allowed::Yes),
        ] {
            // Capabilities do not matter.
            let asks = user(asks, &[], u64::MAX);
            let found = asks.open_or_create(Some(&file(owner, owner, 0o666)), Some(&folder(mode)), Some(protects));
            assert_eq!(found, expected, "{protects} {mode:o} {owner} {:?}", asks.credentials);
        }
        let unknown = user(1, &[], 0).open_or_create(Some(&file(2, 2, 0o666)), Some(&folder(0o1777)), None);
        assert_eq!(unknown, Allowed::NotKnown(Unsure::NotSeen));
    }
}
