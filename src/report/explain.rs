//! `walscope/explain/1`: what findings, errors of SQLite, states and locks mean. The texts come from `docs/findings.md`,
//! `docs/errors.md` and `docs/words.md`, so output and documents cannot differ.

use schemars::JsonSchema;
use serde::Serialize;

use super::table;
use super::text::{BOLD, entry, styled, wrap};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/explain/1";

/// The document with a heading for every code.
const FINDINGS: &str = include_str!("../../docs/findings.md");
/// The document with a heading for every error.
const ERRORS: &str = include_str!("../../docs/errors.md");
/// The document with a heading for every state, lock and number.
const WORDS: &str = include_str!("../../docs/words.md");

/// Other messages of SQLite and of the system, with the number of the error.
const OTHER_MESSAGES: &[(u32, &str)] = &[
    (6, "database schema is locked"),
    (13, "disk full"),
    (13, "disk is full"),
    (13, "no space left on device"),
    (283, "frames from wal file"),
    (26, "file is encrypted or is not a database"),
    (14, "unable to open the database file"),
    (8, "attempt to write a read-only database"),
];
/// Texts that stand for several errors.
const SEVERAL: &[(&str, &[u32])] = &[("locked", &[5, 6]), ("database locked", &[5, 6])];
/// Texts of the system, with the word that has a section.
const WORDS_IN: &[(&str, &str)] = &[("sigbus", "sigbus"), ("bus error", "sigbus")];
/// Words before the number of an error, as drivers print them.
const CALLS: &[&str] = &["error", "code", "rc", "errno", "errcode", "sqlite"];

/// What one code means.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Explanation {
    /// The code.
    pub code: String,
    /// A short title, with the severities that it can have.
    pub summary: String,
    /// What it means.
    pub means: String,
    /// The facts that it rests on.
    pub rests_on: String,
    /// Innocent causes.
    pub innocent_causes: String,
    /// What to do.
    pub what_to_do: String,
}

/// What one error of SQLite means.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ErrorExplanation {
    /// The name, as in `sqlite3.h`.
    pub name: String,
    /// The number; above 255 it is an extended code, whose lowest 8 bits are the code that it extends.
    pub number: u32,
    /// The message, as `sqlite3_errstr()` gives it.
    pub message: String,
    /// What it means.
    pub means: String,
    /// The usual causes.
    pub causes: String,
    /// The command that tells which cause it is.
    pub which: String,
}

/// What a state, a lock, a number or a word of the tables of the output means.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct WordExplanation {
    /// The word, as in the JSON documents.
    pub word: String,
    /// What it means.
    pub means: String,
    /// What to do.
    pub what_to_do: String,
}

/// The document: everything, or what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ExplainDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether something was asked for.
    #[serde(skip)]
    asked: bool,
    /// The findings, sorted by code.
    pub findings: Vec<Explanation>,
    /// Errors of SQLite, by number.
    pub errors: Vec<ErrorExplanation>,
    /// States of the checkpoint, locks, numbers of the wal-index, classes of frames, and results of `verify`.
    pub words: Vec<WordExplanation>,
}

/// Everything.
#[must_use]
pub fn all() -> ExplainDocument {
    ExplainDocument { schema: SCHEMA, asked: false, findings: findings(), errors: errors(), words: words() }
}

