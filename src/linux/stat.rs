//! What a descriptor says about its file: fstat, statx, FS_IOC_GETVERSION, statfs.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, StatFs, StatVfsMountFlags, Statx, StatxFlags, fstatfs, fstatvfs, statx};

use crate::evidence::file_system::FileSystemKind;
use crate::evidence::{Device, FileSystem, FileView, Mount, MountAccess, Observation, SpaceView, Timestamp};
use crate::linux::file_id::device;
use crate::linux::open::OpenedFiles;
use crate::linux::procfs::Proc;
use crate::linux::target::Target;
use crate::linux::text::fdinfo;
use crate::linux::unseen::unseen;
use crate::linux::{mounts, sys};

/// What is known about the file of an open descriptor. `maps_identity` is not looked up here.
///
/// # Errors
/// When fstat(2) fails; everything else becomes an observation.
pub fn file_view(proc: &Proc, file: &File, mounts: &Observation<Vec<Mount>>) -> io::Result<FileView> {
    let stat = file.metadata()?;
    let mount_id = mount_id(proc, file);
    let device_number = device(stat.dev());
    let file_system_type = match mount_of(&mount_id, mounts) {
        Some(mount) => Some(mount.fs_type.clone()),
        None if mounts.value().is_some() => type_by_device(proc, device_number),
        None => None,
    };
    Ok(FileView {
        device: device_number,
        inode: stat.ino(),
        mode: stat.mode(),
        uid: stat.uid(),
        gid: stat.gid(),
        links: stat.nlink(),
        size: stat.size(),
        modified: timestamp(stat.mtime(), stat.mtime_nsec()),
        changed: timestamp(stat.ctime(), stat.ctime_nsec()),
        accessed: timestamp(stat.atime(), stat.atime_nsec()),
        birth_time: birth_time(file),
        generation: match sys::generation(file) {
            Ok(generation) => Observation::seen(generation),
            Err(error) => unseen("FS_IOC_GETVERSION", &error),
        },
        unique_mount_id: unique_mount_id(file),
        disk_sequence: disk_sequence(device_number),
        mount_access: mount_access(file),
        file_system: file_system(file, file_system_type),
        mount_id,
        maps_identity: Observation::missing("looked at for the -shm only"),
    })
}

/// Whether the file is on btrfs, according to statfs(2). When statfs fails, the answer is yes: its mappings are then
/// checked more strictly.
#[must_use]
pub fn is_btrfs(file: &File) -> bool {
    fstatfs(file).map_or(true, |stat| FileSystemKind::by_magic(magic(&stat)).subvolumes)
}

/// The mount with this id.
#[must_use]
pub fn mount_of<'a>(mount_id: &Observation<u64>, mounts: &'a Observation<Vec<Mount>>) -> Option<&'a Mount> {
    let id = mount_id.value()?;
    mounts.value()?.iter().find(|mount| mount.id == *id)
}

fn extended(file: &File, wanted: StatxFlags) -> io::Result<Statx> {
    Ok(statx(file, c"", AtFlags::EMPTY_PATH, wanted)?)
}

fn has(extended: &Statx, flag: StatxFlags) -> bool {
    extended.stx_mask & flag.bits() != 0
}

fn birth_time(file: &File) -> Observation<Timestamp> {
    match extended(file, StatxFlags::BTIME) {
        Ok(found) if has(&found, StatxFlags::BTIME) => {
            Observation::seen(timestamp(found.stx_btime.tv_sec, i64::from(found.stx_btime.tv_nsec)))
        }
        Ok(_) => Observation::unsupported("statx: the file system keeps no birth time"),
        Err(error) => unseen("statx", &error),
    }
}

/// The mount that a file was opened through: `stx_mnt_id`, or the `mnt_id:` line of fdinfo where the kernel is older
/// than 5.8.
#[must_use]
pub fn mount_id(proc: &Proc, file: &File) -> Observation<u64> {
    if let Some(found) = extended(file, StatxFlags::MNT_ID).ok().filter(|found| has(found, StatxFlags::MNT_ID)) {
        return Observation::seen(found.stx_mnt_id);
    }
    let name = format!("fdinfo/{}", file.as_raw_fd());
    match proc.this_process().and_then(|this| this.read(&name)) {
        Ok(text) => match fdinfo::mount_id(&text) {
            Some(id) => Observation::seen(id),
            None => Observation::unsupported("neither statx nor fdinfo tells the mount"),
        },
        Err(error) => unseen(&format!("self/{name}"), &error),
    }
}

/// `STATX_MNT_ID_UNIQUE` of linux/stat.h.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

fn unique_mount_id(file: &File) -> Observation<u64> {
    match extended(file, MNT_ID_UNIQUE) {
        Ok(found) if has(&found, MNT_ID_UNIQUE) => Observation::seen(found.stx_mnt_id),
        Ok(_) => Observation::unsupported("statx: this kernel has no unique mount ids (Linux 6.8)"),
        Err(error) => unseen("statx", &error),
    }
}

/// The sequence number of a block device. A container sees the same numbers as the host, if /sys is mounted there. A
/// partition has the number of its disk.
fn disk_sequence(device: Device) -> Observation<u64> {
    if device.major == 0 {
        return Observation::unsupported("the file system's device is no block device");
    }
    let at = format!("/sys/dev/block/{device}");
    let text = fs::read_to_string(format!("{at}/diskseq")).or_else(|_| {
        fs::read_to_string(format!("{at}/partition")).and_then(|_| fs::read_to_string(format!("{at}/../diskseq")))
    });
    match text.map(|text| text.trim().parse()) {
        Ok(Ok(sequence)) => Observation::seen(sequence),
        Ok(Err(_)) => Observation::unsupported(format!("{at}/diskseq is no number")),
        Err(error) => unseen(&format!("{at}/diskseq"), &error),
    }
}

