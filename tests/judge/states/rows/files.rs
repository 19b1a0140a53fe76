//! The rows of files that stand still.

use walscope::say::checkpoint::Sentence as S;

use super::super::stage::{
    Checkpoint::{self, Returns},
    Reads::{Fails, Rows},
    Writes::{self, Then},
    gone, live, rest, stays,
};
use super::super::{at_rest, in_use};
use super::{Row, row};

pub fn rows() -> Vec<Row> {
    vec![
        row(
            S::NoWal,
            at_rest::no_wal,
            "The last connection has closed the database.",
            rest(4, Rows(4), Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Nothing, if the database was closed here. If it is a copy, look for the -wal that was left behind.",
        ),
        row(
            S::NothingWaits,
            in_use::nothing_waits,
            "A process has the database open, and a checkpoint has emptied the -wal.",
            live(4, [Rows(4), Rows(4), Rows(4)], Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Nothing.",
        ),
        row(
            S::Restarted,
            in_use::begun_anew,
            "All frames are copied. A transaction began the WAL anew, and was rolled back.",
            live(
                16,
                [Rows(16), Rows(16), Rows(16)],
                Then(Rows(17), 3),
                [Returns(0, 0, 0), Returns(0, 0, 0)],
                gone(Rows(16)),
            ),
            "Nothing.",
        ),
        row(
            S::CommitNotShown,
            in_use::commit_not_shown,
            "A writer died after it wrote the frames of the fifth row, and before it showed them in the \
             wal-index. Its COMMIT never returned.",
            live(5, [Rows(4), Rows(4), Rows(5)], Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Look again. If it stays so and the commit is wanted, copy the database and the -wal while the \
             processes still have them open, and open that copy: it has the row.",
        ),
        row(
            S::NoCommit,
            in_use::no_commit,
            "A transaction is larger than the cache of its connection, so some of it is in the -wal before its \
             COMMIT.",
            live(
                4,
                [Rows(4), Rows(4), Rows(4)],
                Writes::Fails("SQLITE_BUSY"),
                [Returns(0, 0, 0), Returns(1, 0, 0)],
                gone(Rows(4)),
            ),
            "Nothing. Wait for the transaction, or end it.",
        ),
        row(
            S::RestCopied,
            at_rest::rest_copied,
            "A checkpoint has copied all frames; then all processes were killed.",
            rest(6, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Nothing. The next to open the database reads all frames again, which does no harm.",
        ),
        row(
            S::RestInterrupted,
            at_rest::rest_interrupted,
            "A checkpoint failed half-way; then all processes were killed.",
            rest(6, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Open the database; its closing copies all frames. Keep the -wal with the database until then.",
        ),
        row(
            S::RestSomeWait,
            at_rest::rest_some_wait,
            "A reader kept a checkpoint from copying the last frames; then all processes were killed.",
            rest(6, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Keep the -wal with the database. The next to open it reads all frames, and its closing copies them.",
        ),
        row(
            S::RestNextReadsThem,
            at_rest::rest_next_reads_them,
            "Two rows were committed; then all processes were killed.",
            rest(6, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Keep the -wal with the database. The next to open it reads all frames, and its closing copies them.",
        ),
        row(
            S::RestAsFarAsSeen,
            at_rest::rest_as_far_as_seen,
            "Two rows were committed; then all processes were killed. `inspect` was given the -wal alone.",
            rest(6, Rows(6), Then(Rows(7), 9), [Returns(0, 6, 6), Returns(0, 0, 0)], gone(Rows(6))),
            "Keep the -wal with the database. Give `inspect` the database, where its files and locks can be seen, \
             to learn more.",
        ),
        row(
            S::HeaderUnusable,
            at_rest::header_unusable,
            "Two rows were in the -wal, and all of its bytes became zeros.",
            rest(6, Rows(4), Then(Rows(5), 3), [Returns(0, 0, 0), Returns(0, 0, 0)], gone(Rows(4))),
            "Copy the database and the -wal before anything opens the database. No frames are left in such a -wal; \
             look for another copy of it.",
        ),
        row(
            S::OtherVersion,
            at_rest::other_version,
            "The header of the -wal has a version that SQLite does not know.",
            rest(
                6,
                Fails("SQLITE_CANTOPEN"),
                Writes::Fails("SQLITE_CANTOPEN"),
                [Checkpoint::Fails("SQLITE_CANTOPEN"), Checkpoint::Fails("SQLITE_CANTOPEN")],
                stays(Rows(4)),
            ),
            "Open it with the program that wrote it. SQLite changes nothing.",
        ),
    ]
}
