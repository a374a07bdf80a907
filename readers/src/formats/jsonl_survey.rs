//! Which keys of a line are the vector, the id and further columns: the first line tells. What kinds of values ids and
//! further columns have, all lines tell.

use std::sync::Arc;

use super::json::{Cursor, base64_values, path_text};
use super::jsonl::JsonLines;
use super::payload::{self, Payload, Wanted};
use super::row_ids::{IdSurvey, WELL_KNOWN, well_known};
use super::text::is_well_known;
use crate::{Chosen, Error, IdType, Input, Position};

/// How far down arrays of numbers are looked for, to name them.
const MAX_DEPTH: usize = 8;

/// How many keys are named that could be the vector.
const MAX_OTHERS: usize = 16;

/// Where a line has what is wanted: keys, and positions in arrays.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    /// Empty where the line itself is the vector.
    pub(super) vector: Vec<Vec<u8>>,
    pub(super) id: Option<(Vec<Vec<u8>>, IdType)>,
    /// Keys of the lines themselves.
    pub(super) payload: Option<Arc<Payload>>,
    /// Where vector and id are, as options would say it.
    pub(super) chosen: Vec<Chosen>,
}

/// Looks at every line once, as far as something about it must be known before the first batch.
pub(super) struct Survey<'o> {
    options: &'o JsonLines,
    own_ids: bool,
    wanted: Wanted<'o>,
    chosen: Option<Result<(Columns, Vec<String>), Error>>,
    ids: IdSurvey,
    payload: payload::Survey<'o>,
}

impl<'o> Survey<'o> {
    pub(super) fn new(options: &'o JsonLines, input: &Input) -> Self {
        let wanted = Wanted::of(options.payload.as_ref(), input);
        let payload = payload::Survey::new(wanted);
        Self { options, own_ids: input.own_ids, wanted, chosen: None, ids: IdSurvey::default(), payload }
    }

    /// Takes note of a line. What is wrong with it, reading says: the line may not be wanted.
    pub(super) fn line(&mut self, number: u64, line: &[u8]) {
        if self.chosen.is_none() {
            let chosen = choose(line, self.options, self.own_ids, self.wanted);
            self.chosen = Some(chosen.map_err(|error| error.at(Position::Row(0))));
        }
        let Some(Ok((columns, _))) = &self.chosen else { return };
        let Some(vector) = columns.vector.first() else { return };
        let id = columns.id.as_ref().map(|(path, _)| path.as_slice()).unwrap_or_default();
        let mut seeks_id =
            self.own_ids && !id.is_empty() && self.options.id_type.is_none() && !self.ids.is_settled();
        let (mut cursor, mut first) = (Cursor::new(line), true);
        while seeks_id || !self.wanted.is_none() {
            let Ok(Some(key)) = cursor.key(first) else { return };
            first = false;
            let is_id = id.first().is_some_and(|name| **name == *key);
            let passed = if is_id {
                let value = cursor.raw_value();
                if let Some(value) = value.as_ref().ok().and_then(|value| inside(value, &id[1..])) {
                    match value {
                        [b'"', ..] => self.ids.text(number),
                        [b'-' | b'0'..=b'9', ..] => self.ids.number(number),
                        _ => {}
                    }
                }
                seeks_id = false;
                value.map(|_| ())
            } else if **vector == *key {
                match columns.vector.len() {
                    1 => cursor.skip_vector(),
                    _ => cursor.skip(),
                }
            } else if self.wanted.is_none() {
                cursor.skip()
            } else {
                cursor.raw_value().map(|value| self.payload.json(&key, value))
            };
            if passed.is_err() {
                return;
            }
        }
    }

    /// The columns, and what a person should know of the choice; nothing if there are no lines.
    pub(super) fn finish(self) -> Result<Option<(Columns, Vec<String>)>, Error> {
        let Some(chosen) = self.chosen else { return Ok(None) };
        let (mut columns, notes) = chosen?;
        columns.id = columns.id.filter(|_| self.own_ids);
        if let Some((path, kind)) = &mut columns.id {
            let name = path_text(path);
            *kind = match self.options.id_type {
                Some(kind) => kind,
                None => self.ids.one_kind(name.trim_matches('`'))?,
            };
        }
        columns.payload = self.payload.finish(true)?.map(Arc::new);
        Ok(Some((columns, notes)))
    }
}

/// The value that is down `path` inside of `value`.
fn inside<'v>(value: &'v [u8], path: &[Vec<u8>]) -> Option<&'v [u8]> {
    let Some((step, rest)) = path.split_first() else { return Some(value) };
    let (mut cursor, mut found) = (Cursor::new(value), None);
    let mut each = |cursor: &mut Cursor<'v>, name: &[u8]| {
        let value = cursor.raw_value()?;
        if name == step.as_slice() {
            found = Some(value);
        }
        Ok(())
    };
    let passed = match cursor.peek() {
        Some(b'{') => cursor.entries(each),
        _ => cursor.elements(|cursor, position| each(cursor, position.to_string().as_bytes())),
    };
    passed.ok()?;
    inside(found?, rest)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Numbers,
    Base64,
    Text,
    Id,
    Other,
}

impl Kind {
    fn is_id(self) -> bool {
        matches!(self, Self::Id | Self::Text | Self::Base64)
    }
}

