//! Children of this process that run no other program: each does one thing that this process must not do itself.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Pid;

use super::granted;
use crate::linux::own_child::OwnChild;

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

/// Numbers of descriptors: the first and the last of a range.
type Range = [libc::c_uint; 2];
/// Where ranges cannot be closed at once, descriptors beyond this number stay open.
const CLOSED_ONE_BY_ONE: libc::c_uint = 65_535;

/// fork(2). The child has the `kept` descriptors and no other, and does `work`. With a copy of a pipe's end it would keep whoever
/// waits for the end of that pipe waiting, also after this process has ended; with a copy of a beacon it would hold that.
///
/// # Safety
/// `work` makes system calls only: it allocates nothing and takes no lock of this process, so that it does not matter what
/// other threads were doing.
unsafe fn fork_with(kept: &[RawFd], work: impl FnOnce()) -> io::Result<OwnChild> {
    let closed = all_but(kept);
    // SAFETY: the child does what the caller promises for `work`, and before it makes system calls only.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: this is the child, and the descriptors are its own copies. It returns to no code of the parent.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                closed.iter().for_each(|range| close(*range));
                work();
                libc::_exit(0)
            }
        }
        pid => Ok(OwnChild::of(Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?)),
    }
}

/// Every descriptor but these, in order: standard output comes before what may block.
fn all_but(kept: &[RawFd]) -> Vec<Range> {
    let mut kept: Vec<libc::c_uint> = kept.iter().filter_map(|number| (*number).try_into().ok()).collect();
    kept.sort_unstable();
    let (mut ranges, mut next) = (Vec::new(), 0);
    for number in kept {
        if next < number {
            ranges.push([next, number - 1]);
        }
        next = next.max(number.saturating_add(1));
    }
    ranges.push([next, libc::c_uint::MAX]);
    ranges
}

/// Closes a range of descriptors.
///
/// # Safety
/// Nobody uses them any more.
unsafe fn close([first, last]: Range) {
    let [from, to] = [first, last].map(libc::c_long::from);
    // SAFETY: close_range(2) takes three numbers, and close(2) one. The caller's promise holds for each descriptor.
    unsafe {
        // Linux before 5.9 does not have it.
        if libc::syscall(libc::SYS_close_range, from, to, 0) == -1 {
            for number in first..=last.min(CLOSED_ONE_BY_ONE) {
                libc::close(number as libc::c_int);
            }
        }
    }
}

/// A process that takes POSIX locks (F_SETLK) on one open file, as SQLite does. These belong to a process and are lost
/// when it closes any descriptor of the file, so a process of its own holds them.
#[derive(Debug)]
pub struct LockHelper {
    child: OwnChild,
    socket: UnixStream,
}

impl LockHelper {
    /// Starts it. It has the same open file, and ends when this value is dropped, or with the thread that started it. When this
    /// returns, it has closed its copies of other descriptors.
    ///
    /// folklore: on a FUSE mount that forwards locks, closing any descriptor of a file can remove every lock that others took
    /// through the daemon: see [`crate::linux::challenge::beacon::Witness`]. A copy in a child counts. So take locks on a file
    /// only after the helper was started. Held by `fuse_mounts_with_lock_forwarding_share_locks_and_no_memory`.
    ///
    /// # Errors
    /// What socketpair(2) or fork(2) said, or that the helper did not answer.
    pub fn start(file: &File) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(ANSWER_AT_MOST))?;
        let (socket, file) = (theirs.as_raw_fd(), file.as_raw_fd());
        // SAFETY: `serve` makes system calls only, is called in the child only, and uses what is kept.
        let child = unsafe { fork_with(&[socket, file], || serve(socket, file)) }?;
        drop(theirs);
        let helper = Self { child, socket: ours };
        (&helper.socket).read_exact(&mut [0; size_of::<i32>()]).map_err(no_answer)?;
        Ok(helper)
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
            no_answer(error)
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

/// The socket's EAGAIN means that the time is over. It must not read as a lock that was refused.
fn no_answer(error: io::Error) -> io::Error {
    io::Error::other(format!("the process that takes the locks did not answer: {error}"))
}

impl Drop for LockHelper {
    fn drop(&mut self) {
        self.child.kill();
        self.child.wait();
    }
}

/// Locks as it is asked, until nobody asks any more.
///
/// # Safety
/// To be called in a child right after fork(2): it ends the process.
unsafe fn serve(socket: RawFd, file: RawFd) -> ! {
    let mut request: Request = [0; 3];
    // SAFETY: all descriptors are this child's copies, and the buffers are local and of the given sizes. None of these
    // calls returns to code of the parent.
    unsafe {
        say(socket, true);
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
    let (socket, through) = (theirs.as_raw_fd(), through.as_raw_fd());
    let kept: Vec<RawFd> = places.iter().map(|place| place.memory.as_raw_fd()).chain([socket, through]).collect();
    // SAFETY: `touch_each` makes system calls only, is called in the child only, and uses what is kept.
    let child = unsafe { fork_with(&kept, || touch_each(socket, through, places)) }?;
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
    child.kill();
    // A child that cannot be killed is not waited for: it ends when the file system answers.
    child.wait_at_most(REAPED_AFTER);
    answered
}

/// Asks and reads, place by place, and says how each went.
///
/// # Safety
/// To be called in a child right after fork(2): it ends the process.
unsafe fn touch_each(socket: RawFd, through: RawFd, places: &[Place<'_>]) -> ! {
    // SAFETY: all descriptors are this child's copies, and the buffers are local and of the given sizes. None of these calls
    // returns to code of the parent.
    unsafe {
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

#[cfg(test)]
mod tests;
