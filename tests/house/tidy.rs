//! The house rules that a compiler does not check: who may use whom, where unsafe may stand, and that the documents name real tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::imports::{Module, circle};

/// Room (a path below `src`, a file or a folder) and the rooms whose code it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("number.rs", &[]),
    ("bytes.rs", &[]),
    ("shell_word.rs", &[]),
    ("evidence", &["evidence"]),
    ("format", &["format"]),
    ("wal", &["wal", "format", "bytes"]),
    ("tree", &["tree", "format"]),
    ("state", &["state", "tree", "wal", "format", "bytes"]),
    ("shm", &["shm", "format", "bytes"]),
    ("sides", &["sides", "evidence"]),
    ("look", &["look", "state", "tree", "wal", "shm", "format", "evidence", "bytes"]),
    ("finding", &["finding", "sides", "look", "tree", "wal", "shm", "format", "evidence", "bytes"]),
    ("say", &["say", "compare", "finding", "sides", "look", "tree", "wal", "shm", "format", "evidence"]),
    ("linux", &["linux", "evidence", "bytes"]),
    ("bundle", &["bundle", "linux", "look", "wal", "shm", "format", "evidence", "bytes"]),
    ("source", &["source", "bundle", "linux", "look", "wal", "format", "evidence", "bytes", "shell_word"]),
    ("compare", &["compare", "sides", "bundle", "look", "wal", "shm", "format", "evidence", "finding", "bytes"]),
    (
        "report",
        &[
            "report",
            "say",
            "compare",
            "bundle",
            "finding",
            "look",
            "wal",
            "shm",
            "format",
            "evidence",
            "bytes",
            "shell_word",
        ],
    ),
];

/// The room that every other room may use.
const OPEN_TO_ALL: &str = "number";

/// Files at the root of `src` that are no rooms.
const NO_ROOMS: &[&str] = &["lib.rs", "bin"];

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(at: &Path, ending: &str) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Files of source code below `src/` plus `folder` that are part of the program: not those that `#[cfg(test)] mod NAME;`
/// names.
pub fn sources(folder: &str) -> Vec<PathBuf> {
    static TESTS: LazyLock<Vec<PathBuf>> =
        LazyLock::new(|| files(&root().join("src"), "rs").iter().flat_map(|path| test_files(path)).collect());
    let mut found = files(&root().join("src").join(folder), "rs");
    found.retain(|path| !TESTS.iter().any(|test| path.starts_with(test) || *path == test.with_extension("rs")));
    found
}

/// Where the modules stand that a file declares with `#[cfg(test)] mod NAME;`: each a folder, or a file of that name
/// with `.rs` after it.
fn test_files(path: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(path).unwrap();
    let folder = match path.file_name().unwrap().to_str() {
        Some("mod.rs" | "lib.rs" | "main.rs") => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    let (_, tests) = split_tests(&text);
    tests.iter().filter_map(|item| declared_module(item)).map(|name| folder.join(name)).collect()
}

/// The name in `mod NAME;`.
fn declared_module(item: &str) -> Option<&str> {
    let last = item.trim_end().lines().next_back()?.trim();
    last.strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name)
}

/// Code without comments and without what is compiled for tests only: tests may use what they need.
pub fn code(path: &Path) -> String {
    split_tests(&fs::read_to_string(path).unwrap()).0
}

/// Splits a text into the code of the program and the items marked `#[cfg(test)]`. Comments are in neither.
///
/// It relies on rustfmt: an item ends with the first line that ends in `;`, or with the line that closes its block and
/// is indented as its first line is.
fn split_tests(text: &str) -> (String, Vec<String>) {
    let (mut code, mut tests) = (String::new(), Vec::new());
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    while let Some(line) = lines.next() {
        if line.trim_start() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let (mut item, mut in_block) = (String::new(), false);
        for line in lines.by_ref() {
            item.push_str(line);
            item.push('\n');
            in_block |= line.ends_with('{');
            if line == closing || (!in_block && line.ends_with([';', '}', ','])) {
                break;
            }
        }
        tests.push(item);
    }
    (code, tests)
}

