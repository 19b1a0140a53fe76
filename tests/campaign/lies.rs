//! Accidents about files: what people and programs do to the files of a database beside SQLite. Each is made of copies of
//! moments of a history; real SQLite says whether something was lost, [`crate::traces`] whether the files show it.

use crate::common::random::Random;
use crate::moments::{Content, Files, Moment};

/// The kinds of accidents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accident {
    /// An older copy of the database beside the newer `-wal`.
    OlderDatabase,
    /// The same beside the newer `-shm` too, as when the copy is written over the database in place.
    OlderDatabaseInPlace,
    /// The same while processes have the database open, and looked at while they have.
    OlderDatabaseInUse,
    /// An older `-wal` beside the newer database.
    OlderWal,
    /// The same beside the newer `-shm`.
    OlderWalInPlace,
    /// A copy: the database first, the `-wal` at the next moment.
    DatabaseCopiedFirst,
    /// A copy: the `-wal` first, the database at the next moment.
    WalCopiedFirst,
    /// The database ends after some of its pages.
    DatabaseCutToPages,
    /// The database ends within a page.
    DatabaseCutInPage,
    /// The `-wal` ends within a frame, or within its header.
    WalCut,
    /// The `-wal` ends after a frame.
    WalCutBetweenFrames,
    /// The `-shm` is shorter.
    IndexCut,
    /// The `-shm` is gone.
    IndexGone,
    /// One bit of the database is another one.
    DatabaseBit,
    /// One bit of the first 100 bytes of the database is another one.
    DatabaseHeaderBit,
    /// One bit of the `-wal` is another one.
    WalBit,
    /// The header of the `-wal` is zeros.
    WalHeaderZeroed,
    /// The header of the database is zeros.
    DatabaseHeaderZeroed,
    /// The database was transferred as text: a carriage return before each line feed.
    DatabaseAsText,
    /// So was the `-wal`.
    WalAsText,
    /// Some sectors of the database are zeros.
    DatabaseSectorsZeroed,
    /// Some sectors of the `-wal` are zeros.
    WalSectorsZeroed,
}

/// How often another moment is tried, or another pair of moments.
const TRIES: usize = 6;

/// Every kind, and what the documents call it.
pub const ALL: &[(Accident, &str)] = &[
    (Accident::OlderDatabase, "an older database beside the newer `-wal`, no `-shm`"),
    (Accident::OlderDatabaseInPlace, "the same, beside the newer `-shm`"),
    (Accident::OlderDatabaseInUse, "an older database copied over the one in use"),
    (Accident::OlderWal, "an older `-wal` beside the newer database, no `-shm`"),
    (Accident::OlderWalInPlace, "the same, beside the newer `-shm`"),
    (Accident::DatabaseCopiedFirst, "copy of two moments, the database first"),
    (Accident::WalCopiedFirst, "copy of two moments, the `-wal` first"),
    (Accident::DatabaseCutToPages, "the database cut to fewer pages"),
    (Accident::DatabaseCutInPage, "the database cut within a page"),
    (Accident::WalCut, "the `-wal` cut within a frame or its header"),
    (Accident::WalCutBetweenFrames, "the `-wal` cut after a frame"),
    (Accident::IndexCut, "the `-shm` cut, at rest"),
    (Accident::IndexGone, "the `-shm` gone, at rest"),
    (Accident::DatabaseBit, "a bit of the database flipped"),
    (Accident::DatabaseHeaderBit, "a bit of its first 100 bytes flipped"),
    (Accident::WalBit, "a bit of the `-wal` flipped"),
    (Accident::WalHeaderZeroed, "the header of the `-wal` zeroed"),
    (Accident::DatabaseHeaderZeroed, "the header of the database zeroed"),
    (Accident::DatabaseAsText, "the database with CRLF line ends"),
    (Accident::WalAsText, "the `-wal` with CRLF line ends"),
    (Accident::DatabaseSectorsZeroed, "1 to 8 sectors of the database zeroed"),
    (Accident::WalSectorsZeroed, "1 to 8 sectors of the `-wal` zeroed"),
];

