//! The file that a bundle is written to. It has no name until it is complete, so nobody ever sees half a bundle, and
//! neither a signal nor a full disk leaves a file behind.

use std::fs::{self, File, FileType};
use std::io::{self, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};
use signal_hook::consts::SIGXFSZ;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;
use tempfile::TempPath;

use crate::stop;

/// A bundle that is being written.
pub struct BundleFile {
    file: File,
    /// Its temporary name, where the file system cannot make a file without a name.
    temporary: Option<Temporary>,
}

impl BundleFile {
    /// Makes a file of mode 0600 on the file system of `folder`.
    pub fn create(folder: &Path) -> io::Result<Self> {
        // Without this, a write beyond the file size limit would end the process and leave half a bundle under its
        // temporary name. Now the write fails, and the file is removed.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        if let Some(file) = nameless(folder) {
            return Ok(Self { file, temporary: None });
        }
        let (temporary, file) = Temporary::make(folder, |path| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            Ok(File::from(openat(CWD, path, flags, Mode::RUSR | Mode::WUSR)?))
        })?;
        Ok(Self { file, temporary: Some(temporary) })
    }

    /// Drops what was written.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// Gives the complete bundle its name, and returns its size. An existing file of that name is replaced only as
    /// [`check_name`] says.
    pub fn publish(self, output: &Path, replace: bool) -> anyhow::Result<u64> {
        self.file.sync_all()?;
        let size = self.file.metadata()?.len();
        match self.temporary {
            Some(temporary) => temporary.publish(output, replace)?,
            None => match link(&self.file, output) {
                // No system call gives a nameless file the name of an existing file.
                Err(error) if replace && error.kind() == io::ErrorKind::AlreadyExists => {
                    let (temporary, ()) = Temporary::make(folder(output), |path| link(&self.file, path))?;
                    temporary.publish(output, replace)?;
                }
                linked => linked?,
            },
        }
        Ok(size)
    }
}

impl Write for BundleFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Why a name cannot be given to a file.
#[derive(Debug, thiserror::Error)]
pub enum Taken {
    /// A file that nobody asked to replace.
    #[error("exists already; choose another name, or --force to replace it")]
    File,
    /// Something that is no file to be replaced. A device, or a link that others follow, is lost for the whole machine.
    #[error(
        "is {0}: only a regular file is ever replaced, also with --force; choose another name, or -o - for standard output"
    )]
    Other(&'static str),
}

/// Whether a file may get this name: a free one, or that of a regular file if it is to be replaced. The name itself counts,
/// not what a symbolic link leads to. Whatever writes a file that a user named asks this, before the work and again right
/// before the name is given.
pub fn check_name(output: &Path, replace: bool) -> Result<(), Taken> {
    match output.symlink_metadata().map(|found| found.file_type()) {
        Ok(found) if !found.is_file() => Err(Taken::Other(kind(found))),
        Ok(_) if !replace => Err(Taken::File),
        // Whoever makes the file meets the same error, and says it.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn kind(found: FileType) -> &'static str {
    if found.is_symlink() {
        "a symbolic link"
    } else if found.is_dir() {
        "a folder"
    } else if found.is_fifo() {
        "a named pipe"
    } else if found.is_socket() {
        "a socket"
    } else if found.is_char_device() || found.is_block_device() {
        "a device"
    } else {
        "no regular file"
    }
}

/// The folder that a path lies in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file without a name, if the system can make one and give it a name later.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR).ok()?);
    let (own, found) = (file.metadata().ok()?, fs::metadata(magic_link(&file)).ok()?);
    ((own.dev(), own.ino()) == (found.dev(), found.ino())).then_some(file)
}

/// The path that leads to an open file, whatever its name: man 2 open, O_TMPFILE.
fn magic_link(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn link(file: &File, name: &Path) -> io::Result<()> {
    Ok(linkat(CWD, magic_link(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

/// A file name that is removed when this is dropped, and when a signal ends the process.
struct Temporary {
    path: TempPath,
    known: Known,
    /// The thread that waits for signals.
    signals: Handle,
}

/// The name, shared with the thread that waits for signals. While it is locked, a signal has to wait.
#[derive(Clone, Default)]
struct Known(Arc<Mutex<Option<PathBuf>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Temporary {
    /// Makes a file with a new temporary name in `folder`.
    fn make<T>(folder: &Path, make: impl FnMut(&Path) -> io::Result<T>) -> io::Result<(Self, T)> {
        let known = Known::default();
        let signals = remove_on_signal(known.clone())?;
        let mut name = known.lock();
        let made = tempfile::Builder::new().prefix(".walscope-").suffix(".part").make_in(folder, make)?;
        let (made, path) = made.into_parts();
        *name = Some(path.to_path_buf());
        drop(name);
        Ok((Self { path, known, signals }, made))
    }

    fn publish(self, output: &Path, replace: bool) -> anyhow::Result<()> {
        let mut name = self.known.lock();
        // Something else may have come to this name while the bundle was written.
        check_name(output, replace)?;
        if replace { self.path.persist(output) } else { self.path.persist_noclobber(output) }.map_err(|e| e.error)?;
        *name = None;
        // There is nothing left to remove: what a signal does from here on is for others to say, who may hold a beacon.
        self.signals.close();
        Ok(())
    }
}

/// From now on, until the handle is closed, a signal that ends the process removes the name first.
fn remove_on_signal(known: Known) -> io::Result<Handle> {
    let mut signals = Signals::new(stop::asking())?;
    let handle = signals.handle();
    thread::Builder::new().spawn(move || {
        for signal in &mut signals {
            // The lock is held from here on: no name can be made or given any more.
            let mut name = known.lock();
            if let Some(path) = name.take() {
                let _ = fs::remove_file(path);
            }
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(handle)
}
