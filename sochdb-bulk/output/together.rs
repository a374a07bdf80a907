//! Files that belong together get their names together: all of them, or none.
//!
//! Each takes its name by a rename, and no system renames several files at once. So where a later rename fails the earlier ones are
//! taken back: on Linux a file changes places with the older one, which is kept until all is well.

use std::fs;
use std::path::{Path, PathBuf};

use super::atomic::AtomicFile;
use crate::Failure;

/// Gives all files their names. They are [prepared](AtomicFile::prepare).
///
/// # Errors
/// What the operating system says. The older files are in their places again, or the help says which are not.
pub(crate) fn publish_all(files: Vec<AtomicFile>) -> Result<(), Failure> {
    if files.len() < 2 {
        return files.into_iter().try_for_each(AtomicFile::publish);
    }
    let mut placed: Vec<Placed> = Vec::new();
    for file in files {
        match Placed::of(file) {
            Ok(file) => placed.push(file),
            Err(failure) => {
                let stay: Vec<String> = placed.into_iter().rev().filter_map(Placed::take_back).collect();
                return Err(match stay.is_empty() {
                    true => failure,
                    false => failure.with_help(format!("whole and in place already: {}", stay.join(", "))),
                });
            }
        }
    }
    placed.into_iter().try_for_each(Placed::finish)
}

/// A file that has its name, and what was there before.
struct Placed {
    target: PathBuf,
    before: Before,
}

enum Before {
    /// No file.
    Nothing,
    /// The older file, which has this name now.
    Moved(PathBuf),
    /// The older file, which is gone.
    Gone,
}

impl Placed {
    fn of(mut file: AtomicFile) -> Result<Self, Failure> {
        let target = file.target().to_path_buf();
        // A folder could change places as well, and must not.
        let there_is_one = fs::symlink_metadata(&target).is_ok_and(|older| !older.is_dir());
        if let Some(temporary) = file.temporary().filter(|_| there_is_one)
            && exchange(temporary, &target)
        {
            let older = file.give_up_temporary().unwrap_or_default();
            return Ok(Self { target, before: Before::Moved(older) });
        }
        file.publish()?;
        Ok(Self { target, before: if there_is_one { Before::Gone } else { Before::Nothing } })
    }

    /// Puts the older file in its place; the name of the file if that cannot be.
    fn take_back(self) -> Option<String> {
        let is_back = match &self.before {
            Before::Nothing => fs::remove_file(&self.target).is_ok(),
            Before::Moved(older) => fs::rename(older, &self.target).is_ok(),
            Before::Gone => false,
        };
        (!is_back).then(|| self.target.display().to_string())
    }

    fn finish(self) -> Result<(), Failure> {
        match &self.before {
            Before::Moved(older) => {
                // Where it stays the next run for this output removes it.
                let _ = fs::remove_file(older);
                AtomicFile::sync_name(&self.target)
            }
            Before::Nothing | Before::Gone => Ok(()),
        }
    }
}

/// Has two files change places, where the system and the file system can.
#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_a: &Path, _b: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(target: &Path, bytes: &[u8]) -> AtomicFile {
        let mut file = AtomicFile::create(target).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.prepare().unwrap();
        file
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_get_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a.bin", "b.bin"].map(|name| dir.path().join(name));
        fs::write(&a, "old").unwrap();
        publish_all(vec![prepared(&a, b"new"), prepared(&b, b"new")]).unwrap();
        assert_eq!([fs::read(&a).unwrap(), fs::read(&b).unwrap()], [b"new", b"new"]);
        assert_eq!(names(dir.path()), ["a.bin", "b.bin"]);
    }

    #[test]
    fn earlier_files_are_taken_back_where_a_later_one_fails() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a.bin", "b.bin", "c.bin"].map(|name| dir.path().join(name));
        fs::write(&a, "old").unwrap();
        let files = vec![prepared(&a, b"new"), prepared(&b, b"new"), prepared(&c, b"new")];
        // A folder that is there by then can neither be replaced nor, as it is not empty, be renamed over.
        fs::create_dir_all(c.join("inner")).unwrap();
        let outcome = publish_all(files);
        if cfg!(target_os = "linux") {
            let failure = outcome.unwrap_err();
            assert!(failure.help().is_none_or(|help| !help.contains("in place")), "{failure}");
            assert_eq!(fs::read(&a).unwrap(), b"old");
        }
        assert!(!b.exists());
        assert!(c.join("inner").is_dir());
    }
}
