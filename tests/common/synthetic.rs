//! A writer and a reader of -wal and -shm for the tests, with their own constants: so a wrong layout in the library
//! does not go unnoticed. Written from fileformat2 and walformat, not from the library.

use byteorder::{BigEndian, ByteOrder, LittleEndian};

/// A WAL under construction.
#[derive(Clone)]
pub struct WalWriter {
    pub bytes: Vec<u8>,
    pub page_size: usize,
    /// The content of every frame of page 1; `None`: it is filled like any other page.
    pub page_one: Option<Vec<u8>>,
    big: bool,
    salts: [u32; 2],
    running: (u32, u32),
}

impl WalWriter {
    pub fn new(page_size: usize, big: bool, salts: [u32; 2]) -> Self {
        let mut head = [0u8; 32];
        BigEndian::write_u32(&mut head[0..], if big { 931_071_619 } else { 931_071_618 });
        BigEndian::write_u32(&mut head[4..], 3_007_000);
        BigEndian::write_u32(&mut head[8..], page_size as u32);
        BigEndian::write_u32(&mut head[12..], 7);
        let mut writer = Self { bytes: head.to_vec(), page_size, page_one: None, big, salts, running: (0, 0) };
        writer.set_salts(salts);
        writer
    }

    /// Begins the next generation in place: a new header; the old frames stay.
    pub fn set_salts(&mut self, salts: [u32; 2]) {
        BigEndian::write_u32(&mut self.bytes[16..], salts[0]);
        BigEndian::write_u32(&mut self.bytes[20..], salts[1]);
        self.salts = salts;
        self.running = sum(self.big, (0, 0), &self.bytes[..24]);
        BigEndian::write_u32(&mut self.bytes[24..], self.running.0);
        BigEndian::write_u32(&mut self.bytes[28..], self.running.1);
    }

    /// Sets a field of the header and makes its checksum right again.
    pub fn set_header_field(&mut self, at: usize, value: u32) {
        BigEndian::write_u32(&mut self.bytes[at..], value);
        self.set_salts(self.salts);
    }

    /// Appends a frame. `commit`: pages of the database after the commit, or 0.
    pub fn frame(&mut self, page: u32, commit: u32, fill: u8) -> &mut Self {
        let frame = self.make(page, commit, fill);
        self.bytes.extend(frame);
        self
    }

    /// Appends a frame with the given page.
    pub fn frame_of(&mut self, page: u32, commit: u32, content: &[u8]) -> &mut Self {
        let frame = self.make_of(page, commit, content.to_vec());
        self.bytes.extend(frame);
        self
    }

    /// Writes the next frame in the place of frame `number`.
    pub fn frame_at(&mut self, number: usize, page: u32, commit: u32, fill: u8) -> &mut Self {
        let frame = self.make(page, commit, fill);
        let at = self.offset(number);
        self.bytes[at..at + frame.len()].copy_from_slice(&frame);
        self
    }

    /// Appends frames of zero bytes, as in a file that was extended before it was written.
    pub fn unwritten(&mut self, frames: usize) -> &mut Self {
        self.bytes.extend(vec![0; frames * (24 + self.page_size)]);
        self
    }

    pub fn offset(&self, number: usize) -> usize {
        32 + (number - 1) * (24 + self.page_size)
    }

    pub fn checksum(&self) -> [u32; 2] {
        [self.running.0, self.running.1]
    }

    fn make(&mut self, page: u32, commit: u32, fill: u8) -> Vec<u8> {
        let one = self.page_one.clone().filter(|_| page == 1);
        self.make_of(page, commit, one.unwrap_or_else(|| vec![fill; self.page_size]))
    }

    fn make_of(&mut self, page: u32, commit: u32, content: Vec<u8>) -> Vec<u8> {
        let mut frame = vec![0; 24];
        frame.extend(content);
        BigEndian::write_u32(&mut frame[0..], page);
        BigEndian::write_u32(&mut frame[4..], commit);
        BigEndian::write_u32(&mut frame[8..], self.salts[0]);
        BigEndian::write_u32(&mut frame[12..], self.salts[1]);
        self.running = sum(self.big, self.running, &frame[..8]);
        self.running = sum(self.big, self.running, &frame[24..]);
        BigEndian::write_u32(&mut frame[16..], self.running.0);
        BigEndian::write_u32(&mut frame[20..], self.running.1);
        frame
    }
}

