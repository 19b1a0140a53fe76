//! The numbers of variable length of the database format. Source: fileformat2, section 1.6.

use nom::error::{Error, ErrorKind};
use nom::{Err, IResult};

/// A number of 1 to 9 bytes: the first eight give 7 bits each, the ninth gives 8.
pub(crate) fn varint(input: &[u8]) -> IResult<&[u8], u64> {
    let mut value = 0;
    for (at, byte) in input.iter().enumerate().take(9) {
        if at == 8 {
            value = value << 8 | u64::from(*byte);
        } else {
            value = value << 7 | u64::from(byte & 0x7f);
        }
        if at == 8 || byte & 0x80 == 0 {
            return Ok((input.get(at + 1..).unwrap_or_default(), value));
        }
    }
    Err(Err::Error(Error::new(input, ErrorKind::Eof)))
}

/// The same as a signed number: rowids and integers are written as two's complement.
pub(crate) fn signed_varint(input: &[u8]) -> IResult<&[u8], i64> {
    varint(input).map(|(rest, value)| (rest, value.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_nine_bytes_are_read_and_the_rest_is_left() {
        let cases: [(&[u8], u64); 6] = [
            (&[0], 0),
            (&[0x7f], 127),
            (&[0x81, 0], 128),
            (&[0x82, 0x80, 0], 2 << 14),
            (&[0xff; 9], u64::MAX),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 7], 7),
        ];
        for (bytes, value) in cases {
            let input = [bytes, &[9, 9]].concat();
            assert_eq!(varint(&input), Ok((&[9, 9][..], value)), "{bytes:?}");
        }
        assert_eq!(signed_varint(&[0xff; 9]), Ok((&[][..], -1)));
    }

    #[test]
    fn a_number_that_is_cut_off_is_none() {
        for length in 0..9 {
            assert!(varint(&vec![0x80; length]).is_err(), "{length}");
        }
    }
}
