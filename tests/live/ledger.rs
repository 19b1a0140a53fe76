//! A database that can tell by itself whether what it holds was ever committed.
//!
//! Every transaction appends rows to `log`, each with a sum over the sum of the row before; rewrites some `cell`s, whose
//! sums are XORed together; and writes both down in `state`. So any mixture of two states, any part of a transaction and
//! any row of a rolled-back one shows.

use rusqlite::{Connection, OptionalExtension, params};

use crate::common::random::Random;

/// Rows of `cell`.
const CELLS: u64 = 64;
/// `log` is cut to this many rows when it has twice as many.
const KEPT: i64 = 60;
/// The `writer` of rows that are never committed.
const POISON: i64 = -1;

/// What `state` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Transactions so far.
    pub tx: i64,
    first: i64,
    base: i64,
    last: i64,
    sum: i64,
    cells: i64,
    sequences: [i64; 2],
}

pub fn hash(numbers: &[i64], body: &[u8]) -> i64 {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in bytes.chain(body.iter().copied()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash as i64
}

/// Makes the tables, if another writer has not yet.
pub fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let there: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if there == 0 {
        db.execute_batch(
            "CREATE TABLE log(id INTEGER PRIMARY KEY, tx, writer, seq, sum, body);
             CREATE TABLE cell(id INTEGER PRIMARY KEY, tx, body);
             CREATE TABLE state(one INTEGER PRIMARY KEY, tx, first, base, last, sum, cells, seq0, seq1);
             INSERT INTO state VALUES (1, 0, 1, 0, 0, 0, 0, 0, 0);",
        )?;
        let mut cells = 0;
        for id in 0..CELLS as i64 {
            db.execute("INSERT INTO cell VALUES (?1, 0, ?2)", params![id, [0u8; 300].as_slice()])?;
            cells ^= hash(&[id, 0], &[0; 300]);
        }
        db.execute("UPDATE state SET cells = ?1", [cells])?;
    }
    db.execute_batch("COMMIT")
}

fn state(db: &Connection) -> rusqlite::Result<State> {
    db.query_row("SELECT tx, first, base, last, sum, cells, seq0, seq1 FROM state", [], |row| {
        Ok(State {
            tx: row.get(0)?,
            first: row.get(1)?,
            base: row.get(2)?,
            last: row.get(3)?,
            sum: row.get(4)?,
            cells: row.get(5)?,
            sequences: [row.get(6)?, row.get(7)?],
        })
    })
}

