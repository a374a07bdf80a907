//! What to write in the place of a value that an option does not take.

use super::suggest::did_you_mean;

/// What to do about a refusal of the TOML reader, in its words as [`super::Text`] puts them; nothing where the message says all there is to say.
pub(super) fn remedy(message: &str) -> Option<String> {
    if let Some(field) = message.strip_prefix("there is no `") {
        return Some(format!("add a line `{} = ...`", field.trim_end_matches('`')));
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        let (word, expected) = rest.split_once('`')?;
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return Some(did_you_mean(word, &known, "known"));
    }
    let (expected, found) = message.strip_prefix("expected ")?.rsplit_once(", found ")?;
    let text = found.strip_prefix("the text \"").and_then(|text| text.strip_suffix('"'));
    let number = found.strip_prefix("the number `").and_then(|number| number.strip_suffix('`'));
    let is_number = expected.contains("number") && !expected.contains("such as");
    match (expected, text, number) {
        (_, Some(text), _) if is_number && text.parse::<f64>().is_ok() => {
            Some(format!("numbers have no quotes: {text}"))
        }
        (_, _, Some(_)) if is_number && expected.contains("at least 0") => {
            Some("write a whole number from 0 on, without a fraction".to_owned())
        }
        ("a text", _, Some(number)) => Some(format!("texts have quotes: \"{number}\"")),
        ("a text", ..) => Some("write a text, in quotes".to_owned()),
        ("true or false", ..) => Some("write true or false, without quotes".to_owned()),
        ("a list", ..) => Some("lists have brackets: [ ... ]".to_owned()),
        _ if is_number => Some("write a number, without quotes".to_owned()),
        _ if expected.contains("such as ") => Some("write it in one of these forms".to_owned()),
        _ => {
            // One of several words.
            let word = found.strip_prefix('`')?.strip_suffix('`')?;
            let (_, words) = expected.strip_suffix(')')?.split_once('(')?;
            let known: Vec<&str> = words.split(", ").flat_map(|words| words.split(" or ")).collect();
            Some(did_you_mean(word, &known, "known"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::remedy;

    #[test]
    fn a_remedy_is_what_one_would_type() {
        for (message, expected) in [
            ("there is no `path`", "add a line `path = ...`"),
            ("expected a whole number of at least 0, found the text \"16\"", "numbers have no quotes: 16"),
            (
                "expected a whole number of at least 0, found the number `-1`",
                "write a whole number from 0 on, without a fraction",
            ),
            ("expected a text, found the number `7`", "texts have quotes: \"7\""),
            ("expected true or false, found the text \"yes\"", "write true or false, without quotes"),
            ("expected a number, found `true`", "write a number, without quotes"),
            (
                "expected a metric (l2, cosine or ip), found `cosinus`",
                "did you mean `cosine`? known: l2, cosine, ip",
            ),
            (
                "unknown variant `zeros`, expected one of `zero`, `skip`",
                "did you mean `zero`? known: zero, skip",
            ),
        ] {
            assert_eq!(remedy(message).as_deref(), Some(expected), "{message}");
        }
        assert_eq!(remedy("a table is open"), None);
    }
}
