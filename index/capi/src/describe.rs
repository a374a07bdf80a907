//! What an index says of itself, in the words of `sochdb-bulk info --json`.

use index::Index;
use index::file::SectionKind;
use serde_json::{Map, Value, json};

pub(crate) fn as_json(index: &Index) -> String {
    let header = index.header();
    let sections: Map<String, Value> = header
        .sections
        .iter()
        .map(|section| (section.kind.name().replace([' ', '-'], "_"), section.length_bytes.into()))
        .collect();
    let effective: Map<String, Value> =
        header.effective_parameters.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
    let has = |kind| header.section(kind).is_some();
    json!({
        "schema": 1,
        "rows": header.rows,
        "dim": header.dim,
        "metric": header.params.metric.name(),
        "m": header.params.m,
        "m0": header.params.m0(),
        "ef_construction": header.params.ef_construction,
        "seed": header.params.seed,
        "builder": header.builder,
        "effective_parameters": effective,
        "level_nodes": header.levels.iter().map(|level| level.nodes).collect::<Vec<_>>(),
        "level_edges": header.levels.iter().map(|level| level.edges).collect::<Vec<_>>(),
        "mean_degree": header.mean_degree(),
        "reachable_share": header.reachable_share(),
        "repaired_nodes": header.repaired_nodes,
        "copies": header.copies,
        "storage": header.storage.name(),
        "default_ef": header.default_ef,
        "codes": if has(SectionKind::Codes) { "i8" } else { "none" },
        "ids": match (has(SectionKind::Ids), has(SectionKind::TextIds)) {
            (true, _) => "u64",
            (false, true) => "text",
            (false, false) => "row_numbers",
        },
        "file_bytes": header.file_length_bytes,
        "section_bytes": sections,
        "recipe": index.recipe(),
    })
    .to_string()
}
