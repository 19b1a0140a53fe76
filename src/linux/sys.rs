//! The only unsafe calls: what neither std nor rustix offers. Children of this process are in `children`, and what the lab
//! alone does is in `staged`.
#![allow(unsafe_code)]

mod children;
#[cfg(feature = "lab")]
mod staged;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

pub use children::{LockHelper, Place, touch};
#[cfg(feature = "lab")]
pub use staged::{Forked, fork_alone, keep_wal_index_at};

use memmap2::{Mmap, MmapOptions};

/// The first lock that would conflict with a write lock on a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// Whether it is a write lock.
    pub exclusive: bool,
    /// `l_pid`: the holder of a POSIX lock in this PID namespace; 0 when it is not visible from here; -1 for an open
    /// file description lock.
    pub pid: i32,
    /// First byte of the lock.
    pub start: u64,
    /// Length in bytes; 0: to the end of the file, however long.
    pub length: u64,
}

/// F_OFD_GETLK with F_WRLCK on `length` bytes at `start`: takes no lock, works through a read-only descriptor, and
/// reports the POSIX locks of every process, this one included.
///
/// # Errors
/// What fcntl(2) said: EINVAL where the kernel has no such locks (gVisor), ENOLCK, ENOSYS or EACCES on some FUSE
/// mounts.
pub fn first_conflict(file: &File, start: u64, length: u64) -> io::Result<Option<Conflict>> {
    let mut lock = flock(libc::F_WRLCK, start, length)?;
    // SAFETY: the descriptor is open as long as `file` lives; the kernel reads and writes one `flock` at the pointer,
    // which is valid and exclusive for the call.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if done == -1 {
        return Err(io::Error::last_os_error());
    }
    let found = libc::c_int::from(lock.l_type);
    if found == libc::c_int::from(libc::F_UNLCK as libc::c_short) {
        return Ok(None);
    }
    Ok(Some(Conflict {
        exclusive: found == libc::c_int::from(libc::F_WRLCK as libc::c_short),
        pid: lock.l_pid,
        start: u64::try_from(lock.l_start).unwrap_or(0),
        length: u64::try_from(lock.l_len).unwrap_or(0),
    }))
}

/// Whether a descriptor of one number is of one open file description in two processes: kcmp(2), KCMP_FILE.
///
/// # Errors
/// What kcmp(2) said: EPERM without the permission to trace both, ENOSYS, EBADF, ESRCH.
pub fn is_one_open_file(pids: [u32; 2], descriptor: u32) -> io::Result<bool> {
    const KCMP_FILE: libc::c_long = 0;
    is_one(pids, KCMP_FILE, descriptor)
}

/// Whether two processes have one table of descriptors, and so one owner of their locks: kcmp(2), KCMP_FILES.
///
/// # Errors
/// What kcmp(2) said: EPERM without the permission to trace both, ENOSYS, ESRCH.
pub fn is_one_descriptor_table(pids: [u32; 2]) -> io::Result<bool> {
    const KCMP_FILES: libc::c_long = 2;
    is_one(pids, KCMP_FILES, 0)
}

fn is_one(pids: [u32; 2], what: libc::c_long, descriptor: u32) -> io::Result<bool> {
    let [a, b] = pids.map(libc::c_long::from);
    let descriptor = libc::c_long::from(descriptor);
    // SAFETY: kcmp(2) takes five numbers, and reads and writes nothing of this process.
    match unsafe { libc::syscall(libc::SYS_kcmp, a, b, what, descriptor, descriptor) } {
        -1 => Err(io::Error::last_os_error()),
        order => Ok(order == 0),
    }
}

/// Lets all threads of this process allocate from one heap, if the C library allows it. To be called once, at the start
/// of a command.
///
/// folklore: for each further thread glibc reserves 64 MiB of address space (mallopt(3), M_ARENA_MAX), even if the
/// thread allocates little. Where address space is limited (`ulimit -v`), other allocations then fail. Seen with four
/// threads in 255 MiB; held by `memory_does_not_grow_with_the_threads`.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) sets a number that the allocator reads under its own locks; no pointer is involved.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Puts in order what this process inherited, so that it can wait for its children, and they have no descriptors but their
/// own. To be called once, at the start of a command.
///
/// folklore: a program that is started where SIGCHLD is ignored (`trap '' CHLD`) ignores it too. Then the kernel takes a child
/// away as soon as it ends, waitpid(2) fails with ECHILD, and its number may be another's at once. Descriptors beyond standard
/// error that a caller left open go on to every program that is started here. Held by
/// `a_runtime_that_is_asked_has_nothing_that_walscope_inherited`.
pub fn settle_inheritance() {
    // SAFETY: no handler is set, and none was: this is called before any other thread starts, and signal(2) takes numbers.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
    let [from, to, flags] = [3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC].map(libc::c_long::from);
    // SAFETY: close_range(2) takes three numbers. With this flag it closes nothing here. Linux before 5.11 refuses it, and
    // then the descriptors go on as they would have.
    unsafe {
        libc::syscall(libc::SYS_close_range, from, to, flags);
    }
}

