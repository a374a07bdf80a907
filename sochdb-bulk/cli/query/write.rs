//! Hits in the formats that people and programs read.

use std::borrow::Cow;
use std::path::Path;

use index::{Hit, Index};
use readers::formats::npy_header;

use crate::{Code, Failure};

/// The ids of hits.
#[derive(Debug)]
pub(super) enum Ids<'i> {
    /// They are in the hits.
    Numbers,
    /// Those of each query, one a hit.
    Texts(Vec<Vec<&'i str>>),
}

impl<'i> Ids<'i> {
    pub(super) fn of(index: &'i Index, path: &Path, hits: &[Vec<Hit>]) -> Result<Self, Failure> {
        let Some(ids) = index.text_ids() else { return Ok(Self::Numbers) };
        let text = |hit: &Hit| usize::try_from(hit.id).ok().and_then(|row| ids.get(row));
        let texts: Option<_> = hits.iter().map(|hits| hits.iter().map(text).collect()).collect();
        let changed = || {
            Failure::failed(format!("{}: it was written to since it was opened", path.display()))
                .with_code(Code::Changed)
                .with_help("run again when nobody writes to the file")
        };
        Ok(Self::Texts(texts.ok_or_else(changed)?))
    }

    /// The id of a hit, given by its place.
    fn shown(&self, query: usize, place: usize, hit: &Hit) -> Cow<'i, str> {
        match self {
            Self::Numbers => hit.id.to_string().into(),
            Self::Texts(texts) => texts[query][place].into(),
        }
    }

    fn longest_chars(&self) -> usize {
        let Self::Texts(texts) = self else { return 0 };
        texts.iter().flatten().map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

pub(super) fn table(hits: &[Vec<Hit>], ids: &Ids<'_>) -> Vec<u8> {
    /// As many as the largest number has digits.
    const NUMBER_CHARS: usize = 20;
    const MOST_CHARS: usize = 60;
    let width = ids.longest_chars().clamp(NUMBER_CHARS, MOST_CHARS);
    lines(&format!("query  rank  {:>width$}  distance\n", "id"), hits, |query, place, hit| {
        let id = ids.shown(query, place, hit);
        // Nothing in it that a terminal would obey.
        let id: String =
            if id.chars().any(char::is_control) { id.escape_debug().collect() } else { id.into_owned() };
        format!("{query:>5}  {:>4}  {id:>width$}  {:.6}\n", place + 1, hit.distance)
    })
}

pub(super) fn tsv(hits: &[Vec<Hit>], ids: &Ids<'_>) -> Vec<u8> {
    lines("query\trank\tid\tdistance\n", hits, |query, place, hit| {
        let id = ids.shown(query, place, hit);
        let id = if id.contains(['\t', '\n', '\r', '\\']) {
            let of = |char| match char {
                '\t' => "\\t".into(),
                '\n' => "\\n".into(),
                '\r' => "\\r".into(),
                '\\' => "\\\\".into(),
                other => Cow::Owned(String::from(other)),
            };
            Cow::Owned(id.chars().map(of).collect::<String>())
        } else {
            id
        };
        format!("{query}\t{}\t{id}\t{}\n", place + 1, hit.distance)
    })
}

/// A heading, and a line for every hit: of its query and its place, both counted from 0.
fn lines(heading: &str, hits: &[Vec<Hit>], line: impl Fn(usize, usize, &Hit) -> String) -> Vec<u8> {
    let mut out = heading.to_owned();
    for (query, hits) in hits.iter().enumerate() {
        out.extend(hits.iter().enumerate().map(|(place, hit)| line(query, place, hit)));
    }
    out.into_bytes()
}

pub(super) fn json(hits: &[Vec<Hit>], ids: &Ids<'_>) -> Vec<u8> {
    let mut out = String::new();
    for (query, hits) in hits.iter().enumerate() {
        let ids: serde_json::Value = match ids {
            Ids::Numbers => hits.iter().map(|hit| hit.id).collect(),
            Ids::Texts(texts) => texts[query].iter().copied().collect(),
        };
        let distances: Vec<_> = hits.iter().map(|hit| hit.distance).collect();
        out += &serde_json::json!({ "query": query, "ids": ids, "distances": distances }).to_string();
        out.push('\n');
    }
    out.into_bytes()
}

/// Texts are those of numpy: UTF-32, as long as the longest, filled up with zeros.
pub(super) fn npy(hits: &[Vec<Hit>], ids: &Ids<'_>) -> Result<Vec<u8>, Failure> {
    // Every query has as many hits: k, or all rows where those are fewer.
    let width = hits.first().map_or(0, Vec::len);
    let chars = ids.longest_chars().max(1);
    let id_type = match ids {
        Ids::Numbers => "<u8".to_owned(),
        Ids::Texts(_) => format!("<U{chars}"),
    };
    let descr = format!("[('id', '{id_type}'), ('distance', '<f4')]");
    let mut out = npy_header(&descr, &[hits.len() as u64, width as u64]);
    for (query, hits) in hits.iter().enumerate() {
        for (place, hit) in hits.iter().enumerate() {
            match ids {
                Ids::Numbers => out.extend_from_slice(&hit.id.to_le_bytes()),
                Ids::Texts(texts) => {
                    let text = texts[query][place];
                    if text.ends_with('\0') {
                        let found = text.escape_debug();
                        let message =
                            format!("numpy's strings cannot end in a zero, as the id \"{found}\" does");
                        return Err(Failure::failed(message)
                            .with_code(Code::Ids)
                            .with_help("write the hits with --format json"));
                    }
                    let end = out.len() + chars * 4;
                    out.extend(text.chars().flat_map(|char| u32::from(char).to_le_bytes()));
                    out.resize(end, 0);
                }
            }
            out.extend_from_slice(&hit.distance.to_le_bytes());
        }
    }
    Ok(out)
}
