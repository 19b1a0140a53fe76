//! Links in `/proc/PID/ns` (man 7 namespaces).

/// Whether a link, such as `pid:[4026531836]`, is that of the initial PID namespace. From other namespaces not every
/// process is visible. `PROC_PID_INIT_INO` in the kernel's proc_ns.h.
#[must_use]
pub fn is_initial_pid_namespace(link: &str) -> bool {
    link == "pid:[4026531836]"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_namespace_is_not_the_initial_one() {
        assert!(is_initial_pid_namespace("pid:[4026531836]"));
        assert!(!is_initial_pid_namespace("pid:[4026532177]"));
    }
}
