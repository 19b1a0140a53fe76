//! Where the database of a set-up is, and how each side reaches it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, mount, mount_bind, mount_remount};

use crate::child::Told;
use crate::common::random::Random;
use crate::namespaces::Mounts;

pub const DATABASE: &str = "t.db";

/// How a side reaches the folder of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// By its own path.
    Direct,
    /// A bind mount of the folder.
    Bind,
    /// A symbolic link to the folder.
    LinkedFolder,
    /// A symbolic link to the database, in another folder.
    LinkedFile,
    /// A mount namespace of its own, with the same path.
    OwnNamespace,
    /// A mount namespace of its own, with a bind mount of the folder that nobody else sees.
    OwnMounts,
    /// A root of its own, with a bind mount of the folder.
    Jail,
    /// The folder read-only.
    ReadOnly,
    /// The database alone as a bind mount: `-wal` and `-shm` are beside the mount.
    FileMount,
    /// A hard link to the database in another folder.
    HardLink,
    /// An overlay over the folder.
    Overlay,
    /// A copy of the folder.
    Copy,
    /// A FUSE mount of the folder.
    Fuse,
}

/// Each kind of reach, as often as it is drawn.
const REACHES: &[(Reach, u64)] = &[
    (Reach::Direct, 14),
    (Reach::Bind, 8),
    (Reach::LinkedFolder, 5),
    (Reach::LinkedFile, 4),
    (Reach::OwnNamespace, 10),
    (Reach::OwnMounts, 14),
    (Reach::Jail, 9),
    (Reach::ReadOnly, 4),
    (Reach::FileMount, 4),
    (Reach::HardLink, 3),
    (Reach::Overlay, 4),
    (Reach::Copy, 5),
    (Reach::Fuse, 1),
];

impl Reach {
    /// Whether it leads to the folder itself, for reading and for writing, by a local file system.
    pub fn is_the_folder(self) -> bool {
        use Reach::{Bind, Direct, Jail, LinkedFile, LinkedFolder, OwnMounts, OwnNamespace};
        matches!(self, Direct | Bind | LinkedFolder | LinkedFile | OwnNamespace | OwnMounts | Jail)
    }

    /// Whether its processes are found by the pid of one of them only.
    pub fn is_apart(self) -> bool {
        matches!(self, Self::OwnNamespace | Self::OwnMounts | Self::Jail)
    }
}

/// `calm`: both lead to the folder itself.
pub fn draw(random: &mut Random, calm: bool) -> [Reach; 2] {
    let drawn: Vec<(Reach, u64)> =
        REACHES.iter().filter(|(reach, _)| !calm || reach.is_the_folder()).copied().collect();
    let all: u64 = drawn.iter().map(|(_, often)| often).sum();
    let mut one = || {
        let mut at = random.below(all);
        for (reach, often) in &drawn {
            if at < *often {
                return *reach;
            }
            at -= often;
        }
        Reach::Direct
    };
    let both = [one(), one()];
    // One path of one mount namespace is one side, and so is a link to it.
    let one_path = |reach| matches!(reach, Reach::Direct | Reach::LinkedFolder | Reach::LinkedFile);
    if both.iter().copied().all(one_path) { [both[0], Reach::Bind] } else { both }
}

/// File systems of one worker, in a mount namespace of its own.
pub struct Ground {
    folder: tempfile::TempDir,
    mounts: Mounts,
    /// Folders on file systems, by the names of these.
    pub places: Vec<(&'static str, PathBuf)>,
    pub walscope: PathBuf,
    pub pipes: PathBuf,
}

impl Ground {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["plain", "tmpfs", "ext4", "pipes", "bundles"] {
            fs::create_dir(at(name)).unwrap();
        }
        let walscope = at("walscope");
        crate::common::command::copy_executable(crate::common::command::EXE, &walscope);
        let (mut mounts, mut places) = (Mounts::default(), vec![("plain", at("plain"))]);
        mount("tmpfs", at("tmpfs"), "tmpfs", MountFlags::empty(), Some(c"size=64m")).unwrap();
        mounts.add(&at("tmpfs"));
        places.push(("tmpfs", at("tmpfs")));
        fs::File::create(at("image")).unwrap().set_len(64 << 20).unwrap();
        let run = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let ext4 = run(&["mkfs.ext4", "-q", "image"]) && run(&["mount", "-o", "loop", "image", "ext4"]);
        if crate::common::have("ext4 in a loop device", ext4) {
            mounts.add(&at("ext4"));
            places.push(("ext4", at("ext4")));
        }
        let pipes = at("pipes");
        Self { folder, mounts, places, walscope, pipes }
    }

    pub fn bundles(&self) -> PathBuf {
        self.folder.path().join("bundles")
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.mounts.undo(self.folder.path());
    }
}

/// One side: how it reaches the database, and who is there first.
pub struct Side {
    pub reach: Reach,
    /// The database as its processes see it.
    pub path: PathBuf,
    /// Who made its namespace or its root.
    home: Option<Told>,
    jail: Option<PathBuf>,
}

impl Side {
    /// A new process there.
    pub fn start(&self, pipes: &Path) -> Told {
        let mut told = Told::start(pipes);
        if let Some(jail) = &self.jail {
            told.must(&format!("root {}", jail.display()));
        } else if let Some(home) = &self.home {
            told.must(&format!("mounts-of {}", home.pid()));
        }
        told
    }

    /// The process that made its namespace or its root.
    pub fn home(&self) -> Option<u32> {
        self.home.as_ref().map(Told::pid)
    }