/// What an accident made.
pub struct Made {
    pub files: Files,
    /// What SQLite may find without anything being lost: the content of a moment that the files are of.
    pub whole: Vec<Content>,
    /// The database that belongs to the `-wal`, if an older copy is in its place.
    pub right: Option<Vec<u8>>,
}

impl Accident {
    /// Any of those that happen to files at rest.
    pub fn at_rest(random: &mut Random) -> Self {
        loop {
            let (accident, _) = random.pick(ALL);
            if accident != Self::OlderDatabaseInUse {
                return accident;
            }
        }
    }

    /// Lets it happen to moments of one history, in their order; `None` if nothing was found that it could happen to.
    pub fn happen(self, moments: &[Moment], random: &mut Random) -> Option<Made> {
        (0..TRIES).find_map(|_| self.try_once(moments, random))
    }

    fn try_once(self, moments: &[Moment], random: &mut Random) -> Option<Made> {
        let later = random.below(moments.len() as u64) as usize;
        let two = |back: u64| Some((&moments[later.checked_sub(back as usize)?], &moments[later]));
        let far = 1 + random.below(later.max(1) as u64);
        match self {
            Self::OlderDatabase | Self::OlderDatabaseInPlace | Self::OlderDatabaseInUse => {
                let (old, new) = two(far)?;
                let shm = new.files.shm.clone().filter(|_| self != Self::OlderDatabase);
                pair(old, new, &old.files.database, &new.files.wal, shm)
            }
            Self::OlderWal | Self::OlderWalInPlace => {
                let (old, new) = two(far)?;
                let shm = new.files.shm.clone().filter(|_| self != Self::OlderWal);
                pair(old, new, &new.files.database, &old.files.wal, shm)
            }
            Self::DatabaseCopiedFirst => {
                let (old, new) = two(1)?;
                pair(old, new, &old.files.database, &new.files.wal, None)
            }
            Self::WalCopiedFirst => {
                let (old, new) = two(1)?;
                pair(old, new, &new.files.database, &old.files.wal, None)
            }
            _ => {
                let moment = &moments[later];
                let mut files = moment.files.clone();
                if random.one_in(2) && !matches!(self, Self::IndexCut | Self::IndexGone) {
                    files.shm = None;
                }
                self.spoil(&mut files, random)?;
                (files != moment.files).then(|| Made { files, whole: vec![moment.content.clone()], right: None })
            }
        }
    }

    fn spoil(self, files: &mut Files, random: &mut Random) -> Option<()> {
        let page_size = match u16::from_be_bytes([files.database[16], files.database[17]]) {
            1 => 65536,
            size => usize::from(size),
        };
        let (frame, database) = (24 + page_size, &mut files.database);
        let pages = database.len() / page_size;
        let wal = files.wal.as_mut().filter(|wal| wal.len() > 32);
        let mut below = |n: usize| random.below(n.max(1) as u64) as usize;
        match self {
            Self::DatabaseCutToPages => database.truncate(below(pages) * page_size),
            Self::DatabaseCutInPage => {
                let page = below(pages);
                database.truncate(page * page_size + 1 + below(page_size - 1));
            }
            Self::WalCut => {
                let (wal, in_header) = (wal?, below(20) == 0);
                let at = if in_header { 1 + below(31) } else { 32 + below(wal.len() - 32) };
                wal.truncate(if at > 32 && (at - 32) % frame == 0 { at + 1 } else { at });
            }
            Self::WalCutBetweenFrames => {
                let wal = wal?;
                wal.truncate(32 + below((wal.len() - 32) / frame) * frame);
            }
            Self::IndexCut => {
                let shm = files.shm.as_mut()?;
                shm.truncate(below(shm.len()));
            }
            Self::IndexGone => files.shm = Some(files.shm.take()?).filter(|_| false),
            Self::DatabaseBit => {
                let bit = below(database.len() * 8);
                flip(database, bit);
            }
            Self::DatabaseHeaderBit => flip(database, below(800)),
            Self::WalBit => {
                let wal = wal?;
                let bit = below(wal.len() * 8);
                flip(wal, bit);
            }
            Self::WalHeaderZeroed => wal?[..32].fill(0),
            Self::DatabaseHeaderZeroed => database[..100].fill(0),
            Self::DatabaseAsText => as_text(database),
            Self::WalAsText => as_text(wal?),
            Self::DatabaseSectorsZeroed => zero(database, &mut below),
            Self::WalSectorsZeroed => zero(wal?, &mut below),
            _ => return None,
        }
        Some(())
    }
}

