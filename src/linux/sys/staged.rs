//! The unsafe calls of the lab, which stages faulty set-ups with processes of its own.

use std::io;

/// Which of the two processes this is after `fork_alone`.
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
static WAL_INDEX: std::sync::OnceLock<std::ffi::CString> = std::sync::OnceLock::new();

/// From now on the SQLite of this process keeps its wal-index at this path, and not beside the database: as a SQLite does
/// that was built with SQLITE_SHM_DIRECTORY. There is one path, so for one database only.
///
/// # Errors
/// When it was called before, or SQLite's VFS does not let its system calls be replaced.
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
