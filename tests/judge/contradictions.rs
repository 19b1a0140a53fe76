//! The sentence about the checkpoint and the findings beside it come from one look, and must not contradict each other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use walscope::bundle::Capture;
use walscope::bytes::ReadAt;
use walscope::evidence::{ByteLock, Evidence, Holder, LockState, LocksView, ShmLocks};
use walscope::finding::lacks::Lack;
use walscope::finding::split_index::SplitIndex;
use walscope::finding::value::{Apart, UsersFound};
use walscope::finding::{Code, Finding, Found, Severity, findings};
use walscope::look::checkpoint::Doubt;
use walscope::look::{DatabaseSeen, Inspection, Options, Seen, WalSeen, inspect};
use walscope::report::checkpoint::CheckpointDocument;
use walscope::say::checkpoint::{Against, Sentence, sentence};
use walscope::sides::Part;

use crate::codes::cases;
use crate::common::contradictions::{ALL_IS_WELL, NO_CONTRADICTION, NO_PROMISE, NOT_WELL, PROMISES_FRAMES, contradict};
use crate::world::{SALTS, World, at_rest, byte, healthy, open, page_one, with_page_one, writing};

/// Files that stand still, and locks.
struct Still {
    database: DatabaseSeen,
    wal: WalSeen,
    shm: Option<Arc<dyn ReadAt>>,
    locks: Option<LocksView>,
    surroundings: Option<Evidence>,
}

impl Seen for Still {
    fn database(&self) -> io::Result<DatabaseSeen> {
        Ok(self.database.clone())
    }

    fn wal(&self) -> io::Result<WalSeen> {
        Ok(self.wal.clone())
    }

    fn shm(&self) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.shm.clone())
    }

    fn locks(&self) -> Option<LocksView> {
        self.locks.clone()
    }

    fn surroundings(&self) -> Option<Evidence> {
        self.surroundings.clone()
    }
}

/// Locks of every kind of look: nobody is there, somebody has it open, writes, reads, closes; nothing was seen.
fn all_locks() -> Vec<Option<LocksView>> {
    let view = |shm: ShmLocks, database| Some(LocksView::new(shm, byte(database)));
    let reading = |slot: usize| {
        let mut locks = open();
        locks.read[slot] = byte(LockState::Shared);
        locks
    };
    let by = |state| ByteLock { holders: vec![Holder { pid: Some(7), ..Holder::default() }], ..byte(state) };
    let mut writer_that_reads = open();
    writer_that_reads.write = by(LockState::Exclusive);
    writer_that_reads.read[1] = by(LockState::Shared);
    vec![
        None,
        view(writer_that_reads, LockState::Shared),
        view(at_rest(), LockState::Free),
        view(at_rest(), LockState::Exclusive),
        view(open(), LockState::Shared),
        view(open(), LockState::Exclusive),
        view(writing(), LockState::Shared),
        view(reading(0), LockState::Shared),
        view(reading(1), LockState::Shared),
        view(ShmLocks { dead_man_switch: byte(LockState::Shared), ..ShmLocks::unknown("not seen") }, LockState::Shared),
    ]
}

