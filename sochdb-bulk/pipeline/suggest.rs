//! What a word that is not known may have been meant to be.

/// `help` text that names the most similar of `known`, and all of them.
pub(crate) fn did_you_mean(word: &str, known: &[&str], what: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let synonyms = SYNONYMS.iter().copied().filter(|(_, to)| known.contains(to));
    let similar = synonyms
        .chain(known.iter().map(|&known| (known, known)))
        .map(|(written, meant)| (strsim::jaro_winkler(&lower, written), meant))
        .filter(|&(similarity, _)| similarity >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known);
    let all = known.join(", ");
    match similar {
        Some(known) => format!("did you mean `{known}`? {what}: {all}"),
        None => format!("{what}: {all}"),
    }
}

/// Words of other tools for ours.
const SYNONYMS: [(&str, &str); 20] = [
    ("index", "hnsw"),
    ("numpy", "npy"),
    ("dimension", "dim"),
    ("dimensions", "dim"),
    ("dims", "dim"),
    ("d", "dim"),
    ("max_connections", "m"),
    ("connectivity", "m"),
    ("efconstruction", "ef_construction"),
    ("expansion_add", "ef_construction"),
    ("ef", "ef_construction"),
    ("format", "type"),
    ("file", "path"),
    ("input", "path"),
    ("files", "paths"),
    ("inputs", "paths"),
    ("output", "path"),
    ("transform", "stage"),
    ("stages", "stage"),
    ("batch_size", "batch_rows"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_tools_words_lead_to_ours() {
        assert_eq!(
            did_you_mean("dimensoin", &["dim", "path"], "options"),
            "did you mean `dim`? options: dim, path"
        );
        assert_eq!(
            did_you_mean("Dimension", &["dim", "path"], "options"),
            "did you mean `dim`? options: dim, path"
        );
        assert_eq!(did_you_mean("zzz", &["dim", "path"], "options"), "options: dim, path");
    }
}
