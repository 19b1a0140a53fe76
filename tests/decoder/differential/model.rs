//! The valid chain and the classes of a WAL by the words of fileformat2 section 4, with constants of its own: nothing of
//! the library but the names of the classes.
use walscope::wal::FrameClass;

use crate::common::synthetic::sum;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Whole frames, if the header can be used.
fn frames(wal: &[u8]) -> Vec<&[u8]> {
    let usable = wal.len() > 32 && (word(wal, 0) | 1) == 0x377f_0683 && {
        sum(word(wal, 0) & 1 == 1, (0, 0), &wal[..24]) == (word(wal, 24), word(wal, 28))
    };
    if usable { wal[32..].chunks_exact(word(wal, 8) as usize + 24).collect() } else { Vec::new() }
}

/// The frames of the unbroken chain from the header on, by the running checksum.
fn valid(wal: &[u8]) -> Vec<&[u8]> {
    let mut chain = Vec::new();
    let Some(head) = wal.get(..32) else { return chain };
    let big = word(head, 0) & 1 == 1;
    let mut running = (word(head, 24), word(head, 28));
    for frame in frames(wal) {
        running = sum(big, sum(big, running, &frame[..8]), &frame[24..]);
        if frame[8..16] != head[16..24] || word(frame, 0) == 0 || running != (word(frame, 16), word(frame, 20)) {
            break;
        }
        chain.push(frame);
    }
    chain
}

/// The page of each valid frame.
pub fn valid_pages(wal: &[u8]) -> Vec<u32> {
    valid(wal).iter().map(|frame| word(frame, 0)).collect()
}

/// Number and end of each valid commit frame.
pub fn commit_frames(wal: &[u8]) -> Vec<(u64, usize)> {
    let numbered = (1usize..).zip(valid(wal));
    let commits = numbered.filter(|(_, frame)| word(frame, 4) != 0);
    commits.map(|(number, frame)| (number as u64, 32 + number * frame.len())).collect()
}

/// The class of each frame, given the frame that SQLite recovered to.
pub fn classes(wal: &[u8], mx_frame: u32) -> Vec<FrameClass> {
    let valid = valid(wal).len();
    let class = |(number, frame): (usize, &[u8])| match &frame[8..16] {
        _ if number <= mx_frame as usize => FrameClass::Committed,
        _ if number <= valid => FrameClass::Uncommitted,
        salts if *salts == wal[16..24] => FrameClass::Residue,
        [0, 0, 0, 0, 0, 0, 0, 0] => FrameClass::Unwritten,
        _ => FrameClass::Stale,
    };
    (1..).zip(frames(wal)).map(class).collect()
}