/// Every situation that the other tests make, and those that people met.
fn worlds() -> Vec<(String, World)> {
    let mut worlds: Vec<(String, World)> =
        cases().into_iter().map(|(code, _, world)| (format!("the case of {code}"), world)).collect();
    worlds.push(("healthy".to_owned(), healthy()));
    let mut killed = healthy();
    killed.reindex(|shm| (shm.backfilled, shm.attempted) = (3, 4));
    worlds.push(("a checkpoint that was killed".to_owned(), killed));
    let restart = |world: &mut World| {
        world.database()[512..1024].fill(9);
        world.wal().set_salts([SALTS[0] + 1, 99]);
        world.shm = None;
    };
    let mut restarted = healthy();
    restart(&mut restarted);
    worlds.push(("restarted".to_owned(), restarted));
    for backfilled in [0, 3, 4] {
        let copied = |mut world: World| {
            world.reindex(|shm| (shm.backfilled, shm.attempted) = (backfilled, backfilled));
            world
        };
        let with = |change: fn(&mut World)| {
            let mut world = copied(healthy());
            change(&mut world);
            world
        };
        let situations = [
            ("a -wal without its database", with(|world| world.database = None)),
            ("a -wal beside an empty database", with(|world| world.database = Some(Vec::new()))),
            ("an older database copied over one in use", with(|world| world.database()[512..].fill(0))),
            ("pages that are in neither file", with(|world| world.database().truncate(1024))),
            ("another page size", with(|world| world.database()[16..18].copy_from_slice(&[4, 0]))),
            ("a newer database", with(|world| world.database()[27] += 1)),
            ("a truncated -shm", with(|world| world.shm().truncate(3))),
            ("a truncated -wal", with(|world| world.wal().bytes.truncate(32 + 2 * (24 + 512)))),
            ("a deleted -wal", with(|world| world.wal = None)),
            ("files that were replaced", with(|world| world.replaced = true)),
            ("a database in rollback mode", copied(with_page_one(&page_one(1, 5, 3_053_000)))),
            ("an encrypted database", copied(with_page_one(&[0xe5; 512]))),
        ];
        worlds.extend(situations.map(|(name, world)| (format!("{name}, {backfilled} frames copied"), world)));
    }
    worlds
}

/// The files in `testdata`: each folder of cases, each bundle.
fn kept() -> Vec<(String, Still)> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut kept = Vec::new();
    for folder in folders(&testdata) {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.display().to_string();
            if name.ends_with(".walsnap") {
                kept.push((name, of_bundle(&Capture::open(&path).unwrap())));
            } else if let Some(database) = name.strip_suffix("-wal") {
                kept.push((name.clone(), of_files(Path::new(database))));
            }
        }
    }
    assert!(kept.len() > 50, "found only {}", kept.len());
    kept
}

fn folders(at: &Path) -> Vec<PathBuf> {
    let below = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut found: Vec<PathBuf> = below.flat_map(|folder| folders(&folder)).collect();
    found.push(at.to_owned());
    found
}

fn of_files(database: &Path) -> Still {
    let read = |suffix: &str| {
        let bytes = fs::read(format!("{}{suffix}", database.display())).ok()?;
        Some(Arc::new(bytes) as Arc<dyn ReadAt>)
    };
    Still {
        database: read("").map_or(DatabaseSeen::Absent, DatabaseSeen::Whole),
        wal: read("-wal").map_or(WalSeen::Absent, WalSeen::Whole),
        shm: read("-shm"),
        locks: None,
        surroundings: None,
    }
}

fn of_bundle(capture: &Capture) -> Still {
    Still {
        database: capture.database.clone(),
        wal: capture.wal.clone(),
        shm: capture.shm.clone(),
        locks: capture.manifest.evidence.locks.value().cloned(),
        surroundings: Some(capture.manifest.evidence.clone()),
    }
}

/// One look, with what is around the files.
fn look_at(still: &Still) -> Inspection {
    let mut examined = inspect(still, &Options::default()).unwrap();
    examined.surroundings = still.surroundings();
    examined
}

/// What stands on one page: the kind of the sentence, and the findings beside it.
fn page(examined: &Inspection) -> Option<(Sentence, Vec<Finding>)> {
    let wal = examined.wal.as_ref()?;
    let checkpoint = examined.checkpoint.as_ref()?;
    let found = findings(examined);
    let document = CheckpointDocument::new(checkpoint, wal, &found);
    assert!(document.explanation.ends_with('.'), "{document:?}");
    let kind = sentence(checkpoint, wal, &found);
    assert_eq!(document.sentence, kind.name());
    if matches!(kind, Sentence::Against(_)) {
        for words in ["wal_checkpoint copies", "Keep the -wal", "Nothing to do", "reads them, and its closing"] {
            assert!(!document.explanation.contains(words), "{document:?}");
        }
    }
    if document.explanation.contains("as the finding says") {
        let advice = |finding| walscope::say::finding::finding(finding).advice;
        assert!(found.iter().any(|one| advice(one).contains("walscope rescue SOURCE")), "{document:?}, {found:?}");
    }
    Some((kind, found))
}

