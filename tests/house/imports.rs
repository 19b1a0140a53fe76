//! Rules about the files of `src` that need the whole tree at once: no import circles, one table of file systems.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by its path from the crate's root: `["linux", "stat"]`. The root is empty.
pub(super) type Module = Vec<String>;

struct Crate {
    /// Code of each module that is a file, without comments and without its unit tests.
    code: BTreeMap<Module, String>,
    /// What a module imports: name by name, the whole path from the root of the crate.
    imports: BTreeMap<Module, Vec<(String, Module)>>,
}

fn src() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(at: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Names of modules that a text declares for its unit tests only.
fn test_modules(text: &str) -> Vec<String> {
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|rest| rest.lines().nth(1));
    declared.filter_map(|line| Some(line.trim().rsplit_once("mod ")?.1.strip_suffix(';')?.to_owned())).collect()
}

/// Code without comments and without modules for tests within the file.
fn code(text: &str) -> String {
    let without_tests = match text
        .split_once("#[cfg(test)]\nmod tests {")
        .or(text.split_once("#[cfg(test)]\npub(super) mod tests {"))
    {
        Some((before, _)) => before,
        None => text,
    };
    let comment = |line: &&str| !line.trim_start().starts_with("//");
    without_tests.lines().filter(comment).collect::<Vec<_>>().join("\n")
}

impl Crate {
    /// The crate whose root module is the file `root` in `folder`; `without` is a folder that belongs to another crate.
    fn read(folder: &Path, root: &str, without: Option<&str>) -> Self {
        let mut paths = Vec::new();
        rust_files(folder, &mut paths);
        let mut code_of = BTreeMap::new();
        let mut tests: Vec<Module> = Vec::new();
        for path in paths {
            let relative = path.strip_prefix(folder).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if without.is_some_and(|other| module[0] == other) {
                continue;
            }
            if module.last().is_some_and(|last| last == "mod") || module == [root] {
                module.pop();
            }
            let text = fs::read_to_string(&path).unwrap();
            tests.extend(test_modules(&text).into_iter().map(|name| [module.clone(), vec![name]].concat()));
            code_of.insert(module, code(&text));
        }
        code_of.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        let mut found = Self { code: code_of, imports: BTreeMap::new() };
        found.imports =
            found.code.iter().map(|(module, code)| (module.clone(), found.imports_of(module, code))).collect();
        found
    }

    /// The path that a written path means within a module, from the root; `None`: it is of another crate.
    fn absolute(&self, module: &Module, written: &[String]) -> Option<Module> {
        let mut written = written.iter().map(String::as_str).peekable();
        let mut at = match *written.peek()? {
            "crate" => Module::new(),
            "super" | "self" => module.clone(),
            first => {
                let child = [module.clone(), vec![first.to_owned()]].concat();
                if !self.code.contains_key(&child) {
                    return None;
                }
                module.clone()
            }
        };
        for part in written {
            match part {
                "crate" | "self" => {}
                "super" => {
                    at.pop();
                }
                part => at.push(part.to_owned()),
            }
        }
        Some(at)
    }

    fn imports_of(&self, module: &Module, code: &str) -> Vec<(String, Module)> {
        let mut found = Vec::new();
        for statement in uses(code) {
            for (written, name) in expand(&statement, &[]) {
                found.extend(self.absolute(module, &written).map(|path| (name, path)));
            }
        }
        // Paths that are written out in the code.
        for start in ["crate::", "super::"] {
            for (at, _) in code.match_indices(start) {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                let end = code[at..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                let path = code[at..].split_at(end.unwrap_or(code.len() - at)).0.trim_end_matches(':');
                if !(before.is_alphanumeric() || before == '_' || before == ':' || before == '$') {
                    let written: Vec<String> = path.split("::").map(str::to_owned).collect();
                    found.extend(self.absolute(module, &written).map(|path| (String::new(), path)));
                }
            }
        }
        found
    }

    /// The file in which that stands which a path leads to: names that a module only passes on are followed.
    fn file_of(&self, path: &Module, depth: usize) -> Module {
        let known = (0..=path.len()).rev().find(|length| self.code.contains_key(&path[..*length])).unwrap();
        let (module, rest) = (path[..known].to_vec(), &path[known..]);
        if let (Some(name), true) = (rest.first(), depth < 8) {
            let passed_on = self.imports[&module].iter().find(|(known, _)| known == name);
            if let Some((_, further)) = passed_on.filter(|(_, further)| further != path) {
                return self.file_of(further, depth + 1);
            }
        }
        module
    }

    /// Which file uses which, a `mod.rs` and what is beneath it excepted.
    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let uses = |(module, imports): (&Module, &Vec<(String, Module)>)| {
            let used = imports.iter().map(|(_, path)| self.file_of(path, 0));
            let used = used.filter(|used| !used.starts_with(module) && !module.starts_with(used)).collect();
            (module.clone(), used)
        };
        self.imports.iter().map(uses).collect()
    }
}

