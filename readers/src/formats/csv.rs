//! Comma-separated values, and values with other delimiters.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::csv_columns::{Columns, Role};
use super::csv_records::{Fields, Records, guess_delimiter, is_list, list_values};
use super::row_dataset::RowDataset;
use super::rows::{FoundRows, Parse};
use super::{number, text};
use crate::{DType, Dataset, DatasetInfo, Error, Format, Input, Position, Probe, Rows, Score};

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
    /// The column of ids, whole numbers of at least 0. Where it is not given: `id` or `_id`, if that is such a number in the
    /// first row. Rows without ids have their row numbers.
    pub id_column: Option<String>,
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
        let found = FoundRows::find(source, start, Records { delimiter })?;
        let first = found.first(2)?;
        let records: Vec<Vec<Vec<u8>>> =
            first.iter().map(|row| fields(row, delimiter)).collect::<Result<_, _>>()?;
        let columns = Columns::choose(self, &records, input.own_ids, &mut notes)?;
        let first_value = usize::from(columns.header);
        let dim = match first.get(first_value) {
            None => text::dim_of_empty(input)?,
            Some(row) => {
                let mut parser = Parser { columns: Arc::new(columns.clone()), delimiter, ids: Vec::new() };
                text::check_dim(input, parser.values_of(0, row, &mut [])?)?
            }
        };
        let found = if columns.header { found.without_first()? } else { found };
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(found.count()),
            dim,
            dtype: DType::F32,
            metric: None,
            has_ids: columns.has_ids(),
            payload: None,
            files: vec![input.path.clone()],
            size_bytes: found.len_bytes(),
            notes,
        };
        let columns = Arc::new(columns);
        let parser = move || Parser { columns: Arc::clone(&columns), delimiter, ids: Vec::new() };
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

fn fields(record: &[u8], delimiter: u8) -> Result<Vec<Vec<u8>>, Error> {
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
    ids: Vec<u64>,
}

impl Parse for Parser {
    fn row(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<(), Error> {
        let count = self.values_of(number, row, out)?;
        text::check_count(number, out.len(), count)
    }

    fn take_ids(&mut self) -> Option<Vec<u64>> {
        self.columns.has_ids().then(|| std::mem::take(&mut self.ids))
    }
}

impl Parser {
    /// Reads a record; gives the number of values, which may not be that of `out`.
    fn values_of(&mut self, number: u64, row: &[u8], out: &mut [f32]) -> Result<usize, Error> {
        let (mut count, mut seen) = (0, 0);
        for field in Fields::of(row, self.delimiter) {
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
                    count = list_values(&field, number, out).map_err(|error| error.at(Position::Row(number)))?;
                }
                Some(Role::Id) => self.ids.push(number::id(&field).ok_or_else(|| {
                    Error::expected("a whole number of at least 0 as id", number::shown(&field))
                        .at(Position::Row(number))
                        .with_help("ids are numbers; where they are not, rename the column: rows then have their row numbers")
                })?),
            }
            seen += 1;
        }
        let expected = self.columns.roles.len();
        if seen != expected {
            return Err(Error::expected(format!("{expected} fields, as the first record has"), seen)
                .at(Position::Row(number)));
        }
        Ok(count)
    }
}
