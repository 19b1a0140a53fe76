//! `walscope/explain/1`: what findings mean. The text comes from `docs/findings.md`, so the two cannot differ.

use schemars::JsonSchema;
use serde::Serialize;

use super::table;
use super::text::{BOLD, entry, styled, wrap};

/// The schema's name and version.
pub const SCHEMA: &str = "walscope/explain/1";

/// The document with a heading for every code.
const FINDINGS: &str = include_str!("../../docs/findings.md");

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

/// The document: all findings, or the one that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize)]
pub struct ExplainDocument {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether one was asked for.
    #[serde(skip)]
    one: bool,
    /// The findings, sorted by code.
    pub findings: Vec<Explanation>,
}

/// Every finding.
#[must_use]
pub fn all() -> ExplainDocument {
    ExplainDocument { schema: SCHEMA, one: false, findings: explanations() }
}

/// The finding with this code.
#[must_use]
pub fn one(code: &str) -> Option<ExplainDocument> {
    let found = explanations().into_iter().find(|explanation| explanation.code == code)?;
    Some(ExplainDocument { schema: SCHEMA, one: true, findings: vec![found] })
}

/// Reads the explanations from the document. Each has a heading `## code`, a line in italics, and four paragraphs that
/// begin with their name in bold.
fn explanations() -> Vec<Explanation> {
    FINDINGS.split("\n## ").skip(1).filter_map(explanation).collect()
}

fn explanation(section: &str) -> Option<Explanation> {
    let (code, text) = section.split_once('\n')?;
    let paragraphs: Vec<String> =
        text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let named = |name: &str| {
        let start = format!("**{name}:** ");
        paragraphs.iter().find_map(|paragraph| paragraph.strip_prefix(&start)).map(str::to_owned)
    };
    Some(Explanation {
        code: code.trim().to_owned(),
        summary: paragraphs.iter().find_map(|text| text.strip_prefix('*')?.strip_suffix('*'))?.to_owned(),
        means: named("Means")?,
        rests_on: named("Rests on")?,
        innocent_causes: named("Innocent causes")?,
        what_to_do: named("What to do")?,
    })
}

impl ExplainDocument {
    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        if !self.one {
            let rows: Vec<Vec<String>> =
                self.findings.iter().map(|finding| vec![finding.code.clone(), finding.summary.clone()]).collect();
            return table::draw(&["code", "summary"], &rows, width);
        }
        self.findings.iter().map(|finding| finding.draw(width)).collect()
    }
}

impl Explanation {
    fn draw(&self, width: usize) -> String {
        let mut out = wrap(&format!("{}: {}", styled(BOLD, &self.code), self.summary), width, "", "  ");
        for (label, text) in [
            ("Means", &self.means),
            ("Rests on", &self.rests_on),
            ("Innocent", &self.innocent_causes),
            ("What to do", &self.what_to_do),
        ] {
            out.push('\n');
            out.push_str(&entry(label, text, width));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_the_document_is_read_whole() {
        let headings = FINDINGS.lines().filter(|line| line.starts_with("## ")).count();
        let findings = explanations();
        assert_eq!(findings.len(), headings, "a section lacks its summary or one of its paragraphs");
        for finding in &findings {
            let texts = [&finding.means, &finding.rests_on, &finding.innocent_causes, &finding.what_to_do];
            assert!(texts.iter().all(|text| text.ends_with('.')), "{finding:?}");
        }
        assert!(findings.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn pages_fit_every_width() {
        for width in [20, 40, 49, 50, 80, 200] {
            let pages = explanations().into_iter().map(|finding| finding.draw(width)).chain([all().draw(width)]);
            for page in pages {
                let text = anstream::adapter::strip_str(&page).to_string();
                let widest = text.lines().map(textwrap::core::display_width).max();
                assert!(widest <= Some(width), "{width}: {text}");
            }
        }
    }
}
