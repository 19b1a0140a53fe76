//! Words and numbers for people. Everything here is wrapped to a width, and text from outside passes through
//! [`line`](super::line()).

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter, core::display_width};

use super::finding::{self, FindingDocument};
use super::line;
use super::shm::Lock;
use crate::evidence::{Holder, LockSlot, ProcessState};
use crate::finding::Severity;
use crate::say::held_up::duration;
pub(crate) use crate::say::{count, many};

/// Width of the labels at the left.
pub(crate) const LABEL: usize = 12;
/// On pages narrower than this, labels have their own lines.
const NARROW: usize = 50;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();

/// `text` in a style. The text must be safe already.
pub(crate) fn styled(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// Indent of the text beside a label, at this width.
pub(crate) fn indent(width: usize) -> usize {
    if width < NARROW { 2 } else { LABEL }
}

/// A label and a text beside it, wrapped; ends with a newline. The text may be styled and must be safe.
pub(crate) fn entry(label: &str, text: &str, width: usize) -> String {
    let margin = " ".repeat(indent(width));
    let beside = width >= NARROW && display_width(label) < LABEL;
    let first = if beside { format!("{}{}", styled(BOLD, label), pad(label, LABEL)) } else { margin.clone() };
    let wrapped = wrap(text, width, &first, &margin);
    if beside || label.is_empty() { wrapped } else { format!("{}\n{wrapped}", styled(BOLD, label)) }
}

/// The label alone, for a line that must not be wrapped.
pub(crate) fn label(label: &str, width: usize) -> String {
    let beside = width >= NARROW && display_width(label) < LABEL;
    if beside { format!("{}{}", styled(BOLD, label), pad(label, LABEL)) } else { format!("{}\n", styled(BOLD, label)) }
}

/// Wraps to a width, breaking long words; ends with a newline.
pub(crate) fn wrap(text: &str, width: usize, first: &str, rest: &str) -> String {
    // A name such as `-shm` or `app-1.db` is not broken behind its hyphen.
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    let mut out = String::new();
    for line in textwrap::wrap(text, options) {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn pad(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(display_width(text)))
}

/// A size in the largest unit that keeps the number readable; exact below 10 KiB.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 10 * 1024 && !n.is_multiple_of(1024) {
        return many(n, "byte");
    }
    let mut unit = "bytes";
    let mut value = n;
    let mut rest = 0;
    for next in UNITS {
        if value < 1024 {
            break;
        }
        (value, rest) = (value / 1024, value % 1024 * 10 / 1024);
        unit = next;
    }
    if value < 10 && rest > 0 { format!("{value}.{rest} {unit}") } else { format!("{value} {unit}") }
}

/// The holder of a lock: `pid 31 (sqlite3) in container 0a1b2c3d4e5f`.
pub(crate) fn holder(holder: &Holder) -> String {
    named(holder, holder.command.as_ref().map(|command| line(command)).as_slice())
}

/// The same with its age: `pid 31 (sqlite3, process started 2 h ago)`.
fn with_age(holder: &Holder) -> String {
    let age = holder.started_at.and_then(|started| started.age());
    let age = age.map(|age| format!("process started {} ago", duration(age)));
    let more: Vec<String> = holder.command.as_ref().map(|command| line(command)).into_iter().chain(age).collect();
    named(holder, &more)
}

fn named(holder: &Holder, more: &[String]) -> String {
    let mut out = holder.pid.map_or_else(|| "a process not visible from here".to_owned(), |pid| format!("pid {pid}"));
    if !more.is_empty() {
        out.push_str(&format!(" ({})", more.join(", ")));
    }
    if let Some(container) = &holder.container {
        out.push_str(&format!(" in container {}", short_id(container)));
    }
    if let Some(kept) = holder.process_state.and_then(ProcessState::kept_from_running) {
        out.push_str(&format!(", {kept}"));
    }
    if let Some(taker) = holder.taken_by {
        out.push_str(&format!(", through descriptors of process {taker}, which took it"));
    }
    out
}

/// All holders, or that none is visible.
pub(crate) fn holders(all: &[Holder]) -> String {
    if all.is_empty() {
        return "holder not visible from here".to_owned();
    }
    all.iter().map(holder).collect::<Vec<_>>().join(", ")
}

/// Who holds a lock in a table. Every connection has the dead-man switch: there the names are enough.
pub(crate) fn holders_of(lock: &Lock) -> String {
    match lock.name {
        LockSlot::DeadManSwitch => holders(&lock.holders),
        _ if lock.holders.is_empty() => holders(&[]),
        _ => lock.holders.iter().map(with_age).collect::<Vec<_>>().join(", "),
    }
}

/// A container's id as docker shows it: the first 12 of 64 hexadecimal digits; names stay whole.
pub(crate) fn short_id(id: &str) -> String {
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    line(if is_id { id.get(..12).unwrap_or(id) } else { id })
}

/// A snake-case name of the contract in words.
pub(crate) fn words(name: &impl serde::Serialize) -> String {
    match serde_json::to_value(name) {
        Ok(serde_json::Value::String(name)) => name.replace('_', " "),
        _ => String::new(),
    }
}

/// Findings, one paragraph each; nothing when there are none.
pub(crate) fn findings(all: &[FindingDocument], width: usize) -> String {
    let mut out = String::new();
    for one in all {
        let style = match one.severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
            Severity::Notice => BOLD,
            Severity::Info => DIM,
        };
        let text = format!(
            "{} [{}] {} {}",
            line(&one.title).trim_end_matches('.').to_owned() + ".",
            line(&one.code),
            line(&one.detail),
            line(&one.advice)
        );
        let label = finding::word(one.severity);
        let margin = " ".repeat(indent(width));
        let first = if indent(width) == LABEL {
            format!("{}{}", styled(style, label), pad(label, LABEL))
        } else {
            format!("{}: ", styled(style, label))
        };
        out.push_str(&wrap(&text, width, &first, &margin));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{LockState, StartedAt};

    #[test]
    fn sizes_are_said_in_the_largest_fitting_unit() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(3), "3 bytes");
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(32), "32 bytes");
        assert_eq!(bytes(4096), "4 KiB");
        assert_eq!(bytes(5_000), "5,000 bytes");
        assert_eq!(bytes(380_000), "371 KiB");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(bytes(u64::MAX), "16383 PiB");
    }

    #[test]
    fn a_table_says_how_long_ago_a_holder_was_started() {
        let started_at = Some(StartedAt { seconds: 1000, seen: Some(8500) });
        let holder = Holder { pid: Some(7), command: Some("app".into()), started_at, ..Holder::default() };
        let of = |name| {
            let lock = LockState::Exclusive;
            holders_of(&Lock { name, lock, holders: vec![holder.clone()] })
        };
        assert_eq!(of(LockSlot::Write), "pid 7 (app, process started 2 h 5 min ago)");
        assert_eq!(of(LockSlot::DeadManSwitch), "pid 7 (app)");
    }

    #[test]
    fn a_holder_names_no_control_characters() {
        let hostile = Holder {
            pid: Some(7),
            command: Some("a\u{1b}[31mb".into()),
            container: Some("x\ny".into()),
            ..Holder::default()
        };
        let text = holder(&hostile);
        assert!(!text.contains(['\u{1b}', '\n']), "{text}");
        assert_eq!(holders(&[]), "holder not visible from here");
    }

    #[test]
    fn a_container_id_is_shortened_and_a_name_is_not() {
        assert_eq!(short_id(&"ab".repeat(32)), "abababababab");
        assert_eq!(short_id("writer"), "writer");
    }
}
