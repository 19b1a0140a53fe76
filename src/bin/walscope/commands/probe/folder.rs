//! A trial on a folder, for a volume that has no database yet.

use std::cell::RefCell;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use walscope::compare::{Met, probe};
use walscope::linux::challenge::{beacon, trial};
use walscope::report::probe::{Action, Latency, On, ProbeDocument, SCHEMA, nonce};

use crate::exit::{Exit, exit_of};
use crate::options::Global;
use crate::output;
use crate::stop::Stop;

/// Meets another side in a folder.
pub fn meet(source: &Path, token: &str, timeout: Duration, stop: &Stop, global: &Global) -> anyhow::Result<Exit> {
    answer(source, token, timeout, Action::Meet, &|| stop.asked(), global)
}

/// How long the second process may take to come.
const TO_COME: Duration = Duration::from_secs(30);

/// Starts a second process, and meets it in a folder, or in the folder of a database.
pub fn try_alone(source: &Path, stop: &Stop, global: &Global) -> anyhow::Result<Exit> {
    let beside = || source.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let folder = match source.is_file() {
        true => beside().unwrap_or(source),
        false => source,
    };
    // Nobody else knows the word, so nobody else is met.
    let token = format!("{:016x}", beacon::nonce().context("random numbers")?);
    let second = RefCell::new(Second::start(folder, &token)?);
    let over = || stop.asked() || second.borrow_mut().has_answered();
    answer(folder, &token, TO_COME, Action::Try, &over, global)
}

/// The second process of a trial. When dropped it is asked to end and waited for: it removes its own file.
struct Second(Child);

impl Second {
    fn start(folder: &Path, token: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("the path of this executable")?);
        command.args(["probe", "meet", "--json", "--timeout", &TO_COME.as_secs().to_string(), "--token", token, "--"]);
        command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("starting the second process")?))
    }

    /// Whether it has ended, and not because it could not answer: then this side comes to the same reason, and tells it.
    fn has_answered(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(ended) if ended.is_none_or(|ended| ended.code() == Some(Exit::NoAnswer as i32)))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It was not waited for, so its number is its own.
        if !self.has_ended()
            && let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

fn answer(
    source: &Path,
    token: &str,
    timeout: Duration,
    action: Action,
    stop: &dyn Fn() -> bool,
    global: &Global,
) -> anyhow::Result<Exit> {
    let folder = File::open(source).with_context(|| source.display().to_string())?;
    let trial = trial::meet(&folder, token, timeout, stop)
        .with_context(|| format!("{}: a scratch file in it", source.display()))?;
    let verdict = probe(Met::Folder(trial.file_system.value()), &trial.live);
    let document = ProbeDocument {
        schema: SCHEMA,
        action,
        on: On::ScratchFile,
        source: source.display().to_string(),
        nonce: nonce(trial.nonce),
        peer_nonce: trial.peer.map(nonce),
        other_nonces: trial.others.iter().copied().map(nonce).collect(),
        acknowledged: trial.peer.map(|_| trial.live.coherence.is_some()),
        held_throughout: None,
        latency: Latency::of(&trial.live),
        verdict: None,
        explanation: String::new(),
        findings: Vec::new(),
        left_behind: trial.left_behind.iter().copied().map(nonce).collect(),
    }
    .judged(&verdict);
    output::document(global, &document, |width| document.draw(width))?;
    Ok(exit_of(verdict.sharing.into()))
}
