//! Container runtimes, asked through their command lines: the process of a container's name, and the name of an id.
//!
//! Only argument lists are used, never a shell. Names are checked before the call, answers after it. A runtime that
//! does not answer in time counts as not installed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::evidence::Container;
use crate::linux::mapped::limits::DESCRIPTORS_OF_A_PROCESS;
use crate::linux::open_error::OpenError;
use crate::linux::procfs::Proc;
use crate::linux::target::Target;
use crate::linux::{child, container, container_root, mounts};

/// The known runtimes, in the order in which they are asked.
const RUNTIMES: [&str; 3] = ["docker", "podman", "nerdctl"];
/// How long a question for one container may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the list of names may take. It is short, because names are only a convenience.
const NAMES_WITHIN: Duration = Duration::from_secs(2);
/// At most so many paths of open files are collected of one container.
const OPEN_FILES: usize = 100_000;
/// What was being done when the container's process could not be looked into.
const LOOKING: &str = "looking into the container";

/// Whether a text can be a container's name or id, as the runtimes define them: at least two characters, so that
/// `C:/t.db` is not a container's path.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    pid: u32,
    id: String,
}

/// The paths of files that processes of a container have open.
#[derive(Debug, Default)]
pub struct OpenFiles {
    /// As the kernel prints them.
    pub there: BTreeSet<PathBuf>,
    /// The names of files that were deleted, each with a process that has it open.
    pub deleted: BTreeMap<PathBuf, u32>,
}

/// Why a container could not be looked into.
#[derive(Debug)]
pub struct Refused {
    /// What was being done, and why not.
    pub why: OpenError,
    /// The command of the runtime that knows the container, or that refused to answer this user.
    pub runtime: Option<&'static str>,
    /// Who has said that there is no such container.
    pub unknown: Unknown,
}

/// Whether the runtimes of this machine know a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// There is no runtime to ask.
    NobodyToAsk,
    /// Every runtime that is here answered that there is no such container.
    ByAll,
    /// There is such a container, or it is not known whether there is.
    NotSaid,
}

/// A path beneath the root of a running container, by the container's name or id.
///
/// # Errors
/// When no runtime knows it, when it does not run, when its first process is not visible here or may not be looked
/// into, or when no process with the container's root is seen.
pub fn target(name: &str, path: &Path) -> Result<Target, Refused> {
    let (root, _) = root(name, path, ANSWER_WITHIN)?;
    Ok(root.at(path.to_owned()))
}

/// The paths of files that processes of a running container have open by now, as they are named in the container, and its
/// root. A runtime that does not answer soon is passed over.
///
/// # Errors
/// As for [`target`]; and when the processes cannot be listed, or none can be looked into.
pub fn open_files(name: &str) -> Result<(Target, OpenFiles), Refused> {
    let (root, id) = root(name, Path::new("/"), NAMES_WITHIN)?;
    let refused = |why| {
        let why = OpenError::new(Path::new(name), "looking into its processes", why);
        Refused { why, runtime: None, unknown: Unknown::NotSaid }
    };
    let proc = Proc::system();
    let (mut files, mut denied, mut read) = (OpenFiles::default(), None, 0_usize);
    for pid in proc.pids().map_err(refused)? {
        let Ok(process) = proc.process(pid) else { continue };
        if container::by_cgroup(&process).is_none_or(|of| of.id != id) {
            continue;
        }
        let names = match process.names("fd") {
            Ok(names) => names,
            Err(why) => {
                denied.get_or_insert(why);
                continue;
            }
        };
        read += 1;
        let links = names.iter().take(DESCRIPTORS_OF_A_PROCESS);
        let paths = links.filter_map(|name| process.link_bytes(&format!("fd/{name}")).ok());
        for path in paths {
            let seen = |path: &[u8]| root.take_off_prefix(Path::new(OsStr::from_bytes(path)));
            let (whole, before) = (seen(&path), path.strip_suffix(b" (deleted)").map(seen));
            if files.there.len() + files.deleted.len() >= OPEN_FILES || !whole.is_absolute() {
                continue;
            }
            if let Some(before) = before {
                files.deleted.entry(before).or_insert(pid);
            }
            // A file that is there can be named so, too.
            files.there.insert(whole);
        }
    }
    match denied {
        Some(why) if read == 0 => Err(refused(why)),
        _ => Ok((root, files)),
    }
}

