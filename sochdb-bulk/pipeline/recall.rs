//! The `[check]` table of a pipeline: what has to hold of the output before it gets its name.

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::DeValue;

use super::Text;
use super::spec::{check_keys, deserialize};
use crate::{Code, Failure};

/// The recall that an index must have: `recall = { min = 0.95 }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecallCheck {
    /// The least recall@k, from 0 to 1.
    pub min: f64,
    /// How many neighbours are looked for.
    #[serde(default = "default_k")]
    pub k: u32,
    /// How many rows are looked for; those with the least hashes of their numbers.
    #[serde(default = "default_sample")]
    pub sample: u32,
    /// The ef of these searches.
    #[serde(default = "default_ef")]
    pub ef: u32,
}

fn default_k() -> u32 {
    10
}

fn default_sample() -> u32 {
    1000
}

fn default_ef() -> u32 {
    100
}

#[derive(Deserialize)]
struct Checks {
    recall: Option<Spanned<RecallCheck>>,
}

/// Reads `[check]`.
pub(super) fn parse(text: &Text, value: Spanned<DeValue<'_>>) -> Result<Option<RecallCheck>, Failure> {
    check_keys(text, &value, &["recall"])?;
    if let Some((_, recall)) =
        value.get_ref().as_table().into_iter().flatten().find(|(key, _)| key.get_ref() == "recall")
    {
        check_keys(text, recall, &["min", "k", "sample", "ef"])?;
    }
    let table = value.span();
    let Checks { recall: Some(recall) } = deserialize(text, value)? else {
        let refused = text.refuse(table, "expected `recall`, found nothing to check");
        return Err(refused
            .with_code(Code::Missing)
            .with_help("such as recall = { k = 10, sample = 1000, min = 0.95 }"));
    };
    let (span, recall) = (recall.span(), recall.into_inner());
    let refuse = |message: String| {
        let help = "such as recall = { k = 10, sample = 1000, min = 0.95 }";
        Err(text.refuse(span.clone(), &message).with_code(Code::WrongValue).with_help(help))
    };
    if !(0.0..=1.0).contains(&recall.min) {
        return refuse(format!("expected a recall from 0 to 1 for `min`, found {}", recall.min));
    }
    if recall.k == 0 || recall.sample == 0 || recall.ef == 0 {
        return refuse("expected `k`, `sample` and `ef` of at least 1, found 0".to_owned());
    }
    Ok(Some(recall))
}