/// The `use` statements of a text, without the word and the semicolon.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let starts_line = rest[..at].rsplit('\n').next().unwrap().trim();
        let statement = rest[at + 4..].split(';').next().unwrap();
        if starts_line.is_empty() || starts_line.starts_with("pub") {
            found.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        rest = &rest[at + 4..];
    }
    found
}

/// `a::{b, c as d}` is `a::b` under the name `b` and `a::c` under the name `d`.
fn expand(statement: &str, before: &[String]) -> Vec<(Vec<String>, String)> {
    let statement = statement.trim();
    if let Some(list) = statement.strip_prefix('{') {
        let (mut depth, mut from, mut found) = (0, 0, Vec::new());
        let list = list.strip_suffix('}').unwrap_or(list);
        for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.extend(expand(&list[from..at], before));
                    from = at + 1;
                }
                _ => {}
            }
        }
        return found;
    }
    if let Some((first, rest)) = statement.split_once("::").filter(|(first, _)| !first.contains('{')) {
        return expand(rest, &[before, &[first.trim().to_owned()]].concat());
    }
    let (name, alias) = statement.split_once(" as ").unwrap_or((statement, statement));
    if name.is_empty() {
        return Vec::new();
    }
    let alias = if name == "self" { before.last().cloned().unwrap_or_default() } else { alias.trim().to_owned() };
    vec![([before, &[name.to_owned()]].concat(), alias)]
}

/// A circle that begins and ends with one file, if there is one.
pub(super) fn circle(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    fn follow<'a>(
        edges: &'a BTreeMap<Module, BTreeSet<Module>>,
        at: &'a Module,
        way: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> Option<Vec<Module>> {
        if let Some(met) = way.iter().position(|module| *module == at) {
            return Some(way[met..].iter().chain(&[at]).map(|module| (*module).clone()).collect());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at);
        let found = edges.get(at).into_iter().flatten().find_map(|next| follow(edges, next, way, done));
        way.pop();
        done.insert(at);
        found
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|module| follow(edges, module, &mut Vec::new(), &mut done))
}

/// The files of the library. In the command, `options` names every command and is used by all of them.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let found = Crate::read(&src(), "lib", Some("bin"));
    assert!(found.code.len() > 80, "only {} files were found", found.code.len());
    let circle = circle(&found.edges()).map(|circle| circle.iter().map(|file| file.join("/")).collect::<Vec<_>>());
    assert_eq!(circle, None, "these files import each other");
}

#[test]
fn a_circle_is_found_and_names_that_are_passed_on_are_followed() {
    let module = |name: &str| name.split('/').map(str::to_owned).collect::<Module>();
    let mut found = Crate { code: BTreeMap::new(), imports: BTreeMap::new() };
    for (name, code) in [
        ("room", "pub use b::{B, C as D};\nmod a;\nmod b;"),
        ("room/a", "use crate::room::D;\npub struct A;"),
        ("room/b", "use super::{\n    other,\n    a::A,\n};"),
    ] {
        found.code.insert(module(name), code.to_owned());
    }
    found.code.insert(Module::new(), String::new());
    found.imports = found.code.iter().map(|(module, code)| (module.clone(), found.imports_of(module, code))).collect();
    let met = circle(&found.edges()).unwrap();
    assert_eq!(met.first(), met.last());
    assert_eq!(met.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&module("room/a"), &module("room/b")]));
}

/// Names that stand in quotes in a text, each with its place.
fn quoted<'a>(code: &str, names: &[&'a str]) -> Vec<(usize, &'a str)> {
    let mut found: Vec<(usize, &str)> = names
        .iter()
        .flat_map(|name| code.match_indices(&format!("\"{name}\"")).map(|(at, _)| (at, *name)).collect::<Vec<_>>())
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn one_table_knows_the_file_systems() {
    use walscope::evidence::file_system::FILE_SYSTEMS;
    let names: Vec<&str> = FILE_SYSTEMS.iter().flat_map(|row| row.names).copied().collect();
    let magics: Vec<u64> = FILE_SYSTEMS.iter().flat_map(|row| row.magics).copied().collect();
    let crates = [Crate::read(&src(), "lib", Some("bin")), Crate::read(&src().join("bin/walscope"), "main", None)];
    let mut broken = Vec::new();
    for (module, code) in crates.iter().flat_map(|one| &one.code) {
        if module.join("/") == "evidence/file_system" {
            continue;
        }
        let numbers = code.replace('_', "").to_ascii_lowercase();
        for magic in &magics {
            let written = format!("0x{magic:x}");
            let whole = |(at, _): (usize, &str)| {
                numbers[at + written.len()..].chars().next().is_none_or(|next| !next.is_ascii_hexdigit())
            };
            if numbers.match_indices(&written).any(whole) || numbers.contains(&format!("0x{magic:08x}")) {
                broken.push(format!("{} has the magic number {written}", module.join("/")));
            }
        }
        // Two names within a few lines are a list. The lab mounts some of them, one at a time.
        for pair in quoted(code, &names).windows(2) {
            let between = code[pair[0].0..pair[1].0].matches('\n').count();
            if pair[0].1 != pair[1].1 && between < 4 {
                broken.push(format!("{} lists {} and {}", module.join("/"), pair[0].1, pair[1].1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
