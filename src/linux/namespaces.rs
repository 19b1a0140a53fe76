//! The namespaces of a process (man 7 namespaces).

use crate::evidence::{Namespaces, Observation};
use crate::linux::procfs::{Proc, unseen};

/// The namespaces of this process.
#[must_use]
pub fn own(proc: &Proc) -> Namespaces {
    let link = |name: &str| own_link(proc, name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespaces_read_as_the_kernel_names_them() {
        let namespaces = own(&Proc::new("/proc"));
        assert!(namespaces.mount.value().unwrap().starts_with("mnt:["));
        assert!(namespaces.pid.value().unwrap().starts_with("pid:["));
        assert!(own(&Proc::new("/nowhere")).user.reason().is_some());
    }
}
