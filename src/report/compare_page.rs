//! The page of `compare`: the sides and how they are joined, the verdict, its evidence, and the lineage.

use textwrap::core::display_width;

use super::compare::{CompareDocument, SideModel};
use super::text::{self, BOLD, GREEN, RED, YELLOW, count, entry, styled, words};
use super::verdict::{Answer, Because, Subject};
use super::{line, table};

/// Columns of a box's content at least.
const BOX_MIN: usize = 14;
/// Columns between two boxes, at least and at most.
const GAP: (usize, usize) = (18, 24);

impl CompareDocument {
    /// The page, at most `width` columns wide, with colour.
    #[must_use]
    pub fn draw(&self, width: usize) -> String {
        let mut out = self.picture(width);
        out.push('\n');
        out.push_str(&entry("Verdict", &self.sentence(), width));
        out.push('\n');
        out.push_str(&self.verdict_table(width));
        out.push('\n');
        out.push_str(&evidence_table(&self.verdict.because, width));
        out.push('\n');
        for lineage in &self.lineages {
            let relation = lineage.relation.map_or_else(|| "unknown".to_owned(), |relation| words(&relation));
            let text = format!("{}: {}", styled(BOLD, &relation), line(&lineage.explanation));
            out.push_str(&entry("Lineage", &text, width));
        }
        out.push('\n');
        out.push_str(&self.movement(width));
        if !self.findings.is_empty() {
            out.push('\n');
            out.push_str(&text::findings(&self.findings, width));
        }
        out
    }

    fn sentence(&self) -> String {
        let answer = styled(style(self.verdict.sharing), &words(&self.verdict.sharing));
        format!("{answer}. {}", line(&self.explanation))
    }

    fn verdict_table(&self, width: usize) -> String {
        let subject = match self.verdict.subject {
            Subject::Paths => "paths: what a process that opens the database now would reach",
            Subject::Mappings => "mappings: what the running processes have mapped",
        };
        let decided_by: Vec<String> = self.verdict.decided_by.iter().map(words).collect();
        let mut rows = vec![
            vec!["sharing".to_owned(), words(&self.verdict.sharing)],
            vec!["memory".to_owned(), words(&self.verdict.memory)],
            vec!["locks".to_owned(), words(&self.verdict.locks)],
            vec!["subject".to_owned(), subject.to_owned()],
        ];
        if !decided_by.is_empty() {
            rows.push(vec!["decided by".to_owned(), decided_by.join(", ")]);
        }
        if !self.verdict.assuming.is_empty() {
            let assuming: Vec<String> = self.verdict.assuming.iter().map(words).collect();
            rows.push(vec!["assuming".to_owned(), assuming.join(", ")]);
        }
        if self.sides.len() > 2 {
            for (i, group) in self.verdict.groups.iter().enumerate() {
                rows.push(vec![format!("group {}", i + 1), group.join(", ")]);
            }
            if !self.verdict.undecided.is_empty() {
                rows.push(vec!["undecided".to_owned(), self.verdict.undecided.join(", ")]);
            }
        }
        table::draw(&["question", "answer"], &rows, width)
    }

    /// Where each side's checkpoint stood.
    fn movement(&self, width: usize) -> String {
        let rows: Vec<Vec<String>> = self
            .sides
            .iter()
            .map(|side| match side.position {
                Some(at) => vec![
                    side.label.clone(),
                    format!("{:08x} {:08x}", at.salt1, at.salt2),
                    count(at.mx_frame),
                    count(at.backfilled),
                    count(at.mx_frame.saturating_sub(at.backfilled)),
                ],
                None => vec![
                    side.label.clone(),
                    "no wal-index to trust".into(),
                    String::new(),
                    String::new(),
                    String::new(),
                ],
            })
            .collect();
        table::draw(&["side", "salts", "mxFrame", "backfilled", "pending"], &rows, width)
    }

    fn picture(&self, width: usize) -> String {
        match self.sides.as_slice() {
            [left, right] if width >= 2 * (BOX_MIN + 4) + GAP.0 => self.side_by_side(left, right, width),
            _ => self.one_below_the_other(width),
        }
    }

    /// Two boxes side by side, and the line that joins or separates them.
    fn side_by_side(&self, left: &SideModel, right: &SideModel, width: usize) -> String {
        let room = (width - GAP.0) / 2 - 4;
        let facts = [facts(left), facts(right)];
        let widest = facts.iter().flatten().map(|text| display_width(text)).max().unwrap_or(BOX_MIN);
        let inner = widest.clamp(BOX_MIN, room);
        let gap = width.saturating_sub(2 * (inner + 4)).clamp(GAP.0, GAP.1);
        let [left, right] = facts.map(|facts| boxed(&facts, inner));
        let height = left.len().max(right.len());
        let middle = height / 2;
        let mut out = String::new();
        for row in 0..height {
            let between = if row == middle {
                link(self.verdict.sharing, gap)
            } else if row + 1 == middle {
                centred(caption(self.verdict.sharing), gap)
            } else {
                " ".repeat(gap)
            };
            let blank = " ".repeat(inner + 4);
            let (left, right) = (left.get(row).unwrap_or(&blank), right.get(row).unwrap_or(&blank));
            out.push_str(format!("{left}{between}{right}").trim_end());
            out.push('\n');
        }
        out
    }

