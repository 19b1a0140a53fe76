//! `walscope/probe/1`: the result of a live challenge between two sides.

use schemars::JsonSchema;
use serde::Serialize;

use super::compare_page::{evidence_table, style};
use super::finding::{FindingDocument, documents};
use super::text::{self, BOLD, count, entry, styled, words};
use super::verdict::Verdict;
use super::{line, table};
use crate::compare;
use crate::evidence::live::{CoherenceView, Live};
use crate::finding::Finding;
use crate::say::{self, Names};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/probe/1";

/// The action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Hold a beacon.
    Hold,
    /// Look for a beacon.
    Seek,
    /// Meet another side.
    Meet,
    /// Meet a process of one's own.
    Try,
}

/// What the action was done on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The `-shm` of a database, read-only.
    WalIndex,
    /// A scratch file in a folder.
    ScratchFile,
}

/// The document.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize)]
pub struct ProbeDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The action.
    pub action: Action,
    /// What the action was done on.
    pub on: On,
    /// The source or folder, as it was given.
    pub source: String,
    /// This side's nonce, 16 hexadecimal digits: the one that it held or looked for.
    pub nonce: String,
    /// The other side's nonce, after a meeting. Null: no other side was met.
    pub peer_nonce: Option<String>,
    /// Nonces of further sides that were seen at the same meeting. Another `--token` for each pair keeps them apart.
    pub other_nonces: Vec<String>,
    /// Whether the other side reported that it saw this one. Null: it cannot report that.
    pub acknowledged: Option<bool>,
    /// Always null. The document of `hold` is printed when holding begins, and the other actions hold nothing. When
    /// holding ends, standard error says whether the beacon was there until the end.
    pub held_throughout: Option<bool>,
    /// Times for a number to go to the other side and back through the mappings. Null on the side that only answered.
    pub latency: Option<Latency>,
    /// The verdict. Null for `hold`, which does not learn what the other side saw.
    pub verdict: Option<Verdict>,
    /// The verdict, or what to do next, in a sentence.
    pub explanation: String,
    /// Findings about the processes that this side sees, the gravest first. The other side lists those that it sees.
    pub findings: Vec<FindingDocument>,
    /// Nonces in the names of files that earlier meetings left in the folder. These files can be removed.
    pub left_behind: Vec<String>,
}

/// Round trips, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Latency {
    /// Number of round trips.
    pub round_trips: u64,
    /// The fastest round trip.
    pub fastest_ns: u64,
    /// The median: half of the round trips were faster.
    pub median_ns: u64,
}

/// A nonce as text, 16 hexadecimal digits.
#[must_use]
pub fn nonce(nonce: u64) -> String {
    format!("{nonce:016x}")
}

impl Latency {
    /// The latency that a trial measured; `None` when this side made no round trips.
    #[must_use]
    pub fn of(live: &Live) -> Option<Self> {
        let found: &CoherenceView = live.coherence.as_ref()?.value()?;
        let mut times = found.round_trips.clone();
        times.sort_unstable();
        let (fastest_ns, median_ns) = (*times.first()?, *times.get(times.len() / 2)?);
        Some(Self { round_trips: times.len() as u64, fastest_ns, median_ns })
    }
}

impl ProbeDocument {
    /// The document with a verdict and its explanation.
    #[must_use]
    pub fn judged(self, verdict: &compare::Verdict) -> Self {
        let told = match self.action {
            Action::Try => say::verdict::explain_try(verdict),
            _ => say::verdict::explain_probe(verdict, self.on == On::ScratchFile),
        };
        let passed_over = self.peer_nonce.is_none() && !self.other_nonces.is_empty();
        let explanation = if passed_over { format!("{} {told}", say::verdict::PASSED_OVER) } else { told };
        Self { explanation, verdict: Some(Verdict::new(verdict, Names::PROBE)), ..self }
    }

    /// The document with what this side shows about its processes.
    #[must_use]
    pub fn beside(self, found: &[Finding]) -> Self {
        Self { findings: documents(found), ..self }
    }

    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let on = match self.on {
            On::WalIndex => "the -shm of",
            On::ScratchFile => "a scratch file in",
        };
        let mut out = entry("Probe", &format!("{} on {on} {}", words(&self.action), line(&self.source)), width);
        out.push_str(&entry("Nonce", &self.nonce, width));
        if let Some(peer) = &self.peer_nonce {
            let seen = match self.acknowledged {
                Some(true) => "and it saw this side; there the same two nonces are printed the other way round",
                _ => "one way only",
            };
            out.push_str(&entry("Met", &format!("{peer}, {seen}"), width));
        }
        if !self.other_nonces.is_empty() {
            let nonces = self.other_nonces.join(", ");
            let text = format!("more than two sides use this --token: {nonces} too; give each pair one of its own");
            out.push_str(&entry(&styled(BOLD, "Others"), &text, width));
        }
        if let Some(latency) = self.latency {
            let text = format!(
                "{} round trips, fastest {} ns, median {} ns",
                latency.round_trips,
                count(latency.fastest_ns),
                count(latency.median_ns)
            );
            out.push_str(&entry("Latency", &text, width));
        }
        let Some(verdict) = &self.verdict else {
            out.push_str(&entry("", &line(&self.explanation), width));
            return out;
        };
        let answer = styled(style(verdict.sharing), &words(&verdict.sharing));
        out.push_str(&entry("Verdict", &format!("{answer}. {}", line(&self.explanation)), width));
        out.push('\n');
        let rows = [("memory", verdict.memory), ("locks", verdict.locks), ("sharing", verdict.sharing)];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|(what, answer)| vec![(*what).to_owned(), words(answer)]).collect();
        out.push_str(&table::draw(&["question", "answer"], &rows, width));
        out.push('\n');
        out.push_str(&evidence_table(&verdict.because, width));
        if !self.findings.is_empty() {
            out.push('\n');
            out.push_str(&text::findings(&self.findings, width));
        }
        if !self.left_behind.is_empty() {
            let text = format!("files of earlier meetings, with {}: remove them", self.left_behind.join(", "));
            out.push('\n');
            out.push_str(&entry(&styled(BOLD, "Left"), &text, width));
        }
        out
    }
}
