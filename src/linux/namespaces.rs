//! The namespaces of a process (man 7 namespaces).

use std::io;

use crate::evidence::{Namespaces, Observation};
use crate::linux::procfs::{Proc, Process};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespaces_read_as_the_kernel_names_them() {
        let namespaces = of(&Proc::new("/proc").this_process());
        assert!(namespaces.mount.value().unwrap().starts_with("mnt:["));
        assert!(namespaces.pid.value().unwrap().starts_with("pid:["));
        assert!(of(&Proc::new("/nowhere").this_process()).user.reason().is_some());
    }
}
