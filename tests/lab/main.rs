//! `walscope lab` from outside: the verdicts it must reach, and that nothing is left behind.
#![cfg(all(target_os = "linux", feature = "lab"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::common::{command, docker};

const WALSCOPE: &str = env!("CARGO_BIN_EXE_walscope");

/// What Docker tests count (containers, volumes, images) belongs to the whole engine: one at a time.
static ENGINE: Mutex<()> = Mutex::new(());

fn lab(arguments: &[&str]) -> Output {
    Command::new(WALSCOPE).args(["lab", "--rows", "10"]).args(arguments).output().unwrap()
}

fn judged(arguments: &[&str]) -> (i32, Value) {
    let output = lab(&[arguments, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().unwrap(), document)
}

fn have_userns() -> bool {
    common::have("userns", lab(&["--runtime", "namespaces"]).status.code() != Some(2))
}

/// The engine, for one test alone.
fn have_docker() -> Option<MutexGuard<'static, ()>> {
    common::have("docker", docker::engine()).then(|| ENGINE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// All containers, volumes and images of the engine.
fn inventory() -> Vec<String> {
    let lists: [&[&str]; 3] = [&["ps", "-aq", "--no-trunc"], &["volume", "ls", "-q"], &["images", "-aq", "--no-trunc"]];
    lists
        .iter()
        .map(|list| {
            let output = Command::new("docker").args(*list).output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        })
        .collect()
}

fn assert_shared(runtime: &str) {
    let (code, document) = judged(&["--runtime", runtime, "--scenario", "shared"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["schema"], "walscope/lab/1");
    assert_eq!(document["runtime"], runtime);
    let verdict = &document["comparison"]["verdict"];
    assert_eq!(verdict["sharing"], "proven", "{document:#}");
    assert_eq!(verdict["subject"], "mappings", "{document:#}");
    assert_eq!(document["rows"]["written"], 50);
    assert_eq!(document["rows"]["found"], 50);
    assert_eq!(document["rows"]["lost"], 0);
    assert_eq!(document["integrity_check"]["reader"], "ok");
    assert_eq!(document["hex_dump_equal"], true, "nothing happened between the two snapshots");
    assert_the_reader_held_the_checkpoint_up(&document);
}

/// The number of frames comes from SQLite and from the captured `-shm`: two witnesses.
fn assert_the_reader_held_the_checkpoint_up(document: &Value) {
    let checkpoint = &document["checkpoint"];
    let number = |name: &str| checkpoint[name].as_i64().unwrap_or_else(|| panic!("{name}: {document:#}"));
    assert_eq!(number("mx_frame"), number("log"));
    assert_eq!(number("backfilled"), number("checkpointed"));
    assert_eq!(number("log") - number("checkpointed"), 10, "one frame for each row behind the reader's mark");
}

fn assert_refuted(runtime: &str, scenario: &str) {
    let (code, document) = judged(&["--runtime", runtime, "--scenario", scenario]);
    assert_eq!(code, 1, "{document:#}");
    assert_eq!(document["comparison"]["verdict"]["sharing"], "refuted", "{document:#}");
    assert_eq!(document["as_expected"], true);
    assert_eq!(document["rows"]["written"], 50);
    assert!(document["rows"]["lost"].as_u64().unwrap() >= 10, "{document:#}");
    let copied = document["copied"].as_array().unwrap();
    assert_eq!(copied.len(), if scenario == "copied" { 3 } else { 0 });
    assert!(copied.iter().all(|file| file["equal"] == true && file["bytes"].as_u64() > Some(0)));
}

#[test]
fn two_processes_on_one_folder_share() {
    assert_shared("processes");
}

#[test]
fn two_processes_on_copies_do_not_share_and_lose_rows() {
    assert_refuted("processes", "copied");
}

#[test]
fn two_processes_with_only_the_database_in_common_do_not_share_and_lose_rows() {
    assert_refuted("processes", "file-mount");
}

#[test]
fn two_namespaced_containers_share_one_folder_and_nothing_else() {
    if have_userns() {
        assert_shared("namespaces");
        assert_refuted("namespaces", "copied");
        assert_refuted("namespaces", "file-mount");
    }
}

#[test]
fn two_docker_containers_share_a_volume_and_nothing_else_and_leave_nothing_behind() {
    let Some(_engine) = have_docker() else { return };
    let before = inventory();
    assert_shared("docker");
    assert_refuted("docker", "copied");
    assert_refuted("docker", "file-mount");
    assert_eq!(inventory(), before);
}

#[test]
fn a_reader_in_a_container_that_blocks_the_checkpoint_is_named_with_advice() {
    let Some(_engine) = have_docker() else { return };
    if !common::have("root", root()) {
        return;
    }
    let (code, document) = judged(&["--runtime", "docker", "--scenario", "pinned-reader"]);
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(document["as_expected"], true, "{:#}", document["otherwise"]);
    let diagnosis = &document["checkpoint"]["diagnosis"];
    assert_eq!(diagnosis["state"], "blocked");
    let blocker = &diagnosis["blocked_by"][0];
    let holder = &blocker["holders"][0];
    assert_eq!((&blocker["slot"], &holder["command"]), (&Value::from(1), &Value::from("lab-reader")));
    let sentence = diagnosis["explanation"].as_str().unwrap();
    let container = holder["container"].as_str().unwrap();
    for part in [container, &format!("pid {}", holder["pid"]), &format!("at frame {}", blocker["mark"])] {
        assert!(sentence.contains(part), "{part:?}: {sentence}");
    }
    assert!(sentence.contains("inspect --for 5s"), "{sentence}");
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Root, a kernel with overlayfs, bindfs, and what makes file systems on loop devices.
fn have_mounts() -> bool {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let disks = ["mkfs.btrfs", "btrfs", "losetup"].into_iter().all(there) && Path::new("/dev/loop-control").exists();
    common::have("root", root())
        && common::have("fuse", there("bindfs") && Path::new("/dev/fuse").exists())
        && common::have("btrfs", disks)
}

/// Processes that have been given something in a folder.
fn processes_at(folder: &Path) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(folder.to_str().unwrap())).collect()
}

/// Loop devices whose file is below a folder.
fn loop_devices_of(folder: &Path) -> Vec<String> {
    let devices = fs::read_dir("/sys/block").unwrap().map_while(Result::ok);
    let files = devices.filter_map(|entry| fs::read_to_string(entry.path().join("loop/backing_file")).ok());
    files.filter(|file| file.contains(folder.to_str().unwrap())).collect()
}

#[test]
fn every_scenario_comes_out_as_expected_and_nothing_is_proven_falsely() {
    if !have_mounts() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let mounts =
        || fs::read_to_string("/proc/self/mountinfo").unwrap().matches(temporary.path().to_str().unwrap()).count();
    let output = Command::new(WALSCOPE)
        .args(["lab", "--all", "--require-all", "--runtime", "namespaces", "--rows", "10", "--json"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(document["schema"], "walscope/lab-all/1");
    let scenarios = document["scenarios"].as_array().unwrap();
    for ran in scenarios {
        assert_eq!(ran["state"], "as_expected", "{}: {}", ran["scenario"], ran["reason"]);
        assert_eq!(ran["run"]["not_live"], Value::Null);
        let means: Vec<&str> = said(&ran["run"]).iter().take(2).map(|said| said["means"].as_str().unwrap()).collect();
        assert_eq!(means, ["live", "bundles"], "{}", ran["scenario"]);
    }
    assert_eq!((output.status.code(), document["as_expected"].as_u64()), (Some(0), Some(scenarios.len() as u64)));
    let run = |name: &str| &scenarios.iter().find(|ran| ran["scenario"] == name).unwrap()["run"];
    sides_that_share(&run);
    sides_that_are_apart(&run);
    processes_that_are_not_protected(&run);
    no_wal_index(&run);
    meetings(&run);
    assert_eq!((mounts(), processes_at(temporary.path())), (0, Vec::new()));
    assert_eq!(loop_devices_of(temporary.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// What walscope said by each means.
fn said(run: &Value) -> &[Value] {
    run["said"].as_array().unwrap()
}

fn verdict(run: &Value) -> [&str; 3] {
    ["sharing", "memory", "locks"].map(|name| run["comparison"]["verdict"][name].as_str().unwrap())
}

fn sides_that_share<'a>(run: &impl Fn(&str) -> &'a Value) {
    for name in ["shared", "pinned-reader", "killed-writer"] {
        assert_eq!(verdict(run(name)), ["proven"; 3]);
        assert_eq!((&run(name)["rows"]["lost"], &run(name)["integrity_check"]["reader"]), (&0.into(), &"ok".into()));
    }
    // The keeper of the descriptors is named, and not the process that took the lock and is gone.
    let blocker = &run("shared-holder")["checkpoint"]["diagnosis"]["blocked_by"][0];
    let holder = &blocker["holders"][0];
    assert_eq!((&blocker["slot"], &holder["command"]), (&Value::from(1), &Value::from("lab-reader")), "{blocker:#}");
    assert_ne!(holder["taken_by"], Value::Null, "{holder:#}");
}

fn sides_that_are_apart<'a>(run: &impl Fn(&str) -> &'a Value) {
    let apart = ["copied", "file-mount", "deleted-shm", "overlay", "copy-up", "fuse", "fuse-locks"];
    for name in apart.into_iter().chain(["deleted-between-captures", "lock-relay", "rolled-back-disk"]) {
        assert_eq!(verdict(run(name))[..2], ["refuted"; 2], "{name}");
    }
    let locks = |name: &str| verdict(run(name))[2];
    assert_eq!((locks("fuse"), locks("fuse-locks"), locks("copy-up")), ("refuted", "undecided", "proven"));
    for name in ["fuse", "fuse-locks"] {
        assert_eq!(run(name)["hex_dump_equal"], true);
        let rows = &run(name)["rows"];
        assert!(rows["lost"].as_u64().is_none_or(|lost| lost >= 10), "{rows:#}");
    }
    let stale = &run("copy-up")["rows"];
    assert_eq!((&stale["lost"], &stale["unseen"]), (&0.into(), &20.into()));
    let held = &run("restored-aside")["comparison"]["findings"];
    assert!(codes(held).contains(&"worker_on_replaced_files"), "{held:#}");
}

fn codes(findings: &Value) -> Vec<&str> {
    findings.as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// Rows are lost although the paths lead to one wal-index: the process is named.
fn processes_that_are_not_protected<'a>(run: &impl Fn(&str) -> &'a Value) {
    for (name, code) in [
        ("lost-locks", "mapping_without_locks"),
        ("forked-writer", "mapping_without_locks"),
        ("lockless", "used_without_wal_index"),
        ("shm-directory", "used_without_wal_index"),
        ("read-only-reader", "used_without_wal_index"),
    ] {
        let run = run(name);
        let least = if name == "read-only-reader" { 0 } else { 10 };
        // Null: so much damage that nothing can be read.
        assert!(run["rows"]["lost"].as_u64().is_none_or(|lost| lost >= least), "{name}: {:#}", run["rows"]);
        assert!(codes(&run["comparison"]["findings"]).contains(&code), "{name}: {:#}", run["said"]);
        for said in said(run) {
            assert!(said["sharing"] != "proven" || said["subject"] == "paths", "{name}: {said:#}");
        }
    }
}

fn no_wal_index<'a>(run: &impl Fn(&str) -> &'a Value) {
    for name in ["heap-index", "rollback-mode"] {
        assert_eq!(verdict(run(name)), ["undecided"; 3], "{name}");
        assert_eq!(run(name)["rows"]["lost"], 0);
    }
    assert_eq!(run("heap-index")["rows"]["seen_by"]["reader"], Value::Null, "nobody else can open it");
}

fn meetings<'a>(run: &impl Fn(&str) -> &'a Value) {
    let of = |name: &str, means: &str| said(run(name)).iter().filter(|said| said["means"] == means).collect::<Vec<_>>();
    // Both see each other through the relay, and do not believe it.
    let relayed = of("lock-relay", "meet_database");
    assert_eq!(relayed.len(), 2);
    for said in relayed {
        assert_eq!((&said["acknowledged"], &said["sharing"]), (&true.into(), &"undecided".into()), "{said:#}");
    }
    // Both see each other's locks on the mount, and nobody is stopped by them.
    let tried = of("fuse-one-mount-locks", "meet_folder");
    assert!(tried.iter().any(|said| said["locks"] == "refuted"), "{tried:#?}");
}

#[test]
fn without_mounts_scenarios_are_reported_as_skipped() {
    let lab = |all: &str| {
        let refuse = format!(
            "echo 0 > /proc/sys/user/max_mnt_namespaces && PATH= exec \"$0\" lab {all} --runtime processes --rows 5"
        );
        Command::new("unshare").args(["-Ur", "sh", "-c", &refuse, WALSCOPE]).output()
    };
    let there = lab("--scenario shared").is_ok_and(|output| output.status.code() == Some(0));
    if !common::have("userns", there) {
        return;
    }
    let output = lab("--all").unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("17 as expected, 9 skipped"), "{text}");
    assert!(text.contains("fuse-locks: skipped: its mounts need root (unshare:"), "{text}");
    assert_eq!(lab("--all --require-all").unwrap().status.code(), Some(2));
    let alone = lab("--scenario overlay").unwrap();
    assert_eq!(alone.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("its mounts need root"));
}

#[test]
fn both_sides_see_the_rows_climb() {
    let (_, document) = judged(&["--runtime", "processes"]);
    let steps = document["steps"].as_array().unwrap();
    let counts = |side: &str| steps.iter().filter_map(|step| step[side].as_u64()).collect::<Vec<_>>();
    for side in ["writer", "reader"] {
        let mut counts = counts(side);
        assert!(counts.is_sorted(), "{side}: {counts:?}");
        counts.dedup();
        assert!(counts.len() >= 4, "{side}: {counts:?}");
        assert_eq!(counts.last(), Some(&50));
    }
    let in_the_past = steps.iter().filter(|step| step["reader"].as_u64() < step["writer"].as_u64()).count();
    assert!(in_the_past >= 3, "the reader's transaction keeps it in the past: {steps:#?}");
}

#[test]
fn without_containers_the_first_lines_say_what_the_run_cannot_show() {
    let output = lab(&["--runtime", "processes"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let head: Vec<&str> = text.lines().take(2).collect();
    assert!(head.join("\n").contains("not that containers share"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}

#[test]
fn kept_bundles_are_private_give_the_same_verdict_and_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    let arguments = ["--runtime", "processes", "--scenario", "copied", "--keep", keep.to_str().unwrap()];
    let (code, _) = judged(&arguments);
    assert_eq!(code, 1);
    let bundles = ["writer.walsnap", "reader.walsnap"].map(|name| keep.join(name));
    for bundle in &bundles {
        assert_eq!(fs::metadata(bundle).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Whoever has the database open is the experiment, and is not called as the tool is.
    for (bundle, actor) in bundles.iter().zip(["lab-writer", "lab-reader"]) {
        let capture = walscope::bundle::Capture::open(bundle).unwrap();
        let view = capture.manifest.evidence.mappings.value().unwrap();
        assert!(view.mappings.iter().any(|mapping| mapping.command.as_deref() == Some(actor)), "{view:?}");
    }
    let compared = Command::new(WALSCOPE).arg("compare").args(&bundles).output().unwrap();
    assert_eq!(compared.status.code(), Some(1), "{}", String::from_utf8_lossy(&compared.stdout));

    let again = lab(&arguments);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}

#[test]
fn without_a_docker_command_the_next_runtime_is_used_and_the_reason_shown() {
    let mut command = Command::new(WALSCOPE);
    let output = command.args(["lab", "--json", "--rows", "1"]).env("PATH", "").output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(document["runtime"], "docker");
    assert!(document["runtime_reason"].as_str().unwrap().starts_with("no Docker engine answers"), "{document:#}");

    let output = Command::new(WALSCOPE).args(["lab", "--runtime", "docker"]).env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no Docker engine answers"));
}

#[test]
fn without_namespaces_two_processes_are_used_and_the_reason_shown() {
    // A user namespace may forbid itself further mount namespaces: the same answer as on a machine that allows none.
    let refuse = "echo 0 > /proc/sys/user/max_mnt_namespaces && PATH= exec \"$0\" lab --json --rows 1";
    let output = Command::new("unshare").args(["-Ur", "sh", "-c", refuse, WALSCOPE]).output();
    let there = output.as_ref().is_ok_and(|output| !output.stdout.is_empty());
    if !common::have("userns", there) {
        return;
    }
    let document: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(document["runtime"], "processes");
    let reason = document["runtime_reason"].as_str().unwrap();
    assert!(reason.contains("no namespaces can be made here (unshare:"), "{reason}");
}

/// Runs the lab in a process group of its own and sends that group SIGINT, as a terminal does, after the k-th line.
fn interrupted_after(k: usize, runtime: &str, scenario: &str, temporary: &Path) {
    let mut command = command::with_signals("");
    command.args(["lab", "--rows", "10", "--runtime", runtime, "--scenario", scenario]).env("TMPDIR", temporary);
    let mut child = command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.by_ref().take(k).map(Result::unwrap).collect();
    assert_eq!(seen.len(), k, "{seen:?}");
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let mut complaints = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "after line {k}, {:?}: {complaints}\n{rest:?}", seen.last());
    assert_eq!(complaints, "walscope: interrupted\n", "after line {k}");
    assert_eq!(fs::read_dir(temporary).unwrap().count(), 0, "after line {k}");
}

#[test]
fn ctrl_c_after_any_line_leaves_no_folder_behind() {
    let temporary = tempfile::tempdir().unwrap();
    for k in 1..=10 {
        interrupted_after(k, "processes", "shared", temporary.path());
    }
    if have_userns() {
        for k in 1..=10 {
            interrupted_after(k, "namespaces", "shared", temporary.path());
        }
    }
}

#[test]
fn ctrl_c_after_any_line_leaves_no_mount_and_no_daemon_behind() {
    if !have_mounts() {
        return;
    }
    // What ends a mount option is part of the path here.
    let temporary = tempfile::Builder::new().prefix("lab,of:mounts").tempdir().unwrap();
    for (runtime, scenario) in [
        ("namespaces", "fuse"),
        ("processes", "fuse-locks"),
        ("namespaces", "overlay"),
        ("namespaces", "rolled-back-disk"),
        ("processes", "jail"),
        ("processes", "lock-relay"),
    ] {
        for k in (2..=10).step_by(2) {
            interrupted_after(k, runtime, scenario, temporary.path());
            assert_eq!(processes_at(temporary.path()), Vec::<String>::new(), "{scenario} after line {k}");
            assert_eq!(loop_devices_of(temporary.path()), Vec::<String>::new(), "{scenario} after line {k}");
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(temporary.path().to_str().unwrap()), "{mounts}");
}

#[test]
fn ctrl_c_after_any_line_leaves_the_engine_as_it_was() {
    let Some(_engine) = have_docker() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let before = inventory();
    for k in 1..=10 {
        interrupted_after(k, "docker", "shared", temporary.path());
        assert_eq!(inventory(), before, "after line {k}");
    }
}