/// The root of a running container, and its id. `path` is what is looked for in it, for messages.
fn root(name: &str, path: &Path, within: Duration) -> Result<(Target, String), Refused> {
    let shown = format!("{name}:{}", path.display());
    let error = |what, why| OpenError::new(Path::new(&shown), what, why);
    let (runtime, running) = find(name, within).map_err(|not| Refused {
        why: error("finding the container", not.why),
        runtime: not.runtime,
        unknown: not.unknown,
    })?;
    let error = |what, why| Refused { why: error(what, why), runtime: Some(runtime), unknown: Unknown::NotSaid };
    let target = Target::of_process(running.pid, path)
        .map_err(|open| error(LOOKING, io::Error::new(open.why.kind(), open.why)))?;
    // The engine may use another PID namespace, or be on another machine: then the pid means another process here. The
    // process is already held by a descriptor, so it is the same one whose files will be opened.
    let proc = Proc::system();
    let container = container::observed(&target.process(&proc), &mounts::of(&proc, &target));
    if container.value().is_none_or(|container| container.id != running.id) {
        let why = format!(
            "process {} here is not seen to be of container {:.12}: the engine seems to run elsewhere, or in another PID namespace",
            running.pid, running.id
        );
        return Err(error(LOOKING, io::Error::other(why)));
    }
    let first = target.process(&proc).map_err(|why| error(LOOKING, why))?;
    let process = container_root::process(&proc, first, &running.id).map_err(|why| error(LOOKING, why))?;
    let root = Target::of_bound(&process).map_err(|why| error(LOOKING, why))?;
    Ok((root.in_container(name), running.id))
}

/// Why a container was not found.
struct NotFound {
    runtime: Option<&'static str>,
    why: io::Error,
    unknown: Unknown,
}

