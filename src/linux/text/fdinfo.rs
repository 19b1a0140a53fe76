//! `/proc/PID/fdinfo/FD` (man 5 proc_pid_fdinfo): the locks that a process holds through a descriptor, and how it was opened.

use super::locks::{LockLine, parse_line};

/// The `mnt_id:` line.
#[must_use]
pub fn mount_id(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// How a file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// O_PATH: it is only named.
    Path,
    /// O_RDONLY.
    ReadOnly,
    /// O_WRONLY or O_RDWR.
    Writable,
}

/// The `flags:` line: octal flags of open(2).
#[must_use]
pub fn open_mode(text: &[u8]) -> Option<OpenMode> {
    let text = std::str::from_utf8(text).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
    Some(match flags & 0o3 {
        _ if flags & 0o10_000_000 != 0 => OpenMode::Path,
        0 => OpenMode::ReadOnly,
        _ => OpenMode::Writable,
    })
}

/// The `lock:` lines. Lines of an unknown form are left out: this text only adds to other sources.
#[must_use]
pub fn locks(text: &[u8]) -> Vec<LockLine> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| parse_line(line.strip_prefix(b"lock:")?.trim_ascii_start())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t27\nino:\t1234\n\
        lock:\t1: OFDLCK ADVISORY  READ -1 fe:00:1234 123 123\nlock:\tnonsense\n";

    #[test]
    fn locks_and_mount_are_read() {
        assert_eq!(mount_id(TEXT.as_bytes()), Some(27));
        assert_eq!(locks(TEXT.as_bytes()).len(), 1);
        assert_eq!(mount_id(b"pos: 1"), None);
        assert_eq!(open_mode(TEXT.as_bytes()), Some(OpenMode::Writable));
        assert_eq!(open_mode(b"flags:\t02100000\n"), Some(OpenMode::ReadOnly));
        assert_eq!(open_mode(b"flags:\t012100000\n"), Some(OpenMode::Path));
        assert_eq!(open_mode(b"flags:\tx\n"), None);
    }
}
