//! Which files a name means: one, or all that match a pattern.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, glob_with};

use crate::{Error, Topic};

/// What makes a name a pattern.
const PATTERN: [char; 3] = ['*', '?', '['];

/// The files that `name` means, seen from `folder`: the one of exactly that name where there is one, whatever characters it
/// has; else, where it has `*`, `?` or `[`, all files that match it as a pattern, in natural order (`b2` before `b10`).
///
/// `**` stands for any number of folders; names that begin with a dot match only where the pattern has that dot, too. A
/// name without pattern is given back as it is, also where no such file exists, and so is `-`, standard input.
///
/// # Errors
/// [`crate::ErrorKind::Request`] for a folder, a pattern that nothing matches or that is none; I/O errors of folders that
/// cannot be looked into.
pub fn files_called(folder: &Path, name: &Path) -> Result<Vec<PathBuf>, Error> {
    if name == Path::new("-") {
        return Ok(vec![name.to_path_buf()]);
    }
    let path = folder.join(name);
    if path.is_dir() {
        let pattern = path.join("*");
        return Err(Error::request("expected a file, found a directory")
            .about(Topic::NoFile)
            .in_file(&path)
            .with_help(format!("name its files, or a pattern in quotes: '{}'", pattern.display())));
    }
    let is_pattern = name.to_string_lossy().contains(PATTERN);
    if !is_pattern || path.symlink_metadata().is_ok() {
        return Ok(vec![path]);
    }
    let mut files = matching(folder, name).map_err(|error| error.in_file(&path))?;
    if files.is_empty() {
        return Err(Error::request("expected files that match this pattern, found none")
            .about(Topic::NoFile)
            .in_file(&path)
            .with_help("`*` and `?` stand for characters of a name, `**` for folders; paths begin in the current folder, or in that of the pipeline file"));
    }
    files.sort_by(|a, b| natural(a, b));
    Ok(files)
}

fn matching(folder: &Path, name: &Path) -> Result<Vec<PathBuf>, Error> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| Error::request("expected a pattern in UTF-8"))
    };
    let pattern = if name.is_absolute() || folder.as_os_str().is_empty() {
        text(name)?
    } else {
        // Only what was typed is a pattern, not the folder that it is seen from.
        text(&Path::new(&Pattern::escape(&text(folder)?)).join(name))?
    };
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob_with(&pattern, options).map_err(|error| {
        Error::request(format!("expected a file or a pattern, found that {}", error.msg))
            .about(Topic::NoFile)
            .with_help("no file has this name, and `*`, `?` and `[...]` make it a pattern")
    })?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| {
            let path = error.path().to_path_buf();
            Error::io("look into the folder", error.into()).in_file(path)
        })?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    Ok(files)
}

/// Names as people order them: numbers in them by their value.
fn natural(a: &Path, b: &Path) -> Ordering {
    let (mut left, mut right) = (a.components(), b.components());
    loop {
        return match (left.next(), right.next()) {
            (Some(one), Some(other)) => {
                let (one, other) = (one.as_os_str().as_encoded_bytes(), other.as_os_str().as_encoded_bytes());
                match natural_bytes(one, other) {
                    Ordering::Equal => continue,
                    unequal => unequal,
                }
            }
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            // `01` beside `1`: any order, but always the same.
            (None, None) => a.cmp(b),
        };
    }
}

fn natural_bytes(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (&[first, ..], &[other, ..]) = (a, b) {
        if first.is_ascii_digit() && other.is_ascii_digit() {
            let (one, two) = (number(&mut a), number(&mut b));
            match one.len().cmp(&two.len()).then_with(|| one.cmp(two)) {
                Ordering::Equal => continue,
                unequal => return unequal,
            }
        }
        match first.cmp(&other) {
            Ordering::Equal => (a, b) = (&a[1..], &b[1..]),
            unequal => return unequal,
        }
    }
    a.len().cmp(&b.len())
}

/// Takes the digits at the beginning away; gives them without leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let len = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(len);
    *text = rest;
    let zeros = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path, pattern: &str) -> Vec<String> {
        let files = files_called(folder, Path::new(pattern)).unwrap();
        let names = files.iter().map(|file| file.strip_prefix(folder).unwrap().to_string_lossy());
        names.map(|name| name.replace('\\', "/")).collect()
    }

    #[test]
    fn numbers_in_names_count_by_value() {
        let mut names =
            ["b10", "b2", "b", "b02x", "a99", "b2/3", "b2/20", "c", "b18446744073709551616", "b2/x"];
        names.sort_by(|a, b| natural(Path::new(a), Path::new(b)));
        let expected =
            ["a99", "b", "b2", "b2/3", "b2/20", "b2/x", "b02x", "b10", "b18446744073709551616", "c"];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_pattern_is_the_files_that_match_it() {
        let dir = tempfile::tempdir().unwrap();
        // The folder's own name is no pattern.
        let folder = dir.path().join("x[1]");
        for sub in ["sub/deep", "sub.npy"] {
            std::fs::create_dir_all(folder.join(sub)).unwrap();
        }
        for name in ["emb_2.npy", "emb_10.npy", "emb_1.npy", ".hidden.npy", "a.txt", "sub/deep/b.npy"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(names(&folder, "*.npy"), ["emb_1.npy", "emb_2.npy", "emb_10.npy"]);
        assert_eq!(names(&folder, "emb_[12].npy"), ["emb_1.npy", "emb_2.npy"]);
        assert_eq!(names(&folder, "emb_??.npy"), ["emb_10.npy"]);
        assert_eq!(names(&folder, "**/b.npy"), ["sub/deep/b.npy"]);
        assert_eq!(names(&folder, "not there.npy"), ["not there.npy"]);
        assert_eq!(files_called(&folder, Path::new("-")).unwrap(), [Path::new("-")]);
        let absolute = Pattern::escape(folder.to_str().unwrap()) + "/emb_1*";
        assert_eq!(names(&folder, &absolute), ["emb_1.npy", "emb_10.npy"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_such_characters_in_its_name_is_itself() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a*.npy", "ab.npy", "[x].npy", "x.npy", "open[.npy"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(names(dir.path(), "a*.npy"), ["a*.npy"]);
        assert_eq!(names(dir.path(), "[x].npy"), ["[x].npy"]);
        assert_eq!(names(dir.path(), "open[.npy"), ["open[.npy"]);
        assert_eq!(names(dir.path(), "*.npy"), ["[x].npy", "a*.npy", "ab.npy", "open[.npy", "x.npy"]);
    }

    #[test]
    fn what_names_no_files_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("shards")).unwrap();
        let said = |name: &str| {
            let error = files_called(dir.path(), Path::new(name)).unwrap_err();
            let line = format!("{error} ({})", error.help().unwrap());
            line.replace(&format!("{}{}", dir.path().display(), std::path::MAIN_SEPARATOR), "")
        };
        let folder = said("shards");
        assert!(folder.starts_with("shards: expected a file, found a directory (name its files"), "{folder}");
        assert!(folder.contains("pattern in quotes: 'shards"), "{folder}");
        let none = said("shards/*.npy");
        assert!(
            none.starts_with("shards/*.npy: expected files that match this pattern, found none"),
            "{none}"
        );
        let open = said("shards[.npy");
        assert!(open.starts_with("shards[.npy: expected a file or a pattern, found that "), "{open}");
    }
}
