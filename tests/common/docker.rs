//! Containers made from programs of this machine: an image is a tar of executables and the shared objects they load.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether an engine answers.
pub fn engine() -> bool {
    Command::new("docker")
        .args(["version", "--format", "{{.Server.Version}}"])
        .output()
        .is_ok_and(|out| out.status.success())
}

pub fn docker(args: &[&str]) -> Output {
    let out = Command::new("docker").args(args).output().unwrap();
    assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

fn word(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// An image, volumes and containers under one label, all removed on drop.
pub struct World {
    label: String,
    pub image: String,
    id: String,
}

impl World {
    /// A world with Debian's sqlite3 and `programs` in its image; `None`, with a message, where the engine or sqlite3
    /// is missing.
    pub fn with_sqlite3(programs: &[(&Path, &str)]) -> Option<Self> {
        let sqlite3 = Path::new("/usr/bin/sqlite3");
        let needed = super::have("docker", engine()) && super::have("sqlite3", sqlite3.exists());
        needed.then(|| Self::new(&[programs, &[(sqlite3, "sqlite3")]].concat()))
    }

    /// Makes an image of `programs`: pairs of a file on this machine and its path in the image.
    pub fn new(programs: &[(&Path, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("walscope-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let world = Self { label: format!("walscope.test={id}"), image: id.clone(), id };
        let mut tar = tar::Builder::new(Vec::new());
        tar.sparse(false);
        let mut libraries = BTreeSet::new();
        for (file, name) in programs {
            add(&mut tar, file, name);
            libraries.extend(loaded_by(file));
        }
        for library in libraries {
            add(&mut tar, Path::new(&library), library.trim_start_matches('/'));
        }
        for folder in ["data/", "tmp/"] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(0o1777);
            header.set_size(0);
            tar.append_data(&mut header, folder, std::io::empty()).unwrap();
        }
        let mut import = Command::new("docker")
            .args(["import", "--change", &format!("LABEL {}", world.label), "-", &world.image])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        import.stdin.take().unwrap().write_all(&tar.into_inner().unwrap()).unwrap();
        assert!(import.wait().unwrap().success(), "docker import failed");
        world
    }

    /// A new named volume.
    pub fn volume(&self, name: &str) -> String {
        let name = format!("{}-{name}", self.id);
        docker(&["volume", "create", "--label", &self.label, &name]);
        name
    }

    /// Where the engine keeps a volume.
    pub fn mountpoint(&self, volume: &str) -> String {
        word(&docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume]))
    }

    /// The full name of a container.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    /// Starts an sqlite3 shell in a new container, with `options` for `docker run`.
    pub fn shell(&self, name: &str, options: &[&str], database: &str) -> Shell {
        self.shell_by(name, options, &["/sqlite3", "-batch", database])
    }

    /// Starts a command that ends in an sqlite3 shell, in a new container.
    pub fn shell_by(&self, name: &str, options: &[&str], shell: &[&str]) -> Shell {
        let full = self.name(name);
        let mut command = Command::new("docker");
        command
            // There is no --rm: the engine's removal would race with ours, and the volume would still be in use.
            .args(["run", "-i", "--network", "none", "--label", &self.label, "--name", &full])
            .args(options)
            .arg(&self.image)
            .args(shell);
        Shell::start(command, full)
    }

    /// Starts one more sqlite3 shell in a running container.
    pub fn second_shell(&self, container: &str, options: &[&str], database: &str) -> Shell {
        let mut command = Command::new("docker");
        command.args(["exec", "-i"]).args(options).args([container, "/sqlite3", "-batch", database]);
        Shell::start(command, container.to_owned())
    }

    /// Runs a program in a running container; its output is returned unchanged.
    pub fn exec(&self, shell: &Shell, options: &[&str], command: &[&str]) -> Output {
        Command::new("docker").arg("exec").args(options).arg(&shell.container).args(command).output().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label);
        let list = |args: &[&str]| -> Vec<String> {
            let out = Command::new("docker").args(args).args(["--filter", &filter]).output();
            out.map(|out| word(&out).split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
        };
        for (what, remove) in [
            (list(&["ps", "-aq"]), vec!["rm", "-f", "-v"]),
            (list(&["volume", "ls", "-q"]), vec!["volume", "rm", "-f"]),
            (list(&["images", "-aq"]), vec!["rmi", "-f"]),
        ] {
            if !what.is_empty() {
                let _ = Command::new("docker").args(remove).args(what).output();
            }
        }
    }
}

/// An sqlite3 shell in a container: a statement is done when its answer has arrived.
pub struct Shell {
    pub container: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts a command that ends in an sqlite3 shell.
    pub fn start(mut command: Command, container: String) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut shell = Self { container, child, stdin, stdout };
        shell.sql(".timeout 10000");
        shell
    }

    /// The process that was started.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process that was started, without closing the database.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Runs statements and returns what they printed.
    pub fn sql(&mut self, sql: &str) -> String {
        const DONE: &str = "-- done --";
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{sql}\n.print {DONE}").unwrap();
        stdin.flush().unwrap();
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            let n = self.stdout.read_line(&mut line).unwrap();
            assert!(n > 0, "the sqlite3 shell ended after {sql:?}; it had printed {answer:?}");
            if line.trim_end() == DONE {
                return answer.trim_end().to_owned();
            }
            answer.push_str(&line);
        }
    }

    /// Ends the shell and its container.
    pub fn quit(mut self) {
        drop(self.stdin.take());
        let _ = self.stdout.read_to_end(&mut Vec::new());
        let _ = self.child.wait();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The shell ends with its input. A client of the engine can stay when its container is removed, and would keep
        // what it inherited open.
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files that the loader loads for a program: the interpreter and shared objects, with their paths. Empty when it
/// is static.
pub fn loaded_by(program: &Path) -> Vec<String> {
    let out = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

fn add(tar: &mut tar::Builder<Vec<u8>>, file: &Path, name: &str) {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
}
