//! Comma-separated values, and values with other delimiters.

use std::sync::Arc;

use arrow_array::RecordBatch;
use schemars::JsonSchema;
use serde::Deserialize;

use super::csv_columns::{Columns, Role};
use super::csv_records::{Fields, Records, guess_delimiter, is_list, list_values};
use super::csv_survey::Survey;
use super::payload::{PayloadBuilder, PayloadColumns};
use super::row_dataset::RowDataset;
use super::row_ids::RowIds;
use super::rows::{FoundRows, Parse};
use super::{number, text};
use crate::{DType, Dataset, DatasetInfo, Error, Format, IdType, Ids, Input, Position, Probe, Rows, Score};

/// Values between delimiters: one column for each value of a vector, or one column of lists such as "[0.1, -0.2]".
///
/// Fields may be in quotes (RFC 4180). The first record is a header unless all of its fields are numbers or lists. Without
/// a header, columns are called by their positions: 0, 1, 2.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Csv {
    /// The column of lists, or what the columns of the vector begin with: "dim" for dim_0, dim_1, dim_2. Where it is not
    /// given: the only column of lists, else the columns that are numbered from 0 or 1, else all columns of numbers.
    pub vector_column: Option<String>,
    /// The column of ids. Where it is not given: `id`, `_id`, or the only column of ids, uuid, docid and key, if it has
    /// something in the first row. Rows without ids have their row numbers.
    pub id_column: Option<String>,
    /// What the ids are: "u64" or "text". Where it is not given, a pass over the whole file tells: numbers, if all are
    /// whole numbers without zeros in front, else texts.
    pub id_type: Option<IdType>,
    /// Further columns to carry along: "all", "none" or a list of names. Where it is not given: all that have a name, if
    /// the output has columns. A pass over the whole file tells their types: whole numbers are i64 (u64 if they are too
    /// large), other numbers f64, then `true` and `false`, and everything else is text, a mixture as well. Nothing
    /// between two delimiters is null, `""` is an empty text.
    pub payload: Option<PayloadColumns>,
    /// What is between the fields. Where it is not given: a tab in .tsv files, else what the first line has most of: comma,
    /// tab, semicolon or bar.
    pub delimiter: Option<char>,
    /// Whether the first record is a header, where that cannot be told.
    pub header: Option<bool>,
}

crate::register_format!(Csv);

impl Format for Csv {
    const NAME: &'static str = "csv";
    const ALIASES: &'static [&'static str] = &["tsv"];
    const EXTENSIONS: &'static [&'static str] = &["csv", "tsv", "tab"];
    const SUMMARY: &'static str = "CSV and TSV: a column for each value, or one column of lists";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"csv\"\npath = \"vectors.csv\"\nvector_column = \"embedding\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        match probe.by_extension(Self::EXTENSIONS) {
            Score::No if looks_like_records(probe) => {
                Score::Yes(Score::TEXT, "its first lines are fields with delimiters".into())
            }
            by_name => by_name,
        }
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let source = input.source()?;
        let start = text::start(&source)?;
        let delimiter = self.delimiter(input, text::without_mark(&source.head(1 << 16)?))?;
        let mut notes = text::note_of_end(&source)?;
        let mut survey = Survey::new(self, input, delimiter);
        let found =
            FoundRows::find_and_look(source, start, Records { delimiter }, |_, row| survey.record(row))?;
        let columns = Arc::new(survey.finish(&mut notes)?);
        let found = if columns.header { found.without_first()? } else { found };
        let dim = match found.first(1)?.first() {
            None => text::dim_of_empty(input)?,
            Some(row) => {
                text::check_dim(input, Parser::new(&columns, delimiter).values_of(0, row, &mut [])?)?
            }
        };
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(found.count()),
            dim,
            dtype: DType::F32,
            metric: None,
            ids: columns.ids(),
            payload: columns.payload.as_ref().map(|payload| payload.schema()),
            files: vec![input.path.clone()],
            size_bytes: found.len_bytes(),
            chosen: columns.chosen.clone(),
            notes,
        };
        let parser = move || Parser::new(&columns, delimiter);
        Ok(Box::new(RowDataset { info, found, parser }))
    }
}

