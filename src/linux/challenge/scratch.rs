//! The scratch file of a trial: numbers that are written through one mapping and read through another.
//!
//! Mappings are read and written through `/proc/self/mem`: the kernel then uses the same page tables as a load would,
//! and a file that somebody truncates gives an error instead of SIGBUS.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use memmap2::{MmapOptions, MmapRaw};

use super::beacon;
use crate::linux::mapped_identity::refuses_mappings;

/// Round trips of the trial.
pub(super) const ROUNDS: u8 = 32;
/// Bytes of the scratch file.
pub(super) const SIZE: u64 = 4096;
/// How long the other side may take for a step, on a busy machine.
pub(super) const STEP_AT_MOST: Duration = Duration::from_secs(10);
/// How often a mapping is read for a value that must already be there.
const LOOKS: u32 = 1000;

/// Roles: the host came first and made the scratch file, the guest joined it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Host,
    Guest,
}

/// The scratch file, mapped, and the role of this side.
pub(super) struct Scratch {
    pub(super) file: File,
    pub(super) role: Role,
    mapping: MmapRaw,
    memory: File,
}

impl Scratch {
    pub(super) fn new(file: File, role: Role) -> io::Result<Self> {
        let mapping = MmapOptions::new().len(usize::try_from(SIZE).unwrap_or(0)).map_raw(&file).map_err(no_mapping)?;
        let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
        let scratch = Self { file, role, mapping, memory };
        // From here on the page is in memory: a later write of the other side is seen only if both have the same page.
        scratch.load(Role::Host)?;
        Ok(scratch)
    }

    fn address(&self, of: Role) -> u64 {
        let cell = if of == Role::Host { 0 } else { SIZE / 2 };
        self.mapping.as_ptr().addr() as u64 + cell
    }

    pub(super) fn load(&self, of: Role) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, self.address(of))?;
        Ok(u64::from_ne_bytes(bytes))
    }

    pub(super) fn store(&self, value: u64) -> io::Result<()> {
        self.memory.write_all_at(&value.to_ne_bytes(), self.address(self.role))
    }

    pub(super) fn other(&self) -> Role {
        if self.role == Role::Host { Role::Guest } else { Role::Host }
    }

    pub(super) fn seat(&self, of: Role) -> u64 {
        if of == Role::Host { beacon::BASE } else { beacon::BASE + beacon::SEAT }
    }

    /// Waits until the other's cell has a value.
    fn await_value(&self, value: u64) -> io::Result<bool> {
        let end = Instant::now() + STEP_AT_MOST;
        while self.load(self.other())? != value {
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::yield_now();
        }
        Ok(true)
    }

    /// Whether the other's cell has a value that was written before this call.
    pub(super) fn sees(&self, value: u64) -> io::Result<bool> {
        for _ in 0..LOOKS {
            if self.load(self.other())? == value {
                return Ok(true);
            }
            std::thread::yield_now();
        }
        Ok(false)
    }

    /// Round trips: the host asks, the guest answers. Ends at the first one without an answer. Returns the number of
    /// complete ones, the times on the host, and the last round in which this side wrote.
    pub(super) fn round_trips(&self, nonce: u64, peer: u64) -> io::Result<(u8, Vec<u64>, u8)> {
        let (mut times, mut written) = (Vec::new(), 0);
        for round in 1..=ROUNDS {
            let begun = Instant::now();
            if self.role == Role::Host {
                self.store(in_round(nonce, round))?;
                written = round;
            }
            if !self.await_value(in_round(peer, round))? {
                return Ok((round - 1, times, written));
            }
            if self.role == Role::Guest {
                self.store(in_round(nonce, round))?;
                written = round;
            } else {
                times.push(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
        }
        Ok((ROUNDS, times, written))
    }
}

/// What a side writes in a round.
pub(super) fn in_round(nonce: u64, round: u8) -> u64 {
    nonce.wrapping_add(round.into())
}

/// What to say of a refused mapping.
fn no_mapping(error: io::Error) -> io::Error {
    if !refuses_mappings(&error) {
        return error;
    }
    let why = "the file system refuses to map a file shared, so SQLite's WAL mode does not work in this folder: use a local \
               disk, or journal_mode=DELETE";
    io::Error::new(io::ErrorKind::Unsupported, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_mapping_is_explained() {
        let said = |errno| no_mapping(io::Error::from_raw_os_error(errno)).to_string();
        assert!(said(libc::ENODEV).contains("WAL mode does not work") && said(libc::EINVAL).contains("WAL mode"));
        assert!(!said(libc::ENOMEM).contains("WAL mode"));
    }
}
