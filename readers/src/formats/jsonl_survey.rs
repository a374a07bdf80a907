//! Which keys of a line are the vector and the id: the first line tells.

use super::json::{Cursor, base64_values, path_text};
use super::text::is_well_known;
use crate::{Error, Position};

/// How far down arrays of numbers are looked for, to name them.
const MAX_DEPTH: usize = 8;

/// Where a line has what is wanted: keys, and positions in arrays.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// Empty where the line itself is the vector.
    pub(super) vector: Vec<Vec<u8>>,
    pub(super) id: Option<Vec<Vec<u8>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Numbers,
    Base64,
    Id,
    Other,
}

/// A value of the first line.
#[derive(Debug)]
struct Seen {
    path: Vec<Vec<u8>>,
    kind: Kind,
}

/// Chooses the columns by the first line, and says what a person should know of the choice.
pub(super) fn survey(
    first: &[u8],
    vector: Option<&str>,
    id: Option<&str>,
    own_ids: bool,
) -> Result<(Columns, Vec<String>), Error> {
    choose(first, vector, id, own_ids).map_err(|error| error.at(Position::Row(0)))
}

fn choose(
    first: &[u8],
    vector: Option<&str>,
    id: Option<&str>,
    own_ids: bool,
) -> Result<(Columns, Vec<String>), Error> {
    let mut cursor = Cursor::new(first);
    let mut notes = Vec::new();
    if cursor.pass(b'[') {
        return match cursor.peek() {
            None | Some(b'[' | b'{') => {
                Err(Error::unsupported("expected one JSON value a line, found one array over all lines")
                    .with_help("turn it into JSON Lines: jq -c '.[]' a.json > a.jsonl"))
            }
            _ if vector.or(id).is_some() => {
                Err(Error::request("expected an object that holds the column, found an array of numbers")
                    .with_help("leave vector_column and id_column away"))
            }
            _ => Ok((Columns::default(), notes)),
        };
    }
    let mut seen = Vec::new();
    let object = look(&mut Cursor::new(first), &mut Vec::new(), &mut seen);
    if object.is_err() && ends_inside(first) {
        return Err(Error::unsupported(
            "expected one JSON value a line, found a line that ends inside of one",
        )
        .with_help("if the JSON is spread over lines, turn it into JSON Lines: jq -c . a.json > a.jsonl"));
    }
    object?;
    let find = |name: &str| {
        let whole = vec![name.as_bytes().to_vec()];
        let split: Vec<_> = name.split('.').map(|step| step.as_bytes().to_vec()).collect();
        let is_there = |path: &Vec<Vec<u8>>| seen.iter().any(|seen| seen.path.starts_with(path));
        [whole, split].into_iter().find(is_there)
    };
    let vector = match vector {
        Some(name) => find(name).ok_or_else(|| {
            let found = format!("no `{name}`");
            Error::request(format!("expected vector_column in every line, found {found}"))
                .with_help(format!("arrays of numbers are at: {}", names(&seen, Kind::Numbers)))
        })?,
        None => only_vector(&seen)?,
    };
    if !own_ids {
        return Ok((Columns { vector, id: None }, notes));
    }
    let kind_of = |path: &[Vec<u8>]| seen.iter().find(|seen| seen.path == path).map(|seen| seen.kind);
    let id = match id {
        Some(name) => {
            let path = find(name).ok_or_else(|| {
                Error::request(format!("expected id_column in every line, found no `{name}`"))
                    .with_help(format!("whole numbers are at: {}", names(&seen, Kind::Id)))
            })?;
            if kind_of(&path) != Some(Kind::Id) {
                return Err(Error::request(format!(
                    "expected a whole number of at least 0 as id, found another kind at {}",
                    path_text(&path)
                ))
                .with_help("leave id_column away: rows then have their row numbers"));
            }
            Some(path)
        }
        None => {
            let paths = [b"id".as_slice(), b"_id"].map(|name| vec![name.to_vec()]);
            let mut there = paths.into_iter().filter_map(|path| Some((kind_of(&path)?, path)));
            match there.next() {
                Some((Kind::Id, path)) => Some(path),
                Some((_, path)) => {
                    notes.push(format!(
                        "{} is no whole number: rows have their numbers as ids",
                        path_text(&path)
                    ));
                    None
                }
                None => None,
            }
        }
    };
    Ok((Columns { vector, id }, notes))
}