impl Csv {
    fn delimiter(&self, input: &Input, head: &[u8]) -> Result<u8, Error> {
        let Some(delimiter) = self.delimiter else {
            let extension = input.inner_path().extension().unwrap_or_default().to_string_lossy();
            return Ok(guess_delimiter(head, &extension.to_ascii_lowercase()));
        };
        let fits =
            |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\r\n.-+[]{}".contains(byte);
        u8::try_from(delimiter).ok().filter(fits).ok_or_else(|| {
            Error::request(format!(
                "expected a delimiter such as `,` or `;`, found `{}`",
                delimiter.escape_debug()
            ))
        })
    }
}

/// The fields of a record, which may go away.
pub(super) fn fields(record: &[u8], delimiter: u8) -> Result<Vec<Vec<u8>>, Error> {
    Fields::of(record, delimiter).map(|field| field.map(std::borrow::Cow::into_owned)).collect()
}

/// Whether the second line has values between as many delimiters as the first.
fn looks_like_records(probe: &Probe<'_>) -> bool {
    let head = text::without_mark(probe.head);
    if matches!(head.trim_ascii_start().first(), Some(b'[' | b'{')) {
        // That is JSON.
        return false;
    }
    let delimiter = guess_delimiter(head, "");
    let mut lines = head.split_inclusive(|&byte| byte == b'\n');
    let (Some(first), second) = (lines.next(), lines.next()) else { return false };
    let second = second.unwrap_or(first);
    if [first, second].iter().any(|line| line.iter().any(|&byte| byte < b'\t' || byte == 0x7f)) {
        return false;
    }
    let (Ok(first), Ok(second)) = (fields(first, delimiter), fields(second, delimiter)) else { return false };
    let is_value = |field: &Vec<u8>| number::whole(field).is_ok();
    first.len() == second.len()
        && (second.iter().any(|field| is_list(field)) || first.len() > 1 && second.iter().any(is_value))
}

struct Parser {
    columns: Arc<Columns>,
    delimiter: u8,
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
    fn new(columns: &Arc<Columns>, delimiter: u8) -> Self {
        let payload = columns.payload.as_ref().map(|payload| payload.builder());
        Self { columns: Arc::clone(columns), delimiter, ids: columns.ids().map(RowIds::new), payload }
    }

    /// Reads a record; gives the number of values, which may not be that of `out`.
    fn values_of(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<usize, Error> {
        let (mut count, mut seen) = (0, 0);
        let mut fields = Fields::of(row, self.delimiter);
        while let Some(field) = fields.next() {
            let field = field.map_err(|error| error.at(Position::Row(number)))?;
            match self.columns.roles.get(seen) {
                None | Some(Role::Other) => {}
                Some(&Role::Value(column)) => {
                    let value =
                        number::whole(&field).map_err(|why| number::refuse(why, &field, number, column))?;
                    if let Some(out) = out.get_mut(column) {
                        *out = value;
                    }
                    count += 1;
                }
                Some(Role::List) => {
                    count =
                        list_values(&field, number, out).map_err(|error| error.at(Position::Row(number)))?;
                }
                Some(Role::Id) => {
                    let pushed = self.ids.as_mut().map_or(Ok(()), |ids| ids.push(&field));
                    pushed.map_err(|error| error.at(Position::Row(number)))?;
                }
                Some(&Role::Payload(column)) => {
                    let in_quotes = fields.in_quotes;
                    let payload = self.payload.as_mut();
                    payload
                        .map_or(Ok(()), |payload| payload.field(column, &field, in_quotes))
                        .map_err(|error| error.at(Position::Row(number)))?;
                }
            }
            seen += 1;
        }
        let expected = self.columns.roles.len();
        if seen != expected {
            return Err(Error::expected(format!("{expected} fields, as the first record has"), seen)
                .at(Position::Row(number)));
        }
        if let Some(payload) = &mut self.payload {
            payload.end_row();
        }
        Ok(count)
    }
}
