//! Parsers of the kernel's texts below `/proc`. They only parse the bytes that they are given.
//!
//! Nothing here opens, reads or asks for anything. A line that is not in the documented form is a [`LineError`] that
//! names it; a parser of an additional source, where a part is enough, leaves such lines out; its comment says so.

use thiserror::Error;

pub mod cgroup;
pub mod credentials;
pub mod fdinfo;
pub mod locks;
pub mod maps;
pub mod mountinfo;
pub mod namespaces;
pub mod process;
pub mod timens;

/// A line of a `/proc` text that is not in the form the kernel documents.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} was not understood: {text:?}")]
pub struct LineError {
    /// Line, from 1.
    pub line: usize,
    /// The line, at most 200 bytes of it.
    pub text: String,
}

impl LineError {
    /// The error for the line at `index`, counted from 0.
    fn new(index: usize, line: &[u8]) -> Self {
        let shown = line.get(..200).unwrap_or(line);
        Self { line: index.saturating_add(1), text: String::from_utf8_lossy(shown).into_owned() }
    }
}

/// Reads a text line by line; empty lines are left out.
fn each_line<'a, T>(text: &'a [u8], parse: impl Fn(&'a [u8]) -> Option<T>) -> Result<Vec<T>, LineError> {
    lines(text, parse).collect()
}

/// Every line of a text by itself; empty lines are left out.
fn lines<'a, T>(text: &'a [u8], parse: impl Fn(&'a [u8]) -> Option<T>) -> impl Iterator<Item = Result<T, LineError>> {
    let lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(move |(index, line)| parse(line).ok_or_else(|| LineError::new(index, line)))
}
