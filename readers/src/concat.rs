//! Several datasets one behind the other, as one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};

use crate::parked::Parked;
use crate::parts::Parts;
use crate::{Chosen, Dataset, DatasetInfo, Error, IdType, Rows, Topic};

/// So many parts stay open. Where there are more, each is closed after a look at it and opened again for its rows.
const MAX_OPEN: usize = 128;

/// The [`DatasetInfo::format`] of parts in several formats.
const MIXED: &str = "mixed";

/// Opens a part once more.
pub type Opener = Box<dyn Fn() -> Result<Box<dyn Dataset>, Error> + Send + Sync>;

/// Several datasets as one: their rows one behind the other, numbered on from the first to the last. Each may be of another
/// format; dimensions and further columns must be the same, metrics as far as they are recorded, and ids are in all of
/// them or in none.
///
/// ```
/// use readers::{Concat, Input};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let paths = ["a.jsonl", "b.jsonl"].map(|name| dir.path().join(name));
/// std::fs::write(&paths[0], "[1, 2]\n[3, 4]\n")?;
/// std::fs::write(&paths[1], "[5, 6]\n")?;
///
/// let mut all = Concat::of(2);
/// for path in paths {
///     let open = move || readers::open(&Input::new(&path));
///     all.push(open()?, Some(Box::new(open)))?;
/// }
/// assert_eq!(all.finish()?.info().rows.exact(), Some(3));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Concat {
    /// How many parts are to come in all.
    count: usize,
    parts: Vec<Box<dyn Dataset>>,
    /// The first row of each part as far as that is known, and the end.
    starts: Vec<u64>,
    info: Option<DatasetInfo>,
    /// Each note with the first part that has it, and with the number of parts that do.
    notes: BTreeMap<String, (usize, usize)>,
}

impl Concat {
    /// Of `count` parts, which are to be pushed. Where that are many, they are not all kept open.
    pub fn of(count: usize) -> Self {
        Self { count, parts: Vec::new(), starts: vec![0], info: None, notes: BTreeMap::new() }
    }

    /// Adds the next part. `open` gives it once more, with the same rows; a part without that stays open.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] for a part that is unlike the first, with the names of both.
    pub fn push(&mut self, part: Box<dyn Dataset>, open: Option<Opener>) -> Result<(), Error> {
        let info = part.info();
        for note in &info.notes {
            let (_, count) = self.notes.entry(note.clone()).or_insert((self.parts.len(), 0));
            *count += 1;
        }
        let end = self.starts.last().copied().unwrap_or_default();
        let end = end.checked_add(info.rows.exact().unwrap_or_default()).ok_or_else(|| {
            Error::request("the rows of all files together are too many").in_file(name_of(info))
        })?;
        self.starts.push(end);
        match &mut self.info {
            None => self.info = Some(DatasetInfo { notes: Vec::new(), ..info.clone() }),
            Some(all) => join(all, info).map_err(|error| error.in_file(name_of(info)))?,
        }
        let open = open.filter(|_| self.count > MAX_OPEN);
        self.parts.push(match open {
            Some(open) => Box::new(Parked::new(&*part, open)?),
            None => part,
        });
        Ok(())
    }

    /// The dataset: of a single part that part itself.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Request`] where there is no part.
    pub fn finish(mut self) -> Result<Box<dyn Dataset>, Error> {
        if self.parts.len() == 1 {
            return Ok(self.parts.remove(0));
        }
        let notes = self.noted();
        let Some(info) = &mut self.info else { return Err(Error::request("expected a file, found none")) };
        info.notes = notes;
        let (info, parts, starts) = (info.clone(), self.parts, self.starts);
        Ok(Box::new(Parts { info, parts, starts }))
    }

    /// Notes with the names of their files, in the order of these.
    fn noted(&mut self) -> Vec<String> {
        let mut notes: Vec<_> = std::mem::take(&mut self.notes).into_iter().collect();
        notes.sort_by_key(|&(_, (first, _))| first);
        let noted = notes.into_iter().map(|(note, (first, count))| {
            let file = name_of(self.parts[first].info()).display();
            match count {
                1 => format!("{file}: {note}"),
                2 => format!("{file} and one more: {note}"),
                count => format!("{file} and {} more: {note}", count - 1),
            }
        });
        noted.collect()
    }
}

