//! GloVe's text: a word and its values a line, and no header.

use schemars::JsonSchema;
use serde::Deserialize;

use super::row_dataset::RowDataset;
use super::rows::{FoundRows, Lines};
use super::words::{self, WordParser, Words, dim_of_sample, trailing_numbers};
use super::{text, word2vec};
use crate::{DType, Dataset, DatasetInfo, Error, Format, Input, Probe, Rows, Score};

/// How many rows are looked at for the dimension: a word may hold spaces, all words hardly do.
const SAMPLE_ROWS: usize = 1000;

/// Word vectors as text without a header: a word, then its values, with spaces between them. A word may hold spaces.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Glove {
    /// "keep" (the default): the words are the further column `word`, and one that is no UTF-8 is an error. "ignore": only
    /// the vectors are read.
    pub words: Words,
    /// "word": the words are the ids, and no further column. Without it, rows have their row numbers.
    pub id_column: Option<String>,
}

crate::register_format!(Glove);

impl Format for Glove {
    const NAME: &'static str = "glove";
    const EXTENSIONS: &'static [&'static str] = &["glove"];
    const SUMMARY: &'static str = "GloVe text: a word and its values a line, no header";
    const EXAMPLE: &'static str =
        "[source]\ntype = \"glove\"\npath = \"vectors.glove\"\nwords = \"ignore\"\n";

    fn probe(probe: &Probe<'_>) -> Score {
        let mut lines = probe.head.split(|&byte| byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let numbers = trailing_numbers(first);
        // The head may end within the second line.
        let second = lines.next().filter(|line| !line.is_empty()).map(trailing_numbers);
        let same =
            second.is_none_or(|second| second == numbers) || lines.next().is_none() && second >= Some(1);
        let text = !first.iter().any(|&byte| byte < b' ' && byte != b'\r');
        if word2vec::header(probe.head).is_none() && numbers >= 2 && same && text {
            Score::Yes(Score::TEXT, "its first lines are a word and numbers".into())
        } else {
            probe.by_extension(Self::EXTENSIONS)
        }
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        let ids = words::ids(self.id_column.as_deref(), input)?;
        let source = input.source()?;
        words::refuse_others(&source.head(4)?)?;
        let (start, notes) = (text::start(&source)?, text::note_of_end(&source)?);
        let found = FoundRows::find(source, start, Lines)?;
        let numbers = dim_of_sample(&found.first(SAMPLE_ROWS)?);
        let dim = match (input.dim, numbers) {
            (None, numbers) => match numbers? {
                Some(numbers) => text::check_dim(input, numbers)?,
                None => text::dim_of_empty(input)?,
            },
            (Some(_), _) => text::dim_of_empty(input)?,
        };
        let info = DatasetInfo {
            format: Self::NAME,
            rows: Rows::Exact(found.count()),
            dim,
            dtype: DType::F32,
            metric: None,
            ids,
            payload: self.words.schema(ids),
            files: vec![input.path.clone()],
            size_bytes: found.len_bytes(),
            chosen: Vec::new(),
            notes,
        };
        let rows = info.clone();
        let parser = move || WordParser::new(&rows, false);
        Ok(Box::new(RowDataset { info, found, parser }))
    }
}
