//! What was tried on two live sides together. It belongs to the pair, not to a side, and cannot come from bundles.

#[cfg(feature = "capture")]
use {
    schemars::JsonSchema,
    serde::{Deserialize, Deserializer, Serialize, Serializer},
};

use super::Observation;

/// Evidence about two sides that were live at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct Live {
    /// Page frames behind mappings of both sides' `-shm`.
    pub pages: Observation<PagesView>,
    /// Locks in a pattern that one side held and the other looked for.
    pub beacon: BeaconView,
    /// Numbers that were written through one mapping and read through another. `None`: it is no part of the trial,
    /// because an examined file is never written to.
    pub coherence: Option<Observation<CoherenceView>>,
    /// Locks that one side held and the other tried to take. `None`: it is no part of the trial, because a write lock
    /// needs a descriptor that is open for writing.
    #[cfg_attr(feature = "capture", serde(default))]
    pub tried: Option<Observation<TriedView>>,
}

impl Live {
    /// Evidence without any trial: nothing was tried, for one reason.
    #[must_use]
    pub fn untried(reason: &str) -> Self {
        Self {
            pages: Observation::missing(reason),
            beacon: BeaconView { forth: Observation::missing(reason), back: Observation::missing(reason) },
            coherence: None,
            tried: None,
        }
    }
}

/// Page tables of both sides. They were read in turn: all of `a`, all of `b`, all of `a`, and so on, each list in its
/// order. So between two reads of one table every other table was read once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct PagesView {
    /// Bytes of a page.
    pub page_size: u64,
    /// Tables of the first side.
    pub a: Vec<PageTable>,
    /// Tables of the second side.
    pub b: Vec<PageTable>,
    /// Whether both paths still led to the `-shm` that was opened, after the last table was read.
    pub files_in_place: bool,
    /// Number of mappings of both sides that were seen but not read, because there were too many. Processes that could
    /// not be read are counted in the evidence of each side.
    #[cfg_attr(feature = "capture", serde(default))]
    pub not_looked_at: u64,
    /// Whether pages of idle processes were touched before the tables were read.
    #[cfg_attr(feature = "capture", serde(default))]
    pub touched: Touched,
}

/// Whether pages of idle processes were touched, so that their page tables name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Touched {
    /// There was no need, or nobody tried.
    #[default]
    NotTried,
    /// They were.
    Done,
    /// The file system did not answer in time, so that nothing more was touched.
    NotAnswered,
    /// It was not possible.
    Failed,
}

/// Who has the `-shm` mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Mapper {
    /// walscope itself, through a descriptor that it opened by the side's path.
    Descriptor,
    /// A process of the side.
    Process {
        /// Process id in the PID namespace of the observer.
        pid: u32,
        /// Name of its command, from `/proc/PID/comm`.
        command: Option<String>,
        /// Start time of the process: field 22 of `/proc/PID/stat`.
        start_time: Option<u64>,
    },
}

/// The first pages of one mapping of a `-shm`, as a page table shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct PageTable {
    /// Who has the mapping.
    pub mapper: Mapper,
    /// Whether the mapping is writable. On an overlay, a mapping that is only readable may show pages that the first
    /// writer replaces.
    pub writable: bool,
    /// Whether `maps` shows the side's own path for the mapping.
    pub same_path: bool,
    /// The entries of the first pages in the order of the file, one list for each time they were read. Not seen: they
    /// could not be read, or the mapping was a different one afterwards.
    pub reads: Observation<Vec<Vec<PageEntry>>>,
}

/// One entry of `/proc/PID/pagemap` (Documentation/admin-guide/mm/pagemap.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageEntry(pub u64);

/// Why an entry of a page table names no page frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFrame {
    /// Bit 63 is not set: the process has not touched the page since the kernel last removed it from the table.
    NotResident,
    /// Bit 61 is not set: the page belongs to a private copy, or it is the zero page, which stands for every hole.
    NotOfFile,
    /// The frame reads as 0: the reader has no CAP_SYS_ADMIN in the initial user namespace.
    Hidden,
}

impl PageEntry {
    /// The page frame number.
    ///
    /// # Errors
    /// Why the entry has no frame number that means anything.
    pub fn frame(self) -> Result<u64, NoFrame> {
        let bit = |bit: u32| self.0 & (1 << bit) != 0;
        if !bit(63) {
            return Err(NoFrame::NotResident);
        }
        if !bit(61) {
            return Err(NoFrame::NotOfFile);
        }
        match self.0 & ((1 << 55) - 1) {
            0 => Err(NoFrame::Hidden),
            frame => Ok(frame),
        }
    }
}

#[cfg(feature = "capture")]
impl JsonSchema for PageEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PageEntry".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]+$", "description": "64 bits of pagemap, decimal." })
    }
}

#[cfg(feature = "capture")]
impl Serialize for PageEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::decimal::serialize(&self.0, serializer)
    }
}

