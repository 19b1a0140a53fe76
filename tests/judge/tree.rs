//! Two hundred databases in a tree of folders, some of them damaged: `verify` warns of each damaged one, and of no other.
//! Two kinds of damage are less: a bit flipped in the last transaction of a `-wal`, which a crash can leave too, is a notice;
//! and the length of a database in rollback mode shows nothing, so none of these is cut short.
//!
//! `WALSCOPE_SEED=n cargo test --test judge tree -- --nocapture` tries another tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;

use crate::common::command::walscope;
use crate::common::in_memory;
use crate::common::random::Random;
use crate::sqlite::codes;

const DATABASES: usize = 200;
/// One in so many is damaged.
const DAMAGED: u64 = 4;
/// The damage that a crash can leave too.
const LAST_TRANSACTION: &str = "a bit flipped in the last transaction of the -wal";
const PAGE_OF_ZEROS: &str = "a page of zeros";
/// The version in the header of a database in rollback mode.
const ROLLBACK: u8 = 1;

/// The three files of a database at rest.
#[derive(Clone)]
struct Files {
    database: Vec<u8>,
    wal: Option<Vec<u8>>,
    shm: Option<Vec<u8>>,
    /// Frames up to the last commit.
    committed: usize,
    page_size: usize,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

impl Files {
    fn write(&self, path: &Path) {
        for (suffix, content) in [("", Some(&self.database)), ("-wal", self.wal.as_ref()), ("-shm", self.shm.as_ref())]
        {
            let _ = fs::remove_file(beside(path, suffix));
            if let Some(content) = content {
                fs::write(beside(path, suffix), content).unwrap();
            }
        }
    }

    /// A healthy database: closed, or as a killed process leaves it.
    fn healthy(path: &Path, random: &mut Random) -> Self {
        let page_size = random.pick(&[512, 1024, 4096, 4096, 8192]);
        let db = Connection::open(path).unwrap();
        let mut committed = 0;
        let run = |sql: &str| db.execute_batch(sql).unwrap();
        run(&format!(
            "PRAGMA page_size={page_size}; PRAGMA synchronous=OFF; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;
             CREATE TABLE t(id INTEGER PRIMARY KEY, d BLOB); CREATE TABLE other{}(x)",
            random.below(1000)
        ));
        for _ in 0..3 + random.below(20) {
            let bytes = 1 + random.below(3000);
            match random.below(8) {
                0 => run(&format!("PRAGMA wal_checkpoint({})", random.pick(&["PASSIVE", "RESTART", "TRUNCATE"]))),
                1 => run("DELETE FROM t WHERE id % 5 = 0"),
                2 => run(&format!("UPDATE t SET d = randomblob({bytes}) WHERE id % 3 = 0")),
                _ => run(&format!(
                    "INSERT INTO t(d) WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < {}) SELECT randomblob({bytes}) FROM n",
                    1 + random.below(12)
                )),
            }
        }
        match random.below(6) {
            0 => run("PRAGMA journal_mode=DELETE"),
            1 => {}
            // Something is pending.
            _ => {
                run(&format!("INSERT INTO t(d) VALUES(randomblob({}))", 1 + random.below(9000)));
                committed =
                    db.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get::<_, i64>(1)).unwrap() as usize;
            }
        }
        let with_index = random.one_in(2);
        if committed == 0 {
            drop(db);
        }
        // Nobody else has the database open, so that no lock is lost by this.
        let read = |suffix: &str| fs::read(beside(path, suffix)).ok();
        let (database, wal) = (read("").unwrap(), read("-wal"));
        Self { database, wal, shm: read("-shm").filter(|_| with_index), committed, page_size }
    }

    /// All that SQLite finds in copies; `None` if that is not a whole database.
    fn content(&self) -> Option<Vec<(i64, Vec<u8>)>> {
        let folder = in_memory();
        let path = folder.path().join("t.db");
        self.write(&path);
        let read = || -> rusqlite::Result<_> {
            let db = Connection::open(&path)?;
            let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            let mut rows = db.prepare("SELECT id, d FROM t ORDER BY id")?;
            let rows: Vec<(i64, Vec<u8>)> =
                rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
            Ok((check == "ok").then_some(rows))
        };
        read().ok().flatten()
    }

    /// Where the last transaction begins in the `-wal`.
    fn last_transaction(&self) -> usize {
        let frame = 24 + self.page_size;
        let wal = self.wal.as_deref().unwrap();
        let commits = |number: &usize| wal[32 + number * frame + 4..32 + number * frame + 8] != [0; 4];
        32 + (0..self.committed - 1).rfind(commits).map_or(0, |number| (number + 1) * frame)
    }

