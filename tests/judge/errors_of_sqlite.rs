//! The names, numbers and messages of docs/errors.md are those of SQLite.

use std::ffi::CStr;

use rusqlite::ffi;
use walscope::report::explain;

macro_rules! numbers {
    ($($name:ident)*) => { &[$((stringify!($name), ffi::$name)),*] };
}

const NUMBERS: &[(&str, i32)] = numbers![
    SQLITE_BUSY SQLITE_LOCKED SQLITE_NOMEM SQLITE_READONLY SQLITE_IOERR SQLITE_CORRUPT SQLITE_FULL SQLITE_CANTOPEN SQLITE_PROTOCOL
    SQLITE_NOTADB SQLITE_BUSY_RECOVERY SQLITE_LOCKED_SHAREDCACHE SQLITE_READONLY_RECOVERY SQLITE_IOERR_READ
    SQLITE_NOTICE_RECOVER_WAL SQLITE_BUSY_SNAPSHOT SQLITE_READONLY_CANTLOCK SQLITE_IOERR_SHORT_READ
    SQLITE_CANTOPEN_ISDIR SQLITE_NOTICE_RECOVER_ROLLBACK SQLITE_BUSY_TIMEOUT SQLITE_READONLY_ROLLBACK
    SQLITE_IOERR_WRITE SQLITE_CORRUPT_INDEX SQLITE_CANTOPEN_FULLPATH SQLITE_READONLY_DBMOVED SQLITE_IOERR_FSYNC
    SQLITE_READONLY_CANTINIT SQLITE_READONLY_DIRECTORY SQLITE_IOERR_TRUNCATE SQLITE_CANTOPEN_SYMLINK SQLITE_IOERR_FSTAT SQLITE_IOERR_DELETE
    SQLITE_IOERR_LOCK SQLITE_IOERR_SHMOPEN SQLITE_IOERR_SHMSIZE SQLITE_IOERR_SHMLOCK SQLITE_IOERR_SHMMAP
    SQLITE_IOERR_DELETE_NOENT SQLITE_IOERR_MMAP SQLITE_IOERR_CORRUPTFS
];

#[allow(unsafe_code, reason = "SQLite's own function for the text of a number")]
fn message(number: i32) -> String {
    // SAFETY: the function takes any number and returns a static text that ends with a zero byte.
    unsafe { CStr::from_ptr(ffi::sqlite3_errstr(number)) }.to_str().unwrap().to_owned()
}

#[test]
fn errors_have_the_names_numbers_and_messages_of_sqlite() {
    let documented = explain::all().errors;
    let ours: Vec<(&str, i32, &str)> = documented
        .iter()
        .map(|error| (error.name.as_str(), i32::try_from(error.number).unwrap(), error.message.as_str()))
        .collect();
    let messages: Vec<String> = NUMBERS.iter().map(|(_, number)| message(*number)).collect();
    let theirs: Vec<_> =
        NUMBERS.iter().zip(&messages).map(|((name, number), text)| (*name, *number, text.as_str())).collect();
    assert_eq!(ours, theirs);
}
