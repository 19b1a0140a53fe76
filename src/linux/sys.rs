//! The only unsafe calls: what neither std nor rustix offers.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

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
    let [a, b] = pids.map(libc::c_long::from);
    let descriptor = libc::c_long::from(descriptor);
    // SAFETY: kcmp(2) takes five numbers, and reads and writes nothing of this process.
    match unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_FILE, descriptor, descriptor) } {
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

/// How a process is asked to lock: the type of the lock, and its range.
type Request = [i64; 3];
/// Bytes of a request.
const REQUEST: usize = size_of::<Request>();
/// Ask the server of a network file system or of FUSE, whatever is known already (linux/fcntl.h).
const AT_STATX_FORCE_SYNC: libc::c_int = 0x2000;
/// The size of a file (linux/stat.h).
const STATX_SIZE: libc::c_uint = 0x200;
/// So many milliseconds a child that was killed is waited for.
const REAPED_AFTER: u32 = 100;
/// How long a lock helper may take for an answer, on a busy machine or a slow server.
const ANSWER_AT_MOST: Duration = Duration::from_secs(10);

/// A process that takes POSIX locks (F_SETLK) on one open file, as SQLite does. These belong to a process and are lost
/// when it closes any descriptor of the file, so a process of its own holds them.
#[derive(Debug)]
pub struct LockHelper {
    pid: libc::pid_t,
    socket: UnixStream,
}

impl LockHelper {
    /// Starts it. It has the same open file, and ends when this value is dropped, or with the thread that started it.
    ///
    /// # Errors
    /// What socketpair(2) or fork(2) said.
    pub fn start(file: &File) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(ANSWER_AT_MOST))?;
        // SAFETY: the child calls nothing but `serve`, which makes system calls only and never returns: it allocates
        // nothing and takes no lock of this process, so it does not matter what other threads were doing.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: this is the child.
            0 => unsafe { serve(theirs.as_raw_fd(), ours.as_raw_fd(), file.as_raw_fd()) },
            pid => Ok(Self { pid, socket: ours }),
        }
    }

    /// F_SETLK with F_WRLCK in the helper. Returns whether it was granted.
    ///
    /// # Errors
    /// What else fcntl(2) said, or that the helper did not answer.
    pub fn try_exclusive(&self, start: u64, length: u64) -> io::Result<bool> {
        granted(self.ask(libc::F_WRLCK, start, length))
    }

    /// F_SETLK with F_RDLCK in the helper.
    ///
    /// # Errors
    /// What fcntl(2) said, or that the helper did not answer.
    pub fn lock_shared(&self, start: u64, length: u64) -> io::Result<()> {
        self.ask(libc::F_RDLCK, start, length)
    }

    /// F_SETLK with F_UNLCK in the helper.
    ///
    /// # Errors
    /// What fcntl(2) said, or that the helper did not answer.
    pub fn unlock(&self, start: u64, length: u64) -> io::Result<()> {
        self.ask(libc::F_UNLCK, start, length)
    }

    fn ask(&self, kind: libc::c_int, start: u64, length: u64) -> io::Result<()> {
        let too_far = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let request: Request =
            [kind.into(), i64::try_from(start).map_err(too_far)?, i64::try_from(length).map_err(too_far)?];
        let answer = self.answer_to(request).map_err(|error| {
            // An answer that comes later would be taken for that to the next request.
            let _ = self.socket.shutdown(Shutdown::Both);
            // The socket's EAGAIN means that the time is over. It must not read as a lock that was refused.
            io::Error::other(format!("the process that takes the locks did not answer: {error}"))
        })?;
        match answer {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn answer_to(&self, request: Request) -> io::Result<i32> {
        let (mut socket, mut answer) = (&self.socket, [0; size_of::<i32>()]);
        socket.write_all(request.map(i64::to_ne_bytes).as_flattened())?;
        socket.read_exact(&mut answer)?;
        Ok(i32::from_ne_bytes(answer))
    }
}

impl Drop for LockHelper {
    fn drop(&mut self) {
        // SAFETY: the child is not waited for before this; the status is not asked for. If the kernel took the child away
        // itself (SIGCHLD is ignored), WNOHANG says so with -1, and its number may be another process's by now.
        unsafe {
            if libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) == 0 {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Locks as it is asked, until nobody asks any more.
///
/// # Safety
/// To be called in a child right after fork(2): it ends the process.
unsafe fn serve(socket: libc::c_int, parents: libc::c_int, file: libc::c_int) -> ! {
    let mut request: Request = [0; 3];
    // SAFETY: all descriptors are this child's copies, and the buffers are local and of the given sizes. None of these
    // calls returns to code of the parent.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::close(parents);
        loop {
            let count = libc::read(socket, request.as_mut_ptr().cast(), REQUEST);
            if count != REQUEST as isize {
                libc::_exit(0);
            }
            let [kind, start, length] = request;
            let mut lock: libc::flock = std::mem::zeroed();
            lock.l_type = kind as libc::c_short;
            lock.l_whence = libc::SEEK_SET as libc::c_short;
            lock.l_start = start as libc::off_t;
            lock.l_len = length as libc::off_t;
            let done = libc::fcntl(file, libc::F_SETLK, &raw const lock);
            let answer = if done == -1 { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { 0 };
            if libc::write(socket, (&raw const answer).cast(), size_of::<i32>()) != size_of::<i32>() as isize {
                libc::_exit(0);
            }
        }
    }
}

/// One byte in the memory of a process.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The `mem` of the process.
    pub memory: &'a File,
    /// The address of the byte.
    pub address: u64,
}

/// Reads one byte at each of these places, so that its page is in the page table of that process, in a child process.
/// Right before each read the child asks the file system of `through` for the size of that file; a file system that does
/// not answer is left alone.
///
/// folklore: a read through `/proc/PID/mem` faults the page in as an access of the process itself would, without opening the
/// file. On FUSE the page comes from the server. If the server stops in between, the read cannot be killed, and calls of mmap
/// in that process wait for it (`access_remote_vm` holds its mmap lock). So the file system is asked first, and nobody waits
/// for the child. Seen with bindfs; held by `idle_processes_on_one_fuse_mount_have_one_memory`.
///
/// # Errors
/// What socketpair(2), fork(2), statx(2) or pread(2) said; [`io::ErrorKind::WouldBlock`] when the file system did not
/// answer within the time.
pub fn touch(through: &File, places: &[Place<'_>], within: Duration) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(within))?;
    // SAFETY: the child calls nothing but `touch_each`, which makes system calls only and never returns: it allocates nothing
    // and takes no lock of this process, so it does not matter what other threads were doing.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: this is the child.
        0 => unsafe { touch_each(theirs.as_raw_fd(), ours.as_raw_fd(), through.as_raw_fd(), places) },
        pid => pid,
    };
    drop(theirs);
    let answers = || -> io::Result<()> {
        // Two answers for each place: of the file system, and of the read.
        for _ in 0..places.len().saturating_mul(2) {
            let mut answer = [0; 4];
            (&ours).read_exact(&mut answer)?;
            match i32::from_ne_bytes(answer) {
                0 => {}
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        Ok(())
    };
    let answered = answers();
    // SAFETY: the child was not waited for before this, so its pid is its own; the status is not asked for. A child that cannot
    // be killed is not waited for: it ends when the file system answers.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        for _ in 0..REAPED_AFTER {
            if libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) != 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    answered
}

/// Asks and reads, place by place, and says how each went.
///
/// # Safety
/// To be called in a child right after fork(2): it ends the process.
unsafe fn touch_each(socket: libc::c_int, parents: libc::c_int, through: libc::c_int, places: &[Place<'_>]) -> ! {
    // SAFETY: all descriptors are this child's copies, and the buffers are local and of the given sizes. None of these calls
    // returns to code of the parent.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::close(parents);
        // Who reads what walscope prints must not wait for a child that cannot be killed.
        for standard in 0..3 {
            libc::close(standard);
        }
        for place in places {
            // The buffer has the 256 bytes of a struct statx, which not every C library declares.
            let mut found = [0_u64; 32];
            let (flags, size) = (libc::AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_SIZE);
            let asked = libc::syscall(libc::SYS_statx, through, c"".as_ptr(), flags, size, found.as_mut_ptr());
            say(socket, asked != -1);
            let mut byte: u8 = 0;
            let at = place.address as libc::off_t;
            let read = libc::pread(place.memory.as_raw_fd(), (&raw mut byte).cast(), 1, at);
            say(socket, read == 1);
        }
        libc::_exit(0);
    }
}

/// Says that a call went well, or why it did not; then the child ends.
///
/// # Safety
/// To be called in a child after fork(2): it may end the process.
unsafe fn say(socket: libc::c_int, went_well: bool) {
    let errno = io::Error::last_os_error().raw_os_error().filter(|errno| *errno != 0).unwrap_or(libc::EIO);
    let answer = if went_well { 0 } else { errno };
    // SAFETY: the buffer is local and of the given size.
    unsafe {
        let written = libc::write(socket, (&raw const answer).cast(), size_of::<i32>());
        if answer != 0 || written != size_of::<i32>() as isize {
            libc::_exit(0);
        }
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

/// Which of the two processes this is after `fork_alone`.
#[cfg(feature = "lab")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The new one.
    Child,
    /// The one that called, and the pid of the new one.
    Parent(u32),
}

/// Goes on as two processes. With `shared`, both have one table of descriptors (CLONE_FILES): the kernel takes them for
/// one owner of POSIX locks.
///
/// # Errors
/// When this process has more than one thread: another thread's locks would stay taken in the child for ever. What
/// fork(2) or clone(2) said.
#[cfg(feature = "lab")]
pub fn fork_alone(shared: bool) -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads cannot be forked here"));
    }
    let flags = libc::c_long::from(libc::CLONE_FILES | libc::SIGCHLD);
    // On this machine the new stack comes first; none is given.
    let [first, second] = if cfg!(target_arch = "s390x") { [0, flags] } else { [flags, 0] };
    let done = if shared {
        // SAFETY: this process has one thread, so the child has all of it: memory, stack and nobody who could hold a
        // lock. Without CLONE_VM it is a copy, and a stack of null means that it goes on with its copy of this stack.
        unsafe { libc::syscall(libc::SYS_clone, first, second, 0, 0, 0) }
    } else {
        // SAFETY: as above: the child of a process with one thread is a copy of all of it.
        unsafe { libc::fork() }.into()
    };
    match u32::try_from(done) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid) => Ok(Forked::Parent(pid)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Where [`keep_wal_index_at`] has the wal-index.
#[cfg(feature = "lab")]
static WAL_INDEX: std::sync::OnceLock<std::ffi::CString> = std::sync::OnceLock::new();

/// From now on the SQLite of this process keeps its wal-index at this path, and not beside the database: as a SQLite does
/// that was built with SQLITE_SHM_DIRECTORY. There is one path, so for one database only.
///
/// # Errors
/// When it was called before, or SQLite's VFS does not let its system calls be replaced.
#[cfg(feature = "lab")]
pub fn keep_wal_index_at(path: std::ffi::CString) -> io::Result<()> {
    use rusqlite::ffi::{SQLITE_OK, sqlite3_syscall_ptr, sqlite3_vfs_find};
    use std::ffi::{c_char, c_int};

    type Open = unsafe extern "C" fn(*const c_char, c_int, c_int) -> c_int;
    type Unlink = unsafe extern "C" fn(*const c_char) -> c_int;

    /// The path that is used in place of this one.
    ///
    /// # Safety
    /// `path` is a string of C.
    unsafe fn instead(path: *const c_char) -> *const c_char {
        // SAFETY: the caller's promise.
        let text = unsafe { std::ffi::CStr::from_ptr(path) };
        match WAL_INDEX.get() {
            Some(other) if text.to_bytes().ends_with(b"-shm") => other.as_ptr(),
            _ => path,
        }
    }
    unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        // SAFETY: SQLite gives a string of C, and the flags and the mode of open(2).
        unsafe { libc::open(instead(path), flags, mode) }
    }
    unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
        // SAFETY: SQLite gives a string of C.
        unsafe { libc::unlink(instead(path)) }
    }

    WAL_INDEX.set(path).map_err(|_| io::Error::other("the wal-index was moved before"))?;
    // SAFETY: SQLite calls what it is given for "open" and "unlink" with the arguments of these two types
    // (os_unix.c, aSyscall), and a pointer to a function can be kept as one of another type. The VFS is static.
    unsafe {
        let vfs = sqlite3_vfs_find(std::ptr::null());
        let replace = vfs.as_ref().and_then(|vfs| vfs.xSetSystemCall);
        let Some(replace) = replace else { return Err(io::Error::other("SQLite has no VFS of unix")) };
        let open = std::mem::transmute::<Open, unsafe extern "C" fn()>(open);
        let unlink = std::mem::transmute::<Unlink, unsafe extern "C" fn()>(unlink);
        let calls: [(&std::ffi::CStr, sqlite3_syscall_ptr); 2] = [(c"open", Some(open)), (c"unlink", Some(unlink))];
        for (name, call) in calls {
            if replace(vfs, name.as_ptr(), call) != SQLITE_OK {
                return Err(io::Error::other("SQLite did not take the system call"));
            }
        }
    }
    Ok(())
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
