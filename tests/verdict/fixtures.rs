//! Sides built by hand: two containers on one ext4 volume, each with a process that has the database open.

use std::sync::Arc;

use walscope::compare::{Comparison, FrameHeaders, LivePair, Side, compare_live};
use walscope::evidence::live::*;
use walscope::evidence::*;
use walscope::format::db::{DatabaseHead, parse_head};
use walscope::format::shm::{CheckpointInfo, IndexHead, IndexHeader};
use walscope::format::wal::WalHeader;
use walscope::number::{ByteOrder, Checksum, FrameNumber, Salts, Stride};
use walscope::report::compare::CompareDocument;
use walscope::wal::{EndReason, Generation, LastCommit, WalFacts};

pub const SALTS: [u32; 2] = [100, 7];
pub const SHM_INODE: u64 = 77;
pub const SECOND: u64 = 1_000_000_000;
/// Wall clock of boot, seconds.
pub const BOOT: i64 = 1_700_000_000;

pub fn time(boottime: u64) -> Timestamp {
    Timestamp {
        seconds: BOOT + i64::try_from(boottime / SECOND).unwrap(),
        nanoseconds: u32::try_from(boottime % SECOND).unwrap(),
    }
}

pub fn clock(boottime: u64) -> ClockSample {
    ClockSample { boottime, realtime: time(boottime), boottime_offset: Some(0) }
}

pub fn ext4() -> FileSystem {
    FileSystem { name: "ext4".into(), magic: 0xef53, fsid: "00000000000000aa".into() }
}

pub fn named(name: &str, magic: u64) -> FileSystem {
    FileSystem { name: name.into(), magic, ..ext4() }
}

pub fn file(inode: u64) -> FileView {
    let device = Device { major: 254, minor: 1 };
    FileView {
        device,
        inode,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
        links: 1,
        size: 32_768,
        modified: time(50 * SECOND),
        changed: time(50 * SECOND),
        accessed: time(50 * SECOND),
        birth_time: Observation::seen(time(50 * SECOND + inode)),
        generation: Observation::seen(u32::try_from(inode).unwrap() * 3),
        mount_id: Observation::seen(5),
        unique_mount_id: Observation::missing("each side has mounts of its own"),
        disk_sequence: Observation::seen(9),
        mount_access: Observation::seen(MountAccess::ReadWrite),
        file_system: Observation::seen(ext4()),
        maps_identity: Observation::seen(InodeId { device, inode }),
    }
}

pub fn mapping(pid: u32, namespace: &str, inode: u64) -> Mapping {
    Mapping {
        pid,
        command: Some("sqlite3".into()),
        start_time: Some(1),
        mount_namespace: Observation::seen(namespace.into()),
        root: Root::Same,
        container: None,
        inode: InodeId { device: Device { major: 254, minor: 1 }, inode },
        address: 0,
        offset: 0,
        length: 32_768,
        shared: true,
        path: "/data/t.db-shm".into(),
        deleted_suffix: false,
        cut_off: None,
        database_open: FileOpen::Open,
        wal_open: FileOpen::Open,
    }
}

/// A process that uses the database as every connection in WAL mode does.
pub fn user(pid: u32, namespace: &str) -> User {
    User {
        pid,
        command: Some("sqlite3".into()),
        start_time: Some(1),
        parent: Some(1),
        ancestor_holds: false,
        forked: false,
        serves: None,
        shm: Access::Writable,
        stopped: false,
        mount_namespace: Observation::seen(namespace.into()),
        root: Root::Same,
        container: None,
        names: vec!["/data/t.db".into()],
        database: Access::Writable,
        wal: Access::Writable,
        mapped: Access::Writable,
        database_lock: DatabaseLock::Shared,
        dead_man_switch: SwitchLock::Held,
        in_transaction: false,
        journal: Access::No,
        shm_opened: 1,
        other_index: None,
        other_database: None,
        on_replaced_files: false,
        replaced_unlocked: false,
        settled: true,
    }
}

/// A mapping that stayed cut off from the side's path.
pub fn cut_off(pid: u32, namespace: &str, inode: u64) -> Mapping {
    Mapping { cut_off: Some(CutOff::Path), ..mapping(pid, namespace, inode) }
}

/// The side's processes started `at` seconds of uptime.
pub fn started(side: &mut Side, at: u64) {
    for mapping in &mut seen(&mut side.evidence.mappings).mappings {
        mapping.start_time = Some(at * 100);
    }
}

pub fn mount(id: u64, minor: u32) -> Mount {
    Mount {
        id,
        parent: 1,
        device: Device { major: 0, minor },
        root: "/".into(),
        mount_point: "/data".into(),
        fs_type: "overlay".into(),
        source: "overlay".into(),
        super_options: String::new(),
    }
}

