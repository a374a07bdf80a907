//! JSON Lines: one JSON value a line.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::json::{Cursor, base64_values, path_text};
use super::jsonl_survey::{Columns, survey};
use super::row_dataset::RowDataset;
use super::rows::{FoundRows, Lines, Parse};
use super::text;
use crate::{DType, Dataset, DatasetInfo, Error, Format, Input, Position, Probe, Rows, Score};

/// JSON Lines: every line is an array of numbers, or an object that holds one. Blank lines are passed over.
///
/// The vector may also be text: its f32 values, little-endian, in base64.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonLines {
    /// Where in the object the vector is: a key, or keys and positions with dots between them, such as
    /// "response.body.data.0.embedding". Where it is not given: the only key whose value is an array of numbers, or the
    /// one that is called vector, emb, embedding, embeddings, values, openai or ends in _embedding.
    pub vector_column: Option<String>,
    /// Where in the object the id is: a whole number of at least 0. Where it is not given: `id` or `_id`, if that is such a
    /// number in the first line. Rows without ids have their row numbers.
    pub id_column: Option<String>,
}

crate::register_format!(JsonLines);

impl Format for JsonLines {
    const NAME: &'static str = "jsonl";
    const ALIASES: &'static [&'static str] = &["ndjson", "jsonlines"];
    const EXTENSIONS: &'static [&'static str] = &["jsonl", "ndjson"];
    const SUMMARY: &'static str = "JSON Lines: an array of numbers a line, or an object that holds one";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"jsonl\"\npath = \"vectors.jsonl\"\nvector_column = \"embedding\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        let text = text::without_mark(probe.head).trim_ascii_start();
        let by_name = probe.by_extension(Self::EXTENSIONS);
        let second = text.get(1..).map(<[u8]>::trim_ascii_start).and_then(<[u8]>::first);
        match (text.first(), second) {
            _ if by_name != Score::No => by_name,
            (Some(b'{'), Some(b'"')) | (Some(b'['), Some(b'[' | b'{' | b'-' | b'0'..=b'9')) => {
                Score::Yes(Score::TEXT, "it begins like JSON".into())
            }
            _ => Score::No,
        }
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let start = text::start(&source)?;
        let found = FoundRows::find(source, start, Lines)?;
        let first = found.first(1)?.into_iter().next().unwrap_or_default();
        let (columns, dim, notes) = if first.is_empty() {
            (Columns::default(), text::dim_of_empty(input)?, Vec::new())
        } else {
            let (vector, id) = (self.vector_column.as_deref(), self.id_column.as_deref());
            let (columns, notes) = survey(&first, vector, id, input.own_ids)?;
            let mut parser = Parser { columns: Arc::new(columns), ids: Vec::new() };
            let dim = parser.values_of(0, &first, &mut []).map_err(|error| error.at(Position::Row(0)))?;
            (Arc::unwrap_or_clone(parser.columns), text::check_dim(input, dim)?, notes)
        };
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(found.count()),
            dim,
            dtype: DType::F32,
            metric: None,
            has_ids: columns.id.is_some(),
            payload: None,
            files: vec![input.path.clone()],
            size_bytes: found.len_bytes(),
            notes,
        };
        let columns = Arc::new(columns);
        let parser = move || Parser { columns: Arc::clone(&columns), ids: Vec::new() };
        Ok(Box::new(RowDataset { info, found, parser }))
    }
}

struct Parser {
    columns: Arc<Columns>,
    ids: Vec<u64>,
}

impl Parse for Parser {
    fn row(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let count = self.values_of(number, row, out)?;
        text::check_count(number, out.len(), count)
    }

    fn take_ids(&mut self) -> Option<Vec<u64>> {
        self.columns.id.is_some().then(|| std::mem::take(&mut self.ids))
    }
}

impl Parser {
    /// Reads a line; gives the number of values, which may not be that of `out`.
    fn values_of(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<usize, Error> {
        let mut cursor = Cursor::new(row);
        let mut visit = Visit { columns: &self.columns, row: number, out, count: None, id: None };
        visit.value(&mut cursor, 0, true, self.columns.id.is_some())?;
        let (count, id) = (visit.count, visit.id);
        if cursor.peek().is_some() {
            return Err(cursor
                .refuse("the end of the line")
                .with_help("write one JSON value a line: jq -c ."));
        }
        if let Some(path) = &self.columns.id {
            let missing = || Error::expected(format!("an id at {}", path_text(path)), "none");
            self.ids.push(id.ok_or_else(missing)?);
        }
        count.ok_or_else(|| {
            Error::expected(format!("a vector at {}", path_text(&self.columns.vector)), "none")
        })
    }
}

/// One line on the way to its vector and its id.
struct Visit<'v> {
    columns: &'v Columns,
    row: u64,
    out: &'v mut [f32],
    count: Option<usize>,
    id: Option<u64>,
}

impl Visit<'_> {
    /// Passes a value that is `depth` steps down, on the path to the vector or to the id if so.
    fn value(&mut self, cursor: &mut Cursor<'_>, depth: usize, vector: bool, id: bool) -> Result<(), Error> {
        let columns = self.columns;
        let id_path = columns.id.as_deref().unwrap_or_default();
        if vector && depth == columns.vector.len() {
            return self.vector(cursor);
        }
        if id && depth == id_path.len() {
            return self.id(cursor);
        }
        let step = |path: &[Vec<u8>], on: bool, name: &[u8]| on && path[depth] == name;
        let mut next = |cursor: &mut Cursor<'_>, name: &[u8]| {
            let (vector, id) = (step(&columns.vector, vector, name), step(id_path, id, name));
            if vector || id { self.value(cursor, depth + 1, vector, id) } else { cursor.skip() }
        };
        match cursor.peek() {
            Some(b'{') => cursor.entries(next),
            Some(b'[') => cursor.elements(|cursor, position| next(cursor, position.to_string().as_bytes())),
            _ => Err(cursor.refuse(&format!(
                "an object or array that holds {}",
                path_text(if vector { &columns.vector } else { id_path })
            ))),
        }
    }

    fn vector(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let count = match cursor.peek() {
            Some(b'"') => {
                let text = cursor.string()?;
                base64_values(&text, self.out).ok_or_else(|| {
                    Error::expected(
                        "an array of numbers, or f32 values in base64",
                        super::number::shown(&text),
                    )
                })?
            }
            _ => cursor.numbers(self.row, self.out)?,
        };
        if self.count.replace(count).is_some() {
            let path = path_text(&self.columns.vector);
            return Err(Error::expected(format!("one vector at {path}"), "two"));
        }
        Ok(())
    }

    fn id(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Error> {
        let Some(id) = cursor.id() else {
            let id = path_text(self.columns.id.as_deref().unwrap_or_default());
            return Err(cursor.refuse(&format!("a whole number of at least 0 as {id}")).with_help(
                "ids are numbers; where they are not in every row, rename the key, and rows are known by their numbers",
            ));
        };
        if self.id.replace(id).is_some() {
            return Err(Error::expected("one id", "two"));
        }
        Ok(())
    }
}