/// F_OFD_SETLK with F_RDLCK: a shared lock that belongs to this descriptor's open file description. It needs only a
/// read-only descriptor, and is released when the last descriptor of the description is closed, also by a crash.
///
/// Never call this on a byte that SQLite uses.
///
/// # Errors
/// What fcntl(2) said: EINVAL where the kernel has no such locks (gVisor), ENOLCK, ENOSYS or EACCES on some FUSE
/// mounts.
pub fn lock_shared(file: &File, start: u64, length: u64) -> io::Result<()> {
    set_lock(file, libc::F_RDLCK, start, length)
}

/// Releases the locks of this open file description in a range.
///
/// # Errors
/// What fcntl(2) said: EINVAL where the kernel has no such locks (gVisor), ENOLCK, ENOSYS or EACCES on some FUSE
/// mounts.
pub fn unlock(file: &File, start: u64, length: u64) -> io::Result<()> {
    set_lock(file, libc::F_UNLCK, start, length)
}

/// F_OFD_SETLK with F_WRLCK: a write lock that belongs to this descriptor's open file description. Returns whether it was
/// granted; it was refused if somebody else holds a lock there.
///
/// Call this on a scratch file only: the descriptor must be open for writing.
///
/// # Errors
/// What else fcntl(2) said.
pub fn try_exclusive(file: &File, start: u64, length: u64) -> io::Result<bool> {
    granted(set_lock(file, libc::F_WRLCK, start, length))
}

/// EAGAIN alone is a refusal: EACCES can also mean that locks are forbidden here.
fn granted(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
        Err(error) => Err(error),
    }
}

fn set_lock(file: &File, kind: libc::c_int, start: u64, length: u64) -> io::Result<()> {
    let lock = flock(kind, start, length)?;
    // SAFETY: the descriptor is open as long as `file` lives; the kernel reads one `flock` at the pointer, which is
    // valid for the call.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn flock(kind: libc::c_int, start: u64, length: u64) -> io::Result<libc::flock> {
    let too_far = |_| io::Error::from(io::ErrorKind::InvalidInput);
    // SAFETY: `flock` is a C struct of integers, for which all zero bytes are a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    // The constants are small integers whose C type differs from the fields' types between libcs.
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = libc::off_t::try_from(start).map_err(too_far)?;
    lock.l_len = libc::off_t::try_from(length).map_err(too_far)?;
    Ok(lock)
}

/// FS_IOC_GETVERSION: the generation of the inode. It distinguishes a file from an earlier file with the same inode
/// number.
///
/// # Errors
/// What ioctl(2) said: ENOTTY on overlay, tmpfs and FUSE; EBADF for a descriptor opened with O_PATH.
pub fn generation(file: &File) -> io::Result<u32> {
    // folklore: the request is declared with the size of a `long`, and the kernel writes an `int`. man 2
    // FS_IOC_GETVERSION; held by `generation_is_the_same_through_two_descriptors`. The buffer has room for both.
    let mut value: [u32; 2] = [0; 2];
    // SAFETY: the descriptor is open as long as `file` lives; the kernel writes at most a `long` (8 bytes) at the
    // pointer, which is valid and exclusive for the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETVERSION, value.as_mut_ptr()) };
    if done == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(value[0])
}

/// Puts `/dev/null` in the place of standard output, so that its reader sees the end while this process goes on.
///
/// # Errors
/// What open(2) or dup2(2) said.
pub fn end_standard_output() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    // SAFETY: dup2(2) takes two numbers; the first is open as long as `null` lives, and the second stays a descriptor that
    // may be written to, as all who have it expect.
    match unsafe { libc::dup2(null.as_raw_fd(), libc::STDOUT_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Whether this process was told to ignore a signal, as nohup(1) and a shell's background jobs are.
#[must_use]
pub fn ignores_signal(signal: i32) -> bool {
    // SAFETY: `sigaction` is a C struct of integers, a pointer that may be null and a handler that may be none, for
    // which all zero bytes are a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set; the kernel writes one `sigaction` at the pointer, which is valid and exclusive for the call.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    done == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Maps `length` bytes of a file read-only and shared, as SQLite does. Never load through it.
///
/// # Errors
/// What mmap(2) said.
pub fn map_shared(file: &File, length: usize) -> io::Result<Mmap> {
    // SAFETY: the danger of a mapped file is that its content changes or is truncated while a reference to it exists.
    // Nothing here ever dereferences the mapping: only its address is used.
    unsafe { MmapOptions::new().len(length).map(file) }
}

/// Holds an open file description lock until the last descriptor of this description is closed.
#[cfg(test)]
pub(super) fn hold(file: &File, start: u64, exclusive: bool) {
    // SAFETY: `flock` is a C struct of integers, for which all zero bytes are a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = (if exclusive { libc::F_WRLCK } else { libc::F_RDLCK }) as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = 1;
    // SAFETY: the descriptor is open; the kernel reads one `flock` at the pointer.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
}

#[cfg(test)]
mod tests;
