//! Every command line that README.md, the documents and `--help` print is run here, or is listed with the reason why not. Each
//! one also with a source that does not exist: then no line ends with 0.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use crate::common::command::{EXE, Ran, connect, database, run};

/// How a printed line is tested.
#[derive(Debug, Clone, Copy)]
enum Tried {
    /// It is run, and ends with this.
    Ends(i32),
    /// It is run, and looks at the whole machine, with or without files here: it ends with 0, or with 1 where something on the machine
    /// has a broken database at that moment, as other tests do. The namespaces that would hide those need root or a kernel that
    /// lets users have them.
    OfMachine,
    /// Its jq decides, and walscope's exit code does not count: it ends with this, and with 5 without its source.
    ByJq(i32),
    /// It is not run here, and why.
    Elsewhere(&'static str),
}

use Tried::{ByJq, Elsewhere, Ends, OfMachine};

/// Each printed line without `docker exec NAME` before it. `NAME:/path` is run as `pid:N:/path`, so both sides are one path:
/// undecided.
const PRINTED: &[(&str, Tried)] = &[
    ("walscope ps", OfMachine),
    ("walscope inspect writer:/data/app.db", Ends(0)),
    ("walscope compare writer:/data/app.db reader:/data/app.db", Ends(3)),
    ("walscope snapshot /data/app.db -o - > writer.walsnap", Ends(0)),
    ("walscope snapshot /data/app.db -o - > reader.walsnap", Ends(0)),
    ("walscope snapshot /data/test.db -o - > writer.walsnap", Ends(0)),
    ("walscope snapshot /data/test.db -o - > reader.walsnap", Ends(0)),
    ("walscope snapshot /data/app.db -o /tmp/writer.walsnap --hold=60", Elsewhere(HELD)),
    ("walscope snapshot /data/app.db -o /tmp/a.walsnap --hold=60", Elsewhere(HELD)),
    ("walscope snapshot /data/app.db -o app.walsnap", Ends(0)),
    ("walscope compare writer.walsnap reader.walsnap", Ends(0)),
    ("walscope compare --strict writer.walsnap reader.walsnap", Ends(3)),
    ("walscope probe meet /data/app.db", Elsewhere("it waits for the other side: tests/sharing/proof.rs")),
    ("walscope probe try /srv/app", Ends(0)),
    ("walscope probe try /data", Ends(0)),
    ("walscope --strict-atime verify app.db --fail-on notice", Ends(0)),
    ("walscope --strict-atime wal app.db", Ends(0)),
    ("walscope --strict-atime wal app.db --transactions", Ends(0)),
    ("walscope verify /srv/app --fail-on warning", Ends(0)),
    ("walscope inspect /srv/app/app.db --fail-if-blocked 10s", Ends(0)),
    (
        "walscope verify /srv --json | jq -r '.databases[] | select(.verdict.result != \"sound\") | .source.label'",
        Ends(0),
    ),
    (RED_FOR_A_BLOCK, ByJq(0)),
    ("walscope inspect app.db --json | jq -r .checkpoint.state", Ends(0)),
    ("walscope inspect app.db --json | jq -r '.open | .read, .write, .explanation'", Ends(0)),
    ("walscope inspect app.db --for 5s --json | jq '.over_time | .outcome, .kept[].holder.pid'", Ends(0)),
    ("walscope inspect app.db --json | jq -r '.not_running[] | .resume'", Ends(0)),
    ("walscope inspect app.db --json | jq '.checkpoint.blocked_by[] | {slot, mark, pids: [.holders[].pid]}'", Ends(0)),
    ("walscope compare a.walsnap b.walsnap --json | jq -r '.verdict | .sharing, .subject, .decided_by[]'", Ends(0)),
    (
        "walscope verify app.db --json | jq -r '.verdict.result, (.checks[] | select(.result == \"skipped\") | .check)'",
        Ends(0),
    ),
    ("walscope wal app.db-wal --jsonl | jq -r 'select(.class == \"residue\") | .frame'", Ends(0)),
    ("walscope lab", Elsewhere(LAB)),
    ("walscope lab --scenario file-mount", Elsewhere(LAB)),
    ("walscope inspect /srv/app/app.db", Ends(0)),
    ("walscope wal seized/app.db-wal", Ends(0)),
    ("walscope inspect app.db --fail-if-blocked 10s", Ends(0)),
    ("walscope verify app.db --fail-on warning", Ends(0)),
    ("walscope verify seized/app.db --fail-on notice", Ends(0)),
    ("walscope verify /srv", Ends(0)),
    ("walscope wal app.db --page 7 --jsonl", Ends(0)),
    ("walscope shm app.db --hash --block 0", Ends(0)),
    ("walscope rescue /srv/app/app.db -o saved", Ends(0)),
    ("walscope verify saved/app.db", Ends(0)),
];

/// Red for a block and for nothing else.
const RED_FOR_A_BLOCK: &str = "walscope inspect /srv/app/app.db --for 10s --json | jq -se '.[0].over_time | if .outcome == \"not_known\" then error(.explanation) else all(.kept[]; .lock == \"database\" and (.stopped | not)) end'";
const HELD: &str = "it holds a beacon for a minute: tests/cli/snapshot.rs";
const LAB: &str = "it takes long, and asks for no file: tests/lab";

/// The lines of the `sh` blocks of the documents, and those of `--help`.
fn printed() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let docs = fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path());
    let documents = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md")).chain(["README.md".into()]);
    for document in documents {
        let text = fs::read_to_string(document).unwrap();
        for block in text.split("\n```sh\n").skip(1) {
            let block = block.split("\n```").next().unwrap();
            // Without it a pipe ends with the exit code of the last program, which is 0 if it was given nothing.
            let piped = commands(block).iter().any(|line| line.contains(" | "));
            // jq -se takes nothing for an empty list, and its filter fails on that.
            let own = commands(block).iter().all(|line| !line.contains(" | ") || line.contains(" | jq -se "));
            assert!(!piped || own || block.starts_with("set -o pipefail\n"), "a pipe without pipefail: {block}");
            lines.extend(commands(block));
        }
    }
    let help = fs::read_to_string("src/bin/walscope/help.rs").unwrap();
    // A text ends with `";`.
    lines.extend(commands(&help.replace("\";\n", "\n")));
    lines
}

