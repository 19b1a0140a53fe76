//! By which means walscope is asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::place::{Ground, Side};

/// One verdict.
pub struct Verdict {
    /// How it was asked for.
    pub means: String,
    /// All files were open at the same time, and root looked.
    pub live_by_root: bool,
    /// It is about a file that both sides make in the folder, not about the database.
    pub of_folder: bool,
    pub document: Value,
}

impl Verdict {
    pub fn of(&self, field: &str) -> &str {
        self.document["verdict"][field].as_str().unwrap_or_default()
    }

    pub fn says(&self) -> &str {
        self.document["explanation"].as_str().unwrap_or_default()
    }

    /// Whether the sentence names this process. The name of a side can hold a pid, too, but not after this word.
    pub fn says_of(&self, pid: u32) -> bool {
        let words: Vec<&str> = self.says().split(|c: char| !c.is_alphanumeric()).collect();
        words.windows(2).any(|two| two[0].eq_ignore_ascii_case("process") && two[1] == pid.to_string())
    }

    pub fn findings(&self) -> impl Iterator<Item = &Value> {
        self.document["findings"].as_array().into_iter().flatten()
    }

    /// Whether a finding above notice names this process.
    pub fn warns_of(&self, pid: u32) -> bool {
        self.findings().any(|found| is_warning(found) && names(found, pid))
    }
}

pub fn is_warning(finding: &Value) -> bool {
    matches!(finding["severity"].as_str(), Some("warning" | "error"))
}

/// Whether a finding names this process. Its text is not searched: the name of a side can hold a pid, too.
pub fn names(finding: &Value, pid: u32) -> bool {
    fn within(value: &Value, pid: u32) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|item| within(item, pid)),
            Value::Object(fields) => fields.iter().any(|(name, field)| match name.as_str() {
                "pid" | "pids" => field == pid || field.as_array().is_some_and(|all| all.iter().any(|one| *one == pid)),
                _ => within(field, pid),
            }),
            _ => false,
        }
    }
    within(&finding["evidence"], pid)
}

/// Runs walscope. An error with what it said, if there is no document.
fn ask(command: &mut Command) -> Result<Value, String> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).map_err(|_| format!("{}: {}", output.status, said()))
}

pub fn compare(ground: &Ground, means: &str, sources: &[String], live_by_root: bool) -> Result<Verdict, String> {
    let document = ask(Command::new(&ground.walscope).args(["compare", "--json"]).args(sources))?;
    Ok(Verdict { means: format!("{means}: compare {}", sources.join(" ")), live_by_root, of_folder: false, document })
}

/// `probe meet` on both sides at once: what each of them says. `folder`: about the folder, not about the database.
pub fn meet(
    ground: &Ground,
    sides: &[Side; 2],
    token: &str,
    as_user: bool,
    folder: bool,
) -> [Result<Verdict, String>; 2] {
    let started = sides.each_ref().map(|side| {
        let mut command = side.command(&ground.walscope, as_user).ok_or("no walscope there".to_owned())?;
        let place = if folder { side.path.parent().unwrap() } else { &side.path };
        command.args(["probe", "meet", "--json", "--timeout", "5", "--token", token]).arg(place);
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn().unwrap())
    });
    started.map(|child: Result<std::process::Child, String>| {
        let output = child?.wait_with_output().unwrap();
        let said = || format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let document = serde_json::from_slice(&output.stdout).map_err(|_| said())?;
        let what = if folder { "folder" } else { "database" };
        let means = format!("meet at the {what}{}", if as_user { " by uid 1000" } else { "" });
        Ok(Verdict { means, live_by_root: false, of_folder: folder, document })
    })
}

/// A source for a live look: a path here, or as the process `pid` sees it.
pub fn source(path: &Path, pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("pid:{pid}:{}", path.display()),
        None => path.display().to_string(),
    }
}

/// A bundle of one side by root, from outside.
pub fn bundle(ground: &Ground, name: &str, source: &str) -> Result<PathBuf, String> {
    let to = ground.bundles().join(name);
    let mut command = Command::new(&ground.walscope);
    finish(command.args(["snapshot", source, "--force", "-o"]).arg(&to).stdout(Stdio::null()), &to)
}

/// A bundle of one side by an ordinary user, with the view of that side.
pub fn bundle_as_user(ground: &Ground, name: &str, side: &Side) -> Result<PathBuf, String> {
    let to = ground.bundles().join(name);
    let mut command = side.command(&ground.walscope, true).ok_or("no walscope there")?;
    let file = std::fs::File::create(&to).unwrap();
    command.arg("snapshot").arg(&side.path).args(["-o", "-"]).stdout(file);
    finish(&mut command, &to)
}

fn finish(command: &mut Command, to: &Path) -> Result<PathBuf, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    // An unstable bundle is one, too.
    match output.status.code() {
        Some(0 | 1) => Ok(to.to_owned()),
        code => Err(format!("{code:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
