//! Two captures, their evidence changed field by field, compared: what must hold for any two sides whatever they claim.
#![no_main]

use std::io;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::{Value, json};
use walscope::wal::WalFacts;
use walscope::bytes::ReadAt;
use walscope::compare::{About, Answer, Comparison, FrameHeaders, Kind, LivePair, Says, Side, compare, compare_live};
use walscope::evidence::Evidence;
use walscope::evidence::live::Live;
use walscope::report::compare::CompareDocument;
use walscope::say::Names;
use walscope::say::evidence::reason;
use walscope::bundle::Capture;
use walscope_fuzz::archive;
use walscope_fuzz::text::{assert_harmless, is_drawn};

/// Two recorded sides as they were, and every place in their evidence that can be changed.
struct Pair {
    sides: [Side; 2],
    evidence: [Value; 2],
    places: [Vec<String>; 2],
}

/// Recorded in containers: testdata/bundles.
macro_rules! recorded {
    ($($folder:literal),*) => {
        [$([
            include_bytes!(concat!("../../testdata/bundles/", $folder, "/writer.walsnap")).as_slice(),
            include_bytes!(concat!("../../testdata/bundles/", $folder, "/reader.walsnap")).as_slice(),
        ]),*]
    };
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let pair = |bundles: [&[u8]; 2]| {
        let sides =
            ["writer", "reader"].map(|label| label.to_owned()).into_iter().zip(bundles).map(|(label, bytes)| {
                let capture = Capture::from_file(&label, archive::file(bytes)).unwrap();
                let mut side = Side::from_capture(&capture).unwrap();
                // In memory: what was read from the bundle is looked up time and again.
                side.frame_headers = side.frame_headers.map(|headers| FrameHeaders {
                    bytes: Arc::new(walscope::bytes::read_all(headers.bytes.as_ref(), 1 << 20).unwrap()),
                    ..headers
                });
                side
            });
        let sides: [Side; 2] = sides.collect::<Vec<_>>().try_into().ok().unwrap();
        let evidence = [&sides[0], &sides[1]].map(|side| serde_json::to_value(&side.evidence).unwrap());
        let places = [&evidence[0], &evidence[1]].map(|value| {
            let mut all = Vec::new();
            collect(value, "", &mut all);
            all
        });
        Pair { sides, evidence, places }
    };
    recorded!("shared", "copied", "file-mount").map(pair).into()
});

/// Whether to say what is changed, to understand a failing input.
static SHOWN: LazyLock<bool> = LazyLock::new(|| std::env::var_os("WALSCOPE_FUZZ_SHOW").is_some());

/// What both of two live sides showed together: one wal-index.
static LIVE: LazyLock<Value> = LazyLock::new(|| {
    let entry = |frame: u64| (1_u64 << 63 | 1 << 61 | frame).to_string();
    let reads = json!({"status": "seen", "value": vec![vec![entry(70), entry(71)]; 6]});
    let own = json!({"mapper": "descriptor", "writable": false, "same_path": true, "reads": reads});
    let process = |pid: u32| {
        json!({
            "mapper": {"process": {"pid": pid, "command": "app", "start_time": 5}},
            "writable": true, "same_path": true, "reads": reads
        })
    };
    let look = |nonce: &str| {
        json!({"status": "seen", "value": {
            "nonce": nonce, "sight": "seen", "held_throughout": true, "files_in_place": true
        }})
    };
    json!({
        "pages": {"status": "seen", "value": {
            "page_size": 4096, "a": [own, process(11)], "b": [own, process(12)], "files_in_place": true
        }},
        "beacon": {"forth": look("5"), "back": look("6")},
        "coherence": null
    })
});

static LIVE_PLACES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all = Vec::new();
    collect(&LIVE, "", &mut all);
    all
});

/// The JSON pointer of every value.
fn collect(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| collect(item, &format!("{at}/{n}"), all)),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| collect(field, &format!("{at}/{name}"), all)),
        _ => {}
    }
}

/// A text that a terminal would obey, and which forges a line.
const HOSTILE: &str = "x\u{1b}]0;y\u{7}\r\nVerdict: proven\u{9b}2J\u{202e}\u{2028}z";

