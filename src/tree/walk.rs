//! The walk over all trees of a database. What it checks is what `PRAGMA integrity_check` checks of structure, without rows
//! that an index lacks, and without constraints.

use std::collections::BTreeMap;
use std::io;

use super::Pages;
use super::cover::Cover;
use super::facts::{Fault, LISTED, TreeFault, Trees};
use super::used::Used;
use crate::format::btree::{Cell, NoPage, Page, Payload, Usable};
use crate::format::db::DatabaseHeader;
use crate::format::freelist::{Owned, PointerMaps, Trunk, lock_byte_page};
use crate::format::record::{Stored, accounts_for_all, values};
use crate::number::{PageNumber, PageSize};

/// A tree has no more levels: `BTCURSOR_MAX_DEPTH`.
const DEEPEST: usize = 20;
/// Of a record whose head is not on one page, so many bytes are read: more than a head has, or the first values of a row of
/// `sqlite_schema`. (SQLite refuses heads of more than 98307 bytes.)
const LONGEST_HEAD: usize = 1 << 17;
/// The root of `sqlite_schema`.
const SCHEMA: PageNumber = PageNumber(1);

/// Walks over the freelist and over every tree. `header` is that of the page 1 that `pages` has. `None`: SQLite opens no
/// database with these numbers.
///
/// # Errors
/// Reading failed.
pub fn walk(pages: &mut dyn Pages, header: &DatabaseHeader) -> io::Result<Option<Trees>> {
    let Some(size) = PageSize::new(header.page_size) else { return Ok(None) };
    let Some(usable) = Usable::new(size, header.reserved) else { return Ok(None) };
    let maps = (header.largest_root != 0).then(|| PointerMaps::new(size, usable));
    let mut walk = Walk {
        count: pages.count(),
        pages,
        size,
        usable,
        maps,
        map: (PageNumber::NONE, Vec::new()),
        lock_bytes: lock_byte_page(size),
        used: Used::default(),
        cover: Cover::default(),
        found: Trees::default(),
        names: BTreeMap::new(),
        roots: Vec::new(),
        all_roots_known: true,
        tree: PageNumber::NONE,
    };
    walk.freelist(header)?;
    walk.tree(&Root { page: SCHEMA, of_table: Some(true) })?;
    for root in std::mem::take(&mut walk.roots) {
        walk.tree(&root)?;
    }
    walk.largest_root(header);
    walk.never_used();
    Ok(Some(walk.found))
}

struct Walk<'a> {
    pages: &'a mut dyn Pages,
    count: u32,
    size: PageSize,
    usable: Usable,
    maps: Option<PointerMaps>,
    /// The page of the pointer map that was read last.
    map: (PageNumber, Vec<u8>),
    lock_bytes: PageNumber,
    used: Used,
    cover: Cover,
    found: Trees,
    /// The names of the trees by their roots.
    names: BTreeMap<PageNumber, String>,
    /// The roots that `sqlite_schema` names.
    roots: Vec<Root>,
    all_roots_known: bool,
    /// The root of the tree that is walked now.
    tree: PageNumber,
}

/// The root of a tree.
struct Root {
    page: PageNumber,
    /// Whether its keys are rowids; `None`: the row of `sqlite_schema` does not tell.
    of_table: Option<bool>,
}

/// The rowids that a page may have: above the first, and not above the second.
#[derive(Clone, Copy)]
struct Bounds {
    above: Option<i64>,
    most: Option<i64>,
}

/// A page of a tree that is still to be looked at, and the rowids that it may have.
struct Child {
    page: PageNumber,
    bounds: Bounds,
}

