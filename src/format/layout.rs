//! One table of offsets for each structure on disk: for the documentation, for annotated dumps, and for the tests that
//! compare the parsers with them.

/// One field of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name in the parsed structure.
    pub name: &'static str,
    /// Where it begins, in bytes from the start of the structure.
    pub offset: usize,
    /// Its length in bytes.
    pub size: usize,
    /// Its meaning. It begins with SQLite's name where that name is different.
    pub meaning: &'static str,
}

/// One on-disk structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Its name.
    pub name: &'static str,
    /// Its length in bytes.
    pub size: usize,
    /// Its fields in order, without gaps.
    pub fields: &'static [Field],
}

const fn field(name: &'static str, offset: usize, size: usize, meaning: &'static str) -> Field {
    Field { name, offset, size, meaning }
}

/// The first 32 bytes of a `-wal`. All fields are big-endian.
pub const WAL_HEADER: Layout = Layout {
    name: "WAL header",
    size: 32,
    fields: &[
        field("magic", 0, 4, "0x377f0682: checksums over little-endian words; 0x377f0683: over big-endian words"),
        field("format_version", 4, 4, "3007000"),
        field("page_size", 8, 4, "bytes a page, a power of two from 512 to 65536, 65536 written plainly"),
        field("checkpoint_sequence", 12, 4, "nCkpt: counts restarts of the WAL; not monotonic"),
        field("salt1", 16, 4, "usually one more with each restart"),
        field("salt2", 20, 4, "random with each restart"),
        field("checksum1", 24, 4, "of the first 24 bytes"),
        field("checksum2", 28, 4, "of the first 24 bytes; frame 1 continues both"),
    ],
};

/// The header of a frame; one page follows. All fields are big-endian.
pub const FRAME_HEADER: Layout = Layout {
    name: "frame header",
    size: 24,
    fields: &[
        field("page", 0, 4, "page number, from 1"),
        field("commit_pages", 4, 4, "nTruncate: pages of the database after this commit; 0: no commit"),
        field("salt1", 8, 4, "copied from the WAL header"),
        field("salt2", 12, 4, "copied from the WAL header"),
        field("checksum1", 16, 4, "of bytes 0 to 7 and the page, continued from the frame before"),
        field("checksum2", 20, 4, "of bytes 0 to 7 and the page, continued from the frame before"),
    ],
};

/// One copy of the wal-index header, at offset 0 and again at 48 of a `-shm`. Native byte order, except the salts.
pub const INDEX_HEADER: Layout = Layout {
    name: "wal-index header",
    size: 48,
    fields: &[
        field("version", 0, 4, "iVersion: 3007000; tells the byte order"),
        field("unused", 4, 4, "padding"),
        field("change_counter", 8, 4, "iChange: counts transactions since the last recovery"),
        field("initialized", 12, 1, "isInit: 1 when initialized"),
        field("big_endian_checksums", 13, 1, "bigEndCksum: the WAL's checksums are over big-endian words"),
        field("page_size", 14, 2, "szPage: bytes a page, 1 is 65536; 0 after a recovery without a commit"),
        field("mx_frame", 16, 4, "mxFrame: the last frame that belongs to the database"),
        field("database_pages", 20, 4, "nPage: pages of the database"),
        field("frame_checksum", 24, 8, "aFrameCksum: checksum of the last commit frame"),
        field("salts", 32, 8, "aSalt: raw bytes of the WAL header, big-endian always"),
        field("checksum", 40, 8, "aCksum: of the first 40 bytes, over words in native order"),
    ],
};

/// `WalCkptInfo`, at offset 96 of a `-shm`. The offsets begin there. Native byte order.
pub const CHECKPOINT_INFO: Layout = Layout {
    name: "checkpoint info",
    size: 40,
    fields: &[
        field("backfilled", 0, 4, "nBackfill: frames that a checkpoint has copied"),
        field("read_marks", 4, 20, "aReadMark[5]: 0xffffffff is unused; slot 0 means: ignore the WAL"),
        field(
            "lock_bytes",
            24,
            8,
            "aLock: WRITE, CKPT, RECOVER, READ0 to READ4; places for locks, values mean nothing",
        ),
        field(
            "backfill_attempted",
            32,
            4,
            "nBackfillAttempted: frames perhaps copied; its first byte is the dead-man lock",
        ),
        field("unused", 36, 4, "notUsed0"),
    ],
};

