//! Records: the values of a row or of an entry of an index. Source: fileformat2, section 2.1.

use nom::IResult;

use super::varint::varint;

/// The type of a stored value, and with it its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SerialType {
    Null,
    /// So many bytes, big-endian, two's complement.
    Integer(u8),
    Real,
    /// 0 or 1, without bytes.
    Constant(i64),
    Blob(u64),
    Text(u64),
}

impl SerialType {
    /// `None`: 10 and 11 are reserved, and no database file has them.
    pub(crate) fn new(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::Null,
            1 => Self::Integer(1),
            2 => Self::Integer(2),
            3 => Self::Integer(3),
            4 => Self::Integer(4),
            5 => Self::Integer(6),
            6 => Self::Integer(8),
            7 => Self::Real,
            8 => Self::Constant(0),
            9 => Self::Constant(1),
            10 | 11 => return None,
            _ if number.is_multiple_of(2) => Self::Blob((number - 12) / 2),
            _ => Self::Text((number - 13) / 2),
        })
    }

    /// Bytes of a value of this type.
    pub(crate) fn length(self) -> u64 {
        match self {
            Self::Null | Self::Constant(_) => 0,
            Self::Integer(bytes) => bytes.into(),
            Self::Real => 8,
            Self::Blob(bytes) | Self::Text(bytes) => bytes,
        }
    }
}

/// A value as it is stored. Text is in the encoding of the database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Stored<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

impl<'a> Stored<'a> {
    /// `bytes` are those of the value.
    fn new(kind: SerialType, bytes: &'a [u8]) -> Self {
        let number = || {
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            bytes.iter().fold(if negative { -1 } else { 0 }, |number: i64, byte| number << 8 | i64::from(*byte))
        };
        match kind {
            SerialType::Null => Self::Null,
            SerialType::Constant(value) => Self::Integer(value),
            SerialType::Integer(_) => Self::Integer(number()),
            SerialType::Text(_) => Self::Text(bytes),
            SerialType::Blob(_) => Self::Blob(bytes),
            SerialType::Real => match f64::from_bits(number().cast_unsigned()) {
                // folklore: SQLite has no NaN. One in a file is read as NULL. Held by `a_nan_is_null`.
                real if real.is_nan() => Self::Null,
                real => Self::Real(real),
            },
        }
    }
}

/// The header of a record: the types of its values, and what comes behind the header. `None`: it is none, or is cut off.
pub(crate) fn header(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let parsed: IResult<&[u8], u64> = varint(record);
    let (rest, length) = parsed.ok()?;
    let (all, taken) = (usize::try_from(length).ok()?, record.len() - rest.len());
    Some((record.get(taken..all)?, record.get(all..)?))
}

/// Whether the types in the header of a record account for each of its bytes. `local` are its first bytes, `length` is the
/// length of all of it. `None`: its header is not wholly there.
pub(crate) fn accounts_for_all(local: &[u8], length: u64) -> Option<bool> {
    let parsed: IResult<&[u8], u64> = varint(local);
    let Ok((rest, header)) = parsed else { return (local.len() as u64 == length).then_some(false) };
    let taken = local.len() - rest.len();
    let Some(mut types) = usize::try_from(header).ok().and_then(|header| local.get(taken..header)) else {
        return (header > length || header < taken as u64).then_some(false);
    };
    let mut all = header;
    while !types.is_empty() {
        let Ok((rest, number)) = varint(types) else { return Some(false) };
        // folklore: SQLite reads the types 10 and 11, which no file should have, as NULL.
        all = all.saturating_add(SerialType::new(number).map_or(0, SerialType::length));
        types = rest;
    }
    Some(all == length)
}

/// The values of a record one after the other, as far as their bytes are there. `None`: a type that does not exist, or
/// bytes that are not there; nothing comes after that.
pub(crate) fn values(record: &[u8]) -> impl Iterator<Item = Option<Stored<'_>>> {
    let (mut types, mut body) = header(record).unwrap_or_default();
    std::iter::from_fn(move || {
        if types.is_empty() {
            return None;
        }
        let value = next(&mut types, &mut body);
        if value.is_none() {
            types = &[];
        }
        Some(value)
    })
}

fn next<'a>(types: &mut &'a [u8], body: &mut &'a [u8]) -> Option<Stored<'a>> {
    let (rest, number) = varint(types).ok()?;
    let kind = SerialType::new(number)?;
    let (bytes, behind) = body.split_at_checked(usize::try_from(kind.length()).ok()?)?;
    (*types, *body) = (rest, behind);
    Some(Stored::new(kind, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(record: &[u8]) -> Vec<Option<Stored<'_>>> {
        values(record).collect()
    }

    #[test]
    fn each_type_is_read_with_its_sign_and_length() {
        let mut record = vec![11, 0, 1, 2, 3, 5, 6, 8, 9, 17, 16];
        record.extend([0xff]);
        record.extend([0x80, 0]);
        record.extend([0, 1, 0]);
        record.extend([0xff; 6]);
        record.extend(i64::MIN.to_be_bytes());
        record.extend(b"ab");
        record.extend([1, 2]);
        let integer = |value| Some(Stored::Integer(value));
        assert_eq!(
            all(&record),
            [
                Some(Stored::Null),
                integer(-1),
                integer(-32768),
                integer(256),
                integer(-1),
                integer(i64::MIN),
                integer(0),
                integer(1),
                Some(Stored::Text(b"ab")),
                Some(Stored::Blob(&[1, 2]))
            ]
        );
    }

    #[test]
    fn the_types_account_for_each_byte_of_a_record_or_it_is_none() {
        assert_eq!(accounts_for_all(&[3, 1, 1, 7, 8], 5), Some(true));
        assert_eq!(accounts_for_all(&[3, 1, 1, 7, 8], 6), Some(false));
        assert_eq!(accounts_for_all(&[3, 1, 2, 7, 8], 5), Some(false));
        // A text of 100 bytes, of which the page has three.
        assert_eq!(accounts_for_all(&[3, 0x81, 0x55, b'a', b'b', b'c'], 103), Some(true));
        assert_eq!(accounts_for_all(&[3, 0x81, 0x55, b'a', b'b', b'c'], 104), Some(false));
        // The header goes on where this page ends.
        assert_eq!(accounts_for_all(&[9, 1, 1], 20), None);
        assert_eq!(accounts_for_all(&[30, 1, 1], 20), Some(false));
        assert_eq!(accounts_for_all(&[0, 1, 1], 3), Some(false));
        assert_eq!(accounts_for_all(&[3, 1, 0x80], 3), Some(false));
        assert_eq!(accounts_for_all(&[], 0), Some(false));
    }

    #[test]
    fn a_nan_is_null() {
        let real = |value: f64| [&[2, 7], &value.to_be_bytes()[..]].concat();
        assert_eq!(all(&real(f64::NAN)), [Some(Stored::Null)]);
        assert_eq!(all(&real(-1.5)), [Some(Stored::Real(-1.5))]);
        assert_eq!(all(&real(f64::INFINITY)), [Some(Stored::Real(f64::INFINITY))]);
    }

    #[test]
    fn a_record_that_is_cut_off_or_has_a_reserved_type_ends() {
        assert_eq!(all(&[3, 1, 1, 7]), [Some(Stored::Integer(7)), None]);
        assert_eq!(all(&[3, 10, 1, 7]), [None]);
        assert_eq!(all(&[9, 1]), []);
        assert_eq!(all(&[]), []);
    }
}
