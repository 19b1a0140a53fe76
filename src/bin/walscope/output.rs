//! Where answers go: JSON or drawing, width, colour.

use std::cell::RefCell;
use std::io::{self, Write};

use serde::ser::{Error, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, PrettyFormatter};

use crate::exit::answered;
use crate::harmless::Harmless;
use crate::options::{Color, Global};

/// Columns to draw for.
pub fn width(global: &Global) -> usize {
    let terminal =
        || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns >= 20);
    usize::from(global.width.or_else(terminal).unwrap_or(100))
}

/// Prints the document as JSON, or what `draw` makes of it for the width. A reader that goes away early is no error.
pub fn document(global: &Global, document: &impl Serialize, draw: impl FnOnce(usize) -> String) -> anyhow::Result<()> {
    answered(if global.json { write_json(io::stdout().lock(), document) } else { text(global, &draw(width(global))) })
}

/// Writes one JSON document.
pub fn write_json(out: impl Write, document: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(out);
    let mut json = serde_json::Serializer::with_formatter(&mut out, Harmless(PrettyFormatter::new()));
    document.serialize(&mut json).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints text that may contain colour, which is removed when it is not wanted.
pub fn text(global: &Global, text: &str) -> anyhow::Result<()> {
    let mut out = page(global);
    out.text(text)?;
    out.flush()?;
    Ok(())
}

/// Standard output for text of any length. It is collected in memory and written in large pieces.
pub struct Page {
    out: io::StdoutLock<'static>,
    buffer: String,
    colour: bool,
}

/// Opens standard output for text; call `flush` at the end.
pub fn page(global: &Global) -> Page {
    let colour = match global.color {
        Color::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
        Color::Always => true,
        Color::Never => false,
    };
    Page { out: io::stdout().lock(), buffer: String::with_capacity(2 * AT_ONCE), colour }
}

impl Page {
    /// Whether colour is wanted.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Writes text that may contain colour, which is removed when it is not wanted.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        let colour = self.colour;
        self.append(|out| match colour {
            true => out.push_str(text),
            false => out.extend(anstream::adapter::strip_str(text)),
        })
    }

    /// Writes what `add` appends, unchanged: text that was made for [`Page::colour`], such as a row of a table.
    pub fn append(&mut self, add: impl FnOnce(&mut String)) -> io::Result<()> {
        add(&mut self.buffer);
        if self.buffer.len() < AT_ONCE { Ok(()) } else { self.flush() }
    }

    /// Writes what is still in memory.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(self.buffer.as_bytes());
        self.buffer.clear();
        written.and_then(|()| self.out.flush())
    }
}

/// Shows what was collected before an error.
impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Bytes of rows, or of JSON lines, that are collected before they are written.
const AT_ONCE: usize = 64 * 1024;

/// Standard output for one JSON value in each line. Values are collected in memory and written in large pieces.
pub struct Lines {
    out: io::StdoutLock<'static>,
    buffer: Vec<u8>,
}

/// Opens standard output for JSON lines; call `flush` at the end.
pub fn lines() -> Lines {
    Lines { out: io::stdout().lock(), buffer: Vec::with_capacity(2 * AT_ONCE) }
}

impl Lines {
    /// Writes one JSON value as a line of its own.
    pub fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut json = serde_json::Serializer::with_formatter(&mut self.buffer, Harmless(CompactFormatter));
        value.serialize(&mut json).map_err(io::Error::from)?;
        self.buffer.push(b'\n');
        if self.buffer.len() < AT_ONCE { Ok(()) } else { self.flush() }
    }

    /// Writes what is still in memory.
    pub fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written.and_then(|()| self.out.flush())
    }
}

/// The function to which a walk passes its elements.
pub type Sink<'a, T> = &'a mut dyn FnMut(&T) -> io::Result<()>;

/// A JSON array that is made while it is written: its elements are never collected.
pub struct Streamed<'a, T>(RefCell<Walk<'a, T>>);

/// A function that passes each element of an array to a sink.
pub type Walk<'a, T> = &'a mut dyn FnMut(Sink<'_, T>) -> io::Result<()>;

impl<'a, T> Streamed<'a, T> {
    /// The array of the elements that `walk` passes on.
    pub fn new(walk: Walk<'a, T>) -> Self {
        Self(RefCell::new(walk))
    }
}

impl<T: Serialize> Serialize for Streamed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(None)?;
        // An error of the writer keeps its kind, because a broken pipe is no error.
        let mut failed = None;
        let walked = (self.0.borrow_mut())(&mut |element| {
            array.serialize_element(element).map_err(|error| {
                failed = Some(error);
                io::Error::other("could not be written")
            })
        });
        match (failed, walked) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(S::Error::custom(error)),
            (None, Ok(())) => array.end(),
        }
    }
}

/// Writes a message to standard error. A failure to write it is ignored.
pub fn complain(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}