/// The name of a dataset in messages: its first file.
pub(crate) fn name_of(info: &DatasetInfo) -> &Path {
    info.files.first().map_or(Path::new("input"), |file| file.as_path())
}

/// Adds what is known of a part to what is known of the parts before it.
fn join(all: &mut DatasetInfo, part: &DatasetInfo) -> Result<(), Error> {
    let first = name_of(all).display().to_string();
    if part.dim != all.dim {
        let message = format!("expected dimension {}, as {first} has, found {}", all.dim, part.dim);
        return Err(Error::request(message)
            .about(Topic::Dimension)
            .with_help("name files of one model only: all vectors of an input have one dimension"));
    }
    match (all.metric, part.metric) {
        (Some(one), Some(other)) if one != other => {
            let (one, other) = (one.name(), other.name());
            let message = format!("expected the metric {one}, as the files before it record, found {other}");
            return Err(Error::request(message)
                .with_help("name files of one model only, or correct what they record"));
        }
        (one, other) => all.metric = one.or(other),
    }
    if part.ids != all.ids {
        let help = "give all files ids or none; a stage `ids` gives every row one, whatever the files have";
        let refused = match (all.ids, part.ids) {
            (Some(_), None) => {
                Error::request(format!("expected ids, as {first} has, found none")).with_help(help)
            }
            (None, _) => {
                Error::request(format!("expected no ids, as {first} has none, found some")).with_help(help)
            }
            (Some(one), Some(other)) => {
                let message =
                    format!("expected ids that are {}, as {first} has, found {}", kind(one), kind(other));
                Error::request(message).with_help("write them alike in all files: as numbers, or as texts")
            }
        };
        return Err(refused.about(Topic::Ids));
    }
    // What is not so in all of them cannot be said once for all.
    let is_same = |one: &Chosen, other: &Chosen| (one.option, &one.value) == (other.option, &other.value);
    all.chosen.retain(|one| part.chosen.iter().any(|other| is_same(one, other)));
    all.payload = same_payload(all.payload.as_ref(), part.payload.as_ref(), &first)?;
    if part.format != all.format {
        all.format = MIXED;
    }
    all.rows = match (all.rows, part.rows) {
        (Rows::Exact(one), Rows::Exact(other)) => Rows::Exact(one.saturating_add(other)),
        (one, other) => match at_least(one).saturating_add(at_least(other)) {
            0 => Rows::Unknown,
            rows => Rows::AtLeast(rows),
        },
    };
    all.files.extend(part.files.iter().cloned());
    all.size_bytes = all.size_bytes.saturating_add(part.size_bytes);
    Ok(())
}

fn kind(ids: IdType) -> &'static str {
    match ids {
        IdType::U64 => "numbers",
        IdType::Text => "texts",
    }
}

fn at_least(rows: Rows) -> u64 {
    match rows {
        Rows::Exact(rows) | Rows::AtLeast(rows) => rows,
        Rows::Unknown => 0,
    }
}

/// The columns of both, which are the same but for what may be null.
fn same_payload(
    all: Option<&SchemaRef>,
    part: Option<&SchemaRef>,
    first: &str,
) -> Result<Option<SchemaRef>, Error> {
    let help = "name the further columns that all files have: payload = [\"NAME\"] in [source], or \"none\"";
    let fields =
        |schema: Option<&SchemaRef>| schema.map(|schema| schema.fields().clone()).unwrap_or_default();
    let (all, part) = (fields(all), fields(part));
    let mut joined = Vec::new();
    for at in 0..all.len().max(part.len()) {
        let (one, other) = (all.get(at), part.get(at));
        match (one, other) {
            (Some(one), Some(other))
                if one.name() == other.name() && one.data_type() == other.data_type() =>
            {
                let nullable = one.is_nullable() || other.is_nullable();
                joined.push(Field::new(one.name(), one.data_type().clone(), nullable));
            }
            _ => {
                let said = |field: Option<&Arc<Field>>| {
                    field.map_or("none".to_owned(), |field| {
                        format!("{} ({})", shown(field.name()), field.data_type())
                    })
                };
                let message = format!(
                    "expected the further column {}, as {first} has, found {}",
                    said(one),
                    said(other)
                );
                return Err(Error::request(message).with_help(help));
            }
        }
    }
    Ok((!joined.is_empty()).then(|| Arc::new(Schema::new(joined))))
}

fn shown(name: &str) -> String {
    crate::formats::quoted(name)
}
