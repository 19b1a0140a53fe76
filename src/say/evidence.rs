//! The facts of each piece of evidence as a sentence, and why a silent piece is silent. Sentences have no full stop.

use super::compared::LOST_TAIL;
use super::identity::identity;
use super::pairing::{pairing, unpaired};
use super::reach::not_reached;
use super::sides::{cut_off, different_at, fell_behind};
use super::unseen::{no_common_clock, no_common_kernel, not_refuted, replaced_during_capture, unseen};
use super::words::{Names, count, many, one_or, process, processes};
use crate::compare::{
    BeaconFact, Because, CoherenceFact, ContactFact, ContentFact, DirectoryFact, EqualBytesFact, Fact, Identity,
    MappedBy, MappedInodes, Mappers, MappingFact, NoBeacon, NoContact, NoPages, NotAtWork, NotMapped, NotRefuted,
    OneSide, PageFact, PairVerdict, Part, Process, Says, SeenIsNotEnough, TemporalFact, TriedFact,
};
use crate::evidence::live::{Mapper, NoFrame};

/// The facts of one piece of evidence about a pair. If there are more than two sides, the two are named.
#[must_use]
pub fn detail_of_pair(pair: &PairVerdict, item: &Because, names: Names<'_>) -> String {
    let detail = detail(item, names);
    let [a, b] = pair.sides;
    if names.are_several() { format!("{} / {}: {detail}", names.of(a), names.of(b)) } else { detail }
}

/// The facts as a sentence.
#[must_use]
pub fn detail(item: &Because, names: Names<'_>) -> String {
    match &item.fact {
        Fact::PhysicalPages(fact) => pages(fact, names),
        Fact::KernelIdentity(_) if item.says == Says::Silent => {
            "the identity of the -shm decides nothing here".to_owned()
        }
        Fact::KernelIdentity(found) => identity(found, names),
        Fact::OverlayPages => "whether the pages behind the overlay are shared is open".to_owned(),
        Fact::OneSide(_) => "everything is equal to itself".to_owned(),
        Fact::DirectoryIdentity(_) if item.says == Says::Silent => "the directory decides nothing here".to_owned(),
        Fact::DirectoryIdentity(fact) => directory(fact, names),
        Fact::ProcessMappings(fact) => mappings(fact, names),
        Fact::LockPairing(fact) if item.says == Says::Refutes => unpaired(fact, names),
        Fact::LockPairing(fact) => pairing(fact, names),
        Fact::LockBeacon(fact) => beacon(fact, names),
        Fact::Contact(fact) => contact(fact, names),
        Fact::TriedLocks(_) if item.says == Says::Silent => "the tried locks decide nothing here".to_owned(),
        Fact::TriedLocks(fact) => tried(fact, names),
        Fact::MappingCoherence(_) if item.says == Says::Silent => {
            "the trial by mapping decides nothing here".to_owned()
        }
        Fact::MappingCoherence(fact) => coherence(fact),
        Fact::Temporal(_) if item.says == Says::Silent => {
            "the order of what the sides showed decides nothing here".to_owned()
        }
        Fact::Temporal(fact) => temporal(fact, names),
        Fact::ContentLineage(_) if item.says == Says::Silent => "the frames decide nothing here".to_owned(),
        Fact::ContentLineage(fact) => content(fact, names),
        Fact::EqualBytes(EqualBytesFact::Equal) => {
            "the heads of the two -shm files are equal, byte for byte".to_owned()
        }
        Fact::EqualBytes(EqualBytesFact::Different) => {
            "the heads of the two -shm files differ; one may have been captured later".to_owned()
        }
        Fact::EqualBytes(EqualBytesFact::NotTwo) => "there are not two -shm heads to lay side by side".to_owned(),
    }
}

