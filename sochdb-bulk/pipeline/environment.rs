//! `${NAME}` inside the strings of a pipeline.
//!
//! Variables are put in after the text was parsed, and into values only: what a variable holds is never read as TOML, so
//! it cannot add keys, and a comment that mentions one means nothing.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Text;
use super::problems::Problems;
use crate::Code;

/// Puts variables into all strings of a table. `look_up` tells a variable's value, if it is set.
pub(super) fn put_in(
    text: &Text,
    table: &mut DeTable<'_>,
    look_up: &dyn Fn(&str) -> Option<std::ffi::OsString>,
    problems: &mut Problems,
) {
    for (_, value) in table.iter_mut() {
        put_into_value(text, value, look_up, problems);
    }
}

fn put_into_value(
    text: &Text,
    value: &mut Spanned<DeValue<'_>>,
    look_up: &dyn Fn(&str) -> Option<std::ffi::OsString>,
    problems: &mut Problems,
) {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(string) => match with_variables(string, look_up) {
            Ok(None) => {}
            Ok(Some(new)) => *string = Cow::Owned(new),
            Err(Wrong { message, help }) => {
                problems.push(text.refuse(span, &message).with_code(Code::Variable).with_help(help))
            }
        },
        DeValue::Array(values) => {
            for value in values.iter_mut() {
                put_into_value(text, value, look_up, problems);
            }
        }
        DeValue::Table(table) => put_in(text, table, look_up, problems),
        _ => {}
    }
}

/// What is wrong with a string.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    message: String,
    help: String,
}

const FORMS: &str = "write `${NAME}` or `${NAME:-what else}`; `$${` is `${` itself";

/// The string with its variables put in; nothing if it has none.
fn with_variables(
    string: &str,
    look_up: &dyn Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<String>, Wrong> {
    let mut out = String::new();
    let mut rest = string;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out += before;
            out += "${";
            rest = &rest[at + 2..];
            continue;
        }
        out += &rest[..at];
        let inside = &rest[at + 2..];
        let Some(end) = inside.find('}') else {
            let message = format!("expected `}}` behind `${{` in `{string}`, found none");
            return Err(Wrong { message, help: FORMS.to_owned() });
        };
        out += &value_of(&inside[..end], look_up)?;
        rest = &inside[end + 1..];
    }
    Ok((rest.len() < string.len()).then(|| out + rest))
}

/// The value of what stands between the braces.
fn value_of(inside: &str, look_up: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<String, Wrong> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !is_name(name) {
        let message = format!("expected the name of a variable in `${{{inside}}}`, found `{name}`");
        return Err(Wrong { message, help: FORMS.to_owned() });
    }
    // As in a shell, `:-` is for what is not set and for what is empty.
    match (look_up(name).map(std::ffi::OsString::into_string), default) {
        (Some(Err(_)), _) => Err(Wrong {
            message: format!("the variable `{name}` is not UTF-8"),
            help: "write the value into the file".to_owned(),
        }),
        (Some(Ok(value)), None) => Ok(value),
        (Some(Ok(value)), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Wrong {
            message: format!("the variable `{name}` is not set"),
            help: format!("set it, or say what else: `${{{name}:-...}}`"),
        }),
    }
}

/// The string with all that looks like a variable written so that it is none.
pub(crate) fn escaped(string: &str) -> String {
    string.replace("${", "$${")
}

/// Whether a value is a string, or has it inside, that stands before a place of the text.
pub(super) fn has_string(value: &Spanned<DeValue<'_>>, wanted: &str, before: usize) -> bool {
    match value.get_ref() {
        DeValue::String(string) => value.span().start < before && string.as_ref() == wanted,
        DeValue::Array(values) => values.iter().any(|value| has_string(value, wanted, before)),
        DeValue::Table(table) => table.iter().any(|(_, value)| has_string(value, wanted, before)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(name: &str) -> Option<std::ffi::OsString> {
        match name {
            "A" => Some("x".into()),
            "EMPTY" => Some("".into()),
            "NESTED" => Some("${A}".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_put_in_and_not_read_again() {
        let put = |string: &str| with_variables(string, &look_up).unwrap();
        assert_eq!(put("plain $A $ {A} $"), None);
        assert_eq!(put("${A}/b/${A}.npy").as_deref(), Some("x/b/x.npy"));
        assert_eq!(put("${NESTED}").as_deref(), Some("${A}"));
        assert_eq!(put("$${A}").as_deref(), Some("${A}"));
        assert_eq!(put("${B:-else}${EMPTY:-e}${A:-no}${B:-}").as_deref(), Some("elseex"));
        assert_eq!(put("${EMPTY}").as_deref(), Some(""));
        for string in ["a$${b", "${A}", "$$${A}", ""] {
            let escaped = escaped(string);
            assert_eq!(put(&escaped).unwrap_or_else(|| escaped.clone()), string);
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        let wrong = |string| with_variables(string, &look_up).unwrap_err().message;
        assert_eq!(wrong("${B}"), "the variable `B` is not set");
        assert_eq!(wrong("a${A"), "expected `}` behind `${` in `a${A`, found none");
        assert_eq!(wrong("${}"), "expected the name of a variable in `${}`, found ``");
        assert_eq!(wrong("${1A}"), "expected the name of a variable in `${1A}`, found `1A`");
        assert_eq!(wrong("${A:?no}"), "expected the name of a variable in `${A:?no}`, found `A:?no`");
    }
}