/// A situation's name, the kind of its sentence, and the findings beside it.
type Page = (String, Sentence, Vec<Finding>);

/// Every page that the worlds and the kept files lead to.
fn pages() -> &'static [Page] {
    static PAGES: LazyLock<Vec<Page>> = LazyLock::new(all_pages);
    &PAGES
}

fn all_pages() -> Vec<Page> {
    let mut pages = Vec::new();
    let mut add = |name: &str, examined: &Inspection| {
        pages.extend(page(examined).map(|(sentence, beside)| (name.to_owned(), sentence, beside)));
    };
    for locks in all_locks() {
        for (name, mut world) in worlds() {
            world.database_lock = locks.as_ref().map_or(LockState::Unknown, |locks| locks.database.state);
            world.locks = locks.clone().map(|locks| locks.shm);
            add(&name, &world.examine());
        }
        for (name, still) in kept() {
            add(&name, &look_at(&Still { locks: locks.clone(), surroundings: None, ..still }));
        }
    }
    for (name, still) in kept() {
        add(&name, &look_at(&still));
    }
    pages
}

#[test]
fn every_code_is_in_one_of_the_three_lists() {
    for code in Code::ALL {
        let lists = [NO_PROMISE, NOT_WELL, NO_CONTRADICTION];
        let listed: usize = lists.iter().map(|list| list.iter().filter(|listed| *listed == code).count()).sum();
        assert_eq!(listed, 1, "{code} stands in NO_PROMISE, NOT_WELL and NO_CONTRADICTION {listed} times");
    }
}

#[test]
fn no_sentence_about_the_checkpoint_contradicts_a_finding_beside_it() {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for (name, sentence, beside) in pages() {
        looked_at += beside.len();
        let contradicts = beside.iter().filter(|finding| contradict(*sentence, finding));
        wrong.extend(contradicts.map(|finding| format!("{sentence:?} beside {}: {name}", finding.code())));
    }
    assert!(wrong.is_empty(), "these must not stand on one page:\n{}", wrong.join("\n"));
    assert!(looked_at > 1000);
}

/// A reason that no page has would be one that nobody reads.
#[test]
fn every_reason_against_the_usual_sentence_is_on_a_page_or_comes_from_what_lies_around() {
    let elsewhere = [Against::OtherFiles, Against::IndexCutOff, Against::Journal, Against::NoRoom, Against::NoMapping];
    for against in Against::all().into_iter().filter(|against| !elsewhere.contains(against)) {
        let said = Sentence::Against(against);
        assert!(pages().iter().any(|(_, sentence, _)| *sentence == said), "no page has {said:?}");
    }
}

#[test]
fn the_pages_have_every_sentence_that_could_contradict_and_every_doubt_but_a_recovery() {
    let doubts = Doubt::all().into_iter().filter(|doubt| *doubt != Doubt::Recovering);
    let wanted = PROMISES_FRAMES.iter().chain(ALL_IS_WELL).copied().chain(doubts.map(Sentence::Doubted));
    let missing: Vec<Sentence> =
        wanted.filter(|wanted| !pages().iter().any(|(_, sentence, _)| sentence == wanted)).collect();
    assert!(missing.is_empty(), "no page has {missing:?}");
}

/// No world has a journal beside it.
#[test]
fn beside_a_journal_that_waits_no_page_says_that_all_is_well() {
    let mut said = Vec::new();
    for locks in all_locks() {
        for (name, mut world) in worlds() {
            world.locks = locks.clone().map(|locks| locks.shm);
            let examined = world.examine();
            let (Some(wal), Some(checkpoint)) = (&examined.wal, &examined.checkpoint) else { continue };
            let mut all = findings(&examined);
            let waits = Finding::new(Found::HotJournal {
                used_by: Vec::new(),
                signs: Vec::new(),
                database_change_counter: None,
                journal_change_counter: None,
                database_page_size: None,
                journal_page_size: None,
                super_journal: None,
                database_pages_before: None,
                pages_right: None,
                pages_counted: None,
                under_way: false,
                walked: None,
            });
            all.push(waits.clone());
            let kind = sentence(checkpoint, wal, &all);
            assert!(!contradict(kind, &waits), "{kind:?}: {name}");
            said.push(kind);
        }
    }
    assert!(said.contains(&Sentence::Against(Against::Journal)) && said.contains(&Sentence::WaitCheckpointCopies));
}

