//! What the set-ups stand on: file systems in files, containers, an idmapped mount. All of it is removed at the end.

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::common;
use crate::common::command::{EXE, copy_executable};
use crate::common::docker::World;

pub struct Machine {
    /// Before the mounts: its containers are removed first.
    pub world: World,
    mounts: Mounts,
    folder: tempfile::TempDir,
}

/// Unmounted in reverse order.
struct Mounts(Vec<PathBuf>);

impl Drop for Mounts {
    fn drop(&mut self) {
        for mount in self.0.iter().rev() {
            ran("umount", &[mount.to_str().unwrap()]);
        }
    }
}

/// The file systems that each set-up's disk is made with.
const DISKS: [(&str, &[&str]); 3] =
    [("ext4", &["mkfs.ext4", "-q"]), ("xfs", &["mkfs.xfs", "-q"]), ("btrfs", &["mkfs.btrfs", "-q"])];

impl Machine {
    /// `None`, with a message, where something is missing that all of it needs.
    pub fn make() -> Option<Self> {
        if !common::have("root", rustix::process::geteuid().is_root()) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("walscope");
        copy_executable(EXE, &program);
        let world = World::with_sqlite3(&[(Path::new(EXE), "walscope")])?;
        let mut machine = Self { world, mounts: Mounts(Vec::new()), folder };
        for (name, mkfs) in DISKS {
            let (image, place) = (machine.at(&format!("{name}.img")), machine.new_folder(name));
            fs::File::create(&image).unwrap().set_len(320 << 20).unwrap();
            let made = ran(mkfs[0], &[mkfs[1], image.to_str().unwrap()]);
            machine.mount(name, made, &["-o", "loop", image.to_str().unwrap()], &place)?;
        }
        let place = machine.new_folder("tmpfs");
        machine.mount("root", true, &["-t", "tmpfs", "tmpfs"], &place)?;
        Some(machine)
    }

    fn mount(&mut self, needs: &str, made: bool, how: &[&str], place: &Path) -> Option<()> {
        let mounted = made && ran("mount", &[how, &[place.to_str().unwrap()]].concat());
        if mounted {
            self.mounts.0.push(place.to_owned());
            open_to_all(place);
        }
        common::have(needs, mounted).then_some(())
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn program(&self) -> PathBuf {
        self.at("walscope")
    }

    /// A folder that every user may write to.
    pub fn new_folder(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(&path).unwrap();
        open_to_all(&path);
        path
    }

    /// The same folder at another place, where files of root belong to uid 1000, and files of uid 1000 to root.
    pub fn idmapped(&mut self, folder: &Path, name: &str) -> Option<PathBuf> {
        let place = self.new_folder(name);
        let mounted = idmap(folder, &place);
        if let Err(error) = &mounted {
            eprintln!("idmapped mount: {error}");
        } else {
            self.mounts.0.push(place.clone());
        }
        common::have("idmap", mounted.is_ok()).then_some(place)
    }
}

pub fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

fn ran(command: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(command);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[allow(unsafe_code)]
fn idmap(folder: &Path, place: &Path) -> std::io::Result<()> {
    // A user namespace lives as long as a process in it. It ends with its standard input.
    let mut holder =
        Command::new("unshare").args(["-U", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"x")?;
    // The answer comes from within the namespace.
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0])?;
    let of = |name: &str| format!("/proc/{}/{name}", holder.id());
    for map in ["uid_map", "gid_map"] {
        fs::write(of(map), "0 1000 1\n1000 0 1\n")?;
    }
    let namespace = fs::File::open(of("ns/user"))?;
    let tree = open_tree(CWD, folder, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(namespace.as_raw_fd()).unwrap(),
    };
    // SAFETY: both descriptors are open, the path is an empty C string, and the kernel reads as many bytes of the
    // attributes as it is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    drop(input);
    holder.wait()?;
    if done != 0 {
        return Err(std::io::Error::last_os_error());
    }
    move_mount(&tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(())
}
