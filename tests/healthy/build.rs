//! How the set-ups are made.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::common::docker::{Shell, docker};
use crate::machine::{Machine, open_to_all};
use crate::setups::{ANOTHER_USER, NO_DISK, NO_NAME, ONE_PLACE, ONES_OWN, Other, PAUSED, READ_ONLY, Setup};
use crate::side::{NO_CAPABILITIES, Place, Side, USER_1000, mount_namespace};

/// Connections that come and go in one process, until it is dropped.
pub struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    fn start(mut shell: Shell, path: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, path) = (Arc::clone(&stop), path.to_owned());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let work = "INSERT INTO t VALUES (3); SELECT count(*) FROM t;";
                shell.sql(&format!(".open {path}\n.timeout 10000\n{work}\n.open :memory:"));
                // The others need the processors, too.
                crate::common::pause();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

const MAKE: &str = "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x); INSERT INTO t VALUES (1);";
const READ: &str = "SELECT count(*) FROM t;";

/// Empty databases that every user may write to: SQLite gives their mode to `-wal` and `-shm`.
fn empty(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    open_to_all(folder);
    for name in std::iter::once("t.db".to_owned()).chain((0..9).map(|which| format!("{which}.db"))) {
        fs::write(folder.join(&name), "").unwrap();
        fs::set_permissions(folder.join(&name), Permissions::from_mode(0o666)).unwrap();
    }
}

fn processes() -> Vec<u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A container with a process that has no database open.
struct Container {
    name: String,
    pid: u32,
    shell: Option<Shell>,
}

impl Container {
    fn start(machine: &Machine, name: &str, options: &[&str]) -> Self {
        let shell = machine.world.shell(name, options, ":memory:");
        let out = docker(&["inspect", "--format", "{{.State.Pid}}", &shell.container]);
        let pid = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
        Self { name: shell.container.clone(), pid, shell: Some(shell) }
    }
}

/// One side of a pair: the container, the user of its process, and the folder as the process sees it.
type Seat<'a> = (&'a Container, &'static str, String);

struct Builder<'a> {
    machine: &'a Machine,
    setups: Vec<Setup>,
}

impl Builder<'_> {
    fn open(&self, (container, user, folder): &Seat, first: &str) -> (Shell, Side) {
        let path = format!("{folder}/t.db");
        let before = processes();
        let mut shell = self.machine.world.second_shell(&container.name, &["-u", user], &path);
        shell.sql(first);
        let namespace = mount_namespace(container.pid);
        let is_it = |pid| !before.contains(&pid) && mount_namespace(pid) == namespace;
        let side = Side::find(Place::Container(container.name.clone()), &path, is_it);
        (shell, side)
    }

    /// Two processes in containers: the first one makes the database.
    fn pair(&mut self, name: &'static str, on_host: &Path, seats: [Seat; 2]) -> &mut Setup {
        empty(on_host);
        let (one, left) = self.open(&seats[0], MAKE);
        let (two, right) = self.open(&seats[1], READ);
        let setup = Setup { name, sides: [left, right], others: &[], shells: vec![one, two], busy: Vec::new() };
        self.setups.push(setup);
        self.setups.last_mut().unwrap()
    }

    /// Two processes that two commands start in namespaces. `enter` leads there.
    fn namespaces(
        &mut self,
        name: &'static str,
        folder: &str,
        commands: [&[&str]; 2],
        enter: [&'static [&'static str]; 2],
        drop: &'static [&'static str],
    ) {
        let on_host = self.machine.new_folder(folder);
        empty(&on_host);
        let path = on_host.join("t.db").display().to_string();
        let mut shells = Vec::new();
        let sides = [0, 1].map(|which| {
            let before = processes();
            let mut command = Command::new(commands[which][0]);
            command.args(&commands[which][1..]).args(["/usr/bin/sqlite3", "-batch", &path]);
            let mut shell = Shell::start(command, String::new());
            shell.sql(if which == 0 { MAKE } else { READ });
            shells.push(shell);
            let place = Place::Namespaces { enter: enter[which], drop, program: self.machine.program() };
            Side::find(place, &path, |pid| !before.contains(&pid))
        });
        self.setups.push(Setup { name, sides, others: &[NO_NAME], shells, busy: Vec::new() });
    }
}

