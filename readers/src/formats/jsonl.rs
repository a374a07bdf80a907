//! JSON Lines: one JSON value a line.

use std::sync::Arc;

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::Deserialize;

use super::json::{Cursor, base64_values, path_text};
use super::jsonl_survey::{Columns, Survey};
use super::payload::{PayloadBuilder, PayloadColumns};
use super::row_dataset::RowDataset;
use super::row_ids::RowIds;
use super::rows::{FoundRows, Lines, Parse};
use super::text;
use crate::{DType, Dataset, DatasetInfo, Error, Format, IdType, Ids, Input, Position, Probe, Rows, Score};

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
    /// Where in the object the id is: a whole number of at least 0, or a string. Where it is not given: `id`, `_id`, or the
    /// only key of ids, uuid, docid and key, if that is a number or a string in the first line. Rows without ids have
    /// their row numbers.
    pub id_column: Option<String>,
    /// What the ids are: "u64", which takes strings of digits as well, or "text", which takes numbers as well. Where it is
    /// not given: what all of them are; a mixture is refused.
    pub id_type: Option<IdType>,
    /// Further keys to carry along as columns: "all", "none" or a list of names. Where it is not given: all, if the output
    /// has columns. A pass over the whole file tells their types, and a key that a line lacks is null: whole numbers are
    /// i64 (u64 if they are too large), other numbers f64, then truth values and texts. Of mixed values, objects and
    /// arrays the column has the JSON as text, marked as arrow.json.
    pub payload: Option<PayloadColumns>,
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
        let mut survey = Survey::new(self, input);
        let found = FoundRows::find_and_look(source, start, Lines, |number, line| survey.line(number, line))?;
        let (columns, dim, notes) = match survey.finish()? {
            None => (Columns::default(), text::dim_of_empty(input)?, Vec::new()),
            Some((columns, notes)) => {
                let columns = Arc::new(columns);
                let mut parser = Parser::new(&columns);
                let first = found.first(1)?.into_iter().next().unwrap_or_default();
                let dim = parser.values_of(0, &first, &mut []).map_err(|error| error.at(Position::Row(0)))?;
                (Arc::unwrap_or_clone(columns), text::check_dim(input, dim)?, notes)
            }
        };
        let chosen = columns.chosen.clone();
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(found.count()),
            dim,
            dtype: DType::F32,
            metric: None,
            ids: columns.id.as_ref().map(|(_, kind)| *kind),
            payload: columns.payload.as_ref().map(|payload| payload.schema()),
            files: vec![input.path.clone()],
            size_bytes: found.len_bytes(),
            chosen,
            notes,
        };
        let columns = Arc::new(columns);
        let parser = move || Parser::new(&columns);
        Ok(Box::new(RowDataset { info, found, parser }))
    }
}

/// What to do about rows whose ids are none.
const NO_ID: &str = "ids are whole numbers or strings; where they are not in every row, rename the key, and rows are known by their numbers";

struct Parser {
    columns: Arc<Columns>,
    ids: Option<RowIds>,
    payload: Option<PayloadBuilder>,
}

impl Parse for Parser {
    fn row(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let count = self.values_of(number, row, out)?;
        text::check_count(number, out.len(), count)
    }

    fn take_ids(&mut self) -> Option<Ids> {
        self.ids.as_mut().map(RowIds::take)
    }

    fn take_payload(&mut self) -> Result<Option<RecordBatch>, Error> {
        self.payload.as_mut().map(PayloadBuilder::take).transpose()
    }
}

impl Parser {
    fn new(columns: &Arc<Columns>) -> Self {
        let ids = columns.id.as_ref().map(|(_, kind)| RowIds::new(*kind));
        let payload = columns.payload.as_ref().map(|payload| payload.builder());
        Self { columns: Arc::clone(columns), ids, payload }
    }

    /// Reads a line; gives the number of values, which may not be that of `out`.
    fn values_of(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<usize, Error> {
        let mut cursor = Cursor::new(row);
        let Self { columns, ids, payload } = self;
        let mut visit = Visit { columns, row: number, out, count: None, ids, has_id: false, payload };
        visit.value(&mut cursor, 0, true, columns.id.is_some())?;
        let (count, has_id) = (visit.count, visit.has_id);
        if cursor.peek().is_some() {
            return Err(cursor
                .refuse("the end of the line")
                .with_help("write one JSON value a line: jq -c ."));
        }
        if let Some((path, _)) = columns.id.as_ref().filter(|_| !has_id) {
            return Err(Error::expected(format!("an id at {}", path_text(path)), "none").with_help(NO_ID));
        }
        if let Some(payload) = payload {
            payload.end_row();
        }
        count.ok_or_else(|| Error::expected(format!("a vector at {}", path_text(&columns.vector)), "none"))
    }
}

/// One line on the way to its vector and its id.
struct Visit<'v> {
    columns: &'v Columns,
    row: u64,
    out: &'v mut [f32],
    count: Option<usize>,
    ids: &'v mut Option<RowIds>,
    has_id: bool,
    payload: &'v mut Option<PayloadBuilder>,
}

impl Visit<'_> {
    /// Passes a value that is `depth` steps down, on the path to the vector or to the id if so.
    fn value(&mut self, cursor: &mut Cursor<'_>, depth: usize, vector: bool, id: bool) -> Result<(), Error> {
        let columns = self.columns;
        let id_path = columns.id.as_ref().map(|(path, _)| path.as_slice()).unwrap_or_default();
        if vector && depth == columns.vector.len() {
            return self.vector(cursor);
        }
        if id && depth == id_path.len() {
            return self.id(cursor);
        }
        let step = |path: &[Vec<u8>], on: bool, name: &[u8]| on && path[depth] == name;
        let mut next = |cursor: &mut Cursor<'_>, name: &[u8]| {
            let (vector, id) = (step(&columns.vector, vector, name), step(id_path, id, name));
            if vector || id {
                return self.value(cursor, depth + 1, vector, id);
            }
            match &mut *self.payload {
                Some(payload) if depth == 0 => payload.json(name, cursor),
                _ => cursor.skip(),
            }
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
        let Some(ids) = &mut *self.ids else { return cursor.skip() };
        let number = match ids {
            RowIds::U64(_) => cursor.id().and_then(|_| cursor.whole_number()),
            RowIds::Text(_) => cursor.whole_number(),
        };
        match (number, cursor.peek()) {
            (Some(number), _) => ids.push(number)?,
            (None, Some(b'"')) => ids.push(&cursor.string()?)?,
            _ => {
                let id = self.columns.id.as_ref().map(|(path, _)| path_text(path)).unwrap_or_default();
                let expected = format!("a whole number of at least 0 or a string as {id}");
                return Err(cursor.refuse(&expected).with_help(NO_ID));
            }
        }
        if std::mem::replace(&mut self.has_id, true) {
            return Err(Error::expected("one id", "two"));
        }
        Ok(())
    }
}
