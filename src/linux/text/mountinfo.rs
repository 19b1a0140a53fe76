//! `/proc/PID/mountinfo` (man 5 proc_pid_mountinfo).

use nom::Parser;
use nom::bytes::complete::{tag, take_till};
use nom::character::complete::{char, u32 as decimal_u32, u64 as decimal_u64};
use nom::sequence::{separated_pair, terminated};

use super::{LineError, each_line};
use crate::evidence::{Device, Mount};

/// Reads a whole mountinfo text.
///
/// # Errors
/// The first line that is not in the documented form.
pub fn parse(text: &[u8]) -> Result<Vec<Mount>, LineError> {
    each_line(text, parse_line)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse_line(line: &[u8]) -> Option<Mount> {
    let head = (
        terminated(decimal_u64::<&[u8], ()>, char(' ')),
        terminated(decimal_u64, char(' ')),
        terminated(separated_pair(decimal_u32, char(':'), decimal_u32), char(' ')),
        field,
        field,
        field,
    );
    let (rest, (id, parent, (major, minor), root, mount_point, _options)) = { head }.parse(line).ok()?;
    // Any number of optional fields, then a lone hyphen.
    let mut rest = rest;
    while let Ok((behind, word)) = field(rest) {
        rest = behind;
        if word == b"-" {
            break;
        }
    }
    let (_, (fs_type, source, super_options)) = (field, field, take_till(|_| false)).parse(rest).ok()?;
    Some(Mount {
        id,
        parent,
        device: Device { major, minor },
        root: unescape(root),
        mount_point: unescape(mount_point),
        fs_type: unescape(fs_type),
        source: unescape(source),
        super_options: unescape(super_options),
    })
}

/// A field and the one space after it.
///
/// folklore: the source may be empty, so that two spaces follow each other: `- tmpfs  rw`. Seen with
/// `mount -t tmpfs "" /mnt`; held by `an_empty_source_does_not_shift_the_fields`.
fn field(input: &[u8]) -> nom::IResult<&[u8], &[u8], ()> {
    terminated(take_till(|byte| byte == b' '), tag(" ")).parse(input)
}

/// Decodes escapes such as `\040`: space, tab, newline, backslash and `#` are written in octal.
fn unescape(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, octal(behind)) {
            (b'\\', Some(code)) => {
                bytes.push(code);
                rest = behind.get(3..).unwrap_or_default();
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..3)?).ok()?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| u8::from_str_radix(digits, 8).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_escapes_are_understood() {
        let text = br"36 35 98:0 /a\040b /mnt\011x\134y rw,noatime master:1 shared:2 - fuse.bindfs /dev/ro\043ot rw,x=1
37 36 0:25 / / rw - overlay overlay rw,lowerdir=/a:/b
";
        let mounts = parse(text).unwrap();
        assert_eq!(mounts.len(), 2);
        let first = &mounts[0];
        assert_eq!((first.id, first.parent, first.device), (36, 35, Device { major: 98, minor: 0 }));
        assert_eq!((first.root.as_str(), first.mount_point.as_str()), ("/a b", "/mnt\tx\\y"));
        assert_eq!((first.fs_type.as_str(), first.source.as_str()), ("fuse.bindfs", "/dev/ro#ot"));
        assert_eq!(first.super_options, "rw,x=1");
        assert_eq!(mounts[1].super_options, "rw,lowerdir=/a:/b");
    }

    #[test]
    fn an_empty_source_does_not_shift_the_fields() {
        let mounts = parse(b"1 2 0:3 / /mnt rw - tmpfs  rw,size=1k").unwrap();
        assert_eq!((mounts[0].source.as_str(), mounts[0].super_options.as_str()), ("", "rw,size=1k"));
    }

    #[test]
    fn a_line_of_another_form_is_named() {
        let error = parse(b"1 2 0:3 / /mnt rw - tmpfs none rw\n1 2 nonsense").unwrap_err();
        assert_eq!(error, LineError { line: 2, text: "1 2 nonsense".into() });
        assert!(parse(b"1 2 0:3 / /mnt rw - tmpfs").is_err());
    }

    #[test]
    fn this_machine_s_mountinfo_is_understood() {
        let mounts = parse(&std::fs::read("/proc/self/mountinfo").unwrap()).unwrap();
        assert!(mounts.iter().any(|mount| mount.mount_point == "/proc" && mount.fs_type == "proc"));
    }
}