    /// Any number of sides, one below the other; sides of one group are joined.
    fn one_below_the_other(&self, width: usize) -> String {
        let mut out = String::new();
        let mut before: Option<&SideModel> = None;
        for side in self.by_group() {
            if let Some(before) = before {
                let answer = self.between(before, side);
                let glyph = match answer {
                    Answer::Proven => "║",
                    Answer::Refuted => "╳",
                    Answer::Undecided => "?",
                };
                let link = styled(style(answer), &format!("{glyph} {}", caption(answer)));
                out.push_str(&text::wrap(&link, width, "  ", "    "));
            }
            for (i, fact) in facts(side).iter().enumerate() {
                out.push_str(&text::wrap(fact, width, if i == 0 { "* " } else { "  " }, "  "));
            }
            before = Some(side);
        }
        out
    }

    fn by_group(&self) -> Vec<&SideModel> {
        let mut sides: Vec<&SideModel> = self.sides.iter().collect();
        sides.sort_by_key(|side| (self.group_of(side).is_none(), self.group_of(side)));
        sides
    }

    fn group_of(&self, side: &SideModel) -> Option<usize> {
        self.verdict.groups.iter().position(|group| group.contains(&side.label))
    }

    /// The answer between two neighbouring sides.
    fn between(&self, a: &SideModel, b: &SideModel) -> Answer {
        if self.sides.len() == 2 {
            return self.verdict.sharing;
        }
        match (self.group_of(a), self.group_of(b)) {
            (Some(a), Some(b)) if a == b => Answer::Proven,
            (Some(_), Some(_)) if self.verdict.sharing == Answer::Refuted => Answer::Refuted,
            _ => Answer::Undecided,
        }
    }
}

/// Every piece of evidence. Pieces that decide nothing have their reason.
pub(super) fn evidence_table(because: &[Because], width: usize) -> String {
    let rows: Vec<Vec<String>> = because
        .iter()
        .map(|item| {
            let detail = match &item.reason {
                Some(reason) if *reason != item.detail => format!("{} ({reason})", item.detail),
                _ => item.detail.clone(),
            };
            vec![words(&item.kind), words(&item.about), words(&item.says), detail]
        })
        .collect();
    table::draw(&["evidence", "about", "says", "detail"], &rows, width)
}

fn caption(answer: Answer) -> &'static str {
    match answer {
        Answer::Proven => "one wal-index",
        Answer::Refuted => "not shared",
        Answer::Undecided => "undecided",
    }
}

pub(super) fn style(answer: Answer) -> anstyle::Style {
    match answer {
        Answer::Proven => GREEN,
        Answer::Refuted => RED,
        Answer::Undecided => YELLOW,
    }
}

/// The line between two boxes.
fn link(answer: Answer, gap: usize) -> String {
    let drawn = match answer {
        Answer::Proven => "═".repeat(gap),
        Answer::Refuted => format!("{}╳{}", "═".repeat((gap - 1) / 2), "═".repeat(gap / 2)),
        Answer::Undecided => format!("{} ? {}", "╌".repeat((gap - 3) / 2), "╌".repeat((gap - 2) / 2)),
    };
    styled(style(answer), &drawn)
}

fn centred(text: &str, gap: usize) -> String {
    let left = gap.saturating_sub(display_width(text)) / 2;
    format!("{:left$}{text}{:right$}", "", "", right = gap.saturating_sub(display_width(text) + left))
}

/// The lines in a side's box: its name, its wal-index, and how far the WAL is.
fn facts(side: &SideModel) -> Vec<String> {
    let mut facts = vec![line(&side.label)];
    match (&side.container, &side.container_name, &side.host.host_name) {
        (Some(id), Some(name), _) => facts.push(format!("container {} ({})", line(name), text::short_id(id))),
        (Some(id), None, _) => facts.push(format!("container {}", text::short_id(id))),
        (None, _, Some(name)) => facts.push(format!("host {}", line(name))),
        (None, _, None) => {}
    }
    facts.push(match &side.identities.shm {
        None => "no -shm seen".to_owned(),
        Some(shm) => {
            let device = shm.maps_device.as_ref().unwrap_or(&shm.device);
            let inode = shm.maps_inode.as_ref().unwrap_or(&shm.inode);
            let deleted = if shm.links == 0 { ", deleted" } else { "" };
            format!("-shm {device} inode {inode}{deleted}")
        }
    });
    if let Some(at) = side.position {
        facts.push(format!("at frame {}", count(at.mx_frame)));
    }
    facts
}

fn boxed(facts: &[String], inner: usize) -> Vec<String> {
    let mut lines = vec![format!("┌{}┐", "─".repeat(inner + 2))];
    for fact in facts {
        for text in text::wrap(fact, inner, "", "").lines() {
            lines.push(format!("│ {text}{} │", " ".repeat(inner.saturating_sub(display_width(text)))));
        }
    }
    lines.push(format!("└{}┘", "─".repeat(inner + 2)));
    lines
}
