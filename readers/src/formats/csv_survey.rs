//! A look at every record of a CSV file, before its first batch: what kinds of values ids and further columns have.

use std::sync::Arc;

use super::csv::{Csv, fields};
use super::csv_columns::{Columns, Role};
use super::csv_records::Fields;
use super::payload::{self, Wanted};
use super::row_ids::IdSurvey;
use crate::{Error, IdType, Input};

/// Chooses the columns by the first two records, and looks at all.
pub(super) struct Survey<'o> {
    options: &'o Csv,
    delimiter: u8,
    own_ids: bool,
    wanted: Wanted<'o>,
    /// The first records, until columns are chosen.
    head: Vec<Vec<u8>>,
    notes: Vec<String>,
    chosen: Option<Result<Columns, Error>>,
    ids: IdSurvey,
    payload: payload::Survey<'o>,
}

impl<'o> Survey<'o> {
    pub(super) fn new(options: &'o Csv, input: &Input, delimiter: u8) -> Self {
        let wanted = Wanted::of(options.payload.as_ref(), input);
        Self {
            options,
            delimiter,
            own_ids: input.own_ids,
            wanted,
            head: Vec::new(),
            notes: Vec::new(),
            chosen: None,
            ids: IdSurvey::default(),
            payload: payload::Survey::new(wanted),
        }
    }

    /// Takes note of a record. What is wrong with it, reading says: the row may not be wanted.
    pub(super) fn record(&mut self, record: &[u8]) {
        if self.chosen.is_some() {
            return self.look(record);
        }
        self.head.push(record.to_vec());
        if self.head.len() == 2 {
            self.choose();
        }
    }

    fn choose(&mut self) {
        let head = std::mem::take(&mut self.head);
        let records: Result<Vec<_>, _> = head.iter().map(|record| fields(record, self.delimiter)).collect();
        let chosen = records.and_then(|records| {
            Columns::choose(self.options, &records, self.own_ids, self.wanted, &mut self.notes)
        });
        let mut header = false;
        if let Ok(columns) = &chosen {
            columns.further.iter().for_each(|name| self.payload.add(name.as_bytes()));
            header = columns.header;
        }
        self.chosen = Some(chosen);
        head.iter().skip(usize::from(header)).for_each(|record| self.look(record));
    }

    fn look(&mut self, record: &[u8]) {
        let Some(Ok(columns)) = &self.chosen else { return };
        let asks = columns.ids().is_some() && self.options.id_type.is_none();
        let mut seeks_id = asks && self.ids.any_text() == IdType::U64;
        let mut fields = Fields::of(record, self.delimiter);
        for role in &columns.roles {
            if !seeks_id && columns.further.is_empty() {
                return;
            }
            let Some(Ok(field)) = fields.next() else { return };
            match role {
                Role::Id => {
                    if is_name(&field) {
                        self.ids.text(0);
                    }
                    seeks_id = false;
                }
                &Role::Payload(column) => self.payload.field(column, &field, fields.in_quotes),
                Role::Other | Role::Value(_) | Role::List => {}
            }
        }
    }

    /// The columns; `notes` gets what a person should know of the choice.
    pub(super) fn finish(mut self, notes: &mut Vec<String>) -> Result<Columns, Error> {
        if self.chosen.is_none() {
            self.choose();
        }
        let Some(chosen) = self.chosen else { return Err(Error::malformed("the columns are not chosen")) };
        let mut columns = chosen?;
        notes.append(&mut self.notes);
        columns.id_type = self.options.id_type.unwrap_or(self.ids.any_text());
        columns.payload = self.payload.finish(false)?.map(Arc::new);
        Ok(columns)
    }
}

/// Whether an id is a text rather than a number: reading refuses numbers below 0, but zeros in front are no number's.
fn is_name(field: &[u8]) -> bool {
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let is_number = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || !digits.starts_with(b"0"));
    !is_number && !field.is_empty()
}
