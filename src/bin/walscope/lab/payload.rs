//! The files that a root file system needs to run this executable: the executable, its loader and the libraries that it
//! has mapped.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use goblin::elf::Elf;
use serde::{Deserialize, Serialize};

/// Where the executable is inside.
pub const PROGRAM: &str = "/walscope";
/// Where the libraries are inside. The loader gets the folder by `LD_LIBRARY_PATH`, because its default folders differ
/// between distributions.
pub const LIBRARIES: &str = "/lib/walscope";

/// Files by their path inside, each with its path on this machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Payload {
    /// Inside to outside.
    pub files: BTreeMap<PathBuf, PathBuf>,
}

impl Payload {
    /// The files for the running executable. A static executable needs only itself.
    pub fn of_this_program() -> anyhow::Result<Self> {
        let program = env::current_exe().context("the path of this executable")?;
        let mut files = BTreeMap::from([(PathBuf::from(PROGRAM), program.clone())]);
        if let Some(interpreter) = elf(&program, |elf| elf.interpreter.map(PathBuf::from))? {
            let loader = interpreter.canonicalize().with_context(|| interpreter.display().to_string())?;
            let maps = fs::read_to_string("/proc/self/maps").context("/proc/self/maps")?;
            for library in mapped_code(&maps).filter(|path| *path != program && *path != loader) {
                let soname = elf(&library, |elf| elf.soname.map(str::to_owned))?;
                let file_name = library.file_name().unwrap_or_default();
                let name = soname.map_or_else(|| PathBuf::from(file_name), PathBuf::from);
                files.insert(Path::new(LIBRARIES).join(name), library);
            }
            files.insert(interpreter, loader);
        }
        Ok(Self { files })
    }

    /// A tar of a root file system with these files.
    pub fn write_tar(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        tar.mode(tar::HeaderMode::Deterministic);
        // folklore: `docker import` refuses sparse entries, and the tar crate would make them for an executable with
        // large holes. Held by `tests/lab`, wherever Docker is.
        tar.sparse(false);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o1777);
        header.set_size(0);
        tar.append_data(&mut header, "tmp/", io::empty())?;
        for (inside, outside) in &self.files {
            tar.append_file(inside.strip_prefix("/").unwrap_or(inside), &mut File::open(outside)?)?;
        }
        tar.finish()
    }
}

fn elf<T>(path: &Path, look: impl FnOnce(&Elf<'_>) -> T) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let elf = Elf::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(look(&elf))
}

/// The files in `/proc/self/maps` that are mapped executable.
fn mapped_code(maps: &str) -> impl Iterator<Item = PathBuf> {
    maps.lines().filter_map(|line| {
        let permissions = line.split_whitespace().nth(1)?;
        let path = line.get(line.find('/')?..)?;
        permissions.contains('x').then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mapped_code_is_taken_along_and_spaces_stay_in_its_path() {
        let maps = "55d0-55d1 r--p 00000000 fe:00 1 /usr/lib/locale/C.utf8/LC_CTYPE\n\
                    55d1-55d2 r-xp 00001000 fe:00 2                          /opt/my lib/libc.so.6\n\
                    7ff0-7ff1 r-xp 00000000 00:00 0                          [vdso]\n";
        assert_eq!(mapped_code(maps).collect::<Vec<_>>(), [PathBuf::from("/opt/my lib/libc.so.6")]);
    }

    #[test]
    fn the_payload_of_a_dynamic_program_has_its_loader_and_its_libc() {
        let payload = Payload::of_this_program().unwrap();
        assert!(payload.files.contains_key(Path::new(PROGRAM)));
        let interpreter = elf(&env::current_exe().unwrap(), |elf| elf.interpreter.map(PathBuf::from)).unwrap();
        match interpreter {
            Some(interpreter) => {
                assert!(payload.files.contains_key(&interpreter));
                assert!(payload.files.keys().any(|file| file.starts_with(LIBRARIES)), "{payload:?}");
            }
            None => assert_eq!(payload.files.len(), 1),
        }
    }
}