#[test]
fn only_test_items_are_left_out() {
    let text = "use a;\n#[cfg(test)]\nmod fixtures;\nfn f() {}\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn g() {\n    }\n}\n\
                // comment\nfn h() {\n    #[cfg(test)]\n    if x {\n        y();\n    }\n    z();\n}\n";
    let (code, tests) = split_tests(text);
    assert_eq!(code, "use a;\nfn f() {}\nfn h() {\n    z();\n}\n");
    assert_eq!(tests.iter().map(|item| declared_module(item)).collect::<Vec<_>>(), [Some("fixtures"), None, None]);
}

/// The modules that lead to a file from the root of its crate: `["format", "shm"]` for `src/format/shm.rs`.
fn module(path: &Path) -> Vec<String> {
    let src = root().join("src");
    let (bin, lib) = (path.strip_prefix(src.join("bin/walscope")), path.strip_prefix(&src));
    let inside = bin.or(lib).unwrap().with_extension("");
    let mut names: Vec<String> = inside.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    names.retain(|name| name != "mod");
    names
}

/// Every path that code names from the root of its crate (`crate::format::shm`) or from a module above it
/// (`super::super::format`), as a path from the root.
fn paths_used(path: &Path) -> Vec<Vec<String>> {
    let (text, own) = (code(path), module(path));
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if !text[..at].ends_with('$') {
            found.extend(names(&text[at + "crate::".len()..], &[]));
        }
    }
    for (at, _) in text.match_indices("super::") {
        if !text[..at].ends_with("super::") {
            let rest = text[at..].trim_start_matches("super::");
            let levels = (text.len() - at - rest.len()) / "super::".len();
            let above = &own[..own.len().saturating_sub(levels)];
            // What a module within the file takes from the file itself looks like something at the root, too.
            found.extend(names(rest, above).into_iter().filter(|names| !above.is_empty() || is_room(&names[0])));
        }
    }
    found
}

/// Whether the library or the command has a module of this name at its root.
fn is_room(name: &str) -> bool {
    let roots = ["src", "src/bin/walscope"].map(|at| root().join(at).join(name));
    roots.iter().any(|path| path.is_dir() || path.with_extension("rs").is_file())
}