/// Block 0 of a `-shm`: the head, and the entries of frames 1 to 4062.
pub const FIRST_BLOCK: Layout = Layout {
    name: "wal-index block 0",
    size: 32768,
    fields: &[
        field("header 0", 0, 48, "first copy of the wal-index header, written last"),
        field("header 1", 48, 48, "second copy of the wal-index header, written first"),
        field("checkpoint", 96, 40, "checkpoint info"),
        field("page_numbers", 136, 16248, "aPgno: the pages of frames 1 to 4062, 4 bytes each"),
        field(
            "hash_slots",
            16384,
            16384,
            "aHash: 8192 slots of 2 bytes, the position in this block from 1, 0 is empty",
        ),
    ],
};

/// Every later block: the entries of 4096 frames.
pub const LATER_BLOCK: Layout = Layout {
    name: "wal-index block",
    size: 32768,
    fields: &[
        field("page_numbers", 0, 16384, "aPgno: the pages of 4096 frames, 4 bytes each"),
        field(
            "hash_slots",
            16384,
            16384,
            "aHash: 8192 slots of 2 bytes, the position in this block from 1, 0 is empty",
        ),
    ],
};

/// The header of a database file. All fields are big-endian.
pub const DATABASE_HEADER: Layout = Layout {
    name: "database header",
    size: 100,
    fields: &[
        field("magic", 0, 16, "\"SQLite format 3\" and a zero byte; anything else: encrypted, or no database"),
        field("page_size", 16, 2, "bytes a page, 1 is 65536"),
        field("write_version", 18, 1, "1 rollback journal, 2 WAL, 3 wal2"),
        field("read_version", 19, 1, "1 rollback journal, 2 WAL, 3 wal2"),
        field("reserved", 20, 1, "bytes kept free at the end of each page"),
        field("payload fractions", 21, 3, "64, 32, 32"),
        field("change_counter", 24, 4, "changes of the file; not moved by each commit in WAL mode"),
        field("database_pages", 28, 4, "pages, as of version_valid_for"),
        field("freelist", 32, 8, "first freelist trunk page, and freelist pages in all"),
        field("schema_cookie", 40, 4, "changes with each change of the schema"),
        field("schema_format", 44, 4, "1 to 4"),
        field("cache size", 48, 4, "suggested cache size"),
        field("largest root page", 52, 4, "not 0: auto-vacuum"),
        field("text_encoding", 56, 4, "1 UTF-8, 2 UTF-16le, 3 UTF-16be"),
        field("user_version", 60, 4, "PRAGMA user_version"),
        field("incremental vacuum", 64, 4, "not 0: incremental vacuum"),
        field("application_id", 68, 4, "PRAGMA application_id"),
        field("reserved for expansion", 72, 20, "zero"),
        field("version_valid_for", 92, 4, "the change counter for which database_pages holds"),
        field("sqlite_version", 96, 4, "SQLITE_VERSION_NUMBER of the last writer"),
    ],
};

/// The header of a b-tree leaf page. On page 1 it comes after the database header. All fields are big-endian.
pub const LEAF_PAGE: Layout = Layout {
    name: "b-tree leaf page header",
    size: 8,
    fields: &[
        field("type", 0, 1, "10 index leaf, 13 table leaf"),
        field("first freeblock", 1, 2, "offset in the page, 0: none"),
        field("cells", 3, 2, "cells of the page; as many pointers of 2 bytes follow"),
        field("content start", 5, 2, "offset of the first cell, 0 is 65536"),
        field("fragmented", 7, 1, "free bytes in fragments"),
    ],
};

/// The header of a b-tree interior page. All fields are big-endian.
pub const INTERIOR_PAGE: Layout = Layout {
    name: "b-tree interior page header",
    size: 12,
    fields: &[
        field("type", 0, 1, "2 index interior, 5 table interior"),
        field("first freeblock", 1, 2, "offset in the page, 0: none"),
        field("cells", 3, 2, "cells of the page; as many pointers of 2 bytes follow"),
        field("content start", 5, 2, "offset of the first cell, 0 is 65536"),
        field("fragmented", 7, 1, "free bytes in fragments"),
        field("right child", 8, 4, "page of the rightmost child"),
    ],
};

