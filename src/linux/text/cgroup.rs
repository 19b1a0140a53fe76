//! Which container a process belongs to: its cgroup path names it (`/proc/PID/cgroup`, man 7 cgroups).

use crate::evidence::{Container, Mount};

/// The innermost container that a `/proc/PID/cgroup` text names; cgroup v1 and v2.
///
/// Inside a container with a cgroup namespace of its own the path is `/` and names none.
#[must_use]
pub fn container(text: &[u8]) -> Option<Container> {
    let text = String::from_utf8_lossy(text);
    // `4:memory:/docker/ID`: a path may contain colons, the two fields before it do not.
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find_map(of_path)
}

/// The control groups of a process: the controllers of each line, empty for version 2, and the path. Paths that lead out of
/// the observer's groups are left out.
#[must_use]
pub fn groups(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let fields = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    fields.filter(|(_, path)| !path.split('/').any(|part| part == "..")).collect()
}

fn of_path(path: &str) -> Option<Container> {
    let kubernetes = path.contains("kubepods");
    let mut parent = "";
    let mut found = None;
    for part in path.split('/') {
        if let Some((runtime, id)) = of_part(parent, part, kubernetes) {
            found = Some(Container { runtime: runtime.to_owned(), id: id.to_owned(), name: None });
        }
        parent = part;
    }
    found
}

fn of_part<'a>(parent: &str, part: &'a str, kubernetes: bool) -> Option<(&'static str, &'a str)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    // `kubepods-pod1.slice:cri-containerd:ID`, `docker-ID`, or the id alone. `libpod-conmon-ID` is the monitor of a
    // container; the rest of that name is no id.
    let known = [
        ("docker-", "docker"),
        ("libpod-", "podman"),
        ("cri-containerd-", "containerd"),
        ("nerdctl-", "containerd"),
        ("crio-", "cri-o"),
    ];
    let named = known.iter().find_map(|(prefix, runtime)| Some((*runtime, name.strip_prefix(prefix)?)));
    let (runtime, id) = match (named, name.rsplit_once(':'), parent) {
        (Some(named), _, _) => named,
        (None, Some((_, id)), _) => ("containerd", id),
        (None, None, "docker") => ("docker", name),
        (None, None, "default" | "k8s.io" | "moby") => ("containerd", name),
        (None, None, _) if kubernetes => ("kubernetes", name),
        _ => return None,
    };
    is_id(id).then_some((if kubernetes { "kubernetes" } else { runtime }, id))
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The container that this process's mounts name: runtimes bind `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`
/// from a folder named after the container. Works where a cgroup namespace hides the path.
#[must_use]
pub fn container_of_mounts(mounts: &[Mount]) -> Option<Container> {
    let provided =
        |mount: &&Mount| matches!(mount.mount_point.as_str(), "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf");
    mounts.iter().filter(provided).find_map(|mount| {
        let mut parts = mount.root.split('/').skip_while(|part| !matches!(*part, "containers" | "overlay-containers"));
        let runtime = if parts.next()? == "containers" { "docker" } else { "podman" };
        // Podman: `/.../containers/storage/overlay-containers/ID/userdata/hostname`.
        let runtime = if mount.root.contains("overlay-containers") { "podman" } else { runtime };
        let id = parts.find(|part| is_id(part))?;
        Some(Container { runtime: runtime.to_owned(), id: id.to_owned(), name: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Device;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn runtime(path: &str) -> Option<String> {
        let found = container(path.replace("ID", ID).as_bytes())?;
        assert_eq!(found.id, ID);
        Some(found.runtime)
    }

    #[test]
    fn runtimes_are_told_by_their_paths() {
        for (path, expected) in [
            ("4:memory:/docker/ID\n0::/system.slice/containerd.service", "docker"),
            ("0::/system.slice/docker-ID.scope", "docker"),
            ("0::/machine.slice/libpod-ID.scope/container", "podman"),
            ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope", "podman"),
            ("1:name=systemd:/libpod_parent/libpod-ID", "podman"),
            ("0::/system.slice/nerdctl-ID.scope", "containerd"),
            ("0::/default/ID", "containerd"),
            ("0::/kubepods.slice/kubepods-pod12.slice/cri-containerd-ID.scope", "kubernetes"),
            ("0::/kubepods/burstable/pod12-ab/ID", "kubernetes"),
            ("0::/system.slice/containerd.service/kubepods-pod12.slice:cri-containerd:ID", "kubernetes"),
        ] {
            assert_eq!(runtime(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn paths_without_a_container_name_none() {
        for path in [
            "0::/",
            "0::/user.slice/session-1.scope",
            "0::/machine.slice/libpod-conmon-ID.scope",
            "0::/docker/short",
            "",
        ] {
            assert_eq!(runtime(path), None, "{path}");
        }
    }

    #[test]
    fn the_innermost_container_counts() {
        let outer = "f".repeat(64);
        assert_eq!(runtime(&format!("0::/docker/{outer}/docker/ID")).as_deref(), Some("docker"));
    }

    #[test]
    fn mounts_name_the_container_where_the_cgroup_does_not() {
        let mount = |root: String| Mount {
            id: 1,
            parent: 1,
            device: Device { major: 8, minor: 1 },
            root,
            mount_point: "/etc/hostname".into(),
            fs_type: "ext4".into(),
            source: "/dev/sda1".into(),
            super_options: String::new(),
        };
        let docker = container_of_mounts(&[mount(format!("/var/lib/docker/containers/{ID}/hostname"))]).unwrap();
        assert_eq!((docker.runtime.as_str(), docker.id.as_str()), ("docker", ID));
        let root = format!("/var/lib/containers/storage/overlay-containers/{ID}/userdata/hostname");
        assert_eq!(container_of_mounts(&[mount(root)]).unwrap().runtime, "podman");
        assert_eq!(container_of_mounts(&[mount("/etc/hostname".into())]), None);
    }
}