/// Why a piece of evidence is silent; `None` if it is not.
#[must_use]
pub fn reason(item: &Because, names: Names<'_>) -> Option<String> {
    if item.says != Says::Silent {
        return None;
    }
    Some(match &item.fact {
        Fact::PhysicalPages(PageFact::Silent(why)) => no_pages(why),
        Fact::PhysicalPages(fact) => pages(fact, names),
        Fact::KernelIdentity(found) => identity(found, names),
        Fact::OverlayPages => {
            "an overlay path and its own upper folder share pages under different identities".to_owned()
        }
        Fact::OneSide(one_side) => format!("these are {}", self::one_side(*one_side)),
        Fact::DirectoryIdentity(fact) => directory(fact, names),
        Fact::ProcessMappings(MappingFact::Mapped(_, inodes)) => match inodes {
            MappedInodes::NotAtWork(why) => not_at_work(why, names),
            _ => "whether what is mapped is one inode was not decided".to_owned(),
        },
        Fact::ProcessMappings(MappingFact::Unseen(sides)) => {
            sides.iter().map(|side| not_mapped(side, names)).collect::<Vec<_>>().join("; ")
        }
        Fact::ProcessMappings(fact) => mappings(fact, names),
        Fact::LockPairing(fact) => unpaired(fact, names),
        Fact::LockBeacon(BeaconFact::Silent(why)) => no_beacon(why),
        Fact::LockBeacon(fact) => beacon(fact, names),
        Fact::Contact(ContactFact::Silent(why)) => no_contact(why, names),
        Fact::Contact(fact) => contact(fact, names),
        Fact::TriedLocks(fact) => tried(fact, names),
        Fact::MappingCoherence(fact) => coherence(fact),
        Fact::Temporal(fact) => temporal(fact, names),
        Fact::ContentLineage(fact) => content(fact, names),
        Fact::EqualBytes(_) => {
            "identical hex dumps prove nothing: a plain copy and two FUSE mounts look the same".to_owned()
        }
    })
}

/// How two sides are one.
pub(super) fn one_side(one_side: OneSide) -> &'static str {
    match one_side {
        OneSide::Capture => "one and the same capture: it says nothing about two sides",
        OneSide::Path => "one and the same path seen from one place: nothing was compared",
    }
}

fn pages(fact: &PageFact, names: Names<'_>) -> String {
    match fact {
        PageFact::OneFrame { page, frame, by: [a, b], others_unseen } => {
            let others = if *others_unseen { "; that of other processes was not seen" } else { "" };
            format!(
                "page {page} of the -shm is page frame {frame} for {} and {}{others}",
                mapped_by(a, names),
                mapped_by(b, names)
            )
        }
        PageFact::TwoFrames { page, frames: [p, q], by: [a, b], times } => format!(
            "page {page} of the -shm was page frame {p} for {} and {q} for {}, at {} looks one after the other",
            mapped_by(a, names),
            mapped_by(b, names),
            count(*times)
        ),
        PageFact::Silent(_) => "page frames decide nothing here".to_owned(),
    }
}

fn mapped_by(by: &MappedBy, names: Names<'_>) -> String {
    let label = names.of(by.side);
    match &by.mapper {
        Mapper::Descriptor => format!("a process that opens {label} now"),
        Mapper::Process { pid, command, .. } => {
            format!("{} on {label}", process(&Process { pid: *pid, command: command.clone() }))
        }
    }
}

fn no_pages(why: &NoPages) -> String {
    let why = match why {
        NoPages::NotLive => {
            "frames are used again within milliseconds: only one compare of two live sides can read them"
        }
        NoPages::Unread(why) => &why.0,
        NoPages::Replaced => "the -shm of a side was deleted or replaced while page tables were read",
        NoPages::NoProcess => {
            "on an overlay only the mappings of running processes count, and none was seen on both sides"
        }
        NoPages::OneMapping => "both sides show only one and the same mapping",
        NoPages::TooFewReads => "no page was read three times in turn",
        NoPages::Moved => "the pages were moved while they were looked at",
        NoPages::NoFrame(NoFrame::NotResident) => {
            "no page is in the page tables of both: idle processes have not touched it lately"
        }
        NoPages::NotAnswered => {
            "no page is in the page tables of both, and no page was touched, because the file system did not answer"
        }
        NoPages::NoFrame(NoFrame::NotOfFile) => "what is mapped are no pages of a file",
        NoPages::NoFrame(NoFrame::Hidden) => {
            "page frames are shown only to CAP_SYS_ADMIN in the initial user namespace"
        }
    };
    why.to_owned()
}