pub fn sample(boottime: u64, mx_frame: u32) -> WalIndexSample {
    WalIndexSample {
        before: clock(boottime),
        after: clock(boottime + 10),
        mx_frame: mx_frame.into(),
        salts: Salts(SALTS),
        frame_checksum: checksum(mx_frame.into()),
        backfilled: FrameNumber::NONE,
    }
}

pub fn checksum(frame: u64) -> Checksum {
    let frame = u32::try_from(frame).unwrap();
    Checksum([frame * 11, frame * 13])
}

pub fn locks(dead_man_switch: LockState) -> LocksView {
    let mut shm = ShmLocks::unknown("not asked");
    shm.dead_man_switch.state = dead_man_switch;
    LocksView::new(shm, ByteLock { state: LockState::Shared, reason: None, holders: Vec::new() })
}

pub fn index(mx_frame: u32, salts: [u32; 2]) -> IndexHead {
    let header = IndexHeader {
        version: 3_007_000,
        unused: 0,
        change_counter: 1,
        initialized: 1,
        big_endian_checksums: 0,
        page_size: 4096,
        mx_frame: mx_frame.into(),
        database_pages: 3,
        frame_checksum: checksum(mx_frame.into()),
        salts: Salts(salts),
        checksum: Checksum::ZERO,
        checksum_ok: true,
    };
    IndexHead {
        byte_order: ByteOrder::Little,
        byte_order_known: true,
        headers: [header; 2],
        headers_agree: true,
        checkpoint: CheckpointInfo {
            backfilled: FrameNumber::NONE,
            read_marks: [Some(FrameNumber::NONE), None, None, None, None],
            lock_bytes: [0; 8],
            backfill_attempted: FrameNumber::NONE,
            unused: 0,
        },
    }
}

/// The head of a database. `mode`: 1 rollback journal, 2 WAL.
pub fn database(mode: u8, change_counter: u32) -> DatabaseHead {
    let mut bytes = [0; 100];
    bytes[..16].copy_from_slice(b"SQLite format 3\0");
    bytes[16..24].copy_from_slice(&[16, 0, mode, mode, 0, 64, 32, 32]);
    bytes[24..28].copy_from_slice(&change_counter.to_be_bytes());
    parse_head(&bytes).unwrap()
}

/// A WAL whose every frame commits.
pub fn wal(frames: u64, salts: [u32; 2], checkpoint_sequence: u32) -> WalFacts {
    let salts = Salts(salts);
    let mut facts = WalFacts::absent();
    facts.file_size = 32 + frames * 4120;
    facts.header = Some(WalHeader {
        magic: 0x377f_0682,
        format_version: 3_007_000,
        page_size: 4096,
        checkpoint_sequence,
        salts,
        checksum: Checksum::ZERO,
        checksum_ok: true,
    });
    (facts.frames.in_file, facts.frames.valid, facts.frames.committed) = (frames, frames, frames);
    facts.end_frame = FrameNumber(frames).next();
    facts.end_reason = EndReason::EndOfFile;
    facts.commits = frames;
    let last = || LastCommit { frame: FrameNumber(frames), database_pages: 3, checksum: checksum(frames) };
    facts.last_commit = (frames > 0).then(last);
    facts.generations = vec![Generation { salts, frames }];
    facts
}

/// Frame headers alone, each a commit.
pub fn headers(frames: u64, salts: [u32; 2]) -> FrameHeaders {
    let mut bytes = vec![0; 32];
    for frame in 1..=frames {
        let Checksum([checksum1, checksum2]) = checksum(frame);
        for word in [1, 3, salts[0], salts[1], checksum1, checksum2] {
            bytes.extend(word.to_be_bytes());
        }
    }
    FrameHeaders { bytes: Arc::new(bytes), stride: Stride::HEADERS }
}

