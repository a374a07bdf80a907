//! What to do about a failure, in the words of a pipeline: readers know flags only.

use crate::Failure;

/// The flags that readers speak of, and the keys of `[source]` that are the same.
const FLAGS: [(&str, &str); 4] = [
    ("--format", "type"),
    ("--dimension", "dim"),
    ("--vector-column", "vector_column"),
    ("--id-column", "id_column"),
];

/// Names keys in the place of flags, unless a failure names both.
pub(super) fn in_keys(failure: Failure) -> Failure {
    match failure.help() {
        Some(help) if !help.contains("in [source]") => {
            let help = keys(help);
            failure.with_help(help)
        }
        _ => failure,
    }
}

fn keys(help: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut words = help.split(' ').peekable();
    while let Some(word) = words.next() {
        let flag = word.trim_end_matches([',', ':', ';', '.']);
        let Some((_, key)) = FLAGS.iter().find(|(known, _)| *known == flag) else {
            out.push(word.to_owned());
            continue;
        };
        let behind = &word[flag.len()..];
        let value = words.peek().filter(|_| behind.is_empty()).map(|next| split(next));
        match value.filter(|&(value, _)| is_value(key, value)) {
            Some((value, behind)) => {
                words.next();
                let quote = if *key == "dim" { "" } else { "\"" };
                out.push(format!("{key} = {quote}{value}{quote}{behind}"));
            }
            None => out.push(format!("`{key}`{behind}")),
        }
    }
    out.join(" ")
}

/// A word, and the signs behind it.
fn split(word: &str) -> (&str, &str) {
    word.split_at(word.trim_end_matches([',', ':', ';', '.']).len())
}

/// Whether a word is what a flag is given, rather than the next word of the sentence.
fn is_value(key: &str, word: &str) -> bool {
    match key {
        "dim" => word == "N" || word.parse::<u64>().is_ok(),
        "type" => word == "NAME" || readers::format_called(word).is_some(),
        // The column that word vectors have.
        _ => word == "NAME" || word == "word",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_keys() {
        for (help, expected) in [
            ("leave --format away, or say --format npy", "leave `type` away, or say type = \"npy\""),
            ("name it with --format: npy, npz", "name it with `type`: npy, npz"),
            ("give --dimension N, or write it", "give dim = N, or write it"),
            ("if it has none, give --dimension 12", "if it has none, give dim = 12"),
            ("a and b; --id-column says which", "a and b; `id_column` says which"),
            ("say --id-column word.", "say id_column = \"word\"."),
            ("nothing of the kind", "nothing of the kind"),
        ] {
            assert_eq!(keys(help), expected);
        }
    }
}
