//! The `[on_error]` table of a pipeline: what becomes of rows that cannot be used. It is another way to write a stage of type
//! `filter` before all others.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Text;
use super::spec::check_keys;
use crate::Failure;

/// Keys of `[on_error]`, and those of the stage that they stand for.
const KEYS: [(&str, &str); 4] =
    [("rows", "on_error"), ("max_bad", "max_bad"), ("quarantine", "quarantine"), ("checks", "what")];

/// The table of the stage that `[on_error]` stands for. Its values keep their places.
pub(super) fn as_stage<'t>(
    text: &Text,
    value: Spanned<DeValue<'t>>,
) -> Result<Spanned<DeValue<'t>>, Failure> {
    check_keys(text, &value, &KEYS.map(|(name, _)| name))?;
    let span = value.span();
    let mut stage = DeTable::new();
    let key = |name: &str| Spanned::new(span.clone(), std::borrow::Cow::Owned(name.to_owned()));
    stage.insert(key("type"), Spanned::new(span.clone(), DeValue::String("filter".into())));
    if let DeValue::Table(table) = value.into_inner() {
        for (name, value) in table {
            let Some((_, theirs)) = KEYS.iter().find(|(own, _)| name.get_ref() == own) else { continue };
            stage.insert(Spanned::new(name.span(), std::borrow::Cow::Owned((*theirs).to_owned())), value);
        }
    }
    Ok(Spanned::new(span, DeValue::Table(stage)))
}