fn directory(fact: &DirectoryFact, names: Names<'_>) -> String {
    match fact {
        DirectoryFact::OpenersMeet(found, name) => format!(
            "{}; the next process that opens {name}, on either side, finds or makes the -shm there",
            identity(found, names)
        ),
        DirectoryFact::OpenersPart(found) => {
            format!(
                "{}; where there is no -shm, the next to open the database creates one in that folder",
                identity(found, names)
            )
        }
        DirectoryFact::Identity(two @ Identity::TwoInodes(_)) => {
            format!("{}; files in different directories can still be one by mounts or hard links", identity(two, names))
        }
        DirectoryFact::Identity(found) => identity(found, names),
        DirectoryFact::Silent(why) => not_reached(why, names),
    }
}

fn mappings(fact: &MappingFact, names: Names<'_>) -> String {
    match fact {
        MappingFact::CutOff(sides) => sides.iter().map(|side| cut_off(side, names)).collect::<Vec<_>>().join("; "),
        MappingFact::Mapped([a, b], inodes) => {
            let inodes = match inodes {
                MappedInodes::One => ": one inode",
                MappedInodes::Two => ": two inodes",
                MappedInodes::NotAtWork(_) | MappedInodes::Undecided => "",
            };
            format!("the -shm of each side is mapped: {}, {}{inodes}", mappers(a, names), mappers(b, names))
        }
        MappingFact::Unseen(_) => "what running processes have mapped was not seen on both sides".to_owned(),
    }
}

fn mappers(side: &Mappers, names: Names<'_>) -> String {
    let unseen = [
        (u64::from(side.processes_denied), ["process", "processes"], "could not be looked at"),
        (side.mappings_not_listed, ["mapping is", "mappings are"], "not listed"),
        (side.mappings_unknown, ["mapping", "mappings"], "could not be looked at"),
    ];
    let unseen = unseen.iter().filter(|(n, ..)| *n > 0);
    let told = |(n, [one, many], what): &(u64, [&str; 2], &str)| {
        format!(" ({} more {} {what})", count(*n), one_or(*n, one, many))
    };
    let unseen: String = unseen.map(told).collect();
    format!("by {} on {}{unseen}", processes(&side.processes), names.of(side.side))
}

fn not_mapped(why: &NotMapped, names: Names<'_>) -> String {
    match why {
        NotMapped::Unseen(what) => unseen(what, names),
        NotMapped::Replaced(side) => replaced_during_capture(Part::Shm, *side, names),
        NotMapped::SeenOnce(side) => format!(
            "on {} a process maps another file under the path of the -shm, and was not seen to use it for this database: it may have been closing, or hold no lock",
            names.of(*side)
        ),
        NotMapped::Nobody { side, passing, denied, reason, not_listed, unknown, unknown_reason } => {
            let passing = match passing {
                0 => String::new(),
                n => format!(", but for {} that came and went", count(*n)),
            };
            let denied = match (denied, reason) {
                (0, _) => String::new(),
                (n, reason) => {
                    let reason = reason.as_ref().map_or("no permission", |reason| reason.0.as_str());
                    format!(", and {} could not be looked at: {reason}", count(*n))
                }
            };
            let not_listed = match not_listed {
                0 => String::new(),
                n => format!(", and {} {} not listed", many(*n, "mapping"), one_or(*n, "is", "are")),
            };
            let unknown = match (unknown, unknown_reason) {
                (0, _) => String::new(),
                (n, reason) => {
                    let reason = reason.as_ref().map_or("no permission", |reason| reason.0.as_str());
                    format!(", and {} could not be looked at: {reason}", many(*n, "mapping"))
                }
            };
            let side = names.of(*side);
            format!("no process of {side} was seen that maps the -shm{passing}{denied}{not_listed}{unknown}")
        }
    }
}

