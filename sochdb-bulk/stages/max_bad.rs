//! How many rows may be left out because something is wrong with them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of rows, or a share of all rows such as `"0.1%"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum MaxBad {
    /// So many rows.
    Rows(u64),
    /// So many of a hundred.
    Percent(f64),
}

impl MaxBad {
    /// Whether so many bad rows among all are too many.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn is_exceeded(self, bad: u64, all: u64) -> bool {
        match self {
            Self::Rows(most) => bad > most,
            Self::Percent(most) => bad as f64 * 100.0 > most * all as f64,
        }
    }
}

impl fmt::Display for MaxBad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for MaxBad {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => serializer.serialize_u64(*rows),
            Self::Percent(_) => serializer.serialize_str(&self.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for MaxBad {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = MaxBad;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rows, or a share such as \"0.1%\"")
            }

            fn visit_i64<E: serde::de::Error>(self, rows: i64) -> Result<MaxBad, E> {
                let rows = u64::try_from(rows);
                rows.map(MaxBad::Rows).map_err(|_| {
                    E::custom("expected a number of rows, or a share such as \"0.1%\", found less than 0")
                })
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<MaxBad, E> {
                let percent =
                    word.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
                match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
                    Some(percent) => Ok(MaxBad::Percent(percent)),
                    None => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for MaxBad {
    fn schema_name() -> Cow<'static, str> {
        "MaxBad".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}