/// A value of the first line.
#[derive(Debug)]
struct Seen {
    path: Vec<Vec<u8>>,
    kind: Kind,
}

/// Chooses the columns by the first line, and says what a person should know of the choice.
fn choose(
    first: &[u8],
    options: &JsonLines,
    own_ids: bool,
    wanted: Wanted<'_>,
) -> Result<(Columns, Vec<String>), Error> {
    let (vector, id) = (options.vector_column.as_deref(), options.id_column.as_deref());
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
            Error::request(format!("expected vector_column in every line, found {found}")).with_help(format!(
                "arrays of numbers are at: {}",
                names(&seen, |kind| kind == Kind::Numbers)
            ))
        })?,
        None => only_vector(&seen)?,
    };
    let id = if own_ids {
        choose_id(&seen, id, &find, &mut notes)?
    } else {
        // Others take their place.
        choose_id(&seen, id, &find, &mut Vec::new()).unwrap_or_default()
    };
    let mut others: Vec<&[u8]> = Vec::new();
    let is_root = |path: &[Vec<u8>], root: &[u8]| path.first().is_some_and(|name| name.as_slice() == root);
    for root in seen.iter().filter_map(|seen| seen.path.first()) {
        let is_taken = is_root(&vector, root) || id.as_ref().is_some_and(|id| is_root(id, root));
        if !is_taken && others.last() != Some(&root.as_slice()) {
            others.push(root);
        }
    }
    wanted.note_left_out(others.into_iter(), &mut notes);
    let chosen = chosen(&seen, &vector, id.as_deref().filter(|_| own_ids));
    // What kind of ids they are, all lines together say.
    let id = id.map(|path| (path, IdType::U64));
    Ok((Columns { vector, id, payload: None, chosen }, notes))
}

/// The keys of vector and id among all that could be. One that is no UTF-8 has no name.
fn chosen(seen: &[Seen], vector: &[Vec<u8>], id: Option<&[Vec<u8>]>) -> Vec<Chosen> {
    let name = |path: &[Vec<u8>]| String::from_utf8(path.join(&b'.')).ok();
    let others = |taken: &[Vec<u8>], is_meant: &dyn Fn(&Seen) -> bool| {
        let others = seen.iter().filter(|seen| seen.path != taken && is_meant(seen));
        others.filter_map(|seen| name(&seen.path)).take(MAX_OTHERS).collect()
    };
    let is_id = |seen: &Seen| {
        let named =
            |path: &[Vec<u8>]| matches!(path, [key] if WELL_KNOWN.iter().any(|id| id.as_bytes() == key));
        seen.kind.is_id() && named(&seen.path)
    };
    let vectors = name(vector).map(|value| Chosen {
        option: "vector_column",
        value,
        others: others(vector, &|seen| seen.kind == Kind::Numbers),
    });
    let ids = id.and_then(|id| {
        let others = others(id, &is_id);
        name(id).map(|value| Chosen { option: "id_column", value, others })
    });
    vectors.into_iter().chain(ids).collect()
}

fn choose_id(
    seen: &[Seen],
    asked: Option<&str>,
    find: &dyn Fn(&str) -> Option<Vec<Vec<u8>>>,
    notes: &mut Vec<String>,
) -> Result<Option<Vec<Vec<u8>>>, Error> {
    let kind_of = |path: &[Vec<u8>]| seen.iter().find(|seen| seen.path == path).map(|seen| seen.kind);
    let Some(name) = asked else {
        let path = |name: &str| vec![name.as_bytes().to_vec()];
        let Some(name) = well_known(|name| kind_of(&path(name)).is_some()) else { return Ok(None) };
        if kind_of(&path(name)).is_some_and(Kind::is_id) {
            return Ok(Some(path(name)));
        }
        notes
            .push(format!("`{name}` is neither a whole number nor a string: rows have their numbers as ids"));
        return Ok(None);
    };
    let path = find(name).ok_or_else(|| {
        Error::request(format!("expected id_column in every line, found no `{name}`"))
            .with_help(format!("whole numbers and strings are at: {}", names(seen, Kind::is_id)))
    })?;
    if kind_of(&path).is_some_and(Kind::is_id) {
        return Ok(Some(path));
    }
    let place = path_text(&path);
    Err(Error::request(format!(
        "expected a whole number of at least 0 or a string as id, found another kind at {place}"
    ))
    .with_help("leave id_column away: rows then have their row numbers"))
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
            .with_help(format!("name it with vector_column: {}", names(seen, |kind| kind == numbers)))
    })
}

fn names(seen: &[Seen], is_meant: impl Fn(Kind) -> bool) -> String {
    const NAMED: usize = 8;
    let found: Vec<_> =
        seen.iter().filter(|seen| is_meant(seen.kind)).map(|seen| path_text(&seen.path)).collect();
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
            _ => Kind::Text,
        },
        Some(b'0'..=b'9') if cursor.clone().id().is_some() => Kind::Id,
        _ if path.is_empty() => return Err(cursor.refuse("an array of numbers, or an object that holds one")),
        _ => Kind::Other,
    };
    seen.push(Seen { path: path.clone(), kind });
    cursor.skip()
}
