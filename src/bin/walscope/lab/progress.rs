//! What the user sees while the experiment runs: on standard output, or with `--json` on standard error if that is a
//! terminal.

use std::io::{self, IsTerminal};

use walscope::report::safe;

use super::experiment::Step;
use crate::options::Global;
use crate::output;

/// Columns of one side's count.
const COUNT: usize = 10;

/// Where progress goes.
pub struct Progress {
    global: Global,
    width: usize,
    aside: bool,
}

impl Progress {
    /// Progress where the command line wants it.
    pub fn new(global: &Global) -> Self {
        Self { global: global.clone(), width: output::width(global), aside: global.json }
    }

    /// Progress that is never on standard output.
    pub fn aside(global: &Global) -> Self {
        Self { aside: true, ..Self::new(global) }
    }

    /// Shows a paragraph.
    pub fn note(&self, text: &str) -> anyhow::Result<()> {
        self.print(&textwrap::fill(&safe(text), self.width))
    }

    /// Prints a text that is safe for a terminal and fits the width.
    fn print(&self, text: &str) -> anyhow::Result<()> {
        if !self.aside {
            return output::text(&self.global, &format!("{text}\n"));
        }
        if io::stderr().is_terminal() {
            output::complain(&format!("{text}\n"));
        }
        Ok(())
    }

    /// Shows the heading of the steps.
    pub fn heading(&self) -> anyhow::Result<()> {
        self.note("")?;
        self.row("step", "writer", "reader")
    }

    /// Shows a finished step, with the rows that each side counts.
    pub fn step(&self, step: &Step) -> anyhow::Result<()> {
        let cell = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        self.row(&step.action, &cell(step.writer), &cell(step.reader))?;
        step.note.as_ref().map_or(Ok(()), |note| {
            let options = textwrap::Options::new(self.width).initial_indent("  ").subsequent_indent("  ");
            self.print(&textwrap::fill(&safe(note), options))
        })
    }

    fn row(&self, action: &str, writer: &str, reader: &str) -> anyhow::Result<()> {
        let width = self.width;
        let counts = format!("{writer:>COUNT$}{reader:>COUNT$}");
        let rest = width.saturating_sub(counts.chars().count());
        if action.chars().count() <= rest {
            return self.print(&format!("{action:rest$}{counts}"));
        }
        // On a narrow terminal the counts are below the text.
        self.print(&format!("{}\n{counts:>width$}", textwrap::fill(action, width)))
    }
}
