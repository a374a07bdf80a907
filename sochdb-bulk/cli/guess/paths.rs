//! Names in a pipeline: as they were typed, but seen from the folder of its file.

use std::path::{Component, Path, PathBuf};

use crate::Failure;

/// What makes a name a pattern.
const PATTERN: [char; 3] = ['*', '?', '['];

/// `name`, which was typed in the current folder, as it is seen from `folder`; empty is the current one.
///
/// # Errors
/// If a folder cannot be found.
pub(super) fn seen_from(folder: &Path, name: &Path) -> Result<PathBuf, Failure> {
    if folder.as_os_str().is_empty() || folder == Path::new(".") || name.is_absolute() {
        return Ok(name.to_path_buf());
    }
    if let Ok(inside) = name.strip_prefix(folder)
        && !inside.as_os_str().is_empty()
        && !is_pattern(folder)
    {
        return Ok(inside.to_path_buf());
    }
    // A link on the way would lead `..` elsewhere, so the real folders are compared.
    let real = |path: &Path| path.canonicalize().map_err(|e| Failure::io("find the folder", path, &e));
    let (from, here) = (real(folder)?, real(Path::new("."))?);
    let way = way(&from, &here);
    Ok(if is_pattern(name) && !name.exists() { literal(&way).join(name) } else { way.join(name) })
}

/// From one real folder to another.
fn way(from: &Path, to: &Path) -> PathBuf {
    let (from, all): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&all).take_while(|(one, other)| one == other).count();
    if common == 0 {
        // Another disk.
        return to.to_path_buf();
    }
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    up.chain(all[common..].iter().copied()).collect()
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(PATTERN)
}

/// The path as a pattern that matches it alone.
fn literal(path: &Path) -> PathBuf {
    let mut text = String::new();
    for char in path.to_string_lossy().chars() {
        match char {
            '*' | '?' | '[' | ']' => text.extend(['[', char, ']']),
            _ => text.push(char),
        }
    }
    text.into()
}

/// What outputs of the files are called: the name of the only one, without extensions.
pub(super) fn stem(files: &[PathBuf]) -> String {
    let [file] = files else { return "vectors".to_owned() };
    let packed = ["gz", "zst"];
    let is_packed = file.extension().is_some_and(|extension| packed.iter().any(|one| extension == *one));
    let inner = if is_packed { file.with_extension("") } else { file.clone() };
    inner.file_stem().map_or("vectors".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// A name in `folder` that no file has: the stem and the extension, or with a number between them.
pub(super) fn free(folder: &Path, stem: &str, extension: &str) -> String {
    let name = |number: u32| match number {
        1 => format!("{stem}.{extension}"),
        _ => format!("{stem}-{number}.{extension}"),
    };
    let is_free = |name: &String| folder.join(name).symlink_metadata().is_err();
    (1..).map(name).find(is_free).unwrap_or_else(|| name(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_between_folders() {
        let between = |from: &str, to: &str| way(Path::new(from), Path::new(to));
        assert_eq!(between("/a/b", "/a"), Path::new(".."));
        assert_eq!(between("/a", "/a/b"), Path::new("b"));
        assert_eq!(between("/a/b/c", "/a/d"), Path::new("../../d"));
        assert_eq!(between("/a", "/a"), Path::new(""));
    }

    #[test]
    fn names_of_outputs() {
        let stem = |name: &str| stem(&[PathBuf::from(name)]);
        assert_eq!([stem("x/a.npy"), stem("a.npy.gz"), stem("a"), stem("a.b.f32")], ["a", "a", "a", "a.b"]);
        assert_eq!(literal(Path::new("a[1]/b*")), Path::new("a[[]1[]]/b[*]"));
    }
}