impl Walk<'_> {
    fn fault(&mut self, page: PageNumber, fault: Fault) {
        self.found.fault_count += 1;
        if self.found.faults.len() < LISTED {
            let of = match self.tree {
                SCHEMA => Some("sqlite_schema".to_owned()),
                root => self.names.get(&root).cloned(),
            };
            self.found.faults.push(TreeFault { page, of, fault });
        }
    }

    /// Notes that a page is used, and holds it against the pointer map. `false`: nothing is to be read from it.
    fn enter(&mut self, page: PageNumber, is: Owned) -> io::Result<bool> {
        if page == PageNumber::NONE || page.0 > self.count {
            self.fault(page, Fault::OutOfRange);
            return Ok(false);
        }
        if page == self.lock_bytes || self.maps.is_some_and(|maps| maps.is_map(page)) {
            self.fault(page, Fault::Reserved);
            return Ok(false);
        }
        if !self.used.first_time(page) {
            self.fault(page, Fault::UsedTwice);
            return Ok(false);
        }
        self.held_against_map(page, is)?;
        Ok(true)
    }

    fn held_against_map(&mut self, page: PageNumber, is: Owned) -> io::Result<()> {
        let Some((map, at)) = self.maps.and_then(|maps| maps.entry(page)) else { return Ok(()) };
        if self.map.0 != map {
            self.map.1.resize(self.usable.bytes(), 0);
            let there = map.0 <= self.count && self.pages.read(map, &mut self.map.1)?;
            if !there {
                self.map.1.clear();
            }
            self.map.0 = map;
        }
        let stated = self.map.1.get(at..at + PointerMaps::ENTRY).and_then(Owned::parse);
        if stated != Some(is) {
            self.fault(page, Fault::PointerMap { is, stated });
        }
        Ok(())
    }

    /// Reads the beginning of a page. `false`: it is not there, and that was noted.
    fn read(&mut self, page: PageNumber, into: &mut [u8]) -> io::Result<bool> {
        let there = self.pages.read(page, into)?;
        if !there {
            self.fault(page, Fault::NotThere);
        }
        Ok(there)
    }

    fn freelist(&mut self, header: &DatabaseHeader) -> io::Result<()> {
        let mut bytes = vec![0; self.usable.bytes()];
        let mut next = PageNumber(header.freelist_trunk);
        let mut unread = false;
        while next != PageNumber::NONE {
            if !self.enter(next, Owned::Free)? || !self.read(next, &mut bytes)? {
                unread = true;
                break;
            }
            self.found.free_pages += 1;
            let Some(trunk) = Trunk::parse(&bytes, self.usable) else {
                let stated = bytes.get(4..8).unwrap_or_default().iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
                self.fault(next, Fault::Trunk { stated });
                unread = true;
                break;
            };
            for leaf in trunk.leaves() {
                self.found.free_pages += 1;
                self.enter(leaf, Owned::Free)?;
            }
            next = trunk.next;
        }
        let found = self.found.free_pages;
        if !unread && found != u64::from(header.freelist_pages) {
            let page = PageNumber(header.freelist_trunk.max(1));
            self.fault(page, Fault::FreeCount { stated: header.freelist_pages, found });
        }
        Ok(())
    }

    /// One tree, from its root.
    fn tree(&mut self, root: &Root) -> io::Result<()> {
        self.tree = root.page;
        self.found.trees += 1;
        let whole = Child { page: root.page, bounds: Bounds { above: None, most: None } };
        self.page(&whole, Owned::Root, root.of_table, 0)?;
        self.tree = PageNumber::NONE;
        Ok(())
    }

    /// One page of a tree, and all pages below it. How many levels are below it; `None`: that is not known.
    fn page(&mut self, child: &Child, is: Owned, of_table: Option<bool>, depth: usize) -> io::Result<Option<usize>> {
        let number = child.page;
        if !self.enter(number, is)? {
            return Ok(None);
        }
        if depth >= DEEPEST {
            self.fault(number, Fault::TooDeep);
            return Ok(None);
        }
        let mut bytes = vec![0; self.size.to_usize()];
        if !self.read(number, &mut bytes)? {
            return Ok(None);
        }
        let page = match Page::parse(&bytes, number, self.usable) {
            Ok(page) => page,
            Err(NoPage::OfNoType(found)) => {
                self.fault(number, Fault::NoTreePage { found });
                return Ok(None);
            }
            Err(NoPage::NumbersDoNotFit) => {
                self.fault(number, Fault::HeadCannotBe);
                return Ok(None);
            }
        };
        let kind = page.head.kind;
        if of_table.is_some_and(|of_table| of_table != kind.of_table()) {
            self.fault(number, Fault::OfOtherKind { found: kind });
            return Ok(None);
        }
        // folklore: only a root may have no cells, and of the roots that name pages only page 1, which has less room. SQLite calls
        // any other page without cells malformed when it reads it; `integrity_check` alone does not. Held by
        // `damaged_databases_have_the_faults_that_sqlite_finds`.
        let may_be_empty = depth == 0 && (!kind.is_interior() || number == SCHEMA);
        if page.head.cells == 0 && !may_be_empty {
            self.fault(number, Fault::NoCells);
        }
        self.found.tree_pages += 1;
        let children = self.cells(number, page, child.bounds)?;
        drop(bytes);
        let Some(children) = children else { return Ok(Some(0)) };
        let mut levels = None;
        for child in children {
            let below = self.page(&child, Owned::Child(number), Some(kind.of_table()), depth + 1)?;
            match (levels, below) {
                (None, below) => levels = below,
                (Some(levels), Some(below)) if levels != below => self.fault(child.page, Fault::DepthDiffers),
                _ => {}
            }
        }
        Ok(levels.map(|levels| levels + 1))
    }

    /// The cells of a page, the space between them, and what the cells name. The pages below; `None` for a leaf.
    fn cells(&mut self, number: PageNumber, page: Page<'_>, bounds: Bounds) -> io::Result<Option<Vec<Child>>> {
        let kind = page.head.kind;
        let mut children = Vec::new();
        let mut before = bounds.above;
        let mut whole = true;
        self.cover.begin(self.usable.bytes());
        for cell in page.cells() {
            self.found.cells += 1;
            let cell = match cell {
                Ok(cell) => cell,
                Err(at) => {
                    self.fault(number, Fault::CellOutside { at });
                    whole = false;
                    continue;
                }
            };
            if let Err(at) = self.cover.take(cell.at, cell.size) {
                self.fault(number, Fault::Overlap { at });
                whole = false;
            }
            let bounds_below = Bounds { above: before, most: cell.rowid };
            if let Some(rowid) = cell.rowid {
                let fits = before.is_none_or(|before| rowid > before) && bounds.most.is_none_or(|most| rowid <= most);
                if !fits {
                    self.fault(number, Fault::RowidOrder { rowid });
                }
                before = Some(rowid);
            }
            children.extend(cell.left.map(|page| Child { page, bounds: bounds_below }));
            self.payload(number, &cell)?;
        }
        if whole {
            self.space(number, page);
        }
        children.extend(page.right().map(|page| Child { page, bounds: Bounds { above: before, most: bounds.most } }));
        Ok(kind.is_interior().then_some(children))
    }

    /// The space between the cells.
    fn space(&mut self, number: PageNumber, page: Page<'_>) {
        for block in page.free_blocks() {
            let (at, size) = match block {
                Ok(block) => block,
                Err(at) => return self.fault(number, Fault::FreeSpace { at }),
            };
            if let Err(at) = self.cover.take(at, size) {
                return self.fault(number, Fault::Overlap { at });
            }
        }
        let found = (self.usable.bytes() - page.head.content).saturating_sub(self.cover.taken());
        let stated = page.head.fragments;
        if found != usize::from(stated) {
            self.fault(number, Fault::Fragments { stated, found });
        }
    }

    /// What a cell has on other pages, and whether its record is one; of `sqlite_schema` also what it says.
    fn payload(&mut self, number: PageNumber, cell: &Cell<'_>) -> io::Result<()> {
        let Some(payload) = cell.payload else { return Ok(()) };
        let of_schema = self.tree == SCHEMA && cell.rowid.is_some();
        let accounts = accounts_for_all(payload.local, payload.length);
        // The head of a record with many values goes on on other pages.
        let gathers = of_schema || accounts.is_none();
        let mut row = Vec::new();
        if gathers {
            row.extend_from_slice(payload.local);
        }
        if let Some(first) = payload.overflow {
            self.overflow(number, first, &payload, gathers.then_some(&mut row))?;
        }
        let whole = row.len() as u64 == payload.length;
        if accounts.or_else(|| accounts_for_all(&row, payload.length)).unwrap_or(!whole) {
            if of_schema {
                self.schema_row(number, &row, whole);
            }
        } else {
            self.all_roots_known &= !of_schema;
            self.fault(number, Fault::Record { at: cell.at });
        }
        Ok(())
    }

    fn overflow(
        &mut self,
        number: PageNumber,
        first: PageNumber,
        payload: &Payload<'_>,
        mut row: Option<&mut Vec<u8>>,
    ) -> io::Result<()> {
        let mut left = payload.length - payload.local.len() as u64;
        let needed = self.usable.overflow_pages(left);
        let (mut next, mut is) = (first, Owned::FirstOverflow(number));
        let mut bytes = vec![0; if row.is_some() { self.usable.bytes() } else { 4 }];
        for found in 0..needed {
            if next == PageNumber::NONE {
                self.fault(number, Fault::OverflowLength { needed, found });
                return Ok(());
            }
            if !self.enter(next, is)? || !self.read(next, &mut bytes)? {
                return Ok(());
            }
            self.found.overflow_pages += 1;
            let (head, content) = bytes.split_at_checked(4).unwrap_or_default();
            if let Some(row) = row.as_mut().filter(|row| row.len() < LONGEST_HEAD) {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(content.len());
                row.extend_from_slice(content.get(..here).unwrap_or_default());
            }
            left = left.saturating_sub(self.usable.bytes() as u64 - 4);
            is = Owned::LaterOverflow(next);
            next = PageNumber(head.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)));
        }
        if next != PageNumber::NONE {
            self.fault(number, Fault::OverflowLength { needed, found: needed.saturating_add(1) });
        }
        Ok(())
    }

    /// A row of `sqlite_schema`: the root that it names. `whole`: all of the row is there.
    fn schema_row(&mut self, number: PageNumber, row: &[u8], whole: bool) {
        let mut values = values(row);
        let mut next = || values.next().flatten();
        let (kind, name, _, root, sql) = (next(), next(), next(), next(), next());
        match root {
            Some(Stored::Null | Stored::Integer(0)) => {}
            Some(Stored::Integer(root)) => {
                // A number that no page has is found out of range.
                let root = PageNumber(u32::try_from(root).unwrap_or(0));
                if let Some(Stored::Text(name)) = name {
                    self.names.insert(root, shown(name));
                }
                self.found.largest_root = self.found.largest_root.max(root);
                self.roots.push(Root { page: root, of_table: keys_are_rowids(kind, sql) });
            }
            _ => {
                self.all_roots_known = false;
                if whole {
                    self.fault(number, Fault::SchemaRow);
                }
            }
        }
    }

    fn largest_root(&mut self, header: &DatabaseHeader) {
        let largest = self.found.largest_root.max(SCHEMA);
        let differs = self.maps.is_some() && self.all_roots_known && largest.0 != header.largest_root;
        if differs {
            self.fault(largest, Fault::LargestRoot { stated: header.largest_root });
        }
    }

    /// Pages that nothing leads to. Where a tree was not walked to its end, or a list, the pages behind are not known.
    fn never_used(&mut self) {
        self.found.pages = self.count.into();
        let reserved = |page: PageNumber| page == self.lock_bytes || self.maps.is_some_and(|maps| maps.is_map(page));
        let all = u64::from(self.count);
        let maps = self.maps.map_or(0, |maps| maps.up_to(self.count));
        let lock = u64::from(self.lock_bytes.0 <= self.count);
        let unused = all.saturating_sub(self.used.count() + maps + lock);
        if unused == 0 {
            return;
        }
        self.found.never_used = unused;
        self.found.first_never_used =
            (1..=self.count).map(PageNumber).find(|page| !self.used.has(*page) && !reserved(*page));
    }
}

