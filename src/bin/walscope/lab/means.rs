//! What walscope said by each of its means, and whether it may be said.

use anyhow::{Context, bail};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use walscope::finding::Severity;
use walscope::report::compare::CompareDocument;
use walscope::report::verdict::{Answer, Subject};

use super::scenario::{Meeting, Never};

/// A way to ask walscope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// `compare` of the two live sides, from outside.
    Live,
    /// `compare` of the two snapshots.
    Bundles,
    /// `probe meet` at the database, on one of the sides.
    MeetDatabase,
    /// `probe meet` in the folder, on one of the sides.
    MeetFolder,
}

impl Means {
    /// The means of a meeting.
    pub fn met(at: Meeting) -> Self {
        match at {
            Meeting::Database => Self::MeetDatabase,
            Meeting::Folder => Self::MeetFolder,
        }
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "compare",
            Self::Bundles => "compare of the snapshots",
            Self::MeetDatabase => "probe meet DATABASE",
            Self::MeetFolder => "probe meet FOLDER",
        }
    }
}

/// What walscope said.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Said {
    /// By which means.
    pub means: Means,
    /// The verdict.
    pub sharing: Answer,
    /// The answer for the `-shm` pages.
    pub memory: Answer,
    /// The answer for the locks.
    pub locks: Answer,
    /// What the verdict is about.
    pub subject: Subject,
    /// After a meeting: whether the other side reported that it saw this one. It may have seen a copy.
    pub acknowledged: Option<bool>,
    /// Codes of the findings that are warnings or errors.
    pub findings: Vec<String>,
    /// The verdict in a sentence.
    pub explanation: String,
}

impl Said {
    /// What `compare` said.
    pub fn of_compare(means: Means, document: &CompareDocument) -> Self {
        let verdict = &document.verdict;
        let grave = document.findings.iter().filter(|finding| finding.severity >= Severity::Warning);
        Self {
            means,
            sharing: verdict.sharing,
            memory: verdict.memory,
            locks: verdict.locks,
            subject: verdict.subject,
            acknowledged: None,
            findings: grave.map(|finding| finding.code.clone()).collect(),
            explanation: document.explanation.clone(),
        }
    }

    /// What `probe meet` printed on one side.
    pub fn of_probe(means: Means, text: &str) -> anyhow::Result<Self> {
        let document: Value = serde_json::from_str(text).with_context(|| format!("probe meet said {text:?}"))?;
        let word = |name: &str| document.pointer(&format!("/verdict/{name}")).and_then(Value::as_str);
        let answer = |name: &str| {
            Ok(match word(name) {
                Some("proven") => Answer::Proven,
                Some("refuted") => Answer::Refuted,
                Some("undecided") => Answer::Undecided,
                other => bail!("probe meet said of {name}: {other:?}"),
            })
        };
        Ok(Self {
            means,
            sharing: answer("sharing")?,
            memory: answer("memory")?,
            locks: answer("locks")?,
            subject: if word("subject") == Some("mappings") { Subject::Mappings } else { Subject::Paths },
            acknowledged: document.get("acknowledged").and_then(Value::as_bool),
            findings: Vec::new(),
            explanation: document.get("explanation").and_then(Value::as_str).unwrap_or_default().to_owned(),
        })
    }

    /// The verdict in a cell.
    pub fn cell(&self) -> String {
        let answer = match (self.sharing, self.subject, self.means) {
            (Answer::Proven, Subject::Paths, Means::Live | Means::Bundles) => "proven of paths",
            (answer, ..) => words(answer),
        };
        match self.means {
            Means::Live | Means::Bundles => answer.to_owned(),
            Means::MeetDatabase => format!("database: {answer}"),
            Means::MeetFolder => format!("folder: {answer}"),
        }
    }

    /// Whether this is what must not be said.
    pub fn is(&self, never: Never) -> bool {
        let proven = self.sharing == Answer::Proven;
        match never {
            Never::Proven => proven,
            Never::Refuted => self.sharing == Answer::Refuted,
            Never::ProvenOfMappings => proven && self.subject == Subject::Mappings,
            // A probe prints no findings: what it proves is said to be of the paths.
            Never::ProvenWithoutWarning => {
                let compared = matches!(self.means, Means::Live | Means::Bundles);
                proven && compared && self.findings.is_empty()
            }
            Never::LocksProven => self.locks == Answer::Proven,
        }
    }
}

impl Never {
    /// It, in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Proven => "that sharing is proven",
            Self::Refuted => "that sharing is refuted",
            Self::ProvenOfMappings => "that sharing of the mappings is proven",
            Self::ProvenWithoutWarning => "that sharing is proven, without a warning",
            Self::LocksProven => "that the locks are shared",
        }
    }
}

/// The answer as a word.
pub fn words(answer: Answer) -> &'static str {
    match answer {
        Answer::Proven => "proven",
        Answer::Refuted => "refuted",
        Answer::Undecided => "undecided",
    }
}