/// Makes all of them. The first part keeps their containers.
pub fn all(machine: &mut Machine) -> (Vec<Shell>, Vec<Setup>) {
    let bound = machine.new_folder("bound");
    // Files of root belong to uid 1000 there, and the other way round.
    let origin = machine.at("ext4").join("idmapped");
    fs::create_dir_all(&origin).unwrap();
    let idmapped = machine.idmapped(&origin, "idmapped");
    let machine = &*machine;
    let volume = machine.world.volume("healthy");
    let on_host = PathBuf::from(machine.world.mountpoint(&volume));
    let mount = |from: &Path, to: &str| format!("{}:{to}", from.display());

    let disks = ["ext4", "xfs", "btrfs", "tmpfs"];
    let mounts: Vec<String> = std::iter::once(format!("{volume}:/data"))
        .chain(disks.map(|name| mount(&machine.at(name), &format!("/{name}"))))
        .collect();
    let start = |name: &str, more: &[&str]| {
        let usual = mounts.iter().flat_map(|mount| ["-v", mount]);
        Container::start(machine, name, &usual.chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let a = start("a", &["-v", &mount(&bound, "/here")]);
    let mut more = vec!["-v".to_owned(), mount(&bound, "/there"), "-v".to_owned(), format!("{volume}:/readonly:ro")];
    if let Some(idmapped) = &idmapped {
        more.extend(["-v".to_owned(), mount(idmapped, "/idmapped")]);
    }
    let b = start("b", &more.iter().map(String::as_str).collect::<Vec<_>>());
    let paused = start("paused", &[]);
    let joined = start("joined", &["--pid", &format!("container:{}", a.name)]);
    let from = Container::start(machine, "from", &["--volumes-from", &a.name]);
    let host = start("host", &["--pid", "host"]);

    let mut builder = Builder { machine, setups: Vec::new() };
    let in_volume = |folder: &str| [on_host.join(folder).display().to_string(), format!("/data/{folder}")];
    let usual: [(_, _, _, &[Other]); 6] = [
        ("one volume, two containers, both root", "roots", [(&a, "0"), (&b, "0")], &[]),
        ("one volume, root and uid 1000", "user", [(&a, "0"), (&b, "1000")], &[ANOTHER_USER]),
        ("one volume, both uid 1000", "users", [(&a, "1000"), (&b, "1000")], &[ANOTHER_USER, ONES_OWN]),
        ("`--volumes-from`", "from", [(&a, "0"), (&from, "0")], &[]),
        ("one PID namespace (`--pid container:NAME`)", "joined", [(&a, "0"), (&joined, "0")], &[]),
        ("`--pid host` on one side", "host", [(&a, "0"), (&host, "0")], &[]),
    ];
    for (name, folder, seats, others) in usual {
        let [there, inside] = in_volume(folder);
        let seats = seats.map(|(container, user)| (container, user, inside.clone()));
        builder.pair(name, Path::new(&there), seats).others = others;
    }

    let [there, inside] = in_volume("both");
    let both = [(&a, "0", inside.clone()), (&a, "0", inside)];
    builder.pair("two processes of one container", Path::new(&there), both).others = &[ONE_PLACE];

    let [there, inside] = in_volume("paused");
    let seats = [(&a, "0", inside.clone()), (&paused, "0", inside)];
    builder.pair("one container is paused", Path::new(&there), seats).others = &[PAUSED];
    docker(&["pause", &paused.name]);

    let [there, inside] = in_volume("read");
    let seats = [(&a, "0", inside), (&b, "0", "/readonly/read".to_owned())];
    builder.pair("read-only mount beside a writer", Path::new(&there), seats).others = &[READ_ONLY];

    let [there, inside] = in_volume("many");
    let seats = [(&a, "0", inside.clone()), (&b, "0", inside.clone())];
    let setup = builder.pair("ten databases in one process", Path::new(&there), seats);
    for shell in &mut setup.shells {
        for which in 0..9 {
            let more = format!("PRAGMA d{which}.journal_mode=WAL; CREATE TABLE IF NOT EXISTS d{which}.t(x);");
            shell.sql(&format!("ATTACH '{inside}/{which}.db' AS d{which}; {more} SELECT count(*) FROM d{which}.t;"));
        }
    }

    let [there, inside] = in_volume("short");
    let seats = [(&a, "0", inside.clone()), (&b, "0", inside.clone())];
    builder.pair("connections that come and go beside them", Path::new(&there), seats);
    let busy = [&a, &b].map(|container| {
        let shell = machine.world.second_shell(&container.name, &[], ":memory:");
        Busy::start(shell, &format!("{inside}/t.db"))
    });
    builder.setups.last_mut().unwrap().busy.extend(busy);

    let seats = [(&a, "0", "/here".to_owned()), (&b, "0", "/there".to_owned())];
    builder.pair("bind mount, another path in each container", &bound, seats);
    for disk in disks {
        let inside = format!("/{disk}/folder");
        let seats = [(&a, "0", inside.clone()), (&b, "0", inside)];
        let setup = builder.pair(disk, &machine.at(disk).join("folder"), seats);
        if disk == "btrfs" {
            setup.others = &[NO_DISK];
        }
    }
    if idmapped.is_some() {
        let seats = [(&a, "0", "/ext4/idmapped".to_owned()), (&b, "1000", "/idmapped".to_owned())];
        builder.pair("an idmapped mount on one side", &origin, seats).others = &[ANOTHER_USER];
    }

    let mount = ["unshare", "-m"];
    let time = ["unshare", "-m", "-T", "--boottime", "1000000", "--monotonic", "1000000", "-f"];
    let enter: [&[&str]; 2] = [&["-m"], &["-m", "-T"]];
    builder.namespaces("a time namespace on one side", "time", [&mount, &time], enter, USER_1000);
    let rootless: Vec<&str> = USER_1000.iter().copied().chain(["unshare", "-Ur", "-m"]).collect();
    let enter: &[&str] = &["-U", "-m", "-S", "0", "-G", "0"];
    builder.namespaces(
        "rootless: user namespaces of uid 1000",
        "rootless",
        [&rootless; 2],
        [enter; 2],
        NO_CAPABILITIES,
    );

    let shells = [a, b, paused, joined, from, host].map(|mut container| container.shell.take().unwrap());
    (shells.into(), builder.setups)
}