/// What a text means: the code of a finding, the name, number or message of an error of SQLite, also within a longer text,
/// or a state, a lock, a number or a word of the tables of the output. `None`: nothing of this is in it.
#[must_use]
pub fn about(text: &str) -> Option<ExplainDocument> {
    let wanted = text.trim().to_lowercase();
    let word = wanted.replace([' ', '-'], "_");
    let mut found = ExplainDocument { asked: true, ..all() };
    found.findings.retain(|finding| finding.code == word);
    let in_text = WORDS_IN.iter().find(|(text, _)| wanted.contains(text)).map(|(_, word)| *word);
    found.words.retain(|known| known.word == word || Some(known.word.as_str()) == in_text);
    let several = SEVERAL.iter().find(|(text, _)| *text == wanted).map(|(_, numbers)| *numbers).unwrap_or_default();
    found.errors.retain(|error| if several.is_empty() { error.is(&wanted) } else { several.contains(&error.number) });
    if found.errors.is_empty() {
        found.errors = errors();
        found.errors.retain(|error| error.number > 0xff && error.numbered_in(&wanted));
    }
    if found.errors.is_empty() && found.findings.is_empty() && found.words.is_empty() {
        found.errors = errors();
        found.errors.retain(|error| error.is_in(&wanted));
    }
    let any = !found.findings.is_empty() || !found.words.is_empty() || !found.errors.is_empty();
    any.then_some(found)
}

/// One section: its heading, and its paragraphs without line breaks.
struct Section {
    heading: String,
    paragraphs: Vec<String>,
}

/// The sections of a document. Each has a heading `## words`, perhaps a line in italics, and paragraphs that begin with their
/// name in bold.
fn sections(document: &str) -> impl Iterator<Item = Section> {
    document.split("\n## ").skip(1).filter_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        let paragraphs =
            text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        Some(Section { heading: heading.trim().to_owned(), paragraphs })
    })
}

impl Section {
    fn named(&self, name: &str) -> Option<String> {
        let start = format!("**{name}:** ");
        self.paragraphs.iter().find_map(|paragraph| paragraph.strip_prefix(&start)).map(str::to_owned)
    }

    fn in_italics(&self) -> Option<String> {
        self.paragraphs.iter().find_map(|text| text.strip_prefix('*')?.strip_suffix('*')).map(str::to_owned)
    }
}

fn findings() -> Vec<Explanation> {
    let finding = |section: Section| {
        Some(Explanation {
            summary: section.in_italics()?,
            means: section.named("Means")?,
            rests_on: section.named("Rests on")?,
            innocent_causes: section.named("Innocent causes")?,
            what_to_do: section.named("What to do")?,
            code: section.heading,
        })
    };
    sections(FINDINGS).filter_map(finding).collect()
}

fn errors() -> Vec<ErrorExplanation> {
    let error = |section: Section| {
        let (name, number) = section.heading.split_once(' ')?;
        Some(ErrorExplanation {
            name: name.to_owned(),
            number: number.parse().ok()?,
            message: section.in_italics()?,
            means: section.named("Means")?,
            causes: section.named("Causes")?,
            which: section.named("Which")?,
        })
    };
    sections(ERRORS).filter_map(error).collect()
}

fn words() -> Vec<WordExplanation> {
    let word = |section: Section| {
        Some(WordExplanation {
            means: section.named("Means")?,
            what_to_do: section.named("What to do")?,
            word: section.heading,
        })
    };
    sections(WORDS).filter_map(word).collect()
}

impl ErrorExplanation {
    /// Whether a text is its name, with or without `SQLITE_`, or its number.
    fn is(&self, text: &str) -> bool {
        let name = self.name.to_lowercase();
        text == name || Some(text) == name.strip_prefix("sqlite_") || text == self.number.to_string()
    }

    /// Whether a text holds its number.
    fn numbered_in(&self, text: &str) -> bool {
        text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == self.number.to_string())
    }

    /// Whether a text holds its name, its number after the word "code" or "error", or, if it is no extended code, its message.
    fn is_in(&self, text: &str) -> bool {
        let mut names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let other = OTHER_MESSAGES.iter().any(|(number, message)| *number == self.number && text.contains(message));
        names.any(|word| word == self.name.to_lowercase())
            || (self.number <= 0xff && text.contains(&self.message.to_lowercase()))
            || other
            || self.called_in(text)
    }

    /// Whether a text calls its number an error or a code: `SQLite error 14`, `code: 14`, `rc=14`.
    fn called_in(&self, text: &str) -> bool {
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let number = self.number.to_string();
        words.windows(2).any(|pair| matches!(pair, [called, word] if CALLS.contains(called) && **word == number))
    }
}

