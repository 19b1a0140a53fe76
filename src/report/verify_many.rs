//! `walscope/verify-many/1`: several databases, each verified by itself.

use std::cmp::Reverse;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::line;
use super::text::{self, BOLD, GREEN, RED, YELLOW, entry, label, many, styled};
use super::verify::{VerdictResult, VerifyDocument};
use crate::finding::Severity;
use crate::say;
use crate::shell_word::walscope;

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/verify-many/1";

/// From so long on, the time that it took is worth a word.
const LONG: Duration = Duration::from_secs(30);
/// More sound databases are not listed on the page.
const SOUND_LISTED: usize = 10;
/// More files of other formats are not named on the page.
const OTHERS_LISTED: usize = 5;

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct VerifyManyDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Number of databases by their verdict, and of what could not be looked at.
    pub counts: Counts,
    /// The document of each database, in the order of the arguments, and below a folder in that of the walk.
    pub databases: Vec<VerifyDocument>,
    /// Files and folders that could not be looked at.
    pub not_looked_at: Vec<NotLookedAt>,
    /// Files below a folder with the name of a database that another program keeps there. They are not looked at, and are no fault.
    pub of_other_formats: Vec<OfOtherFormat>,
}

/// How many there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Counts {
    /// Databases that were looked at. The next five are its parts.
    pub databases: usize,
    /// With an error.
    pub wrong: usize,
    /// With a warning.
    pub doubtful: usize,
    /// Without a fault, but a person should read something.
    pub noted: usize,
    /// Nothing could be checked.
    pub unchecked: usize,
    /// Nothing wrong in what was checked.
    pub sound: usize,
    /// Databases in WAL mode without a `-wal`: closed properly, or copied without it. They are counted above too.
    pub missing_wal: usize,
    /// Files and folders that could not be looked at.
    pub not_looked_at: usize,
    /// Files with the name of a database that are of another program.
    pub of_other_formats: usize,
}

/// A file with the name of a database that is of another program.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OfOtherFormat {
    /// Its name. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// The name of its format, as far as its first bytes show it.
    pub format: &'static str,
}