    /// Damages it, and says how; `None` if there is nothing to damage in that way.
    fn damage(&mut self, foreign: &Self, random: &mut Random) -> Option<&'static str> {
        let last = if self.committed > 0 { self.last_transaction() } else { 0 };
        let end = 32 + self.committed * (24 + self.page_size);
        let wal = self.wal.as_mut().filter(|_| self.committed > 0);
        Some(match random.below(5) {
            0 => {
                let bit = random.below(end as u64 * 8) as usize;
                wal?[bit / 8] ^= 1 << (bit % 8);
                // The header counts for all transactions.
                if bit / 8 >= last.max(32) { LAST_TRANSACTION } else { "a bit flipped in the -wal" }
            }
            1 => {
                *wal? = foreign.wal.clone().filter(|_| foreign.committed > 0)?;
                "the -wal of another database"
            }
            2 => {
                wal?[..32].fill(0);
                "the header of the -wal zeroed"
            }
            3 => {
                self.database[..100].fill(0);
                "the header of the database zeroed"
            }
            4 => {
                let pages = self.database.len() / self.page_size;
                let page = 1 + random.below(pages.checked_sub(1).filter(|pages| *pages > 0)? as u64) as usize;
                self.database[page * self.page_size..(page + 1) * self.page_size].fill(0);
                PAGE_OF_ZEROS
            }
            _ if self.database[18] == ROLLBACK => return None,
            _ => {
                self.database.truncate(1 + random.below(self.database.len() as u64 - 1) as usize);
                "the database cut short"
            }
        })
    }
}

/// Whether a damaged database is warned of, and a healthy one is not.
fn is_right(document: &Value, how: Option<&str>) -> bool {
    let warned = codes(document).iter().any(|(_, severity)| severity == "warning" || severity == "error");
    match how {
        Some(LAST_TRANSACTION) => document["verdict"]["result"] != "sound",
        how => warned == how.is_some(),
    }
}

/// One `verify` of the folder says the same. `alone` has the exit code for each database alone, and how it was damaged.
fn below_the_folder(root: &Path, mut alone: BTreeMap<String, (i32, Option<&str>)>, wrong: &mut Vec<String>) {
    let ran = walscope(root, &["verify", ".", "--json"]);
    let document = ran.json();
    for one in document["databases"].as_array().unwrap() {
        let label = one["source"]["label"].as_str().unwrap();
        let Some((code, how)) = alone.remove(label) else { panic!("{label} is no database, or twice") };
        if code > 1 || !is_right(one, how) {
            wrong.push(format!("{label} below its folder: {}, {:?}", how.unwrap_or("healthy"), codes(one)));
        }
    }
    // What is not there has too few bytes.
    wrong.extend(alone.iter().filter(|(_, (code, _))| *code <= 1).map(|(label, _)| format!("{label} was not found")));
    let (unread, failed) = (document["counts"]["not_looked_at"] != 0, document["counts"]["wrong"] != 0);
    assert_eq!(ran.code, if unread { 2 } else { i32::from(failed) }, "{}", document["counts"]);
}

#[test]
fn each_damaged_database_of_a_tree_is_warned_of_and_no_other() {
    let seed = std::env::var("WALSCOPE_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("WALSCOPE_SEED={seed}");
    let mut random = Random(seed);
    let root = in_memory();
    let (made, mut healthy): (PathBuf, Vec<Files>) = (root.path().join("made.db"), Vec::new());
    for _ in 0..DATABASES {
        healthy.push(Files::healthy(&made, &mut random));
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&made, suffix));
        }
    }
    let (mut wrong, mut damaged) = (Vec::new(), 0);
    let mut alone = BTreeMap::new();
    for (number, files) in healthy.iter().enumerate() {
        let mut files = files.clone();
        let mut how = None;
        if random.one_in(DAMAGED) {
            let before = files.content();
            assert!(before.is_some(), "seed {seed}: number {number} is healthy");
            // What SQLite does not notice is no damage: a page that is cut off and has a frame, for example.
            for _ in 0..20 {
                let (mut changed, foreign) = (files.clone(), &healthy[random.below(DATABASES as u64) as usize]);
                how = changed.damage(foreign, &mut random).filter(|how| match *how {
                    // An overflow page of zeros is only other content.
                    PAGE_OF_ZEROS => changed.content().is_none(),
                    _ => changed.content() != before,
                });
                if how.is_some() {
                    files = changed;
                    damaged += 1;
                    break;
                }
            }
        }
        let folder = root.path().join(format!("{}/{}", number % 7, number % 5));
        fs::create_dir_all(&folder).unwrap();
        let name = format!("{number}.db");
        files.write(&folder.join(&name));
        let ran = walscope(&folder, &["verify", &name, "--json"]);
        alone.insert(format!("./{}/{}/{name}", number % 7, number % 5), (ran.code, how));
        // Fewer bytes than a header has cannot be looked at.
        if ran.code == 2 && files.database.len() < 100 {
            continue;
        }
        assert!(ran.code <= 1, "seed {seed}, {name}, {how:?}: {}", ran.stderr);
        if !is_right(&ran.json(), how) {
            wrong.push(format!("{name}: {}, {:?}", how.unwrap_or("healthy"), codes(&ran.json())));
        }
    }
    below_the_folder(root.path(), alone, &mut wrong);
    println!("{damaged} of {DATABASES} are damaged");
    assert!(damaged > DATABASES / 8, "seed {seed}: only {damaged} are damaged");
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
}