    /// A command that runs a program with the view of this side, as root or as an ordinary user. `None`: the program is not
    /// there.
    pub fn command(&self, program: &Path, as_user: bool) -> Option<Command> {
        if self.jail.is_some() {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        if let Some(home) = &self.home {
            words.extend(["nsenter".to_owned(), format!("--mount=/proc/{}/ns/mnt", home.pid()), "--".to_owned()]);
        }
        if as_user {
            words.extend(["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--"].map(str::to_owned));
        }
        words.push(program.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        Some(command)
    }
}

/// The folder of one set-up with all that leads to it. Unmounts and removes everything when dropped.
pub struct Place {
    pub base: PathBuf,
    mounts: Mounts,
    fuse: Vec<std::process::Child>,
}

impl Place {
    pub fn new(on: &Path, name: &str) -> Self {
        let base = on.join(name);
        fs::create_dir(&base).unwrap();
        let place = Self { base, mounts: Mounts::default(), fuse: Vec::new() };
        place.folder("v");
        place
    }

    /// The folder of the database.
    pub fn origin(&self) -> PathBuf {
        self.base.join("v")
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.base.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        folder
    }

    fn bind(&mut self, to: &Path) {
        mount_bind(self.origin(), to).unwrap();
        self.mounts.add(to);
    }

    /// Makes a side that reaches the database in this way; there is a database already.
    pub fn side(&mut self, reach: Reach, name: &str, pipes: &Path) -> Side {
        let origin = self.origin();
        let (mut home, mut jail) = (None, None);
        let path = match reach {
            Reach::Direct => origin.join(DATABASE),
            Reach::Bind => {
                let to = self.folder(&format!("bind-{name}"));
                self.bind(&to);
                to.join(DATABASE)
            }
            Reach::LinkedFolder => {
                let to = self.base.join(format!("link-{name}"));
                symlink(&origin, &to).unwrap();
                to.join(DATABASE)
            }
            Reach::LinkedFile => {
                let to = self.folder(&format!("linked-{name}")).join(DATABASE);
                symlink(origin.join(DATABASE), &to).unwrap();
                to
            }
            Reach::OwnNamespace => {
                let mut first = Told::start(pipes);
                first.must("own-mounts");
                home = Some(first);
                origin.join(DATABASE)
            }
            Reach::OwnMounts => {
                let to = self.folder("data");
                let mut first = Told::start(pipes);
                first.must("own-mounts");
                first.must(&format!("bind {} {}", origin.display(), to.display()));
                home = Some(first);
                to.join(DATABASE)
            }
            Reach::Jail => {
                let root = self.folder(&format!("jail-{name}"));
                let to = self.folder(&format!("jail-{name}/data"));
                self.bind(&to);
                let mut first = Told::start(pipes);
                first.must(&format!("root {}", root.display()));
                home = Some(first);
                jail = Some(root);
                Path::new("/data").join(DATABASE)
            }
            Reach::ReadOnly => {
                let to = self.folder(&format!("read-only-{name}"));
                self.bind(&to);
                mount_remount(&to, MountFlags::BIND | MountFlags::RDONLY, "").unwrap();
                to.join(DATABASE)
            }
            Reach::FileMount => {
                let to = self.folder(&format!("file-{name}")).join(DATABASE);
                fs::File::create(&to).unwrap();
                mount_bind(origin.join(DATABASE), &to).unwrap();
                self.mounts.add(&to);
                to
            }
            Reach::HardLink => {
                let to = self.folder(&format!("hard-{name}")).join(DATABASE);
                fs::hard_link(origin.join(DATABASE), &to).unwrap();
                to
            }
            Reach::Overlay => self.overlay(name).unwrap_or_else(|| self.copy(name)),
            Reach::Copy => self.copy(name),
            Reach::Fuse => self.fuse(name).unwrap_or_else(|| self.copy(name)),
        };
        Side { reach, path, home, jail }
    }

    fn copy(&self, name: &str) -> PathBuf {
        let to = self.folder(&format!("copy-{name}"));
        let copied = Command::new("cp").arg("-a").arg(self.origin().join(".")).arg(&to).status().unwrap();
        assert!(copied.success());
        to.join(DATABASE)
    }

    fn overlay(&mut self, name: &str) -> Option<PathBuf> {
        let [upper, work, to] = ["upper", "work", "overlay"].map(|what| self.folder(&format!("{what}-{name}")));
        let (lower, upper, work) = (self.origin(), upper.display(), work.display());
        let options = format!("lowerdir={},upperdir={upper},workdir={work}", lower.display());
        let options = std::ffi::CString::new(options).unwrap();
        let mounted = mount("overlay", &to, "overlay", MountFlags::empty(), options.as_c_str());
        crate::common::have("overlay", mounted.is_ok()).then_some(())?;
        self.mounts.add(&to);
        Some(to.join(DATABASE))
    }

    fn fuse(&mut self, name: &str) -> Option<PathBuf> {
        let to = self.folder(&format!("fuse-{name}"));
        let mut command = Command::new("bindfs");
        command.args(["-f", "-o", "allow_other"]).arg(self.origin()).arg(&to);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
        let served = server.and_then(|mut server| {
            while !to.join(DATABASE).exists() {
                if server.try_wait().unwrap().is_some() {
                    return None;
                }
                crate::common::pause();
            }
            Some(server)
        });
        crate::common::have("fuse", served.is_some()).then_some(())?;
        self.fuse.extend(served);
        self.mounts.add(&to);
        Some(to.join(DATABASE))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.mounts.undo(&self.base);
        for server in &mut self.fuse {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = fs::remove_dir_all(&self.base);
    }
}