/// A file or folder that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct NotLookedAt {
    /// Its name. Bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl VerifyManyDocument {
    /// Makes the document.
    #[must_use]
    pub fn new(
        databases: Vec<VerifyDocument>,
        not_looked_at: Vec<NotLookedAt>,
        of_other_formats: Vec<OfOtherFormat>,
    ) -> Self {
        let of = |result| databases.iter().filter(|one| one.verdict.result == result).count();
        let counts = Counts {
            databases: databases.len(),
            wrong: of(VerdictResult::Wrong),
            doubtful: of(VerdictResult::Doubtful),
            noted: of(VerdictResult::Noted),
            unchecked: of(VerdictResult::Unchecked),
            sound: of(VerdictResult::Sound),
            missing_wal: databases.iter().filter(|one| lacks_wal(one)).count(),
            not_looked_at: not_looked_at.len(),
            of_other_formats: of_other_formats.len(),
        };
        Self { schema: SCHEMA, counts, databases, not_looked_at, of_other_formats }
    }

    /// The page, at most `width` columns wide, with colour: what could not be looked at, the databases from the worst to the
    /// sound ones, how many of each, and how long it took.
    #[must_use]
    pub fn draw(&self, width: usize, took: Duration) -> String {
        let mut out = String::new();
        for one in &self.not_looked_at {
            out.push_str(&entry("not read", &format!("{}: {}", line(&one.path), line(&one.reason)), width));
        }
        let listed = |one: &&VerifyDocument| {
            one.verdict.result != VerdictResult::Sound
                || self.counts.sound <= SOUND_LISTED
                || self.names_missing_wal() && lacks_wal(one)
        };
        let mut databases: Vec<&VerifyDocument> = self.databases.iter().filter(listed).collect();
        databases.sort_by_key(|one| Reverse(gravity(one)));
        for one in &databases {
            out.push_str(&entry(word(one.verdict.result), &summary(one), width));
        }
        if !self.of_other_formats.is_empty() {
            out.push_str(&entry("other", &self.others(), width));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&entry("Total", &self.count(took), width));
        if let Some(command) = self.one_in_full() {
            // Not wrapped: it is to be copied.
            out.push_str(&label("In full", width));
            out.push_str(&command);
            out.push('\n');
        }
        out
    }

    /// `2 files with names of databases are of another format: a.db (GDBM), b.db (text).`
    fn others(&self) -> String {
        let all = &self.of_other_formats;
        let named = all.iter().take(OTHERS_LISTED).map(|one| format!("{} ({})", line(&one.path), one.format));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match all.len().saturating_sub(OTHERS_LISTED) as u64 {
            0 => String::new(),
            n => format!(", and {} more, which --json names", text::count(n)),
        };
        let (files, are) = match all.len() {
            1 => ("1 file with the name of a database".to_owned(), "is"),
            n => (format!("{} files with names of databases", text::count(n as u64)), "are"),
        };
        format!("{files} {are} of another format: {named}{more}.")
    }

    /// Whether the page names each database without a `-wal`, also if it is sound.
    fn names_missing_wal(&self) -> bool {
        self.counts.missing_wal <= SOUND_LISTED
    }

    /// The command that tells one of them in full.
    fn one_in_full(&self) -> Option<String> {
        match self.databases.as_slice() {
            [] => None,
            // The name is no text.
            [one] if one.source.label.contains(char::REPLACEMENT_CHARACTER) => None,
            [one] => Some(walscope("verify", &one.source.label, "")),
            _ => Some("walscope verify PATH".to_owned()),
        }
    }

    /// `200 databases: 3 wrong, 2 with warnings, 195 sound.`
    fn count(&self, took: Duration) -> String {
        let Counts {
            databases,
            wrong,
            doubtful,
            noted,
            unchecked,
            sound,
            missing_wal,
            not_looked_at,
            of_other_formats: _,
        } = self.counts;
        let parts = [
            (wrong, RED, format!("{} wrong", text::count(wrong as u64))),
            (doubtful, YELLOW, format!("{} with warnings", text::count(doubtful as u64))),
            (noted, BOLD, format!("{} noted", text::count(noted as u64))),
            (unchecked, YELLOW, format!("{} unchecked", text::count(unchecked as u64))),
            (sound, GREEN, format!("{} sound", text::count(sound as u64))),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(n, ..)| *n > 0).map(|(_, style, text)| styled(*style, text)).collect();
        let mut said = many(databases as u64, "database");
        if !parts.is_empty() {
            said = format!("{said}: {}", parts.join(", "));
        }
        said.push('.');
        if not_looked_at > 0 {
            said.push_str(&format!(" Not everything could be read: {}.", many(not_looked_at as u64, "place")));
        }
        if sound > SOUND_LISTED {
            said.push_str(if self.names_missing_wal() && missing_wal > 0 {
                " Other sound ones are not listed."
            } else {
                " Sound ones are not listed."
            });
        }
        if missing_wal > 0 {
            said.push_str(&format!(
                " {} in WAL mode without a -wal: a clean close looks like this, and so does a copy that was made without its -wal, \
                 which lacks the commits in it.",
                text::count(missing_wal as u64)
            ));
            if sound > SOUND_LISTED && !self.names_missing_wal() {
                said.push_str(" --json names them.");
            }
        }
        if databases > 0 {
            said.push_str(
                " Whether each index has every row is not checked: that is PRAGMA integrity_check, in a copy.",
            );
        }
        if took >= LONG {
            said.push_str(&format!(" It took {}.", many(took.as_secs(), "second")));
        }
        said
    }
}

fn lacks_wal(one: &VerifyDocument) -> bool {
    one.not_checked.iter().any(|left| left.what == say::check::MISSING_WAL)
}

/// The worst first: by the verdict, then by the findings.
fn gravity(one: &VerifyDocument) -> (u8, usize, usize) {
    let result = match one.verdict.result {
        VerdictResult::Wrong => 4,
        VerdictResult::Doubtful => 3,
        VerdictResult::Unchecked => 2,
        VerdictResult::Noted => 1,
        VerdictResult::Sound => 0,
    };
    let count = |severity| one.findings.iter().filter(|finding| finding.severity == severity).count();
    (result, count(Severity::Error), count(Severity::Warning))
}

fn word(result: VerdictResult) -> &'static str {
    match result {
        VerdictResult::Wrong => "wrong",
        VerdictResult::Doubtful => "doubtful",
        VerdictResult::Noted => "noted",
        VerdictResult::Unchecked => "unchecked",
        VerdictResult::Sound => "sound",
    }
}

/// The path, and its gravest finding; without one above `info`, what the verdict says first.
fn summary(one: &VerifyDocument) -> String {
    let path = line(&one.source.label);
    let mut above = one.findings.iter().filter(|finding| finding.severity > Severity::Info);
    match above.next() {
        Some(first) => {
            let title = line(&first.title);
            let more = match above.count() as u64 {
                0 => String::new(),
                n => format!(" And {} more.", text::count(n)),
            };
            format!("{path}: {} [{}]{more}", title.trim_end_matches('.').to_owned() + ".", line(&first.code))
        }
        None if one.verdict.result == VerdictResult::Sound && lacks_wal(one) => format!("{path}: WAL mode, no -wal"),
        None if one.verdict.result == VerdictResult::Sound => path,
        None => format!("{path}: {}", line(one.explanation.split(['.', ':']).next().unwrap_or_default())),
    }
}
