//! Files that appear whole or not at all.
//!
//! An output is written to a file beside its place and takes that place by a rename when all of it is on the disk. On
//! Linux that file has no name until then, so it vanishes with the process however that ends; elsewhere, and on file
//! systems without nameless files, it is called `.NAME.PID.tmp`, is removed on failure, and what a killed process left
//! is removed by the next run for the same output: a file that is being written is locked, and a leftover is not.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::pieces::{PORTION_BYTES, up_to_next};
use crate::{Code, Failure};

/// A file that will be at `target` once it is committed. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    file: File,
    target: PathBuf,
    /// The name that the file has now, if it has one.
    temporary: Option<PathBuf>,
    /// Whether it stays under that name when it is dropped.
    is_kept: bool,
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
                let (file, name) =
                    named_file(target).map_err(|e| Failure::io("create a file beside it", target, &e))?;
                (file, Some(name))
            }
        };
        // The lock says that somebody is at work on the file; file systems without locks are taken at their word.
        let _ = file.try_lock();
        Ok(Self { file, target: target.to_path_buf(), temporary, is_kept: false })
    }

    /// The file of a run that keeps what it wrote: what an earlier one left of it, or a new one.
    ///
    /// # Errors
    /// As [`AtomicFile::create`], and if another run is at work on it.
    pub(crate) fn resume(target: &Path) -> Result<Self, Failure> {
        check_target(target)?;
        let name = partial_name(target);
        if fs::symlink_metadata(&name).is_ok_and(|metadata| !metadata.is_file()) {
            let message =
                format!("{}: expected a file of an earlier run, found something else", name.display());
            return Err(Failure::refused(message)
                .with_code(Code::Target)
                .about(&name)
                .with_help("remove it"));
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name);
        let file = file.map_err(|e| Failure::io("open", &name, &e))?;
        if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            let message = format!("{}: another run is at work on this file", name.display());
            return Err(Failure::refused(message)
                .with_code(Code::Target)
                .with_help("wait for its end, or write to another file"));
        }
        Ok(Self { file, target: target.to_path_buf(), temporary: Some(name), is_kept: true })
    }

    /// Brings what is in the file to the disk.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn commit(&self) -> Result<(), Failure> {
        self.file.sync_data().map_err(|e| self.failure(&e))
    }

    /// Where the file will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The file, to be mapped or written through.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// How long it is.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn len_bytes(&self) -> Result<u64, Failure> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|e| self.failure(&e))
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

    /// Writes `bytes` at `offset`, and has everything that is in the file by then brought to the disk, so that it is there
    /// when the rest is ready. For a thread beside the work; ends early, in any state, when `is_abandoned` says so.
    pub(crate) fn write_early(
        &self,
        bytes: &[u8],
        mut offset: u64,
        is_abandoned: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if is_abandoned() {
                return Ok(());
            }
            let (portion, later) = rest.split_at(up_to_next(offset, PORTION_BYTES).min(rest.len()));
            self.write_all_at(portion, offset)?;
            offset += portion.len() as u64;
            rest = later;
        }
        if is_abandoned() { Ok(()) } else { self.file.sync_data().map_err(|e| self.failure(&e)) }
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

    /// Makes the content durable, and takes the file to the last step before its name: what can fail has not failed
    /// then. Of several files that belong together all are prepared before the first is published.
    ///
    /// # Errors
    /// What the operating system says; the older file is untouched.
    pub(crate) fn prepare(&mut self) -> Result<(), Failure> {
        let named = self.file.sync_all().and_then(|()| self.name());
        named.map_err(|e| self.failure(&e))
    }

    fn name(&mut self) -> io::Result<()> {
        if self.temporary.is_some() {
            return Ok(());
        }
        for name in temporary_names(&self.target) {
            match name_file(&self.file, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                named => {
                    named?;
                    self.temporary = Some(name);
                    return Ok(());
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The name that the file has now, if it has one and does not keep it.
    pub(super) fn temporary(&self) -> Option<&Path> {
        self.temporary.as_deref().filter(|_| !self.is_kept)
    }

    /// Forgets that name, which is that of another file now.
    pub(super) fn give_up_temporary(&mut self) -> Option<PathBuf> {
        self.temporary.take()
    }

    /// Makes a new name durable.
    pub(super) fn sync_name(target: &Path) -> Result<(), Failure> {
        sync_folder(folder(target)).map_err(|e| Failure::io("write", target, &e))
    }

    /// Gives the file its name, in place of any older file.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn publish(mut self) -> Result<(), Failure> {
        self.prepare()?;
        let Some(temporary) = self.temporary.take() else { return Ok(()) };
        if let Err(error) = fs::rename(&temporary, &self.target) {
            let failure = self.failure(&error);
            self.temporary = Some(temporary);
            return Err(failure);
        }
        sync_folder(folder(&self.target)).map_err(|e| self.failure(&e))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.as_ref().filter(|_| !self.is_kept) {
            // Nobody is left to tell: the next run for this output tries again.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a whole file at once.
///
/// # Errors
/// As the steps of [`AtomicFile`].
pub(crate) fn write_file(target: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = AtomicFile::create(target)?;
    file.write_all_at(bytes, 0)?;
    file.publish()
}

/// Whether two paths name one place, whether or not a file is there: the same name in the same folder.
pub(crate) fn is_same_place(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| Some((fs::canonicalize(folder(path)).ok()?, path.file_name()?.to_owned()));
    a == b || place(a).is_some_and(|a| place(b) == Some(a))
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
            let refused = Failure::refused(message).with_code(Code::OverInput).about(output);
            return Err(refused.with_help("write to another file"));
        }
    }
    Ok(())
}

/// Fails unless a file can be put at `target`.
pub(crate) fn check_target(target: &Path) -> Result<(), Failure> {
    let refuse = |what: &str, help: &str| {
        let message = format!("{}: {what}", target.display());
        Err(Failure::refused(message).with_code(Code::Target).about(target).with_help(help))
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

pub(crate) fn folder(target: &Path) -> &Path {
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

/// The name of a file that stays until a run goes on with it.
pub(crate) fn partial_name(target: &Path) -> PathBuf {
    let (before, _) = affixes(target);
    target.with_file_name(format!("{before}resume"))
}

/// Names for the file until it has its own: with the process number, and a further number where that name is taken by a
/// process of another machine or container.
fn temporary_names(target: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let target = target.to_path_buf();
    let (before, after) = affixes(&target);
    let process = std::process::id();
    (0..100).map(move |attempt| match attempt {
        0 => target.with_file_name(format!("{before}{process}{after}")),
        _ => target.with_file_name(format!("{before}{process}-{attempt}{after}")),
    })
}

/// A new file under one of the temporary names.
fn named_file(target: &Path) -> io::Result<(File, PathBuf)> {
    for name in temporary_names(target) {
        match OpenOptions::new().read(true).write(true).create_new(true).open(&name) {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what killed processes left of earlier attempts at this output: files of the form of a temporary name that
/// nobody holds the lock of.
fn remove_stale(target: &Path) {
    let (before, after) = affixes(target);
    let Ok(entries) = fs::read_dir(folder(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&before)?.strip_suffix(after));
        let is_ours =
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        if is_ours && is_abandoned(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether nobody holds the lock of a file.
fn is_abandoned(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
        && OpenOptions::new().write(true).open(path).is_ok_and(|file| file.try_lock().is_ok())
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
    Ok(linkat(CWD, descriptor_path(file), CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn name_file(_file: &File, _name: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        // A folder that may be written to but not read cannot be synced by anybody but the system.
        Err(_) => Ok(()),
    }
}

/// Folders cannot be opened as files there, and a rename is durable with the file.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
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
        file.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["x.bin"]);
    }

    #[test]
    fn leftovers_are_removed_and_files_at_work_stay() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.bin");
        for name in [".x.bin.17.tmp", ".x.bin.17-1.tmp", ".x.bin.old.tmp", ".y.bin.17.tmp", ".x.bin.18.tmp"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let at_work = File::open(dir.path().join(".x.bin.18.tmp")).unwrap();
        at_work.lock().unwrap();
        drop(AtomicFile::create(&target));
        assert_eq!(names(dir.path()), [".x.bin.18.tmp", ".x.bin.old.tmp", ".y.bin.17.tmp"]);
    }

    #[test]
    fn a_file_with_a_name_of_its_own_goes_the_same_way() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.bin");
        let (file, name) = named_file(&target).unwrap();
        let (other, other_name) = named_file(&target).unwrap();
        assert_ne!(name, other_name);
        drop(AtomicFile { file: other, target: target.clone(), temporary: Some(other_name), is_kept: false });
        let file = AtomicFile { file, target: target.clone(), temporary: Some(name), is_kept: false };
        file.write_all_at(b"new", 0).unwrap();
        file.publish().unwrap();
        assert_eq!(names(dir.path()), ["x.bin"]);
    }

    #[test]
    fn folders_and_missing_folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(AtomicFile::create(dir.path()).is_err());
        assert!(AtomicFile::create(&dir.path().join("no/such/x.bin")).is_err());
    }
}