impl ExplainDocument {
    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        if !self.asked {
            return self.list(width);
        }
        let findings = self.findings.iter().map(|finding| finding.draw(width));
        let errors = self.errors.iter().map(|error| error.draw(width));
        let pages = findings.chain(errors).chain(self.words.iter().map(|word| word.draw(width)));
        let mut page = pages.collect::<Vec<_>>().join("\n");
        let extended = self.extended();
        if !extended.is_empty() {
            page.push('\n');
            let text = format!("{}. walscope explain NAME or NUMBER.", extended.join(", "));
            page.push_str(&entry("Also", &text, width));
        }
        page
    }

    /// The extended codes that programs show with the same message.
    fn extended(&self) -> Vec<String> {
        let shown = |number: u32| self.errors.iter().any(|error| error.number == number);
        let all = errors().into_iter().filter(|error| error.number > 0xff && shown(error.number & 0xff));
        all.filter(|error| !shown(error.number)).map(|error| format!("{} ({})", error.name, error.number)).collect()
    }

    fn list(&self, width: usize) -> String {
        let findings: Vec<Vec<String>> =
            self.findings.iter().map(|finding| vec![finding.code.clone(), finding.summary.clone()]).collect();
        let errors: Vec<Vec<String>> = self
            .errors
            .iter()
            .map(|error| vec![error.name.clone(), error.number.to_string(), error.message.clone()])
            .collect();
        let words: Vec<&str> = self.words.iter().map(|word| word.word.as_str()).collect();
        let mut out = table::draw(&["code", "summary"], &findings, width);
        out.push('\n');
        out.push_str(&table::draw(&["error of SQLite", "number", "message"], &errors, width));
        out.push('\n');
        out.push_str(&entry("Words", &words.join(", "), width));
        out
    }
}

impl Explanation {
    fn draw(&self, width: usize) -> String {
        let heading = format!("{}: {}", styled(BOLD, &self.code), self.summary);
        let parts = [
            ("Means", &self.means),
            ("Rests on", &self.rests_on),
            ("Innocent", &self.innocent_causes),
            ("What to do", &self.what_to_do),
        ];
        page(&heading, &parts, width)
    }
}

impl ErrorExplanation {
    fn draw(&self, width: usize) -> String {
        let heading = format!("{} ({}): {}", styled(BOLD, &self.name), self.number, self.message);
        page(&heading, &[("Means", &self.means), ("Causes", &self.causes), ("Which", &self.which)], width)
    }
}

impl WordExplanation {
    fn draw(&self, width: usize) -> String {
        page(&styled(BOLD, &self.word), &[("Means", &self.means), ("What to do", &self.what_to_do)], width)
    }
}