/// The one array of numbers, or the one whose name is known, or the one text of such a name that is base64.
fn only_vector(seen: &[Seen]) -> Result<Vec<Vec<u8>>, Error> {
    let all = |kind| seen.iter().filter(move |seen| seen.kind == kind && seen.path.len() == 1);
    let known = |seen: &&Seen| seen.path.last().is_some_and(|name| is_well_known(name));
    let only = |mut found: Box<dyn Iterator<Item = &Seen> + '_>| match (found.next(), found.next()) {
        (Some(one), None) => Some(one.path.clone()),
        _ => None,
    };
    let (numbers, base64) = (Kind::Numbers, Kind::Base64);
    let chosen = only(Box::new(all(numbers))).or_else(|| only(Box::new(all(numbers).filter(known))));
    let chosen = match chosen {
        None if all(numbers).next().is_none() => only(Box::new(all(base64).filter(known))),
        chosen => chosen,
    };
    chosen.ok_or_else(|| {
        let found = match all(numbers).count() {
            0 => "none".to_owned(),
            count => format!("{count}"),
        };
        Error::request(format!("expected one key whose value is an array of numbers, found {found}"))
            .with_help(format!("name it with vector_column: {}", names(seen, numbers)))
    })
}

fn names(seen: &[Seen], kind: Kind) -> String {
    const NAMED: usize = 8;
    let found: Vec<_> =
        seen.iter().filter(|seen| seen.kind == kind).map(|seen| path_text(&seen.path)).collect();
    match found.as_slice() {
        [] => "there are none in the first line".to_owned(),
        some => some[..some.len().min(NAMED)].join(", "),
    }
}

/// Whether a line breaks off: its last value has no end.
fn ends_inside(line: &[u8]) -> bool {
    let mut cursor = Cursor::new(line);
    cursor.skip().is_err_and(|error| error.to_string().ends_with("found the end of the line"))
}

fn look(cursor: &mut Cursor<'_>, path: &mut Vec<Vec<u8>>, seen: &mut Vec<Seen>) -> Result<(), Error> {
    let mut next = |cursor: &mut Cursor<'_>, path: &mut Vec<Vec<u8>>, name: &[u8]| {
        path.push(name.to_vec());
        let passed = look(cursor, path, seen);
        path.pop();
        passed
    };
    let kind = match cursor.peek() {
        Some(b'{') if path.len() < MAX_DEPTH => {
            return cursor.entries(|cursor, key| next(cursor, path, key));
        }
        Some(b'[') if path.len() < MAX_DEPTH => {
            let mut inside = cursor.clone();
            inside.pass(b'[');
            if !matches!(inside.peek(), Some(b'-' | b'0'..=b'9' | b'N' | b'I' | b']')) {
                return cursor
                    .elements(|cursor, position| next(cursor, path, position.to_string().as_bytes()));
            }
            if inside.peek() == Some(b']') { Kind::Other } else { Kind::Numbers }
        }
        Some(b'"') => match base64_values(&cursor.clone().string()?, &mut []) {
            Some(1..) => Kind::Base64,
            _ => Kind::Other,
        },
        Some(b'0'..=b'9') if cursor.clone().id().is_some() => Kind::Id,
        _ if path.is_empty() => return Err(cursor.refuse("an array of numbers, or an object that holds one")),
        _ => Kind::Other,
    };
    seen.push(Seen { path: path.clone(), kind });
    cursor.skip()
}