/// The sentence beside one more finding, which it must not contradict. `None`: there is none to say.
fn said_beside(examined: &Inspection, extra: &Finding, name: &str) -> Option<Sentence> {
    let (wal, checkpoint) = (examined.wal.as_ref()?, examined.checkpoint.as_ref()?);
    let mut all = findings(examined);
    all.push(extra.clone());
    let kind = sentence(checkpoint, wal, &all);
    assert!(!contradict(kind, extra), "{kind:?}: {name}");
    let told = CheckpointDocument::new(checkpoint, wal, &all).explanation;
    assert!(told.ends_with('.') && !told.contains(".."), "{told}");
    Some(kind)
}

/// How much room there is comes from the file system.
#[test]
fn beside_a_full_file_system_no_page_promises_anything() {
    let shm = |size| Lack::Shm { size, needed: 32768, more: 32768 };
    let mut said = Vec::new();
    for lack in [shm(None), shm(Some(3)), Lack::NewFiles { files: 2 }, Lack::Frame { more: 4096 }] {
        for locks in all_locks() {
            for (name, mut world) in worlds() {
                world.locks = locks.clone().map(|locks| locks.shm);
                let examined = world.examine();
                let in_use = examined.in_use();
                let (available, lacks) = (Some(0), vec![lack]);
                let found = Found::FileSystemFull {
                    lacks,
                    available,
                    available_to_root: available,
                    free_inodes: None,
                    in_use,
                    root: true,
                };
                said.extend(said_beside(&examined, &Finding::at(Severity::Warning, found), &name));
            }
        }
    }
    assert!(said.contains(&Sentence::Against(Against::NoRoom)));
}

/// Whether files can be mapped is tried on the file system.
#[test]
fn beside_a_file_system_that_maps_nothing_shared_no_page_promises_anything() {
    let refused = Finding::new(Found::SharedMappingsRefused { file_system: Some("fuse".into()) });
    let mut said = Vec::new();
    for locks in all_locks() {
        for (name, mut world) in worlds() {
            world.locks = locks.clone().map(|locks| locks.shm);
            let examined = world.examine();
            said.extend(said_beside(&examined, &refused, &name));
        }
    }
    assert!(said.contains(&Sentence::Against(Against::NoMapping)));
}

/// What processes have open comes from /proc, so no world raises these findings.
#[test]
fn beside_processes_on_other_files_every_page_says_do_not_checkpoint() {
    let apart = |apart| Apart::Process { side: "web".into(), apart, processes: Vec::new() };
    let users = UsersFound::Unseen { side: "web".into() };
    let split = SplitIndex::Path { path: "/a-shm".into(), mapped: Vec::new() };
    let beside = [
        Found::SplitBrain { split },
        Found::WalIndexSharedDatabaseNot { apart: apart(Part::Database) },
        Found::WalIndexSharedWalNot { apart: apart(Part::Wal) },
        Found::WorkerOnReplacedFiles { users },
    ];
    let mut looked_at = 0;
    for locks in all_locks() {
        for (name, mut world) in worlds() {
            world.database_lock = locks.as_ref().map_or(LockState::Unknown, |locks| locks.database.state);
            world.locks = locks.clone().map(|locks| locks.shm);
            let examined = world.examine();
            let (Some(wal), Some(checkpoint)) = (&examined.wal, &examined.checkpoint) else { continue };
            for found in &beside {
                let mut all = findings(&examined);
                all.push(Finding::new(found.clone()));
                assert_eq!(sentence(checkpoint, wal, &all), Sentence::Against(Against::OtherFiles), "{name}");
                let said = CheckpointDocument::new(checkpoint, wal, &all).explanation;
                assert!(said.starts_with("Do not checkpoint: "), "{name}: {said}");
                for words in ["PRAGMA", "Keep the -wal", "Nothing to do", "work on copies"] {
                    assert!(!said.contains(words), "{name}: {said}");
                }
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 1000);
}
