//! What to do about a `-journal` that is not where its transaction needs it, or that was damaged.

use super::copy_first;

/// The database, or its journal, was renamed in the middle of a transaction in rollback mode.
pub(in crate::say) const RENAMED_IN_TRANSACTION: &str = concat!(
    copy_first!(
        "Then let the transaction end: the process commits it, or rolls it back, with the files that it has open. Or give what \
         was renamed its name back with mv -n, while the process runs: the database; or the -journal, if the database still \
         has the name that the application uses. If the process has ended before that, rename the -journal, so that it \
         stands beside the database, before anything opens the database; then stop the processes that opened it since."
    ),
    " Never rename a database or its -journal while it is in use."
);
/// The `-journal` of a transaction that is under way is gone from the path.
pub(in crate::say) const JOURNAL_GONE: &str = concat!(
    copy_first!(
        "Then let the process ROLLBACK: that takes all of it back, with the -journal that it has open, and is right in each case. A COMMIT is not: if somebody rolled back what the process wrote, as a forked child does when it ends, it leaves a mixture of old and new pages. Do not kill the process before that; run the transaction again afterwards. A -journal that only has another name can be given its own back with mv -n meanwhile."
    ),
    " Never delete or rename a -journal."
);
/// The `-journal` of a transaction that is under way was emptied.
pub(in crate::say) const JOURNAL_EMPTIED: &str = concat!(
    copy_first!(
        "Then let the process COMMIT: nothing else leaves a whole database. If it rolled back or was killed, use a backup, or look at the tables one by one: PRAGMA integrity_check does not show all of it."
    ),
    " Never empty a -journal."
);
/// The `-journal` of a transaction was cut, or overwritten in part.
pub(in crate::say) const JOURNAL_DAMAGED: &str = concat!(
    copy_first!(
        "Then, if the process of the transaction still runs, let it COMMIT: that keeps its data whole, and needs no -journal. Do not kill it, and do not let it ROLLBACK. If it has ended, look for a whole -journal or a backup before anything opens the database: to open a copy gives back what the -journal still has."
    ),
    " Never write to a -journal or copy a file over it."
);
/// The database has 0 bytes, and a `-journal` has old pages of it.
pub(in crate::say) const DATABASE_EMPTY: &str = concat!(
    copy_first!(
        "Neither a COMMIT nor a ROLLBACK of a process is sure to make such a database whole. So go on with other copies of these copies: give the copy of the database the size that it had before the transaction (truncate -s), with the copy of the -journal beside it, and open that one. If the -journal has page 1, SQLite writes back each page that the -journal has; the others are lost, unless there is a backup."
    ),
    " Never empty a database that is in use."
);
/// The `-journal` at the path is of the transaction of another database.
pub(in crate::say) const JOURNAL_OF_ANOTHER: &str = concat!(
    copy_first!(
        "Then let the process end its transaction, if it is in one: it commits, or rolls back, with the files that it has open. What it commits is in the database that it has open, and not in the copies: hold it with kill -STOP then, save again, and decide which of the two is to stay at the path. If it ends in the middle of a transaction, the -journal stays: rename it, so that it stands beside its own database, before anything opens either of the two."
    ),
    " Never rename or replace a database while it is in use."
);
/// The `-journal` of a transaction is beside another name of the database.
pub(in crate::say) const JOURNAL_BESIDE_OTHER_NAME: &str = concat!(
    copy_first!(
        "Then let the process end its transaction. If it ended in the middle of it, the -journal stays: open the database by \
         that name, so that SQLite takes the transaction back, before anything opens it by another one."
    ),
    " Open a database by one name everywhere, and mount its folder."
);