/// Whether the keys of a tree are rowids, by the type and the SQL of its row of `sqlite_schema`. `None`: that needs the whole
/// grammar of SQL.
fn keys_are_rowids(kind: Option<Stored<'_>>, sql: Option<Stored<'_>>) -> Option<bool> {
    let letters = |value: Option<Stored<'_>>| match value {
        Some(Stored::Text(text)) => {
            let letters = text.iter().filter(|byte| **byte != 0).map(u8::to_ascii_uppercase);
            Some(String::from_utf8_lossy(&letters.collect::<Vec<u8>>()).into_owned())
        }
        _ => None,
    };
    match letters(kind)?.as_str() {
        "INDEX" => return Some(false),
        "TABLE" => {}
        _ => return None,
    }
    let sql = letters(sql)?;
    let (_, options) = sql.rsplit_once(')')?;
    let words: Vec<&str> = options.split([',', ' ', '\n', '\t', '\r']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["WITHOUT", "ROWID"] | ["STRICT", "WITHOUT", "ROWID"] | ["WITHOUT", "ROWID", "STRICT"] => Some(false),
        // A comment can have the words, or part them.
        _ => (!sql.contains("WITHOUT")).then_some(true),
    }
}

/// The name of a table as text. In UTF-16 each letter of ASCII has a zero byte; long names are cut.
fn shown(name: &[u8]) -> String {
    let letters: Vec<u8> = name.iter().copied().filter(|byte| *byte != 0).take(128).collect();
    String::from_utf8_lossy(&letters).into_owned()
}
