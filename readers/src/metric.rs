//! The metric a file records for its vectors.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far two vectors are apart. Smaller is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(rename_all = "lowercase")]
pub enum Metric {
    /// Squared Euclidean distance.
    L2,
    /// 1 - cos.
    Cosine,
    /// The negative inner product.
    Ip,
}

impl Metric {
    /// Every metric, with the spellings that other tools use for it.
    const SPELLINGS: [(Self, &'static [&'static str]); 3] = [
        (Self::L2, &["l2", "euclidean", "l2sq", "sqeuclidean", "euclid"]),
        (Self::Cosine, &["cosine", "cos", "angular"]),
        (Self::Ip, &["ip", "dot", "dp", "inner_product", "dotproduct"]),
    ];

    /// The name that is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::Ip => "ip",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownMetric(String);

impl fmt::Display for UnknownMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a metric (l2, cosine or ip), found `{}`", self.0)
    }
}

impl std::error::Error for UnknownMetric {}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(word: &str) -> Result<Self, UnknownMetric> {
        let lower = word.to_ascii_lowercase();
        Self::SPELLINGS
            .iter()
            .find(|(_, spellings)| spellings.contains(&lower.as_str()))
            .map(|&(metric, _)| metric)
            .ok_or_else(|| UnknownMetric(word.to_owned()))
    }
}

impl TryFrom<String> for Metric {
    type Error = UnknownMetric;

    fn try_from(word: String) -> Result<Self, UnknownMetric> {
        word.parse()
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_other_tools_are_understood() {
        for (word, metric) in [("Euclidean", Metric::L2), ("angular", Metric::Cosine), ("DOT", Metric::Ip)] {
            assert_eq!(word.parse(), Ok(metric));
        }
        assert!("manhattan".parse::<Metric>().is_err());
    }
}
