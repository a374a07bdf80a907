//! Files that appear whole or not at all.
//!
//! An output is written to a file beside its place and takes that place by a rename when all of it is on the disk. On
//! Linux that file has no name until then, so it vanishes with the process however that ends; elsewhere, and on file
//! systems without nameless files, it is called `.NAME.PID.tmp`, is removed on failure, and what a killed process left
//! is removed by the next run for the same output.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::Failure;

/// A file that will be at `target` once it is committed. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    file: File,
    target: PathBuf,
    /// The name that the file has now, if it has one.
    temporary: Option<PathBuf>,
}

impl AtomicFile {
    /// Begins a file for `target`, whose folder must exist.
    ///
    /// # Errors
    /// If the folder is missing or not writable, or `target` is something else than a file (a folder, a device).
    pub(crate) fn create(target: &Path) -> Result<Self, Failure> {
        check_target(target)?;
        remove_stale(target);
        let nameless = nameless_file(folder(target));
        let (file, temporary) = match nameless {
            Some(file) => (file, None),
            None => {
                let name = temporary_name(target);
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&name)
                    .map_err(|e| Failure::io("create a file beside it", target, &e))?;
                (file, Some(name))
            }
        };
        Ok(Self { file, target: target.to_path_buf(), temporary })
    }

    /// Where the file will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The file, to be mapped or written through.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Makes room for the whole file at once, so that a disk that is too small says so now and not at the end.
    ///
    /// # Errors
    /// If there is no room. File systems that cannot reserve are left to find out.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<(), Failure> {
        #[cfg(target_os = "linux")]
        if bytes > 0 {
            use rustix::io::Errno;
            let reserved = rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, bytes);
            if let Err(errno @ (Errno::NOSPC | Errno::FBIG | Errno::DQUOT)) = reserved {
                return Err(self.failure(&errno.into()));
            }
        }
        let _ = bytes;
        Ok(())
    }

    /// Writes at an offset; from several threads, if they like.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        write_all_at(&self.file, bytes, offset).map_err(|e| self.failure(&e))
    }

    /// What a failed write means.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        let failure = Failure::io("write", &self.target, error);
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure
                .with_help("free some space, or write to another disk; an older file there is untouched"),
            io::ErrorKind::FileTooLarge => {
                failure.with_help("raise the limit (`ulimit -f`); an older file there is untouched")
            }
            _ => failure,
        }
    }

    /// Makes the content durable and gives the file its name, in place of any older file.
    ///
    /// # Errors
    /// What the operating system says; the older file is untouched then.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        self.try_commit().map_err(|e| self.failure(&e))
    }

    fn try_commit(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        let temporary = match &self.temporary {
            Some(temporary) => temporary.clone(),
            None => {
                let name = temporary_name(&self.target);
                name_file(&self.file, &name)?;
                self.temporary.insert(name).clone()
            }
        };
        fs::rename(&temporary, &self.target)?;
        self.temporary = None;
        sync_folder(folder(&self.target))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nobody is left to tell: the next run for this output tries again.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Fails if `output` is one of the `inputs`, by whatever name or link.
pub(crate) fn check_not_input<'a>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<(), Failure> {
    for input in inputs {
        // A file that does not exist is no other file.
        if same_file::is_same_file(output, input).unwrap_or(false) {
            let other = if input == output { String::new() } else { format!(" ({})", input.display()) };
            let message = format!("{}: the output is an input{other}", output.display());
            return Err(Failure::refused(message).with_help("write to another file"));
        }
    }
    Ok(())
}

/// Fails unless a file can be put at `target`.
pub(crate) fn check_target(target: &Path) -> Result<(), Failure> {
    let refuse = |what: &str, help: &str| {
        Err(Failure::refused(format!("{}: {what}", target.display())).with_help(help))
    };
    let ends_in_folder =
        target.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()));
    if target.file_name().is_none() || ends_in_folder {
        return refuse("expected the name of a file to write", "add a file name to the path");
    }
    let folder = folder(target);
    if !folder.is_dir() {
        return refuse(
            &format!("cannot write: the folder {} does not exist", folder.display()),
            "create the folder first",
        );
    }
    match fs::metadata(target) {
        Ok(metadata) if !metadata.is_file() => {
            refuse("expected a file to replace, found something else", "name a file; `-` is standard output")
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            refuse(&format!("cannot write there: {error}"), "write to another file")
        }
        _ => Ok(()),
    }
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `.NAME.` and `.tmp` around the process number.
fn affixes(target: &Path) -> (String, &'static str) {
    /// File systems allow 255 bytes; what is left is for the process number and the rest.
    const NAME_BYTES: usize = 200;
    let mut name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    while name.len() > NAME_BYTES {
        name.pop();
    }
    (format!(".{name}."), ".tmp")
}

fn temporary_name(target: &Path) -> PathBuf {
    let (before, after) = affixes(target);
    target.with_file_name(format!("{before}{}{after}", std::process::id()))
}

/// Removes what killed processes left of earlier attempts at this output.
fn remove_stale(target: &Path) {
    let (before, after) = affixes(target);
    let Ok(entries) = fs::read_dir(folder(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(&before)?.strip_suffix(after));
        if let Some(process) = process.and_then(|process| process.parse::<i32>().ok())
            && !is_alive(process)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(unix)]
fn is_alive(process: i32) -> bool {
    match rustix::process::Pid::from_raw(process) {
        Some(pid) => rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
        None => true,
    }
}

/// Where nobody can be asked, nobody is called dead.
#[cfg(not(unix))]
fn is_alive(_process: i32) -> bool {
    true
}

/// A file without a name in `folder`, where the system has such.
#[cfg(target_os = "linux")]
fn nameless_file(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    // It gets its name by way of /proc: without that it would stay nameless for ever.
    descriptor_path(&file).exists().then_some(file)
}

#[cfg(not(target_os = "linux"))]
fn nameless_file(_folder: &Path) -> Option<File> {
    None
}

#[cfg(target_os = "linux")]
fn descriptor_path(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(target_os = "linux")]
fn name_file(file: &File, name: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    // What stands there is an own earlier attempt: the name carries the process number.
    let _ = fs::remove_file(name);
    Ok(linkat(CWD, descriptor_path(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn name_file(_file: &File, _name: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be opened as files there, and a rename is durable with the file.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.bin");
        fs::write(&target, "old").unwrap();
        let file = AtomicFile::create(&target).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"old");
        drop(file);
        assert_eq!(names(dir.path()), ["x.bin"]);
        let file = AtomicFile::create(&target).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["x.bin"]);
    }

    #[cfg(unix)]
    #[test]
    fn leftovers_of_dead_processes_are_removed_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.bin");
        // The largest process number that Linux and macOS know is smaller.
        fs::write(dir.path().join(".x.bin.2147483646.tmp"), "").unwrap();
        fs::write(dir.path().join(format!(".x.bin.{}.tmp", std::process::id())), "").unwrap();
        fs::write(dir.path().join(".y.bin.2147483646.tmp"), "").unwrap();
        drop(AtomicFile::create(&target));
        assert!(!dir.path().join(".x.bin.2147483646.tmp").exists());
        assert!(dir.path().join(format!(".x.bin.{}.tmp", std::process::id())).exists());
        assert!(dir.path().join(".y.bin.2147483646.tmp").exists());
    }

    #[test]
    fn folders_and_missing_folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(AtomicFile::create(dir.path()).is_err());
        assert!(AtomicFile::create(&dir.path().join("no/such/x.bin")).is_err());
    }
}
