//! A verdict against what is true.

use crate::means::{Verdict, is_warning, names};
use crate::truth::{Paths, Shared, Truth};
use crate::users::{Amid, Kind, User};

/// Findings that say something against a process.
const ACCUSE: &[&str] = &[
    "database_held_exclusively",
    "mapping_without_locks",
    "split_brain",
    "used_without_wal_index",
    "worker_on_replaced_files",
];

/// What is false in a verdict, in words that begin with the kind of fault.
pub fn false_in(verdict: &Verdict, truth: &Truth, users: &[User]) -> Vec<String> {
    let mut wrong = Vec::new();
    let (sharing, subject) = (verdict.of("sharing"), verdict.of("subject"));
    if verdict.of_folder {
        return match (sharing, &truth.folder) {
            ("proven", Some(Shared::No(why))) => vec![format!("false proven of the folder: {why}")],
            ("refuted", Some(Shared::Yes)) => vec!["false refuted of the folder".to_owned()],
            _ => Vec::new(),
        };
    }
    let early = verdict.means.contains("early");
    let counting = |side: usize| users.iter().any(|user| user.side == side && user.counts());
    let unnamed = |(i, j, why): &(usize, usize, String)| {
        let (a, b) = (&users[*i], &users[*j]);
        // Whether a stopped process uses the database without a wal-index, or is opening it, cannot be told: the sentence
        // names it.
        let on_its_way = |user: &User| user.amid == Amid::Stopped && user.kind == Kind::Excl;
        let told = |user: &User| on_its_way(user) && verdict.says_of(user.told.pid());
        // A reader that may not write and has no locks looks like a program that copies the files: docs/evidence.md says so.
        let looks_like_a_program = |user: &User| user.only_reads && user.kind.is_unguarded();
        let named = |user: &User| verdict.warns_of(user.told.pid()) || told(user) || looks_like_a_program(user);
        let named = named(a) || named(b);
        (!named).then(|| format!("{} and {}: {why}", a.title(), b.title()))
    };
    match (sharing, subject) {
        ("proven", "paths") => {
            // An early bundle does not know where its path leads since: the folder was replaced, and the other side kept it.
            let may_be_outdated = early && truth.folder_replaced && matches!(truth.paths, Paths::Apart(_));
            if truth.paths != Paths::Shared && !may_be_outdated {
                wrong.push(format!("false proven of paths: {:?}", truth.paths));
            }
            // Root sees every process. One that loses rows is named, whatever is proven.
            let here = |(i, j, _): &&(usize, usize, String)| !users[*i].moved && !users[*j].moved;
            let seen = truth.apart.iter().filter(|_| verdict.live_by_root).filter(here);
            wrong.extend(seen.filter_map(unnamed).map(|who| format!("proven of paths without a warning: {who}")));
        }
        ("proven", _) => {
            // Of an early bundle, processes count that ended since.
            let of_now = !(early && truth.ended_since);
            if of_now && !(counting(0) && counting(1)) {
                wrong.push("false proven of mappings: nobody uses the database on one side".to_owned());
            }
            let unnamed = truth.apart.iter().filter_map(unnamed);
            wrong.extend(unnamed.map(|who| format!("false proven of mappings: {who}")));
        }
        ("refuted", "paths") => {
            if matches!(truth.paths, Paths::Shared | Paths::NoIndex(_)) {
                wrong.push(format!("false refuted of paths: {:?}", truth.paths));
            }
        }
        ("refuted", _) => {
            let one = matches!(truth.paths, Paths::Shared | Paths::NoIndex(_));
            if one && truth.apart.is_empty() && truth.cut_off.is_empty() {
                let kinds: Vec<_> = users.iter().map(|user| user.kind).collect();
                wrong.push(format!("false refuted of mappings: no two are apart of {kinds:?}"));
            }
        }
        ("undecided", _) => {}
        _ => wrong.push(format!("no verdict: {sharing:?} {subject:?}")),
    }
    for finding in verdict.findings() {
        let code = finding["code"].as_str().unwrap_or_default();
        if !ACCUSE.contains(&code) || !(is_warning(finding) || code == "database_held_exclusively") {
            continue;
        }
        for (at, user) in users.iter().enumerate() {
            // Where the paths lead to two places, who is in order on one side is not on the other.
            let one_place = truth.paths == Paths::Shared || code == "mapping_without_locks";
            let innocent = one_place && truth.in_order.contains(&at) || user.kind == Kind::Bystander;
            if innocent && names(finding, user.told.pid()) {
                wrong.push(format!("false accusation: {code} names {}", user.title()));
            }
        }
    }
    wrong
}