/// The lines that run walscope, each joined with those that it goes on in.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| ["walscope ", "docker exec ", "kubectl exec "].iter().any(|start| line.starts_with(start)));
    let of_walscope = lines.filter_map(|line| Some(line[line.find("walscope ")?..].split_whitespace()));
    of_walscope.map(|words| words.collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn every_printed_command_is_tried_or_has_a_reason() {
    let listed: BTreeSet<String> = PRINTED.iter().map(|(line, _)| (*line).to_owned()).collect();
    let printed = printed();
    let new: Vec<_> = printed.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&printed).collect();
    assert!(new.is_empty(), "printed, and not tried: {new:#?}");
    assert!(gone.is_empty(), "tried, and not printed any more: {gone:#?}");
    for (line, tried) in PRINTED {
        if let Elsewhere(why) = tried {
            assert!(!why.is_empty(), "{line}");
        }
    }
}

/// A line of a document in a folder: paths from the root are below the folder, and what takes seconds takes less.
fn try_line(line: &str, folder: &Path) -> Ran {
    let here = folder.display();
    let mine = format!("pid:{}:{here}/data/", std::process::id());
    let line = line.replace("writer:/data/", &mine).replace("reader:/data/", &mine);
    let line = line.replace(" /data", " data").replace(" /srv", " srv");
    let line = line.replace(" 10s", " 300ms").replace(" 5s", " 300ms");
    let path = format!("{}:{}", Path::new(EXE).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let pipefail = if line.contains(" | jq -se ") { "" } else { "set -o pipefail; " };
    let script = format!("{pipefail}umask 077; {line}");
    let mut command = Command::new("timeout");
    run(command.args(["60", "bash", "-c", &script]).current_dir(folder).env("PATH", path))
}

/// The files that the printed lines speak of; databases stay open.
fn files(folder: &Path) -> Vec<Connection> {
    for below in ["data", "srv/app", "seized"] {
        fs::create_dir_all(folder.join(below)).unwrap();
    }
    let open = ["app.db", "data/app.db", "data/test.db", "srv/app/app.db"].map(|name| database(&folder.join(name)));
    let copied =
        Command::new("cp").arg("-r").arg("app.db").arg("app.db-wal").arg("seized").current_dir(folder).status();
    assert!(copied.unwrap().success());
    bundles(
        "shared",
        folder,
        [("writer", "writer"), ("reader", "reader"), ("writer", "a"), ("reader", "b")].as_slice(),
    );
    open.into()
}

fn bundles(scenario: &str, folder: &Path, names: &[(&str, &str)]) {
    for (side, name) in names {
        let to = folder.join(format!("{name}.walsnap"));
        fs::copy(format!("testdata/bundles/{scenario}/{side}.walsnap"), &to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn every_printed_command_works_and_none_is_green_without_its_source() {
    let jq = crate::common::have("jq", Command::new("jq").arg("--version").output().is_ok());
    for (line, tried) in PRINTED.iter().filter(|(line, _)| jq || !line.contains("jq")) {
        let (there, nothing) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (expected, nothing_there): (&[i32], &[i32]) = match tried {
            Ends(code) => (std::slice::from_ref(code), &[2]),
            ByJq(code) => (std::slice::from_ref(code), &[5]),
            OfMachine => (&[0, 1], &[0, 1]),
            Elsewhere(_) => continue,
        };
        let open = files(there.path());
        if line.contains("saved/app.db") {
            assert_eq!(try_line("walscope rescue srv/app/app.db -o saved", there.path()).code, 0);
        }
        let ran = try_line(line, there.path());
        assert!(expected.contains(&ran.code), "{line} ends with {}: {} {}", ran.code, ran.text(), ran.stderr);
        let ran = try_line(line, nothing.path());
        assert!(nothing_there.contains(&ran.code), "{line} ends with {}, without its files: {}", ran.code, ran.stderr);
        drop(open);
    }
}

/// The three lines of "In CI", each in every state that it tells apart.
#[test]
fn the_lines_for_ci_are_red_when_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let compare = |scenario: &str| {
        bundles(scenario, folder.path(), &[("writer", "w"), ("reader", "r")]);
        let line = "walscope compare writer:/data/app.db reader:/data/app.db";
        try_line(
            &line.replace("writer:/data/app.db", "w.walsnap").replace("reader:/data/app.db", "r.walsnap"),
            folder.path(),
        )
    };
    assert_eq!(compare("shared").code, 0);
    assert_eq!(compare("copied").code, 1);

    let verify = "walscope verify /srv/app --fail-on warning";
    fs::create_dir_all(at("srv/app")).unwrap();
    assert_eq!(try_line(verify, folder.path()).code, 2, "a folder without a database");
    let db = database(&at("srv/app/app.db"));
    assert_eq!(try_line(verify, folder.path()).code, 0);
    let lone =
        Command::new("cp").args(["srv/app/app.db-wal", "srv/app/lost.db-wal"]).current_dir(folder.path()).status();
    assert!(lone.unwrap().success());
    let ran = try_line(verify, folder.path());
    assert_eq!(ran.code, 1, "a -wal without its database is a warning: {}", ran.text());
    fs::remove_file(at("srv/app/lost.db-wal")).unwrap();

    let inspect = "walscope inspect /srv/app/app.db --fail-if-blocked 10s";
    assert_eq!(try_line(inspect, folder.path()).code, 0);
    let reader = connect(&at("srv/app/app.db"));
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT x FROM t", [], |_| Ok(())).unwrap();
    db.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    let ran = try_line(inspect, folder.path());
    assert_eq!(ran.code, 1, "{}", ran.text());
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(try_line(inspect, folder.path()).code, 0);
}

/// What `--fail-if-blocked` and the line with jq beneath it say of each state: only the line tells a block from an error.
#[test]
fn the_line_that_is_red_for_a_block_alone_is_that() {
    let jq = crate::common::have("jq", Command::new("jq").arg("--version").output().is_ok());
    if !jq {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("srv/app")).unwrap();
    let path = at("srv/app/app.db");
    let both = || {
        let inspect = "walscope inspect /srv/app/app.db --fail-if-blocked 10s";
        [inspect, RED_FOR_A_BLOCK].map(|line| try_line(line, folder.path()).code)
    };
    fs::write(&path, "").unwrap();
    assert_eq!(both(), [0, 0], "an empty file");
    let rollback = connect(&path);
    rollback.execute_batch("PRAGMA journal_mode=DELETE; CREATE TABLE t(x); BEGIN IMMEDIATE").unwrap();
    assert_eq!(both(), [0, 0], "rollback mode, with a writer");
    drop(rollback);
    fs::remove_file(&path).unwrap();

    let db = database(&path);
    assert_eq!(both(), [0, 0]);
    let reader = connect(&path);
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT x FROM t", [], |_| Ok(())).unwrap();
    db.execute_batch("INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(both(), [1, 1], "a reader stays");
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    db.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES (3)").unwrap();
    assert_eq!(both(), [0, 0], "it runs its checkpoints itself");
    db.execute_batch("INSERT INTO t VALUES(zeroblob(100000))").unwrap();
    drop(db);
    fs::File::options().write(true).open(&path).unwrap().set_len(8192).unwrap();
    assert_eq!(both(), [1, 0], "an error, and no block");
}