#[cfg(feature = "capture")]
impl<'de> Deserialize<'de> for PageEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::decimal::deserialize(deserializer).map(Self)
    }
}

/// A lock beacon, tried in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct BeaconView {
    /// The first side held, the second looked.
    pub forth: Observation<BeaconLook>,
    /// The second side held, the first looked.
    pub back: Observation<BeaconLook>,
}

/// One pattern of locks that one side held, and what the other side saw of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct BeaconLook {
    /// The number that the pattern encodes. It was chosen at random.
    #[cfg_attr(feature = "capture", serde(with = "super::decimal"), schemars(with = "String"))]
    pub nonce: u64,
    /// What the other side saw.
    pub sight: Sight,
    /// Whether the holder knows that it held the pattern from before the look until after it: another descriptor of its
    /// own file showed the pattern both times.
    pub held_throughout: bool,
    /// Whether the path still named the file on both sides afterwards.
    pub files_in_place: bool,
}

/// What was seen at the place of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Sight {
    /// Exactly the pattern.
    Seen,
    /// No lock at all.
    NotSeen,
    /// There were other locks too.
    Garbled,
}

/// What became of a number that one side wrote through its mapping. Stored as true, false, or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(Serialize, Deserialize), serde(from = "Option<bool>", into = "Option<bool>"))]
pub enum Arrival {
    /// It was there in the other side's mapping.
    Arrived,
    /// It was not.
    Lost,
    /// Not known.
    NotKnown,
}

impl From<Option<bool>> for Arrival {
    fn from(arrived: Option<bool>) -> Self {
        match arrived {
            Some(true) => Self::Arrived,
            Some(false) => Self::Lost,
            None => Self::NotKnown,
        }
    }
}

impl From<Arrival> for Option<bool> {
    fn from(arrival: Arrival) -> Self {
        match arrival {
            Arrival::Arrived => Some(true),
            Arrival::Lost => Some(false),
            Arrival::NotKnown => None,
        }
    }
}

/// A trial on a scratch file that both sides had mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct CoherenceView {
    /// Whether the numbers that were written through the first side's mapping were in the second's.
    #[cfg_attr(feature = "capture", schemars(with = "Option<bool>"))]
    pub forth: Arrival,
    /// Whether the numbers that were written through the second side's mapping were in the first's.
    #[cfg_attr(feature = "capture", schemars(with = "Option<bool>"))]
    pub back: Arrival,
    /// Round trips in nanoseconds. Empty on the side that only answered.
    pub round_trips: Vec<u64>,
    /// Number of round trips that were wanted.
    pub wanted: u32,
    /// Number of round trips that were made.
    pub made: u32,
}

/// Locks on a scratch file, tried in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct TriedView {
    /// The first side held, the second tried.
    pub forth: TriedLook,
    /// The second side held, the first tried.
    pub back: TriedLook,
}

/// What one side was told when it tried to take write locks that the other side held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize))]
pub struct TriedLook {
    /// By F_OFD_SETLK, byte by byte over the pattern of a beacon.
    pub by_description: Observation<Refusal>,
    /// By F_SETLK of a process of its own, byte by byte over the pattern of a beacon.
    pub by_process: Observation<Refusal>,
    /// By F_SETLK, on the bytes that SQLite locks in a `-shm` and in a database, where a process of the other side held
    /// them by F_SETLK, as SQLite does.
    pub as_sqlite: Observation<Refusal>,
    /// Whether the holder knows that it held all of them from before the tries until after them.
    pub held_throughout: bool,
}

/// How tries to take locks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "capture", derive(JsonSchema, Serialize, Deserialize), serde(rename_all = "snake_case"))]
pub enum Refusal {
    /// Each lock that the other side held was refused, and each byte that it did not hold was granted.
    Refused,
    /// One or more locks were granted although the other side held them.
    Granted,
    /// Bytes that the other side did not hold were refused too.
    Garbled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_resident_page_of_a_file_has_a_frame() {
        const FILE: u64 = 1 << 61;
        const HERE: u64 = 1 << 63;
        assert_eq!(PageEntry(HERE | FILE | 7).frame(), Ok(7));
        assert_eq!(PageEntry(HERE | FILE | 1 << 55 | 7).frame(), Ok(7));
        assert_eq!(PageEntry(FILE | 7).frame(), Err(NoFrame::NotResident));
        assert_eq!(PageEntry(HERE | 7).frame(), Err(NoFrame::NotOfFile));
        assert_eq!(PageEntry(HERE | FILE).frame(), Err(NoFrame::Hidden));
        assert_eq!(PageEntry(0).frame(), Err(NoFrame::NotResident));
    }

    #[cfg(feature = "capture")]
    #[test]
    fn entries_travel_as_strings() {
        let json = serde_json::to_string(&PageEntry(u64::MAX)).unwrap();
        assert_eq!(json, "\"18446744073709551615\"");
        assert_eq!(serde_json::from_str::<PageEntry>(&json).unwrap(), PageEntry(u64::MAX));
    }
}