fn page(heading: &str, parts: &[(&str, &String)], width: usize) -> String {
    let mut out = wrap(heading, width, "", "  ");
    for (label, text) in parts {
        out.push('\n');
        out.push_str(&entry(label, text, width));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(document: &str) -> usize {
        document.lines().filter(|line| line.starts_with("## ")).count()
    }

    #[test]
    fn every_section_of_the_documents_is_read_whole() {
        let all = all();
        let read = [(FINDINGS, all.findings.len()), (ERRORS, all.errors.len()), (WORDS, all.words.len())];
        for (document, read) in read {
            assert_eq!(headings(document), read, "a section lacks its summary or one of its paragraphs");
        }
        let of_findings = all.findings.iter().flat_map(|f| [&f.means, &f.rests_on, &f.innocent_causes, &f.what_to_do]);
        let of_errors = all.errors.iter().flat_map(|e| [&e.means, &e.causes, &e.which]);
        let of_words = all.words.iter().flat_map(|w| [&w.means, &w.what_to_do]);
        for text in of_findings.chain(of_errors).chain(of_words) {
            assert!(text.ends_with('.'), "{text}");
        }
        assert!(all.findings.is_sorted_by(|a, b| a.code < b.code));
        assert!(all.errors.is_sorted_by(|a, b| a.number < b.number));
        assert!(all.words.is_sorted_by(|a, b| a.word < b.word));
    }

    fn told(text: &str) -> Vec<String> {
        let Some(found) = about(text) else { return Vec::new() };
        let errors = found.errors.into_iter().map(|error| error.name);
        let words = found.words.into_iter().map(|word| word.word);
        found.findings.into_iter().map(|finding| finding.code).chain(errors).chain(words).collect()
    }

    #[test]
    fn what_people_type_is_found() {
        assert_eq!(told("split_brain"), ["split_brain"]);
        for text in ["517", "SQLITE_BUSY_SNAPSHOT", "busy_snapshot", " Busy_Snapshot "] {
            assert_eq!(told(text), ["SQLITE_BUSY_SNAPSHOT"], "{text}");
        }
        for text in
            ["database is locked", "sqlite3.OperationalError: database is locked", "Error: Database is locked (5)"]
        {
            assert_eq!(told(text), ["SQLITE_BUSY"], "{text}");
        }
        assert_eq!(told("error SQLITE_IOERR_SHMMAP: disk I/O error"), ["SQLITE_IOERR", "SQLITE_IOERR_SHMMAP"]);
        for text in ["error 5386", "rc=5386", "disk I/O error (5386)"] {
            assert_eq!(told(text), ["SQLITE_IOERR_SHMMAP"], "{text}");
        }
        assert_eq!(told("blocked"), ["blocked"]);
        assert_eq!(told("in progress"), ["in_progress"]);
        assert_eq!(told("Read1"), ["read1"]);
        for text in ["locked", "Locked", "database locked"] {
            assert_eq!(told(text), ["SQLITE_BUSY", "SQLITE_LOCKED"], "{text}");
        }
        for text in ["bus error", "SIGBUS", "Bus error (core dumped)"] {
            assert_eq!(told(text), ["sigbus"], "{text}");
        }
        assert_eq!(told("wal"), ["wal"]);
        assert_eq!(told("read mark"), ["read_mark"]);
        for lock in ["database", "reserved", "pending", "shm"] {
            assert_eq!(told(lock), [lock]);
        }
        use crate::report::text::words;
        use crate::report::verify::VerdictResult;
        use crate::wal::FrameClass::{self, Committed, Residue, Stale, Uncommitted, Unrelated, Unwritten};
        let classes: [FrameClass; 6] = [Committed, Uncommitted, Residue, Stale, Unwritten, Unrelated];
        let results = [
            VerdictResult::Wrong,
            VerdictResult::Doubtful,
            VerdictResult::Noted,
            VerdictResult::Unchecked,
            VerdictResult::Sound,
        ];
        let in_tables = classes.iter().map(words).chain(results.iter().map(words));
        let others = ["torn", "superseded", "salvage", "passed", "failed", "skipped"].map(str::to_owned);
        for word in in_tables.chain(others) {
            assert_eq!(told(&word), [word.as_str()]);
        }
        assert_eq!(told("cut off"), ["cut_off"]);
        assert_eq!(told("no such word"), <[&str; 0]>::default());
        assert_eq!(told(""), <[&str; 0]>::default());
    }

    /// As sqlite3, Python, Go, Java, Node, Rust, .NET and PHP print them.
    #[test]
    fn the_errors_of_drivers_are_found() {
        let printed = [
            ("Runtime error: database is locked (5)", "SQLITE_BUSY"),
            ("sqlite3.OperationalError: database is locked", "SQLITE_BUSY"),
            ("database is locked (5) (SQLITE_BUSY)", "SQLITE_BUSY"),
            ("Error: SQLITE_BUSY: database is locked", "SQLITE_BUSY"),
            ("[SQLITE_BUSY] The database file is locked (database is locked)", "SQLITE_BUSY"),
            ("error returned from database: (code: 5) database is locked", "SQLITE_BUSY"),
            ("SQLSTATE[HY000]: General error: 5 database is locked", "SQLITE_BUSY"),
            ("SQLite Error 5: 'database is locked'.", "SQLITE_BUSY"),
            ("SqliteFailure(Error { code: DatabaseBusy, extended_code: 517 }, None)", "SQLITE_BUSY_SNAPSHOT"),
            ("database is locked (517)", "SQLITE_BUSY_SNAPSHOT"),
            ("261", "SQLITE_BUSY_RECOVERY"),
            ("773", "SQLITE_BUSY_TIMEOUT"),
            ("database table is locked: t", "SQLITE_LOCKED"),
            ("262", "SQLITE_LOCKED_SHAREDCACHE"),
            ("sqlite3.OperationalError: attempt to write a readonly database", "SQLITE_READONLY"),
            ("attempt to write a readonly database (1032)", "SQLITE_READONLY_DBMOVED"),
            ("sqlite3.OperationalError: disk I/O error", "SQLITE_IOERR"),
            ("disk I/O error: no such file or directory", "SQLITE_IOERR"),
            ("SQLITE_IOERR_SHMOPEN", "SQLITE_IOERR_SHMOPEN"),
            ("database disk image is malformed (11)", "SQLITE_CORRUPT"),
            (
                "[SQLITE_CORRUPT] The database disk image is malformed (database disk image is malformed)",
                "SQLITE_CORRUPT",
            ),
            ("OperationalError: database or disk is full", "SQLITE_FULL"),
            ("Error: in prepare, unable to open database file (14)", "SQLITE_CANTOPEN"),
            ("unable to open the database file", "SQLITE_CANTOPEN"),
            ("sqlite error 14", "SQLITE_CANTOPEN"),
            ("rc=14", "SQLITE_CANTOPEN"),
            ("526", "SQLITE_CANTOPEN_ISDIR"),
            ("locking protocol", "SQLITE_PROTOCOL"),
            ("sqlite3.DatabaseError: file is not a database", "SQLITE_NOTADB"),
            ("file is encrypted or is not a database", "SQLITE_NOTADB"),
            ("283", "SQLITE_NOTICE_RECOVER_WAL"),
            ("(283) recovered 3 frames from WAL file /srv/a.db-wal", "SQLITE_NOTICE_RECOVER_WAL"),
            ("recovered 3 frames from WAL file /srv/a.db-wal", "SQLITE_NOTICE_RECOVER_WAL"),
            ("database schema is locked: main", "SQLITE_LOCKED"),
            ("disk full", "SQLITE_FULL"),
            ("write: No space left on device", "SQLITE_FULL"),
            ("out of memory", "SQLITE_NOMEM"),
            ("1546", "SQLITE_IOERR_TRUNCATE"),
        ];
        for (text, name) in printed {
            assert_eq!(told(text), [name], "{text}");
        }
        for text in ["14 files", "no such table: t", "error 99999"] {
            assert_eq!(told(text), <[&str; 0]>::default(), "{text}");
        }
    }

    #[test]
    fn a_message_names_the_codes_that_show_it_too() {
        let page = about("database is locked").unwrap().draw(100);
        assert!(page.contains("SQLITE_BUSY_SNAPSHOT (517)") && page.contains("SQLITE_BUSY_RECOVERY (261)"), "{page}");
        assert!(!about("517").unwrap().draw(100).contains("Also"));
    }

    #[test]
    fn pages_fit_every_width() {
        for width in [20, 40, 49, 50, 80, 200] {
            let asked = ExplainDocument { asked: true, ..all() };
            for page in [all().draw(width), asked.draw(width)] {
                let text = anstream::adapter::strip_str(&page).to_string();
                let widest = text.lines().map(textwrap::core::display_width).max();
                assert!(widest <= Some(width), "{width}: {text}");
            }
        }
    }
}