/// The first two names of each path that a text begins with, `a::b` or `{a::b, c}`, below the module `above`.
fn names(text: &str, above: &[String]) -> Vec<Vec<String>> {
    let two = |item: &str| {
        let words = item.trim().split("::").take(2);
        let words = words.map(|word| word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
        above.iter().cloned().chain(words.filter(|word| !word.is_empty())).collect::<Vec<_>>()
    };
    let Some(list) = text.strip_prefix('{') else { return vec![two(text)] };
    let (mut found, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(two(&list[begin..at]));
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|names| names.len() > above.len());
    found
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let named = |text: &str, above: &[String]| names(text, above).iter().map(|n| n.join("::")).collect::<Vec<_>>();
    assert_eq!(named("format::shm::Header;", &[]), ["format::shm"]);
    assert_eq!(named("{live, look::{self, Look}, report::a::{b, c}};", &[]), ["live", "look", "report::a"]);
    assert_eq!(named("compare::exit;", &["commands".to_owned()]), ["commands::compare::exit"]);
    let path = root().join("src/format/shm.rs");
    assert_eq!(module(&path), ["format", "shm"]);
    assert_eq!(module(&root().join("src/bin/walscope/commands/probe/mod.rs")), ["commands", "probe"]);
}

#[test]
fn data_flows_one_way() {
    let mut broken = Vec::new();
    for (room, allowed) in MAY_USE {
        for path in sources(room) {
            for used in paths_used(&path) {
                let Some(used_room) = used.first().map(String::as_str) else { continue };
                let open = used_room == OPEN_TO_ALL && *room != "number.rs";
                if !open && !allowed.contains(&used_room) {
                    broken.push(format!("{} uses crate::{}", path.display(), used.join("::")));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A row that lets two rooms use each other would make one room of them.
#[test]
fn no_rooms_may_use_each_other_in_a_circle() {
    let module = |room: &str| vec![room.trim_end_matches(".rs").to_owned()];
    let used = |(room, allowed): &(&str, &[&str])| {
        let others: BTreeSet<Module> = allowed.iter().filter(|used| *used != room).map(|used| module(used)).collect();
        (module(room), others)
    };
    assert_eq!(circle(&MAY_USE.iter().map(used).collect()), None, "the table lets these rooms use each other");
}

#[test]
fn every_room_has_a_rule() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let free = NO_ROOMS.contains(&name.as_str());
        assert!(free || MAY_USE.iter().any(|(room, _)| *room == name), "src/{name} has no rule in MAY_USE");
    }
}

#[test]
fn the_command_uses_only_the_public_library() {
    for path in sources("bin") {
        for word in ["#[path", "include!", "include_str!(\"../../.."] {
            assert!(!code(&path).contains(word), "{} reaches into the library's files", path.display());
        }
    }
}

/// The table of contents (`main.rs`, `options.rs`) and the lab may use commands. A command uses the helpers beside
/// `commands/`, and helpers use each other.
#[test]
fn commands_do_not_use_each_other() {
    let mut broken = Vec::new();
    for path in sources("bin/walscope") {
        let own = module(&path);
        if ["main", "options", "lab"].contains(&own[0].as_str()) {
            continue;
        }
        for used in paths_used(&path) {
            let own_command = own[0] == "commands" && used.get(1).is_none_or(|name| own.get(1) == Some(name));
            let to_command = used.first().is_some_and(|name| name == "commands") && !own_command;
            // `schema` prints the schema of the lab's document, too.
            let to_lab = used.first().is_some_and(|name| name == "lab") && own != ["commands", "schema"];
            if to_command || to_lab {
                broken.push(format!("{} uses crate::{}", path.display(), used.join("::")));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// None of these words stands in the code of these rooms.
fn without(rooms: &[&str], words: &[&str]) {
    for path in rooms.iter().flat_map(|room| sources(room)) {
        let code = code(&path);
        for word in words {
            assert!(!code.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn format_touches_no_files_and_knows_no_serde() {
    without(&["format"], &["std::fs", "std::io", "serde", "File::open"]);
}

#[test]
fn facts_and_verdicts_touch_no_system() {
    let rooms = ["wal", "shm", "look", "sides", "finding", "compare"];
    without(&rooms, &["std::fs", "File::open", "std::process", "rustix::", "SystemTime", "Instant"]);
}

#[test]
fn texts_of_the_kernel_are_parsed_without_reading_anything() {
    without(&["linux/text"], &["std::fs", "std::io", "File::open", "rustix", "libc"]);
    for path in sources("linux/text") {
        for used in paths_used(&path) {
            let known = ["evidence", "number"].contains(&used[0].as_str())
                || used.starts_with(&module(&root().join("src/linux/text")));
            assert!(known, "{} uses crate::{}", path.display(), used.join("::"));
        }
    }
}

#[test]
fn report_reads_nothing() {
    without(&["report"], &["std::fs", "File::open", "rustix::", "std::process", "std::env::var"]);
}

#[test]
fn unsafe_stands_in_one_place() {
    let place = root().join("src/linux/sys");
    for path in files(&root().join("src"), "rs") {
        let unsafe_code = code(&path).lines().any(|line| line.contains("unsafe {") || line.contains("unsafe fn"));
        let there = path == place.with_extension("rs") || path.starts_with(&place);
        assert!(!unsafe_code || there, "{} holds unsafe code", path.display());
    }
}

/// Whoever sets a handler of its own forgets those that ignore the signal.
#[test]
fn signals_that_ask_to_stop_are_named_in_one_file() {
    for path in files(&root().join("src"), "rs") {
        let named = code(&path).contains("SIGTERM") || code(&path).contains("SIGINT");
        assert!(!named || path.ends_with("walscope/stop.rs"), "{} names such a signal", path.display());
    }
}

/// Tests within a file count here, too.
#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut blocks = 0;
    for path in files(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let comment = |line: &str| line.trim_start().starts_with("//");
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| !comment(line) && line.contains("unsafe {")) {
            blocks += 1;
            let above = lines[..at].iter().rev().take_while(|line| comment(line));
            let says = above.into_iter().any(|line| line.trim_start().starts_with("// SAFETY: "));
            assert!(says, "{}:{}: an unsafe block without its reason: {line}", path.display(), at + 1);
        }
    }
    assert!(blocks >= 5, "found only {blocks} blocks");
}

/// What the file with the unsafe calls uses of SQLite, for the lab: its system calls can be replaced, and nothing can be
/// opened.
const REPLACES_CALLS: &str = "use rusqlite::ffi::{SQLITE_OK, sqlite3_syscall_ptr, sqlite3_vfs_find};";

#[test]
fn sqlite_is_never_opened_outside_of_the_lab() {
    for path in sources("") {
        let lab = path.components().any(|part| part.as_os_str() == "lab");
        let replaces = if path.ends_with("src/linux/sys/staged.rs") { REPLACES_CALLS } else { "" };
        let text = code(&path).replacen(replaces, "", 1);
        assert!(lab || !text.contains("rusqlite"), "{} uses SQLite", path.display());
    }
}

/// A name in a command line has to be one word of it.
#[test]
fn every_command_line_is_made_in_one_place() {
    let commands =
        ["compare", "explain", "inspect", "probe", "ps", "rescue", "schema", "shm", "snapshot", "verify", "wal"];
    let mut seen = 0;
    for path in files(&root().join("src"), "rs") {
        let (text, _) = split_tests(&fs::read_to_string(&path).unwrap());
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("walscope ") {
                let rest = &line[at + "walscope ".len()..];
                let Some(command) = rest.split(' ').next().filter(|word| commands.contains(word)) else { continue };
                seen += 1;
                let next = rest[command.len()..].trim_start();
                assert!(!next.starts_with('{'), "{}: {line}: use shell_word::walscope", path.display());
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Names of all tests in the tree.
fn tests() -> Vec<String> {
    let mut names = Vec::new();
    for folder in ["src", "tests"] {
        for path in files(&root().join(folder), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let tests = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn "));
            names
                .extend(tests.map(|(_, rest)| {
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
                }));
        }
    }
    names
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let names = tests();
    let mut invariants = 0;
    for line in text.lines().filter(|line| line.trim_start_matches(['*', '-', ' ']).starts_with("Invariant:")) {
        invariants += 1;
        let (_, held_by) = line.rsplit_once("Held by").unwrap_or_else(|| panic!("names no test: {line}"));
        for name in held_by.split('`').skip(1).step_by(2) {
            assert!(names.iter().any(|known| known == name), "there is no test {name}: {line}");
        }
        assert!(held_by.contains('`'), "names no test: {line}");
    }
    assert!(invariants >= 8, "found only {invariants} invariants");
}

#[test]
fn every_promise_of_security_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let names = tests();
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")).collect();
    for row in &rows {
        let held_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        assert!(held_by.contains('`'), "names no test: {row}");
        for name in held_by.split('`').skip(1).step_by(2) {
            assert!(names.iter().any(|known| known == name), "there is no test {name}: {row}");
        }
    }
    assert!(rows.len() >= 12, "found only {} promises", rows.len());
}

/// A name of four words or more in the guide for contributors is a test that turns red.
#[test]
fn every_test_that_contributing_names_exists() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let names = tests();
    let is_test = |word: &&str| {
        word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') && word.matches('_').count() >= 3
    };
    let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_test).collect();
    let missing: Vec<_> = named.iter().filter(|name| !names.iter().any(|known| known == *name)).collect();
    assert!(missing.is_empty(), "there is no test {missing:?}");
    assert!(named.len() >= 15, "found only {} tests", named.len());
}

#[test]
fn every_test_that_reliability_promises_exists() {
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let names = tests();
    let rows = text.lines().skip_while(|line| !line.starts_with("| promise")).skip(2);
    let mut named = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let held_by = row.split('|').nth(2).unwrap();
        for name in held_by.split('`').skip(1).step_by(2) {
            named += 1;
            let there = if name.contains('/') { root().join(name).exists() } else { names.iter().any(|n| n == name) };
            assert!(there, "there is no {name}: {row}");
        }
    }
    assert!(named >= 15, "found only {named} tests");
}

#[test]
fn the_number_of_faults_in_the_document_is_that_of_the_list_and_each_fits_one_place() {
    let list = fs::read_to_string(root().join("tests/mutations/faults.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let faults: BTreeSet<Vec<&str>> = lines.map(|line| line.split('\t').take(3).collect()).collect();
    for fault in &faults {
        let source = fs::read_to_string(root().join(fault[0])).unwrap();
        assert_eq!(source.matches(fault[1]).count(), 1, "a fault has to fit one place: {fault:?}");
    }
    let text = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let promise = text.lines().find(|line| line.contains("`tests/mutations/faults.txt` |")).unwrap();
    assert!(promise.contains(&format!("{} faults", faults.len())), "{} faults: {promise}", faults.len());
    let rows = text.lines().skip_while(|line| !line.starts_with("| room | faults")).skip(2);
    let mut told = 0;
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1);
        let rooms: Vec<&str> = cells.next().unwrap().split('`').skip(1).step_by(2).collect();
        let number: usize = cells.next().unwrap().trim().split([' ', ',']).next().unwrap().parse().unwrap();
        let of_row = faults.iter().filter(|fault| rooms.iter().any(|room| fault[0].starts_with(room))).count();
        assert_eq!(number, of_row, "{row}");
        told += number;
    }
    assert_eq!(told, faults.len(), "every fault is in a room of the table");
}

/// A test that nobody runs holds nothing.
#[test]
fn no_test_is_ignored() {
    let ignore = ["#[", "ignore"].concat();
    for folder in ["src", "tests", "benches", "examples"] {
        for path in files(&root().join(folder), "rs") {
            assert!(!fs::read_to_string(&path).unwrap().contains(&ignore), "{}: a test is ignored", path.display());
        }
    }
}

/// The part of a child asks for its task, and does nothing in a plain run. So a test of the same binary has to start it by its
/// name: each binary that has the child's file also uses it.
#[test]
fn every_part_of_a_child_is_started_by_a_test_of_its_binary() {
    let mut parts = 0;
    for main in files(&root().join("tests"), "rs").iter().filter(|path| path.ends_with("main.rs")) {
        let folder = main.parent().unwrap();
        let own: Vec<String> = files(folder, "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let uses = |words: &str| own.iter().any(|text| text.contains(words));
        for text in &own {
            for name in parts_of_children(text) {
                assert!(uses(&format!("\"{name}\"")), "nothing in {} starts {name}", folder.display());
                parts += 1;
            }
        }
        // A file of several binaries starts the child itself, for whoever uses the module.
        let text = fs::read_to_string(main).unwrap();
        for included in text.split("#[path = \"").skip(1) {
            let (path, rest) = included.split_once("\"]").unwrap();
            let module = rest.trim_start().trim_start_matches("pub ").strip_prefix("mod ").unwrap();
            let module = module.split(';').next().unwrap();
            let text = fs::read_to_string(folder.join(path)).unwrap();
            for name in parts_of_children(&text) {
                let started = text.contains(&format!("\"{name}\"")) && uses(&format!("{module}::"));
                assert!(started, "nothing in {} starts {name} of {module}", folder.display());
                parts += 1;
            }
        }
    }
    assert!(parts >= 13, "found only {parts} parts of children");
}

/// The test functions that ask for the task of a child.
fn parts_of_children(text: &str) -> Vec<&str> {
    let functions = text
        .split("#[test]\nfn ")
        .skip(1)
        .filter(|function| function.split("\n}\n").next().is_some_and(|body| body.contains("common::task(")));
    functions.map(|function| function.split('(').next().unwrap()).collect()
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for folder in ["src", "tests"] {
        for path in files(&root().join(folder), "rs") {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= 600, "{} has {lines} lines", path.display());
        }
    }
}