fn not_at_work(why: &NotAtWork, names: Names<'_>) -> String {
    match why {
        NotAtWork::OtherFile(who, file, side) => format!(
            "{} maps the -shm, and has another {} open than that of {}",
            process(who),
            file.name(),
            names.of(*side)
        ),
        NotAtWork::FileUnseen(who, file, side) => {
            format!("whether {} has the {} of {} open was not seen", process(who), file.name(), names.of(*side))
        }
        NotAtWork::Bystanders(side) => {
            format!("on {} only programs that look at the files have the -shm mapped", names.of(*side))
        }
        NotAtWork::NamedProcess(pid, side) => {
            format!("process {pid} of {} does not map the -shm itself", names.of(*side))
        }
        NotAtWork::OneProcess([a, b]) => format!(
            "{} and {} are of one mount namespace, and one process alone was seen there that maps the -shm",
            names.of(*a),
            names.of(*b)
        ),
        NotAtWork::Clock(why) => no_common_clock(why, names),
        NotAtWork::StartedLater(later) => format!(
            "the processes seen on {} started after the other capture had ended: whether they were ever at work together was not seen",
            names.of(*later)
        ),
    }
}

fn beacon(fact: &BeaconFact, names: Names<'_>) -> String {
    match fact {
        BeaconFact::Seen { holder, seeker, nonce, doubt } => format!(
            "64 bits that {} held as locks were read by {} ({nonce:016x}){}",
            names.of(*holder),
            names.of(*seeker),
            doubt.as_ref().map(seen_is_not_enough).unwrap_or_default()
        ),
        BeaconFact::NotSeen { holder, seeker } => {
            format!("{} held 64 locks throughout, and {} saw none of them", names.of(*holder), names.of(*seeker))
        }
        BeaconFact::Silent(_) => "the lock beacon decides nothing here".to_owned(),
    }
}

fn contact(fact: &ContactFact, names: Names<'_>) -> String {
    match fact {
        ContactFact::Seen { holder, seeker, nonce, doubt } => format!(
            "the beacon that {} held was seen by {} ({nonce:016x}): both had one -shm open at one moment{}",
            names.of(*holder),
            names.of(*seeker),
            doubt.as_ref().map(seen_is_not_enough).unwrap_or_default()
        ),
        ContactFact::Silent(_) => "the beacons of the captures decide nothing here".to_owned(),
    }
}

fn no_contact(why: &NoContact, names: Names<'_>) -> String {
    match why {
        NoContact::Live => "one process looked at both sides, so no beacon has to show that they met".to_owned(),
        NoContact::Unseen(what) => unseen(what, names),
        NoContact::NotHeld => {
            "neither capture held a beacon: walscope snapshot --hold on one side, while the other is captured"
                .to_owned()
        }
        NoContact::NotSeen(holder) => format!(
            "the beacon of {} was not seen by the other capture, which may have been made before or after it was held",
            names.of(*holder)
        ),
    }
}

fn seen_is_not_enough(why: &SeenIsNotEnough) -> String {
    match why {
        SeenIsNotEnough::FileSystem(title) => format!("; but on {title} a lock that is seen may stop nobody"),
        SeenIsNotEnough::UnknownFileSystem => {
            "; but on a file system that walscope does not know a lock that is seen may stop nobody".to_owned()
        }
        SeenIsNotEnough::OtherFile => {
            "; but it is not shown that the other side has the same file, and a program can copy locks from one file to another"
                .to_owned()
        }
    }
}