/// The checksum of fileformat2 section 4.2, word by word.
pub fn sum(big: bool, seed: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let word = |i: usize| {
        let four = [bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]];
        if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    let (mut a, mut b) = seed;
    let mut i = 0;
    while i < bytes.len() {
        a = a.wrapping_add(word(i).wrapping_add(b));
        b = b.wrapping_add(word(i + 4).wrapping_add(a));
        i += 8;
    }
    (a, b)
}

/// The content of a -shm for a test; `bytes` writes it in either byte order.
#[derive(Clone)]
pub struct Shm {
    pub page_size: u32,
    pub change: u32,
    pub mx_frame: u32,
    pub database_pages: u32,
    pub frame_checksum: [u32; 2],
    pub salts: [u32; 2],
    pub backfilled: u32,
    pub attempted: u32,
    pub marks: [u32; 5],
    /// The page of each frame; there can be entries after `mx_frame`.
    pub pages: Vec<u32>,
}

impl Default for Shm {
    fn default() -> Self {
        Self {
            page_size: 4096,
            change: 0,
            mx_frame: 0,
            database_pages: 0,
            frame_checksum: [0, 0],
            salts: [1, 2],
            backfilled: 0,
            attempted: 0,
            marks: [0, u32::MAX, u32::MAX, u32::MAX, u32::MAX],
            pages: Vec::new(),
        }
    }
}

impl Shm {
    pub fn bytes(&self, big: bool) -> Vec<u8> {
        if big { self.write::<BigEndian>(true) } else { self.write::<LittleEndian>(false) }
    }

    fn write<O: ByteOrder>(&self, big: bool) -> Vec<u8> {
        let blocks = if self.pages.len() <= 4062 { 1 } else { 1 + (self.pages.len() - 4062).div_ceil(4096) };
        let mut out = vec![0u8; blocks * 32 * 1024];
        let mut head = [0u8; 48];
        O::write_u32(&mut head[0..], 3_007_000);
        O::write_u32(&mut head[8..], self.change);
        head[12] = 1;
        head[13] = 0;
        O::write_u16(&mut head[14..], if self.page_size == 65536 { 1 } else { self.page_size as u16 });
        O::write_u32(&mut head[16..], self.mx_frame);
        O::write_u32(&mut head[20..], self.database_pages);
        O::write_u32(&mut head[24..], self.frame_checksum[0]);
        O::write_u32(&mut head[28..], self.frame_checksum[1]);
        BigEndian::write_u32(&mut head[32..], self.salts[0]);
        BigEndian::write_u32(&mut head[36..], self.salts[1]);
        let (a, b) = sum(big, (0, 0), &head[..40]);
        O::write_u32(&mut head[40..], a);
        O::write_u32(&mut head[44..], b);
        out[..48].copy_from_slice(&head);
        out[48..96].copy_from_slice(&head);
        O::write_u32(&mut out[96..], self.backfilled);
        for (i, mark) in self.marks.iter().enumerate() {
            O::write_u32(&mut out[100 + 4 * i..], *mark);
        }
        O::write_u32(&mut out[128..], self.attempted);
        for (i, page) in self.pages.iter().enumerate() {
            let (block, entry) = if i < 4062 { (0, i) } else { (1 + (i - 4062) / 4096, (i - 4062) % 4096) };
            let start = block * 32768;
            let array = if block == 0 { start + 136 } else { start };
            O::write_u32(&mut out[array + entry * 4..], *page);
            let mut slot = (*page as usize).wrapping_mul(383) % 8192;
            while O::read_u16(&out[start + 16384 + slot * 2..]) != 0 {
                slot = (slot + 1) % 8192;
            }
            O::write_u16(&mut out[start + 16384 + slot * 2..], (entry + 1) as u16);
        }
        out
    }
}

/// What SQLite on this machine wrote into the first header copy of a -shm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveredHeader {
    pub page_size: u32,
    pub mx_frame: u32,
    pub database_pages: u32,
    pub frame_checksum: [u32; 2],
    pub salts: [u32; 2],
}

/// Reads the header of a native -shm at fixed places.
pub fn read_native_header(shm: &[u8]) -> RecoveredHeader {
    let word = |at: usize| u32::from_ne_bytes(shm[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 3_007_000, "iVersion");
    assert_eq!(shm[..48], shm[48..96], "both copies");
    let page_size = u16::from_ne_bytes([shm[14], shm[15]]);
    RecoveredHeader {
        page_size: if page_size == 1 { 65536 } else { page_size.into() },
        mx_frame: word(16),
        database_pages: word(20),
        frame_checksum: [word(24), word(28)],
        salts: [BigEndian::read_u32(&shm[32..]), BigEndian::read_u32(&shm[36..])],
    }
}