/// Changes one value. `other`: what stands there on the other side.
fn change(value: &mut Value, how: u8, number: u16, other: Option<&Value>) {
    let wide =
        [0, 1, u64::from(number), u64::from(u32::MAX), 1 << 53, i64::MAX as u64, u64::MAX][usize::from(number) % 7];
    match (how % 6, &mut *value) {
        (0, _) => *value = other.cloned().unwrap_or(Value::Null),
        (1, _) => *value = Value::Null,
        (2, Value::Bool(is)) => *is = !*is,
        (2, Value::Array(items)) => match number % 3 {
            0 => items.clear(),
            1 => drop(items.pop()),
            _ => items.extend(items.first().cloned()),
        },
        (2, Value::Object(fields)) if fields.contains_key("status") => {
            let status = ["denied", "missing", "unsupported"][usize::from(number) % 3];
            *value = json!({"status": status, "reason": "changed"});
        }
        (3, Value::String(text)) => *text = HOSTILE.to_owned(),
        // Numbers that may be large travel as text.
        (_, Value::String(text)) if text.parse::<u64>().is_ok() => *text = wide.to_string(),
        (4, Value::String(text)) => {
            let words = ["overlay", "ext4", "tmpfs", "fuse.bindfs", "", "0:0", "/", "mnt:[1]"];
            *text = words[usize::from(number) % words.len()].to_owned();
        }
        (_, Value::Number(_)) => *value = json!(wide),
        (_, Value::String(text)) => text.push('x'),
        _ => {}
    }
}

/// Takes one observation away, as if looking had been refused; what was not seen stays as it is.
fn deny(value: &mut Value) {
    if value.get("status").is_some_and(|status| status == "seen") {
        *value = json!({"status": "denied", "reason": "taken away"});
    }
}

/// The first word of the `-wal` header's salts, and frame headers, with some bytes changed.
struct Patched {
    whole: Arc<dyn ReadAt>,
    at: u64,
    byte: u8,
}

impl ReadAt for Patched {
    fn len(&self) -> u64 {
        self.whole.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.whole.read_at(buf, offset)?;
        if let Some(byte) = self.at.checked_sub(offset).and_then(|at| buf[..n].get_mut(at as usize)) {
            *byte ^= self.byte;
        }
        Ok(n)
    }
}

/// Everything but the evidence: the head of the `-shm`, the facts of the `-wal`, its frames, stability.
fn change_bytes(side: &mut Side, other: &Side, how: u8, number: u16) {
    let wide = [0, 1, 7, u32::from(number), u32::MAX][usize::from(number) % 5];
    match how % 10 {
        0 => side.shm = None,
        1 => side.shm = other.shm.clone(),
        2 => side.wal = other.wal.clone(),
        3 => side.wal = WalFacts::absent(),
        4 => side.wal_captured = false,
        5 => side.stable = !side.stable,
        6 => side.frame_headers = other.frame_headers.clone(),
        7 => {
            if let Some(headers) = &mut side.frame_headers {
                let patched =
                    Patched { whole: headers.bytes.clone(), at: u64::from(number) * 8, byte: 1 << (how / 32) };
                headers.bytes = Arc::new(patched);
            }
        }
        8 => {
            if let Some(last) = &mut side.wal.last_commit {
                match number % 3 {
                    0 => last.frame = wide.into(),
                    1 => last.checksum.0[0] = wide,
                    _ => last.database_pages = wide,
                }
            }
        }
        _ => {
            if let Some(header) = &mut side.wal.header {
                match number % 4 {
                    0 => header.salts.0[0] = wide,
                    1 => header.salts.0[1] = wide,
                    2 => header.page_size = wide,
                    _ => header.checkpoint_sequence = wide,
                }
            }
        }
    }
}

/// The kinds that prove an aspect.
fn proofs(comparison: &Comparison, aspect: About) -> Vec<Kind> {
    let items = comparison.verdict.because();
    let proves = items.filter(|item| item.says == Says::Proves && (item.about == aspect || item.about == About::Both));
    proves.map(|item| item.kind).collect()
}

fn answers(comparison: &Comparison) -> impl PartialEq + std::fmt::Debug + use<> {
    let verdict = &comparison.verdict;
    let because: Vec<_> = verdict.because().map(|item| (item.kind, item.about, item.says)).collect();
    (verdict.sharing, verdict.memory, verdict.locks, verdict.subject, verdict.decided_by.clone(), because)
}