fn no_beacon(why: &NoBeacon) -> String {
    match why {
        NoBeacon::NotLive => {
            "locks are held by live processes: compare two live sides, or run walscope probe on both".to_owned()
        }
        NoBeacon::Garbled => "other locks lay over the pattern; try again".to_owned(),
        NoBeacon::MayNotHaveBeenThere => {
            "it was not seen, which counts only where the holder is known to have held throughout, and both paths still name the file".to_owned()
        }
        NoBeacon::NotAllAreSeen(title) => format!(
            "it was not seen, and on {} a lock can be held without being seen",
            title.unwrap_or("a file system that walscope does not know")
        ),
        NoBeacon::Untried(why) => why.0.clone(),
    }
}

fn tried(fact: &TriedFact, names: Names<'_>) -> String {
    match fact {
        TriedFact::Refused => {
            "every write lock was refused that one side tried to take while the other held a lock, also on the bytes that SQLite uses".to_owned()
        }
        TriedFact::Granted { holder, trier } => format!(
            "a write lock was granted to {} although {} held a lock on the same bytes: locks stop nobody there",
            names.of(*trier),
            names.of(*holder)
        ),
        TriedFact::MayNotHaveBeenHeld(trier) => format!(
            "a write lock was granted to {}, and it is not known that the other side held its lock at that time",
            names.of(*trier)
        ),
        TriedFact::EverythingRefused(trier) => {
            format!("locks were refused to {} on bytes that nobody should hold", names.of(*trier))
        }
        TriedFact::Untried(why) => why.0.clone(),
    }
}

fn coherence(fact: &CoherenceFact) -> String {
    match fact {
        CoherenceFact::RoundTrips(n) => {
            format!("{} times a fresh number went there and back through the two mappings", count(*n))
        }
        CoherenceFact::LostThere => {
            "what was written through the mapping here was not there on the other side".to_owned()
        }
        CoherenceFact::LostHere => "what the other side wrote through its mapping was not there here".to_owned(),
        CoherenceFact::Unanswered => "the first numbers were seen, later ones were not answered in time".to_owned(),
        CoherenceFact::Unsaid => "the other side did not say what it saw".to_owned(),
        CoherenceFact::Untried(why) => why.0.clone(),
    }
}

/// A difference that can have another reason than two writers decides nothing.
fn with_reason(detail: String, why: Option<&NotRefuted>, names: Names<'_>) -> String {
    match why {
        Some(why) => format!("{detail}; but {}, and {LOST_TAIL}", not_refuted(why, names)),
        None => detail,
    }
}

fn temporal(fact: &TemporalFact, names: Names<'_>) -> String {
    match fact {
        TemporalFact::FellBehind(found, why) => with_reason(fell_behind(found, names), why.as_ref(), names),
        TemporalFact::AdvanceTogether => "interleaved samples of both sides advance together".to_owned(),
        TemporalFact::Kernel(why) => no_common_kernel(why, names),
        TemporalFact::NoSamples(side) => format!("{} has no samples on a comparable clock", names.of(*side)),
        TemporalFact::NotInterleaved => "the samples do not interleave while frames are added".to_owned(),
        TemporalFact::NoOrder => "no two samples are of the same generation and one wholly after the other".to_owned(),
    }
}

fn content(fact: &ContentFact, names: Names<'_>) -> String {
    match fact {
        ContentFact::EqualUpTo(frame) => {
            format!("same generation and same content up to frame {}; a copy looks the same", count(*frame))
        }
        ContentFact::DifferentAt(frame, why) => with_reason(different_at(*frame), why.as_ref(), names),
        ContentFact::ChecksumUnknown(frame) => {
            format!("the checksum of frame {} was not captured on both sides", count(*frame))
        }
        ContentFact::NoCommonFrame => "no frame is common to both".to_owned(),
        ContentFact::OtherGenerations => "the generations differ, so frames cannot be compared".to_owned(),
        ContentFact::NoHistory => "a side has neither a usable -wal nor a wal-index in use".to_owned(),
    }
}