/// Asks each installed runtime for the container. An error names the runtime that refused.
fn find(name: &str, within: Duration) -> Result<(&'static str, Running), NotFound> {
    let mut said = Vec::new();
    let mut kind = io::ErrorKind::NotFound;
    let mut refusing = None;
    let mut unknown = Unknown::ByAll;
    for runtime in RUNTIMES {
        let format = "{{.State.Pid}} {{.Id}}";
        match ask(runtime, &["container", "inspect", "--format", format, "--", name], within) {
            Ok(text) => match running(&text) {
                Some(running) if running.pid > 0 => return Ok((runtime, running)),
                Some(_) => {
                    let why = io::Error::other(format!("{runtime} says that it is not running"));
                    return Err(NotFound { runtime: Some(runtime), why, unknown: Unknown::NotSaid });
                }
                None => {
                    said.push(format!("{runtime}: an answer that was not understood: {:.80}", text.trim()));
                    unknown = Unknown::NotSaid;
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let error = error.to_string();
                let lower = error.to_ascii_lowercase();
                if !lower.contains("no such container") {
                    unknown = Unknown::NotSaid;
                }
                // This user may not use the engine's socket.
                if lower.contains("permission denied") {
                    kind = io::ErrorKind::PermissionDenied;
                    refusing = refusing.or(Some(runtime));
                }
                said.push(format!("{runtime}: {error}"));
            }
        }
    }
    if said.is_empty() {
        said.push("there is neither such a file nor docker, podman or nerdctl to ask for such a container".to_owned());
        unknown = Unknown::NobodyToAsk;
    }
    Err(NotFound { runtime: refusing, why: io::Error::new(kind, said.join("; ")), unknown })
}

fn running(answer: &str) -> Option<Running> {
    let (pid, id) = answer.trim().split_once(' ')?;
    let known = id.len() >= 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    known.then_some(Running { pid: pid.parse().ok()?, id: id.to_owned() })
}

/// A container's name for people: the name from its runtime, else the first twelve digits of its id, as `docker ps`
/// shows it.
#[must_use]
pub fn name_of(container: &Container) -> String {
    known_name(container).unwrap_or_else(|| container.id.chars().take(12).collect())
}

/// A container's name from its runtime, when the runtime can be asked here. Each runtime is asked once.
#[must_use]
pub fn known_name(container: &Container) -> Option<String> {
    static NAMES: [OnceLock<BTreeMap<String, String>>; 3] = [const { OnceLock::new() }; 3];
    let runtime = match container.runtime.as_str() {
        "docker" => Some(0),
        "podman" => Some(1),
        "containerd" => Some(2),
        _ => None,
    };
    let known = runtime.and_then(|index| Some(NAMES.get(index)?.get_or_init(|| names(RUNTIMES.get(index)))));
    known?.get(&container.id).cloned()
}

fn names(runtime: Option<&&str>) -> BTreeMap<String, String> {
    let Some(runtime) = runtime else { return BTreeMap::new() };
    let answer = ask(runtime, &["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}"], NAMES_WITHIN);
    listed(&answer.unwrap_or_default())
}

fn listed(answer: &str) -> BTreeMap<String, String> {
    let pairs = answer.lines().filter_map(|line| line.trim().split_once(' '));
    // When there are several names, the first is the container's own; the others are links to it.
    let own = pairs.map(|(id, names)| (id, names.split(',').next().unwrap_or_default()));
    own.filter(|(_, name)| is_name(name)).map(|(id, name)| (id.to_owned(), name.to_owned())).collect()
}

/// Runs a runtime's command line and returns what it printed.
fn ask(runtime: &str, arguments: &[&str], within: Duration) -> io::Result<String> {
    let ended = child::run(Command::new(runtime).args(arguments), None, None, within)?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&ended.stderr);
    let complaint = complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing");
    Err(io::Error::other(complaint.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_runtimes_take_for_names() {
        for name in ["writer", "my_app.1-x", "0a1b2c3d4e5f"] {
            assert!(is_name(name), "{name}");
        }
        for text in ["", "C", "-rm", "--help", "a b", "../x", "x/y", "caf\u{e9}", "x\u{1b}[2J", "_x"] {
            assert!(!is_name(text), "{text:?}");
        }
    }

    #[test]
    fn an_answer_of_another_form_is_none() {
        let id = "ab".repeat(32);
        assert_eq!(running(&format!("412 {id}\n")), Some(Running { pid: 412, id: id.clone() }));
        for answer in ["", "412", "412 short", "x 0a1b2c3d4e5f", "412 0a1b2c3d4e5f; rm"] {
            assert_eq!(running(answer), None, "{answer}");
        }
    }

    #[test]
    fn names_with_anything_odd_in_them_are_not_taken() {
        let names = listed("aa writer,other/link\nbb \u{1b}[2Jx\n\ncc\ndd reader\n");
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            [("aa", "writer"), ("dd", "reader")].map(|(a, b)| (a.into(), b.into()))
        );
    }

    #[test]
    fn a_command_that_is_not_there_hangs_or_fails_is_no_answer() {
        assert_eq!(ask("no-such-runtime", &[], ANSWER_WITHIN).unwrap_err().kind(), io::ErrorKind::NotFound);
        let hung = ask("sleep", &["60"], Duration::from_millis(50)).unwrap_err();
        assert_eq!(hung.kind(), io::ErrorKind::TimedOut);
        assert!(ask("ls", &["/no/such/folder"], ANSWER_WITHIN).unwrap_err().to_string().contains("/no/such/folder"));
        assert_eq!(ask("echo", &["a", "b"], ANSWER_WITHIN).unwrap(), "a b\n");
    }
}
