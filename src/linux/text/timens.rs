//! `/proc/PID/timens_offsets` (man 7 time_namespaces).

/// What the namespace adds to CLOCK_BOOTTIME, nanoseconds: the line `boottime   -86400   0` has seconds and nanoseconds.
#[must_use]
pub fn boottime_offset(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    // The first kernel with time namespaces, 5.6, wrote the clock's number, 7, in place of its name.
    let line = text.lines().find(|line| matches!(line.split_ascii_whitespace().next(), Some("boottime" | "7")))?;
    let mut numbers = line.split_ascii_whitespace().skip(1).map(str::parse::<i64>);
    let (seconds, nanoseconds) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_signed() {
        assert_eq!(
            boottime_offset(b"monotonic           5         0\nboottime            -2         7\n"),
            Some(-1_999_999_993)
        );
        assert_eq!(boottime_offset(b"1 5 0\n7 3 1\n"), Some(3_000_000_001));
        assert_eq!(boottime_offset(b"monotonic 5 0\n"), None);
        assert_eq!(boottime_offset(b"boottime 9223372036854775807 0\n"), None);
    }
}