/// One transaction, up to its commit: the number that it will have.
pub fn write(db: &Connection, writer: usize, random: &mut Random) -> rusqlite::Result<i64> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let mut now = state(db)?;
    now.tx += 1;
    for _ in 0..=random.below(4) {
        now.last += 1;
        now.sequences[writer] += 1;
        let body = vec![random.below(256) as u8; random.below(200) as usize];
        let (number, sequence) = (writer as i64, now.sequences[writer]);
        now.sum = hash(&[now.sum, now.last, now.tx, number, sequence], &body);
        let row = params![now.last, now.tx, number, sequence, now.sum, body];
        db.execute("INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)?;
    }
    let most = if random.one_in(5) { CELLS } else { 6 };
    for _ in 0..random.below(most) {
        let id = random.below(CELLS) as i64;
        let old: (i64, Vec<u8>) =
            db.query_row("SELECT tx, body FROM cell WHERE id = ?1", [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let body = vec![random.below(256) as u8; random.below(600) as usize];
        now.cells ^= hash(&[id, old.0], &old.1) ^ hash(&[id, now.tx], &body);
        db.execute("UPDATE cell SET tx = ?2, body = ?3 WHERE id = ?1", params![id, now.tx, body])?;
    }
    if now.last - now.first >= 2 * KEPT {
        let first = now.last - KEPT;
        now.base = db.query_row("SELECT sum FROM log WHERE id = ?1", [first - 1], |row| row.get(0))?;
        now.first = first;
        db.execute("DELETE FROM log WHERE id < ?1", [first])?;
    }
    db.execute(
        "UPDATE state SET tx = ?1, first = ?2, base = ?3, last = ?4, sum = ?5, cells = ?6, seq0 = ?7, seq1 = ?8",
        params![now.tx, now.first, now.base, now.last, now.sum, now.cells, now.sequences[0], now.sequences[1]],
    )?;
    Ok(now.tx)
}

/// Rows that must never be seen, as many as spill into the WAL before the transaction ends.
pub fn poison(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "BEGIN IMMEDIATE; UPDATE cell SET tx = -1, body = zeroblob(700); UPDATE state SET sum = -1, tx = -1",
    )?;
    let mut insert = db.prepare("INSERT INTO log SELECT max(id) + 1, -1, ?1, -1, -1, zeroblob(500) FROM log")?;
    for _ in 0..30 {
        insert.execute([POISON])?;
    }
    Ok(())
}

/// Whether the database holds exactly one committed state.
///
/// # Errors
/// What does not fit, or what SQLite said.
pub fn check(db: &Connection) -> Result<State, String> {
    let said = |error: rusqlite::Error| error.to_string();
    // What the first commit has not made yet is a state, too.
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(said)?;
    if tables == 0 {
        return Ok(State { tx: -1, first: 1, base: 0, last: 0, sum: 0, cells: 0, sequences: [0, 0] });
    }
    let state = state(db).map_err(said)?;
    let mut log = db.prepare("SELECT id, tx, writer, seq, sum, body FROM log ORDER BY id").map_err(said)?;
    let mut rows = log.query([]).map_err(said)?;
    let (mut id, mut sum, mut tx, mut sequences) = (state.first - 1, state.base, None, [None; 2]);
    while let Some(row) = rows.next().map_err(said)? {
        let number = |at: usize| row.get::<_, i64>(at).map_err(said);
        let (found, of, writer, sequence) = (number(0)?, number(1)?, number(2)?, number(3)?);
        let body: Vec<u8> = row.get(5).map_err(said)?;
        id += 1;
        sum = hash(&[sum, id, of, writer, sequence], &body);
        let Some(last) = usize::try_from(writer).ok().and_then(|writer| sequences.get_mut(writer)) else {
            return Err(format!("row {found} of a transaction that was rolled back"));
        };
        if found != id || sum != number(4)? {
            return Err(format!("row {found} (expected {id}) does not follow the row before it"));
        }
        if last.replace(sequence).is_some_and(|last: i64| last + 1 != sequence) {
            return Err(format!("writer {writer} has a gap before {sequence}"));
        }
        // A transaction has at least one row, so their numbers leave none out.
        if tx.replace(of).is_some_and(|before: i64| of != before && of != before + 1) {
            return Err(format!("no row of the transaction before {of}"));
        }
    }
    let ends = id == state.last && sum == state.sum && tx.unwrap_or(0) == state.tx;
    if !ends || sequences.iter().zip(state.sequences).any(|(last, kept)| last.is_some_and(|last| last != kept)) {
        return Err(format!("the log ends at row {id} of transaction {tx:?}, the state is {state:?}"));
    }
    let mut cells = db.prepare("SELECT id, tx, body FROM cell").map_err(said)?;
    let sums = cells.query_map([], |row| Ok(hash(&[row.get(0)?, row.get(1)?], &row.get::<_, Vec<u8>>(2)?)));
    let sums: Vec<i64> = sums.and_then(Iterator::collect).map_err(said)?;
    if sums.len() as u64 != CELLS || sums.iter().fold(0, |all, sum| all ^ sum) != state.cells {
        return Err(format!("{} cells that are not those of transaction {}", sums.len(), state.tx));
    }
    Ok(state)
}

/// The same with SQLite's own check before it.
///
/// # Errors
/// As [`check`].
pub fn judge(db: &Connection) -> Result<State, String> {
    let found: Option<String> =
        db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).optional().map_err(|error| error.to_string())?;
    match found.as_deref() {
        Some("ok") => check(db),
        other => Err(format!("integrity_check: {other:?}")),
    }
}
