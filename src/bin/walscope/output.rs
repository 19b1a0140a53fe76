//! Where answers go: JSON or drawing, width, colour.

use std::io::{self, Write};

use serde::Serialize;

use crate::args::{Color, Global};

/// Columns to draw for.
pub fn width(global: &Global) -> usize {
    let terminal =
        || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|columns| *columns >= 20);
    usize::from(global.width.or_else(terminal).unwrap_or(100))
}

/// Prints the document as JSON, or what `draw` makes of it for the width.
pub fn document(global: &Global, document: &impl Serialize, draw: impl FnOnce(usize) -> String) -> anyhow::Result<()> {
    if global.json { write_json(io::stdout().lock(), document) } else { text(global, &draw(width(global))) }
}

/// Writes one JSON document.
pub fn write_json(out: impl Write, document: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, document).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Prints text that may hold colour; it is taken out where it is not wanted.
pub fn text(global: &Global, text: &str) -> anyhow::Result<()> {
    let choice = match global.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    let mut out = anstream::AutoStream::new(io::stdout(), choice).lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Says something on standard error, where a failure to say it changes nothing.
pub fn complain(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}
