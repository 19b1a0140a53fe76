//! The namespaces of a process (man 7 namespaces).

use std::io;

use crate::evidence::{InSight, Namespaces, Observation};
use crate::linux::procfs::{Proc, Process};
use crate::linux::text::namespaces::is_initial_pid_namespace;
use crate::linux::unseen::unseen;

/// The namespaces of a process, or why they could not be seen.
#[must_use]
pub fn of(process: &io::Result<Process>) -> Namespaces {
    let link = |name: &str| match process {
        Ok(process) => process.link(name),
        Err(error) => unseen("the process", error),
    };
    Namespaces { mount: link("ns/mnt"), pid: link("ns/pid"), user: link("ns/user"), time: link("ns/time") }
}

/// One of this process's links: `ns/mnt` reads `mnt:[4026531841]`.
#[must_use]
pub fn own_link(proc: &Proc, name: &str) -> Observation<String> {
    match proc.this_process() {
        Ok(this) => this.link(name),
        Err(error) => unseen("self", &error),
    }
}

/// Which processes can be seen here.
///
/// folklore: in the first PID namespace there is always a process 1. A /proc with `hidepid=2` lists no processes of other
/// users, and so not this one. Seen with Linux 6.1. Held by `where_process_1_is_not_listed_not_every_process_is`.
#[must_use]
pub fn in_sight(proc: &Proc) -> InSight {
    match own_link(proc, "ns/pid").value().map(|own| is_initial_pid_namespace(own)) {
        Some(true) if proc.read("1/stat").is_ok() => InSight::Every,
        Some(false) => InSight::OfThisNamespace,
        _ => InSight::NotKnown,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn own_namespaces_read_as_the_kernel_names_them() {
        let namespaces = of(&Proc::new("/proc").this_process());
        assert!(namespaces.mount.value().unwrap().starts_with("mnt:["));
        assert!(namespaces.pid.value().unwrap().starts_with("pid:["));
        assert!(of(&Proc::new("/nowhere").this_process()).user.reason().is_some());
    }

    #[test]
    fn where_process_1_is_not_listed_not_every_process_is() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("self/ns")).unwrap();
        symlink("pid:[4026531836]", at("self/ns/pid")).unwrap();
        assert_eq!(in_sight(&Proc::new(root.path())), InSight::NotKnown);
        std::fs::create_dir(at("1")).unwrap();
        std::fs::write(at("1/stat"), "1 (init) S").unwrap();
        assert_eq!(in_sight(&Proc::new(root.path())), InSight::Every);
        std::fs::remove_file(at("self/ns/pid")).unwrap();
        symlink("pid:[4026532177]", at("self/ns/pid")).unwrap();
        assert_eq!(in_sight(&Proc::new(root.path())), InSight::OfThisNamespace);
    }
}