fn check(comparison: &Comparison) {
    let verdict = &comparison.verdict;
    for (answer, aspect) in [(verdict.memory, About::Memory), (verdict.locks, About::Locks)] {
        // What is proven names what proved it.
        assert!(answer != Answer::Proven || !proofs(comparison, aspect).is_empty(), "{verdict:?}");
    }
    if verdict.sharing == Answer::Proven {
        assert_eq!((verdict.memory, verdict.locks), (Answer::Proven, Answer::Proven));
        assert!(!verdict.decided_by.is_empty());
        assert!(verdict.because().all(|item| item.says != Says::Refutes), "{verdict:?}");
    }
    for item in verdict.because() {
        let never = [Kind::EqualBytes, Kind::ContentLineage, Kind::Temporal, Kind::ProcessMappings];
        assert!(item.says != Says::Proves || !never.contains(&item.kind), "{item:?} proves");
        let reason = reason(item, Names::new(&["writer", "reader"]));
        assert_eq!(item.says == Says::Silent, reason.is_some(), "{item:?}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, changes)) = bytes.split_first() else { return };
    let pair = &PAIRS[usize::from(first) % PAIRS.len()];
    let (simultaneous, with_live) = (first & 64 != 0, first & 128 != 0);
    let mut sides = pair.sides.clone();
    // Most of the time goes into JSON: only what is changed is made anew.
    let mut evidence = [None, None];
    let mut live = with_live.then(|| LIVE.clone());
    let mut removed = Vec::new();
    for step in changes.chunks_exact(6).take(12) {
        let [which, how, a, b, c, d] = step.try_into().unwrap();
        let (place, number) = (usize::from(u16::from_le_bytes([a, b])), u16::from_le_bytes([c, d]));
        let at = usize::from(which & 1);
        let places = &pair.places[at];
        let pointer = &places[place % places.len()];
        if *SHOWN {
            eprintln!("side {at}, {pointer}: {} {how} {number}", which >> 1 & 7);
        }
        match which >> 1 & 7 {
            0 => change_bytes(&mut sides[at], &pair.sides[1 - at], how, number),
            1 => {
                let live = live.as_mut().and_then(|live| live.pointer_mut(&LIVE_PLACES[place % LIVE_PLACES.len()]));
                if let Some(value) = live {
                    change(value, how, number, None);
                }
            }
            2 => removed.push((at, pointer)),
            _ => {
                let other = pair.evidence[1 - at].pointer(pointer);
                let evidence = evidence[at].get_or_insert_with(|| pair.evidence[at].clone());
                if let Some(value) = evidence.pointer_mut(pointer) {
                    change(value, how, number, other);
                }
            }
        }
    }
    for (side, evidence) in sides.iter_mut().zip(&evidence) {
        let Some(evidence) = evidence else { continue };
        let Ok(evidence) = Evidence::deserialize(evidence) else { return };
        side.evidence = evidence;
    }
    let live = live.and_then(|live| serde_json::from_value::<Live>(live).ok());
    let live: Vec<_> = live.into_iter().map(|live| LivePair { at: (0, 1), live }).collect();
    let full = compare_live(&sides, simultaneous, &live);
    check(&full);
    if is_drawn(bytes) {
        let document = CompareDocument::new(&sides, &full, simultaneous);
        assert_harmless(&document.draw(20 + bytes.len() % 100));
        serde_json::to_string(&document).unwrap();
    }
    if live.is_empty() {
        let back = compare(&[sides[1].clone(), sides[0].clone()], simultaneous);
        assert_eq!(answers(&full), answers(&back), "the order of the sides matters");
    }
    if !removed.is_empty() {
        for (at, pointer) in removed {
            let evidence = evidence[at].get_or_insert_with(|| pair.evidence[at].clone());
            if let Some(value) = evidence.pointer_mut(pointer) {
                deny(value);
            }
        }
        for (side, evidence) in sides.iter_mut().zip(&evidence) {
            let Some(evidence) = evidence else { continue };
            side.evidence = Evidence::deserialize(evidence).unwrap();
        }
        let less = compare_live(&sides, simultaneous, &live);
        for aspect in [About::Memory, About::Locks] {
            let before = proofs(&full, aspect);
            for kind in proofs(&less, aspect) {
                assert!(before.contains(&kind), "{kind:?} proves only with less evidence: {:#?}", full.verdict);
            }
        }
        if full.verdict.sharing == Answer::Undecided {
            assert_ne!(less.verdict.sharing, Answer::Proven, "less evidence, and a proof");
        }
    }
    // A side beside itself says nothing about two sides.
    let own = compare(&[sides[0].clone(), sides[0].clone()], simultaneous);
    assert_ne!(own.verdict.sharing, Answer::Proven, "proven by being compared with itself");
});