/// The head of a trunk page of the freelist. The numbers of the pages that it names follow, 4 bytes each.
pub const FREELIST_TRUNK: Layout = Layout {
    name: "freelist trunk page",
    size: 8,
    fields: &[
        field("next", 0, 4, "the next trunk page, 0: none"),
        field("leaves", 4, 4, "free pages that are named here; as many numbers of 4 bytes follow"),
    ],
};

/// An entry of a pointer map, in a database with `auto_vacuum`.
pub const POINTER_MAP_ENTRY: Layout = Layout {
    name: "pointer map entry",
    size: 5,
    fields: &[
        field("kind", 0, 1, "1 root, 2 free, 3 first overflow page, 4 later overflow page, 5 page of a tree"),
        field("page", 1, 4, "the page that names it; 0 for 1 and 2, for 3 the page of the row"),
    ],
};

/// Every table, for the documentation and its tests.
pub const ALL: [&Layout; 11] = [
    &WAL_HEADER,
    &FRAME_HEADER,
    &INDEX_HEADER,
    &CHECKPOINT_INFO,
    &FIRST_BLOCK,
    &LATER_BLOCK,
    &DATABASE_HEADER,
    &LEAF_PAGE,
    &INTERIOR_PAGE,
    &FREELIST_TRUNK,
    &POINTER_MAP_ENTRY,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{db, shm, wal};
    use crate::number::{ByteOrder, Checksum};

    /// Bytes in which no two neighbours are equal, so that a field read at the wrong place has the wrong value.
    fn distinct(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + i / 256 * 3 + 1) as u8).collect()
    }

    fn field_of<'a>(layout: &Layout, name: &str, bytes: &'a [u8]) -> &'a [u8] {
        let field = layout.fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("no field {name}"));
        &bytes[field.offset..field.offset + field.size]
    }

    fn be(layout: &Layout, name: &str, bytes: &[u8]) -> u32 {
        field_of(layout, name, bytes).iter().fold(0, |n, b| n << 8 | u32::from(*b))
    }

    fn le(layout: &Layout, name: &str, bytes: &[u8]) -> u32 {
        field_of(layout, name, bytes).iter().rev().fold(0, |n, b| n << 8 | u32::from(*b))
    }

    #[test]
    fn tables_have_no_gap_and_end_at_their_size() {
        for layout in ALL {
            let end = layout.fields.iter().fold(0, |at, field| {
                assert_eq!(field.offset, at, "{}: {}", layout.name, field.name);
                at + field.size
            });
            assert_eq!(end, layout.size, "{}", layout.name);
        }
    }

    #[test]
    fn the_wal_parsers_read_where_the_tables_say() {
        let bytes = distinct(32);
        let h = wal::parse_header(&bytes).unwrap();
        let parsed = [
            ("magic", h.magic),
            ("format_version", h.format_version),
            ("page_size", h.page_size),
            ("checkpoint_sequence", h.checkpoint_sequence),
            ("salt1", h.salts.0[0]),
            ("salt2", h.salts.0[1]),
            ("checksum1", h.checksum.0[0]),
            ("checksum2", h.checksum.0[1]),
        ];
        assert_eq!(parsed.len(), WAL_HEADER.fields.len());
        for (name, value) in parsed {
            assert_eq!(value, be(&WAL_HEADER, name, &bytes), "{name}");
        }
        let f = wal::parse_frame_header(&bytes, 0).unwrap();
        let parsed = [
            ("page", f.page.0),
            ("commit_pages", f.commit_pages),
            ("salt1", f.salts.0[0]),
            ("salt2", f.salts.0[1]),
            ("checksum1", f.checksum.0[0]),
            ("checksum2", f.checksum.0[1]),
        ];
        assert_eq!(parsed.len(), FRAME_HEADER.fields.len());
        for (name, value) in parsed {
            assert_eq!(value, be(&FRAME_HEADER, name, &bytes), "{name}");
        }
    }

    #[test]
    fn the_head_parser_reads_where_the_tables_say() {
        let bytes = distinct(136);
        let head = shm::parse_head(&bytes).unwrap();
        for (copy, h) in ["header 0", "header 1"].into_iter().zip(head.headers) {
            let bytes = field_of(&FIRST_BLOCK, copy, &bytes);
            let parsed = [
                ("version", h.version),
                ("unused", h.unused),
                ("change_counter", h.change_counter),
                ("initialized", h.initialized.into()),
                ("big_endian_checksums", h.big_endian_checksums.into()),
                ("page_size", h.page_size),
                ("mx_frame", h.mx_frame.to_u32().unwrap()),
                ("database_pages", h.database_pages),
            ];
            for (name, value) in parsed {
                assert_eq!(value, le(&INDEX_HEADER, name, bytes), "{name}");
            }
            let pair = |Checksum([a, b])| [a.to_le_bytes(), b.to_le_bytes()].concat();
            assert_eq!(pair(h.frame_checksum), field_of(&INDEX_HEADER, "frame_checksum", bytes));
            assert_eq!(pair(h.checksum), field_of(&INDEX_HEADER, "checksum", bytes));
            let salts = h.salts.0.map(u32::to_be_bytes).concat();
            assert_eq!(salts, field_of(&INDEX_HEADER, "salts", bytes));
        }
        let bytes = field_of(&FIRST_BLOCK, "checkpoint", &bytes);
        let info = head.checkpoint;
        assert_eq!(info.backfilled.to_u32().unwrap(), le(&CHECKPOINT_INFO, "backfilled", bytes));
        assert_eq!(info.backfill_attempted.to_u32().unwrap(), le(&CHECKPOINT_INFO, "backfill_attempted", bytes));
        assert_eq!(info.lock_bytes, field_of(&CHECKPOINT_INFO, "lock_bytes", bytes));
        let marks = info.read_marks.map(|mark| mark.unwrap().to_u32().unwrap().to_le_bytes()).concat();
        assert_eq!(marks, field_of(&CHECKPOINT_INFO, "read_marks", bytes));
    }

    #[test]
    fn the_block_parser_reads_where_the_tables_say_in_both_orders() {
        let bytes = distinct(32768);
        for (number, layout) in [(0, &FIRST_BLOCK), (1, &LATER_BLOCK)] {
            let pages = field_of(layout, "page_numbers", &bytes);
            let slots = field_of(layout, "hash_slots", &bytes);
            let little = shm::parse_block(&bytes, number, ByteOrder::Little).unwrap();
            assert_eq!(little.page_numbers.iter().flat_map(|n| n.0.to_le_bytes()).collect::<Vec<_>>(), pages);
            assert_eq!(little.hash_slots.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>(), slots);
            let big = shm::parse_block(&bytes, number, ByteOrder::Big).unwrap();
            assert_eq!(big.page_numbers.iter().flat_map(|n| n.0.to_be_bytes()).collect::<Vec<_>>(), pages);
            assert_eq!(big.hash_slots.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>(), slots);
        }
    }

    #[test]
    fn the_database_parser_reads_where_the_table_says() {
        let mut bytes = distinct(100);
        bytes[..16].copy_from_slice(b"SQLite format 3\0");
        let db::DatabaseHead::Plain(h) = db::parse_head(&bytes).unwrap() else { panic!("not plain") };
        let parsed = [
            ("page_size", h.page_size),
            ("write_version", h.write_version.into()),
            ("read_version", h.read_version.into()),
            ("reserved", h.reserved.into()),
            ("change_counter", h.change_counter),
            ("database_pages", h.database_pages),
            ("schema_cookie", h.schema_cookie),
            ("schema_format", h.schema_format),
            ("text_encoding", h.text_encoding),
            ("user_version", h.user_version),
            ("application_id", h.application_id),
            ("version_valid_for", h.version_valid_for),
            ("sqlite_version", h.sqlite_version),
        ];
        for (name, value) in parsed {
            assert_eq!(value, be(&DATABASE_HEADER, name, &bytes), "{name}");
        }
    }
}