/// Captured at `at` seconds of uptime for one second.
pub fn side(label: &str, pid: u32, at: u64) -> Side {
    let namespace = format!("mnt:[{pid}]");
    let evidence = Evidence {
        begun: clock(at * SECOND),
        ended: clock((at + 1) * SECOND),
        host: HostView {
            boot_id: Observation::seen("boot".into()),
            kernel_release: Observation::seen("6.18".into()),
            host_name: Observation::seen(label.into()),
            pid,
            uid: Some(0),
            gid: Some(0),
            namespaces: Namespaces {
                mount: Observation::seen(namespace.clone()),
                pid: Observation::seen("pid:[1]".into()),
                user: Observation::seen("user:[1]".into()),
                time: Observation::seen("time:[1]".into()),
            },
            container: Observation::missing("no name in the cgroup path"),
            mounts: Observation::seen(vec![mount(5, 5)]),
        },
        files: FilesView {
            links_followed: 0,
            database_path: "/data/t.db".into(),
            directory: Observation::seen(FileView { links: 2, ..file(2) }),
            database: Observation::seen(file(75)),
            wal: Observation::seen(file(76)),
            shm: Observation::seen(file(SHM_INODE)),
            journal: Observation::missing("ENOENT"),
        },
        paths_unchanged: true,
        folder_unchanged: true,
        mappings: Observation::seen(MappingsView {
            mappings: vec![mapping(pid, &namespace, SHM_INODE)],
            processes_read: 3,
            ..MappingsView::default()
        }),
        renamed: Vec::new(),
        deleted_wals: Vec::new(),
        journals: Vec::new(),
        users: Observation::seen(UsersView {
            users: vec![user(pid, &namespace)],
            processes_read: 3,
            ..UsersView::default()
        }),
        locks: Observation::seen(locks(LockState::Shared)),
        contact: Observation::seen(Contact::default()),
        samples: vec![sample(at * SECOND + 100, 9), sample(at * SECOND + 200, 9)],
        page_tables: Observation::missing("not looked at"),
        space: Observation::missing("not looked at"),
    };
    let mut side = Side::new(label, evidence);
    side.database = Some(database(2, 5));
    side.shm = Some(index(9, SALTS));
    side.wal = wal(9, SALTS, 0);
    side.wal_captured = true;
    side.frame_headers = Some(headers(9, SALTS));
    side
}

/// A writer and a reader on two FUSE mounts: their numbers differ, which says nothing.
pub fn apart() -> [Side; 2] {
    let mut sides = pair();
    super::on(&mut sides, &named("fuse.bindfs", 0x6573_5546));
    with_shm(&mut sides[1], |shm| {
        shm.device.minor = 9;
        seen(&mut shm.maps_identity).device.minor = 9;
    });
    for mapping in &mut seen(&mut sides[1].evidence.mappings).mappings {
        mapping.inode.device.minor = 9;
    }
    sides
}

/// The same side under another name.
pub fn again(side: &Side, label: &str) -> Side {
    let mut again = side.clone();
    again.label = label.into();
    again
}

/// The verdict and lineage in sentences, as the document has them.
pub fn document(sides: &[Side], comparison: &Comparison) -> CompareDocument {
    CompareDocument::new(sides, comparison, false)
}

/// A writer and a reader, one after the other, on one volume.
pub fn pair() -> [Side; 2] {
    [side("writer", 11, 100), side("reader", 12, 200)]
}

/// Page entries as pagemap shows them for these frames.
pub fn entries(frames: &[u64]) -> Vec<PageEntry> {
    frames.iter().map(|frame| PageEntry(1 << 63 | 1 << 61 | frame)).collect()
}

/// The page table of a process, read six times.
pub fn table(mapper: Mapper, frames: &[u64]) -> PageTable {
    let writable = mapper != Mapper::Descriptor;
    PageTable { mapper, writable, same_path: true, reads: Observation::seen(vec![entries(frames); 6]) }
}

pub fn by_process(pid: u32, frames: &[u64]) -> PageTable {
    table(Mapper::Process { pid, command: Some("sqlite3".into()), start_time: Some(1) }, frames)
}

pub fn look(nonce: u64) -> BeaconLook {
    BeaconLook { nonce, sight: Sight::Seen, held_throughout: true, files_in_place: true }
}

/// Both sides of [`pair`] live: one memory, one list of locks.
pub fn live() -> Live {
    Live {
        pages: Observation::seen(PagesView {
            page_size: 4096,
            a: vec![table(Mapper::Descriptor, &[70, 71]), by_process(11, &[70, 71])],
            b: vec![table(Mapper::Descriptor, &[70, 71]), by_process(12, &[70, 71])],
            files_in_place: true,
            not_looked_at: 0,
            touched: Touched::NotTried,
        }),
        beacon: BeaconView { forth: Observation::seen(look(5)), back: Observation::seen(look(6)) },
        coherence: None,
        tried: None,
    }
}

/// Compares two live sides.
pub fn compare_two(sides: &[Side; 2], live: &Live) -> Comparison {
    compare_live(sides, true, &[LivePair { at: (0, 1), live: live.clone() }])
}

/// Changes the `-shm` of a side, if it has one.
pub fn with_shm(side: &mut Side, change: impl FnOnce(&mut FileView)) {
    if let Observation::Seen { value } = &mut side.evidence.files.shm {
        change(value);
    }
}

/// Gives a side a `-shm` of its own, mapped by its own process; born with the volume.
pub fn own_shm(side: &mut Side, inode: u64) {
    with_shm(side, |shm| *shm = file(inode));
    for mapping in &mut seen(&mut side.evidence.mappings).mappings {
        mapping.inode.inode = inode;
    }
}

pub fn seen<T>(observation: &mut Observation<T>) -> &mut T {
    match observation {
        Observation::Seen { value } => value,
        _ => panic!("not seen"),
    }
}
