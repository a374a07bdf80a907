//! Chooses among the further columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use readers::arrow_array::RecordBatch;
use readers::arrow_schema::{Field, Schema, SchemaRef};
use readers::{Batch, BufferPool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Map, NonFinite, Stage};
use crate::Failure;
use crate::pipeline::{StreamInfo, did_you_mean};

/// Chooses among the further columns that a source carries (`payload` of the source), orders and renames them. Ids and
/// vectors are none of them and always stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Select {
    /// Only these columns, in this order; `[]` is none of them.
    keep: Option<Vec<String>>,
    /// All columns but these.
    drop: Option<Vec<String>>,
    /// Other names for columns that stay: `{ old = "new" }`.
    rename: BTreeMap<String, String>,
}

crate::register_stage!(Select);

impl Stage for Select {
    const NAME: &'static str = "select";
    const SUMMARY: &'static str = "keep, drop and rename further columns";
    const EXAMPLE: &'static str =
        "[[stage]]\ntype = \"select\"\nkeep = [\"title\", \"url\"]\nrename = { url = \"link\" }\n";

    fn non_finite(&self) -> NonFinite {
        NonFinite::Passed
    }

    fn reads_payload(&self) -> bool {
        true
    }

    fn build(&self, input: &StreamInfo) -> Result<(StreamInfo, Action), Failure> {
        let before: Vec<&str> = (input.payload.iter())
            .flat_map(|schema| schema.fields())
            .map(|field| field.name().as_str())
            .collect();
        let chosen = self.chosen(&before)?;
        let columns: Vec<usize> =
            chosen.iter().map(|name| index_of(&before, name)).collect::<Result<_, _>>()?;
        if let Some(old) = self.rename.keys().find(|old| !chosen.contains(&old.as_str())) {
            index_of(&before, old)?;
            return Err(Failure::refused(format!("column `{old}` is renamed, but not kept"))
                .with_help("keep it, or take it out of `rename`"));
        }
        let mut fields: Vec<Field> = Vec::new();
        for (name, &column) in chosen.iter().zip(&columns) {
            let Some(schema) = &input.payload else { break };
            let name = self.rename.get(*name).map_or(*name, String::as_str);
            if name.is_empty() || fields.iter().any(|field| field.name() == name) {
                let message = match name {
                    "" => "expected a name for a column, found none".to_owned(),
                    name => format!("two columns would be called `{name}`"),
                };
                return Err(Failure::refused(message).with_help("give each column a name of its own"));
            }
            fields.push(schema.field(column).clone().with_name(name));
        }
        let schema = input.payload.as_ref().filter(|_| !fields.is_empty());
        let schema =
            schema.map(|before| Arc::new(Schema::new_with_metadata(fields, before.metadata().clone())));
        let output = StreamInfo { payload: schema.clone(), ..input.clone() };
        Ok((output, Action::map(Columns { schema, columns })))
    }
}

impl Select {
    /// The old names of the columns that stay, in the order in which they go on.
    fn chosen<'a>(&'a self, before: &[&'a str]) -> Result<Vec<&'a str>, Failure> {
        match (&self.keep, &self.drop) {
            (Some(_), Some(_)) => Err(Failure::refused("expected either `keep` or `drop`, found both")
                .with_help("`keep` alone says which columns stay")),
            (Some(keep), None) => {
                if let Some((_, twice)) =
                    keep.iter().enumerate().find(|(at, name)| keep[..*at].contains(*name))
                {
                    return Err(Failure::refused(format!("column `{twice}` is twice in `keep`"))
                        .with_help("name each column once"));
                }
                Ok(keep.iter().map(String::as_str).collect())
            }
            (None, Some(drop)) => {
                for name in drop {
                    index_of(before, name)?;
                }
                Ok(before.iter().copied().filter(|name| !drop.iter().any(|drop| drop == name)).collect())
            }
            (None, None) if self.rename.is_empty() => {
                Err(Failure::refused("expected columns to `keep`, `drop` or `rename`, found none")
                    .with_help("say keep = [\"title\"], or remove the stage"))
            }
            (None, None) => Ok(before.to_vec()),
        }
    }
}

/// Where a column stands.
fn index_of(columns: &[&str], name: &str) -> Result<usize, Failure> {
    columns.iter().position(|column| *column == name).ok_or_else(|| {
        let failure = Failure::refused(format!("there is no further column `{name}`"));
        if columns.is_empty() {
            return failure
                .with_help("there are none at all: say `payload` in [source], where the format has columns");
        }
        failure.with_help(did_you_mean(name, columns, "further columns"))
    })
}

struct Columns {
    /// None where no column stays.
    schema: Option<SchemaRef>,
    columns: Vec<usize>,
}

impl Map for Columns {
    fn map(&self, batch: Batch, _pool: &BufferPool) -> Result<Batch, Failure> {
        let Some(schema) = &self.schema else { return Ok(batch.without_payload()) };
        let Some(payload) = batch.payload() else { return Ok(batch) };
        let chosen: Option<Vec<_>> =
            self.columns.iter().map(|&column| payload.columns().get(column).cloned()).collect();
        let selected = RecordBatch::try_new(Arc::clone(schema), chosen.unwrap_or_default());
        let payload = selected.map_err(|e| {
            let (file, row) = (batch.origin().file.display(), batch.origin_row(0));
            Failure::failed(format!("{file}: row {row} and on: {e}"))
        })?;
        Ok(batch.with_payload(payload))
    }
}
