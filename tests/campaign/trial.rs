//! One history with accidents about files, and what `verify` says of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::random::Random;
use crate::history::{Crew, History};
use crate::lies::{ALL, Accident, Made, Silent, silent};
use crate::moments::{Bench, Content, Files, Moment, Told, told};
use crate::tally::Tally;
use crate::traces::{Loud, Trace, traces};

/// Accidents at rest of one history.
const ACCIDENTS: usize = 8;

/// What became of an accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Something was lost, and a warning says it.
    Warned,
    /// Something was lost, and it is not called sound. A crash leaves the same.
    AsACrash,
    /// Something was lost, the files do not show it by the definition of `traces`, and it is not called sound all the same.
    NotedAllTheSame,
    /// Something was lost, and no file shows it.
    Silent(Silent),
    /// Nothing was lost, and nothing said.
    Harmless,
    /// Nothing was lost; a warning says what the files show.
    HarmlessWarned,
    /// Nothing was lost. The files are of no one moment, and a warning says so by more than `traces` defines.
    HarmlessWarnedByMore,
}

/// Judges one accident. An error tells what is wrong with walscope, or with the definition.
fn fate(
    accident: Accident,
    made: &Made,
    of_one_moment: bool,
    lost: bool,
    shown: &BTreeSet<Trace>,
    told: &Told,
) -> Result<Fate, &'static str> {
    let loud = shown.iter().map(|trace| trace.loud()).max();
    match (told, lost, loud) {
        (Told::Warned(_) | Told::Refused(_), true, _) => Ok(Fate::Warned),
        (Told::Warned(_), false, Some(_)) => Ok(Fate::HarmlessWarned),
        (Told::Warned(_), false, None) if !of_one_moment => Ok(Fate::HarmlessWarnedByMore),
        (Told::Warned(_), false, None) => Err("a warning, and the files are those of one moment"),
        (_, false, _) => Ok(Fate::Harmless),
        (Told::Noted(_), true, Some(Loud::NotSound)) => Ok(Fate::AsACrash),
        (Told::Noted(_), true, None) => Ok(Fate::NotedAllTheSame),
        (Told::Sound, true, None) => {
            silent(accident, made).map(Fate::Silent).ok_or("nothing shows it, and no reason is known")
        }
        (_, true, Some(_)) => Err("the files show it, and it is not said"),
    }
}

/// One history, its moments, and its accidents.
pub struct Trial<'a> {
    pub seed: u64,
    pub bench: &'a Bench,
    pub tally: &'a mut Tally,
    pub wrong: Vec<String>,
    random: Random,
}

impl<'a> Trial<'a> {
    pub fn run(seed: u64, crew: &mut Crew, bench: &'a Bench, tally: &'a mut Tally) -> Vec<String> {
        let mut random = Random(seed ^ 0x6c69_6573);
        let in_use = random.one_in(3);
        let mut ignored = Tally::default();
        let (history, keeper) = History::kept(seed, crew, &mut ignored);
        let mut trial = Self { seed, bench, tally, wrong: Vec::new(), random };
        let moments = keeper.finish(bench);
        for moment in &moments {
            trial.healthy(moment);
        }
        if in_use && history.index.is_some() {
            trial.restore_in_use(&history, &moments);
            history.abandon();
        } else {
            history.finish();
        }
        if !moments.is_empty() {
            for _ in 0..ACCIDENTS {
                let accident = Accident::at_rest(&mut trial.random);
                if let Some(made) = accident.happen(&moments, &mut trial.random) {
                    let said = bench.told(&made.files);
                    trial.judge(accident, &made, &said, &moments);
                }
            }
        }
        trial.tally.histories += 1;
        trial.wrong
    }

    /// A copy of all files at one moment, with the `-shm` and without it.
    fn healthy(&mut self, moment: &Moment) {
        let at_rest = if moment.at_rest { "at rest" } else { "in use" };
        let shown: Vec<Trace> =
            traces(&moment.files).into_iter().filter(|trace| trace.loud() == Loud::Warning).collect();
        if !shown.is_empty() {
            self.wrong.push(format!(
                "seed {}, after step {}, {at_rest}: traces in a whole copy: {shown:?}",
                self.seed, moment.after
            ));
        }
        for files in [moment.files.clone(), moment.files.clone().without_index()] {
            if let Told::Warned(codes) = self.bench.told(&files) {
                self.wrong
                    .push(format!("seed {}, after step {}, {at_rest}: a whole copy: {codes}", self.seed, moment.after));
            }
            self.tally.count(format!("whole copy, {at_rest}"));
        }
    }

    /// An older copy is written over the database while processes have it open, as `cp` does it.
    fn restore_in_use(&mut self, history: &History<'_>, moments: &[Moment]) {
        let now = Files::of(&history.path);
        let Some(old) = moments.iter().find(|moment| moment.files.database != now.database) else { return };
        let whole = vec![old.content.clone(), self.bench.content(&now)];
        fs::write(&history.path, &old.files.database).unwrap();
        let made = Made { files: Files::of(&history.path), whole, right: Some(now.database) };
        let said = told(&history.path);
        self.judge(Accident::OlderDatabaseInUse, &made, &said, moments);
    }

    /// Keeps the files of what went wrong, if somebody wants to look at them.
    fn keep(&self, accident: Accident, made: &Made) {
        if let Some(folder) = std::env::var_os("WALSCOPE_KEEP") {
            let folder = Path::new(&folder).join(format!("{}-{accident:?}", self.seed));
            fs::create_dir_all(&folder).unwrap();
            made.files.write(&folder.join("t.db"));
        }
    }

    fn judge(&mut self, accident: Accident, made: &Made, told: &Told, moments: &[Moment]) {
        let content = self.bench.content(&made.files);
        let lost = !made.whole.contains(&content);
        let shown = traces(&made.files);
        let mut count = |what: String| self.tally.count(format!("{accident:?}: {what}"));
        count("made".to_owned());
        if lost {
            count("lost".to_owned());
        }
        let same = |moment: &Moment| moment.files.are_those(&made.files);
        match fate(accident, made, moments.iter().any(same), lost, &shown, told) {
            Ok(fate) => count(format!("{fate:?}")),
            Err(why) => {
                count(format!("WRONG: {why}"));
                let how = match content {
                    Content::Rows(_) if lost => "other rows".to_owned(),
                    Content::Rows(_) => "whole".to_owned(),
                    other => format!("{other:?}"),
                };
                self.keep(accident, made);
                self.wrong.push(format!("seed {}, {accident:?}: {why}: {how}; {shown:?}; {told:?}", self.seed));
            }
        }
    }
}

/// The table of docs/reliability.md.
pub fn table(total: &Tally) -> String {
    let mut table = String::from(
        "| accident | made | something lost | warned | not called sound | no trace |\n|---|---|---|---|---|---|\n",
    );
    for (accident, name) in ALL {
        let of = |what: &str| total.sum(&format!("{accident:?}: {what}"));
        let row = ["made", "lost", "Warned", "NotedAllTheSame", "Silent"].map(of);
        let [made, lost, warned, noted, silent] = row;
        let noted = noted + of("AsACrash");
        table += &format!("| {name} | {made} | {lost} | {warned} | {noted} | {silent} |\n");
    }
    table
}