fn pair(old: &Moment, new: &Moment, database: &[u8], wal: &Option<Vec<u8>>, shm: Option<Vec<u8>>) -> Option<Made> {
    // A `-wal` that is not there is not there as a copy either.
    let files = Files { database: database.to_vec(), wal: wal.clone(), shm };
    let real = |moment: &Moment| files.database == moment.files.database && files.wal == moment.files.wal;
    let made = files.wal.is_some() && !real(old) && !real(new);
    let right = (files.database != new.files.database).then(|| new.files.database.clone());
    made.then(|| Made { files, whole: vec![old.content.clone(), new.content.clone()], right })
}

fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn as_text(bytes: &mut Vec<u8>) {
    *bytes = bytes.iter().flat_map(|byte| [b'\r', *byte].into_iter().skip(usize::from(*byte != b'\n'))).collect();
}

fn zero(bytes: &mut [u8], below: &mut impl FnMut(usize) -> usize) {
    let sectors = bytes.len().div_ceil(512);
    let first = below(sectors);
    let last = (first + 1 + below(8)).min(sectors);
    let end = (last * 512).min(bytes.len());
    bytes[first * 512..end].fill(0);
}

/// Why the files hold no trace of what was lost. Each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silent {
    /// Only rows, tables and indexes show it: pages of a database have no checksum. `verify` says that it reads none.
    OnlyInPages,
    /// The end of the `-wal` is gone, exactly between two commits: as if it had never been written.
    TailAsNeverWritten,
    /// Zeros where frames were: as room that was made for frames and not yet used.
    ZerosAsRoom,
    /// The database is empty, and so is the `-wal`, or it has no commit: as a new database.
    EmptyAsNew,
    /// A file that was transferred as text, with so few line feeds that each may have had its carriage return before.
    FewLineFeeds,
    /// The two files are of two moments, and no page that was written in between is in the `-wal`.
    NothingFromBetween,
    /// Pages that were written in between are in the `-wal`, in frames that may have been written over since.
    FramesThatProveNothing,
}

/// The reason for this accident.
pub fn silent(accident: Accident, made: &Made) -> Option<Silent> {
    match accident {
        _ if made.files.database.is_empty() => Some(Silent::EmptyAsNew),
        _ if left_over(made) => Some(Silent::FramesThatProveNothing),
        Accident::OlderDatabase
        | Accident::OlderDatabaseInPlace
        | Accident::OlderDatabaseInUse
        | Accident::OlderWal
        | Accident::OlderWalInPlace
        | Accident::DatabaseCopiedFirst
        | Accident::WalCopiedFirst => Some(Silent::NothingFromBetween),
        Accident::WalCut | Accident::WalCutBetweenFrames => Some(Silent::TailAsNeverWritten),
        Accident::DatabaseAsText | Accident::WalAsText => Some(Silent::FewLineFeeds),
        Accident::WalSectorsZeroed => Some(Silent::ZerosAsRoom),
        Accident::DatabaseBit | Accident::DatabaseHeaderBit | Accident::DatabaseSectorsZeroed => {
            Some(Silent::OnlyInPages)
        }
        _ => None,
    }
}

/// Whether the `-wal` has a frame with the content of a page that the older database lacks.
fn left_over(made: &Made) -> bool {
    let (Some(right), Some(wal)) = (&made.right, &made.files.wal) else { return false };
    let Some(header) = wal.get(8..12) else { return false };
    let page_size = u32::from_be_bytes(header.try_into().unwrap()) as usize;
    let frames = wal[32..].chunks_exact(24 + page_size).map(|frame| (&frame[..4], &frame[24..]));
    let lacks = |page: usize, content: &[u8]| {
        let at = page.wrapping_sub(1).wrapping_mul(page_size);
        let of = |database: &[u8]| database.get(at..at.wrapping_add(page_size)) == Some(content);
        of(right) && !of(&made.files.database)
    };
    frames.into_iter().any(|(page, content)| lacks(u32::from_be_bytes(page.try_into().unwrap()) as usize, content))
}
