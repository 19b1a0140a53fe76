//! Commands that do not exist, and what was probably meant: the words of other tools, or a path in the place of a command.

use std::ffi::OsStr;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use walscope::linux::Care;
use walscope::shell_word::{shell_word, walscope};
use walscope::source::{self, InContainer};

use crate::exit::Advice;

/// Words that other tools use, with the command to type, and what it does.
const MEANT: &[(&[&str], &str, &str)] = &[
    (
        &[
            "check",
            "doctor",
            "fsck",
            "integrity",
            "integrity_check",
            "integrity-check",
            "quick_check",
            "validate",
            "lint",
            "audit",
        ],
        "walscope verify SOURCE",
        "recomputes every checksum, and compares -wal, -shm and database with each other",
    ),
    (
        &[
            "status",
            "info",
            "show",
            "stat",
            "stats",
            "state",
            "describe",
            "look",
            "view",
            "open",
            "analyze",
            "analyse",
            "get",
            "why",
            "checkpoint",
            "wal_checkpoint",
        ],
        "walscope inspect SOURCE",
        "shows the files, the WAL, what the checkpoint is doing and who blocks it",
    ),
    (
        &["watch", "monitor", "tail", "follow"],
        "walscope inspect SOURCE --for 10s",
        "looks for that time and tells a reader that stays from readers that take turns",
    ),
    (
        &["ls", "list", "top", "who", "processes", "lsof", "find", "scan"],
        "walscope ps",
        "lists every wal-index mapped on this machine, with its processes and locks",
    ),
    (
        &["locks", "lock", "lslocks", "holders"],
        "walscope shm SOURCE",
        "shows every lock of the wal-index with its holders",
    ),
    (&["diff", "cmp", "comp", "same"], "walscope compare A B", "proves or refutes that two sides share one wal-index"),
    (
        &["dump", "frames", "frame", "log", "hexdump", "hex", "transactions", "print", "cat", "showwal"],
        "walscope wal SOURCE",
        "lists every frame with its class; --transactions and --hex show more",
    ),
    (
        &["recover", "recovery", "save", "restore", "undelete", "salvage", "repair", "fix"],
        "walscope rescue SOURCE -o DIR",
        "copies the files that processes still have open, also deleted ones; nothing is changed in place",
    ),
    (
        &["backup", "capture", "copy", "cp", "bundle", "export"],
        "walscope snapshot SOURCE -o FILE",
        "writes one bundle with the files and the evidence of one moment",
    ),
    (&["shm-dump", "index", "wal-index"], "walscope shm SOURCE", "shows the wal-index"),
    (
        &["challenge", "meet", "hold", "seek", "ping"],
        "walscope probe meet SOURCE",
        "run on both sides, tries whether they see each other's locks",
    ),
    (&["try", "test", "trial"], "walscope probe try FOLDER", "tries whether locks and shared memory work in a folder"),
    (&["experiment", "demo"], "walscope lab", "runs the two-container experiment on this machine"),
    (
        &["error", "what", "man", "doc"],
        "walscope explain WHAT",
        "tells what a finding, an error of SQLite or a state means",
    ),
    (&["version"], "walscope --version", "prints the version"),
];

/// What to say of a command that does not exist, if it is known what was meant.
pub fn advice(error: &clap::Error) -> Option<Advice> {
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && std::env::args_os().nth(1).is_some_and(|command| command == "ps")
        && !word.starts_with('-')
    {
        return Some(Advice {
            message: format!("{word}: ps lists the whole machine and takes no name; the processes of one database:"),
            lines: vec![walscope("inspect", word, "")],
        });
    }
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let (lines, what) = match meant(word) {
        Some((command, does)) => {
            (vec![with_arguments(command, word), does.to_owned()], "there is no command of this name; perhaps:")
        }
        None if Path::new(word).is_dir() => {
            (vec![walscope("verify", word, "")], "a folder, and no command before it; all databases below it:")
        }
        None if is_source(word) => (vec![walscope("inspect", word, "")], "a file, and no command before it; perhaps:"),
        None if is_container(word) => {
            (vec![walscope("inspect", word, "")], "a container, and no command before it; its databases:")
        }
        None => return None,
    };
    let lines = lines.into_iter().chain(["walscope --help lists all commands".to_owned()]).collect();
    Some(Advice { message: format!("{word}: {what}"), lines })
}

fn meant(word: &str) -> Option<(&'static str, &'static str)> {
    let word = word.to_ascii_lowercase();
    MEANT.iter().find(|(words, ..)| words.contains(&word.as_str())).map(|(_, command, does)| (*command, *does))
}

/// The command with what was typed after the word, in the places of `SOURCE`, `FOLDER`, `WHAT`, or `A B`.
fn with_arguments(command: &str, word: &str) -> String {
    let after = std::env::args_os().skip_while(|argument| argument != word).skip(1);
    let given: Vec<String> =
        after.filter(|text| !text.as_encoded_bytes().starts_with(b"-")).map(|text| shell_word(&text)).collect();
    match given.as_slice() {
        [] => command.to_owned(),
        [one] => {
            ["SOURCE", "FOLDER", "WHAT"].iter().fold(command.to_owned(), |command, place| command.replace(place, one))
        }
        several => command.replace("A B", &several.join(" ")),
    }
}

/// Whether a word is a path, or looks like one.
fn is_source(word: &str) -> bool {
    let ends = [".db", ".sqlite", ".sqlite3", ".db3", ".walsnap", "-wal", "-shm"];
    word.contains('/') || Path::new(word).symlink_metadata().is_ok() || ends.iter().any(|end| word.ends_with(end))
}

fn is_container(word: &str) -> bool {
    matches!(
        source::in_container(OsStr::new(word), Care::default()),
        InContainer::Databases { .. } | InContainer::NotSeen(_)
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::options::Cli;

    #[test]
    fn what_is_meant_exists_and_no_word_is_a_command_or_stands_twice() {
        let known: Vec<String> =
            Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let mut seen = std::collections::BTreeSet::new();
        for (words, command, _) in MEANT {
            let name = command.split(' ').nth(1).unwrap_or_default();
            assert!(name.starts_with("--") || name == "lab" || known.iter().any(|known| known == name), "{command}");
            for word in *words {
                assert!(seen.insert(*word), "{word} stands twice");
                assert!(!known.iter().any(|known| known == word), "{word} is a command");
            }
        }
    }
}
