//! `/proc/PID/maps` (man 5 proc_pid_maps).

use nom::Parser;
use nom::bytes::complete::{tag, take, take_while_m_n};
use nom::character::complete::{char, space0, u64 as decimal_u64};
use nom::combinator::{map_opt, rest};
use nom::sequence::{separated_pair, terminated};

use super::{LineError, each_line, lines};
use crate::evidence::{Device, InodeId};

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapsLine<'a> {
    /// First address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
    /// `s` in the permissions, not `p`.
    pub shared: bool,
    /// `w` in the permissions.
    pub writable: bool,
    /// Offset in the file, bytes.
    pub offset: u64,
    /// What is mapped; inode 0 for anonymous memory.
    pub inode: InodeId,
    /// The path column as the kernel prints it: a newline is `\012`, nothing else is escaped. Without ` (deleted)`.
    pub path: &'a [u8],
    /// Whether the path column ended with ` (deleted)`.
    pub deleted_suffix: bool,
    /// The whole line.
    pub text: &'a [u8],
}

impl MapsLine<'_> {
    /// Its addresses as the names in `/proc/PID/map_files` have them, without leading zeros: `7f2c4a000000-7f2c4a008000`.
    #[must_use]
    pub fn range(&self) -> String {
        format!("{:x}-{:x}", self.start, self.end)
    }

    /// Bytes mapped.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Reads a whole maps text.
///
/// # Errors
/// The first line that is not in the documented form.
pub fn parse(text: &[u8]) -> Result<Vec<MapsLine<'_>>, LineError> {
    each_line(text, parse_line)
}

/// Reads a maps text line by line: a line that is not in the documented form takes no other line with it.
pub fn each(text: &[u8]) -> impl Iterator<Item = Result<MapsLine<'_>, LineError>> {
    lines(text, parse_line)
}

/// Reads one line, such as
/// `7f2c4a000000-7f2c4a008000 rw-s 00000000 fe:00 1234       /data/t.db-shm (deleted)`
#[must_use]
pub fn parse_line(line: &[u8]) -> Option<MapsLine<'_>> {
    let mut fields = (
        terminated(separated_pair(hex, char('-'), hex), char(' ')),
        terminated(take(4_usize), char(' ')),
        terminated(hex, char(' ')),
        terminated(device, char(' ')),
        terminated(decimal_u64::<&[u8], ()>, space0),
        rest,
    );
    let (_, ((start, end), permissions, offset, device, inode, path)) = fields.parse(line).ok()?;
    let (path, deleted_suffix) = match path.strip_suffix(b" (deleted)") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let (shared, writable) = (permissions.last() == Some(&b's'), permissions.get(1) == Some(&b'w'));
    Some(MapsLine {
        start,
        end,
        shared,
        writable,
        offset,
        inode: InodeId { device, inode },
        path,
        deleted_suffix,
        text: line,
    })
}

/// A hexadecimal number of at most 64 bits.
fn hex(input: &[u8]) -> nom::IResult<&[u8], u64, ()> {
    map_opt(take_while_m_n(1, 16, |byte: u8| byte.is_ascii_hexdigit()), |digits| {
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    })
    .parse(input)
}

/// A device as `maps` and `locks` print it: `fe:00`, both numbers hexadecimal.
pub(super) fn device(input: &[u8]) -> nom::IResult<&[u8], Device, ()> {
    let number = || map_opt(hex, |number| u32::try_from(number).ok());
    let (input, (major, minor)) = separated_pair(number(), tag(":"), number()).parse(input)?;
    Ok((input, Device { major, minor }))
}

/// A path as the path column would print it.
///
/// Compare paths in this form: a backslash is not escaped, so that decoding would be ambiguous.
#[must_use]
pub fn escaped(path: &[u8]) -> Vec<u8> {
    path.iter()
        .flat_map(|byte| if *byte == b'\n' { &b"\\012"[..] } else { std::slice::from_ref(byte) })
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_hexadecimal_and_paths_keep_their_spaces() {
        let text =
            b"7f2c4a000000-7f2c4a008000 rw-s 00008000 fe:1a 1234                       /my data/t.db-shm (deleted)\n\
            7ffd1000-7ffd2000 r--p 00000000 00:00 0 \n\
            7ffd2000-7ffd3000 r--p 00000000 00:00 0                          [vdso]\n";
        let lines = parse(text).unwrap();
        assert_eq!(lines.len(), 3);
        let line = lines[0];
        assert_eq!(line.inode, InodeId { device: Device { major: 254, minor: 26 }, inode: 1234 });
        assert_eq!((line.offset, line.length(), line.shared), (0x8000, 0x8000, true));
        assert_eq!((line.path, line.deleted_suffix), (&b"/my data/t.db-shm"[..], true));
        assert_eq!((lines[1].path, lines[1].shared), (&b""[..], false));
        assert_eq!(lines[2].path, b"[vdso]");
    }

    #[test]
    fn paths_are_compared_as_the_kernel_prints_them() {
        assert_eq!(escaped(b"/a\nb\\012"), b"/a\\012b\\012");
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        assert_eq!(parse(b"\nrubbish").unwrap_err().line, 2);
        assert!(parse(b"11112222333344445-2 r--p 0 0:0 0").is_err());
    }
}
