//! The means of asking, and what each of them answers.

use std::fs;

use serde_json::Value;

use crate::common::command::{EXE, Ran, run};
use crate::setups::Setup;
use crate::side::{As, Side};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    Names,
    Pids,
    RootBundles,
    UserBundles,
    MeetDatabase,
    MeetFolder,
}

/// What a means answered.
#[derive(Clone)]
pub struct Answer {
    /// As it stands in the table.
    pub cell: String,
    /// Codes of warnings and errors.
    pub alarms: Vec<String>,
    /// All of it, for a failure.
    pub said: String,
}

impl Means {
    pub const ALL: [Self; 6] =
        [Self::Names, Self::Pids, Self::RootBundles, Self::UserBundles, Self::MeetDatabase, Self::MeetFolder];

    pub fn heading(self) -> &'static str {
        match self {
            Self::Names => "`compare NAME:/path`, live",
            Self::Pids => "`compare pid:N:/path`, live",
            Self::RootBundles => "bundles made inside by root",
            Self::UserBundles => "bundles made inside by uid 1000",
            Self::MeetDatabase => "`probe meet DATABASE` by uid 1000",
            Self::MeetFolder => "`probe meet FOLDER` by uid 1000",
        }
    }

    pub fn ask(self, setup: &Setup) -> Answer {
        let Setup { sides, .. } = setup;
        if let Some(other) = setup.other_than_usual(self).filter(|other| other.cell == NOT_ASKED) {
            return Answer { cell: other.cell.to_owned(), alarms: Vec::new(), said: String::new() };
        }
        match self {
            Self::Names => {
                let [a, b] = sides.each_ref().map(|side| side.by_name().unwrap());
                answer(&[compare(&a, &b)])
            }
            Self::Pids => answer(&[compare(&sides[0].by_pid(), &sides[1].by_pid())]),
            Self::RootBundles => bundles(sides, As::Root),
            Self::UserBundles => bundles(sides, As::User),
            Self::MeetDatabase => meet(setup, |side| &side.path),
            Self::MeetFolder => meet(setup, Side::folder),
        }
    }
}

/// In the table: this means does not exist in this set-up.
pub const NOT_ASKED: &str = "-";

fn compare(a: &str, b: &str) -> Ran {
    run(std::process::Command::new("timeout").args(["120", EXE, "compare", a, b, "--json"]))
}

fn bundles(sides: &[Side; 2], who: As) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (side, name) in sides.iter().zip(["a.walsnap", "b.walsnap"]) {
        let ran = side.walscope(who, &["snapshot", &side.path, "-o", "-"]);
        if ran.code != 0 {
            return Answer { cell: "no bundle".to_owned(), alarms: Vec::new(), said: ran.stderr };
        }
        fs::write(folder.path().join(name), ran.stdout).unwrap();
        paths.push(folder.path().join(name).display().to_string());
    }
    answer(&[compare(&paths[0], &paths[1])])
}

fn meet(setup: &Setup, what: fn(&Side) -> &str) -> Answer {
    let token = setup.name.replace(' ', "-");
    let both = std::thread::scope(|scope| {
        let each = setup.sides.each_ref().map(|side| {
            let arguments = ["probe", "meet", what(side), "--token", &token, "--timeout", "60", "--json"];
            scope.spawn(move || side.walscope(As::User, &arguments))
        });
        each.map(|thread| thread.join().unwrap())
    });
    answer(&both)
}

/// The answers of all sides; one word where they are equal.
fn answer(all: &[Ran]) -> Answer {
    let mut answer = Answer { cell: String::new(), alarms: Vec::new(), said: String::new() };
    let mut cells: Vec<String> = Vec::new();
    for ran in all {
        let Ok(document) = serde_json::from_slice::<Value>(&ran.stdout) else {
            cells.push(format!("exit {}", ran.code));
            answer.said += &ran.stderr;
            continue;
        };
        let verdict = &document["verdict"];
        let assumed = verdict["assuming"].as_array().is_some_and(|assuming| !assuming.is_empty());
        let of = if verdict["sharing"] == "proven" { &verdict["subject"] } else { &verdict["sharing"] };
        cells.push(format!("{}{}", of.as_str().unwrap(), if assumed { "\\*" } else { "" }));
        for finding in document["findings"].as_array().into_iter().flatten() {
            if finding["severity"] == "warning" || finding["severity"] == "error" {
                answer.alarms.push(finding["code"].as_str().unwrap().to_owned());
            }
        }
        answer.said += &format!("{} {}\n", document["explanation"], verdict["because"]);
    }
    cells.dedup();
    answer.cell = cells.join(" / ");
    answer
}