/// folklore: of a descriptor, statvfs(3) answers for the mount that it was opened through, and counts a read-only file
/// system as well as a read-only mount (`calculate_f_flags`, fs/statfs.c). Held by
/// `a_read_only_mount_is_recorded_for_every_file_reached_through_it`.
fn mount_access(file: &File) -> Observation<MountAccess> {
    match fstatvfs(file) {
        Ok(stat) if stat.f_flag.contains(StatVfsMountFlags::RDONLY) => Observation::seen(MountAccess::ReadOnly),
        Ok(_) => Observation::seen(MountAccess::ReadWrite),
        Err(errno) => unseen("fstatvfs", &errno.into()),
    }
}

/// The room on the file system of the folder, for files that SQLite would make or lengthen there.
#[must_use]
pub fn space(files: &OpenedFiles) -> Observation<SpaceView> {
    // st_blocks counts 512 bytes each, whatever the block of the file system is.
    let allocated = |file: &Observation<Arc<File>>| {
        let stat = file.value()?.metadata().ok()?;
        Some(stat.blocks().saturating_mul(512))
    };
    match fstatvfs(&files.directory) {
        Ok(stat) => Observation::seen(SpaceView {
            block_size: stat.f_frsize,
            blocks: stat.f_blocks,
            free: stat.f_bfree,
            available: stat.f_bavail,
            inodes: stat.f_files,
            free_inodes: stat.f_ffree,
            wal_allocated: allocated(&files.wal),
            shm_allocated: allocated(&files.shm),
        }),
        Err(errno) => unseen("fstatvfs", &errno.into()),
    }
}

/// folklore: ext2, ext3 and ext4 have the same magic number, EF53, and every FUSE has 65735546: only mountinfo
/// distinguishes them. man 2 statfs; held by `this_machine_s_files_are_on_a_named_file_system`.
fn file_system(file: &File, file_system_type: Option<String>) -> Observation<FileSystem> {
    match (fstatfs(file), fstatvfs(file)) {
        (Ok(stat), Ok(portable)) => {
            let magic = magic(&stat);
            let name = file_system_type.unwrap_or_else(|| FileSystemKind::by_magic(magic).name.to_owned());
            Observation::seen(FileSystem { name, magic, fsid: format!("{:016x}", portable.f_fsid) })
        }
        (Err(errno), _) | (_, Err(errno)) => unseen("fstatfs", &errno.into()),
    }
}

/// The type of the file system with this device number, from a mount that this process sees.
///
/// folklore: in a process with a root of its own (chroot) `mountinfo` leaves out the mounts that are not beneath that root, also
/// the one on which the root lies (`show_mountinfo`, fs/proc_namespace.c). Held by
/// `a_file_whose_mount_is_not_listed_is_on_the_file_system_of_its_device`.
fn type_by_device(proc: &Proc, device: Device) -> Option<String> {
    let mounts = mounts::of(proc, &Target::from("."));
    Some(mounts.value()?.iter().find(|mount| mount.device == device)?.fs_type.clone())
}

/// The magic number of a file system. `f_type` is a signed long of which only 32 bits matter; the numbers of btrfs and
/// f2fs would otherwise be negative.
fn magic(stat: &StatFs) -> u64 {
    u64::from(stat.f_type as u32)
}

/// `f_type` of statfs(2) for the file system of an open file.
///
/// # Errors
/// What fstatfs(2) said.
pub(crate) fn magic_of(file: &File) -> rustix::io::Result<u64> {
    Ok(magic(&fstatfs(file)?))
}

fn timestamp(seconds: i64, nanoseconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::text::mountinfo;

    #[test]
    fn this_machine_s_files_are_on_a_named_file_system() {
        let proc = Proc::new("/proc");
        let mounts = Observation::seen(mountinfo::parse(&proc.read("self/mountinfo").unwrap()).unwrap());
        let file = tempfile::tempfile().unwrap();
        let view = file_view(&proc, &file, &mounts).unwrap();
        let mount = mount_of(&view.mount_id, &mounts).unwrap();
        assert_eq!(view.file_system.value().unwrap().name, mount.fs_type);
        assert_eq!((view.links, view.size, view.inode), (0, 0, file.metadata().unwrap().ino()));
    }

    #[test]
    fn a_file_whose_mount_is_not_listed_is_on_the_file_system_of_its_device() {
        let proc = Proc::new("/proc");
        let file = tempfile::tempfile().unwrap();
        let mounts = mounts::of(&proc, &Target::from("."));
        let known = file_view(&proc, &file, &mounts).unwrap();
        let beneath_another_root = file_view(&proc, &file, &Observation::seen(Vec::new())).unwrap();
        assert_eq!(known.file_system, beneath_another_root.file_system);
    }

    #[test]
    fn without_mountinfo_ext4_is_not_claimed() {
        let file = tempfile::tempfile().unwrap();
        let none = Observation::missing("not mounted");
        let view = file_view(&Proc::new("/proc"), &file, &none).unwrap();
        let system = view.file_system.value().unwrap();
        assert_eq!(system.name, FileSystemKind::by_magic(system.magic).name);
        assert_ne!(FileSystemKind::by_magic(0xef53).name, "ext4");
    }
}
