//! Exit codes: a contract with scripts.

use std::io;
use std::process::ExitCode;

use walscope::report::verdict::Answer;

use crate::output::complain;
use crate::wrong_command;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Answered, nothing found; or sharing proven.
    Good = 0,
    /// Answered, something found; or sharing refuted.
    Bad = 1,
    /// Could not answer.
    NoAnswer = 2,
    /// Answered, but undecided.
    Undecided = 3,
    /// A signal ended it (128 + SIGINT), after it had cleaned up.
    #[cfg(feature = "lab")]
    Interrupted = 130,
}

/// The exit code of a verdict.
pub fn exit_of(sharing: Answer) -> Exit {
    match sharing {
        Answer::Proven => Exit::Good,
        Answer::Refuted => Exit::Bad,
        Answer::Undecided => Exit::Undecided,
    }
}

/// Turns the result of a command into the exit code of the process.
pub fn conclude(result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => ExitCode::from(exit as u8),
        // The reader went away before there was an answer: exit code 0 would be an answer.
        Err(error) if broken_pipe(&error) => ExitCode::from(Exit::NoAnswer as u8),
        Err(error) => {
            complain(&format!("walscope: {}\n", walscope::report::line(&message(&error))));
            for line in error.downcast_ref::<Advice>().into_iter().flat_map(|advice| &advice.lines) {
                complain(&format!("  {}\n", walscope::report::line(line)));
            }
            ExitCode::from(Exit::NoAnswer as u8)
        }
    }
}

/// An error with lines of advice below it: commands to copy.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Advice {
    /// The error and its causes in one line.
    pub message: String,
    /// The lines below it.
    pub lines: Vec<String>,
}

/// The error and its causes in one line. Errors of the library already contain their cause, so it is not repeated.
pub fn message(error: &anyhow::Error) -> String {
    let mut out = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if out.is_empty() {
            out = cause;
        } else if !out.ends_with(&cause) {
            out = format!("{out}: {cause}");
        }
    }
    out
}

/// Prints clap's message: help and version are answers, everything else is bad usage.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::from(Exit::Good as u8);
    }
    if let Some(advice) = wrong_command::advice(error) {
        return conclude(Err(advice.into()));
    }
    // The message repeats the argument, which can be the name of a file that begins with a hyphen.
    complain(&walscope::report::safe(&error.render().to_string()));
    ExitCode::from(Exit::NoAnswer as u8)
}

/// Ignores a broken pipe: when the reader goes away before the end of an answer, that is no error, and the exit code
/// stays that of the answer. Held by `a_reader_that_goes_away_does_not_change_the_exit_code`.
pub fn answered(written: anyhow::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if broken_pipe(&error) => Ok(()),
        written => written,
    }
}

/// Whether the reader of our output went away.
pub fn broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
