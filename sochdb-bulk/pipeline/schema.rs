//! The JSON schema of pipeline files, put together from the registries: plugins of other crates are in it as well.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::MAX_THREADS;
use crate::{sinks, stages};

/// Words of a plugin: its name and its aliases.
type Words = Vec<&'static str>;

/// The schema, of draft 07: what editors know.
pub(crate) fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let formats: Vec<(Words, Map<String, Value>)> = readers::formats()
        .iter()
        .map(|format| (words(format.name, format.aliases), options(&mut generator, format.schema)))
        .collect();
    let all_stages: Vec<Value> = stages::all()
        .iter()
        .map(|stage| with_type(options(&mut generator, stage.schema), &[stage.name]))
        .collect();
    let all_sinks: Vec<Value> = sinks::all()
        .iter()
        .map(|sink| with_type(options(&mut generator, sink.schema), &words(sink.name, sink.aliases)))
        .collect();
    let columns = files(&formats, &files_of_columns());
    let source = files(&formats, &files_of_source());
    let mut definitions = generator.take_definitions(true);
    definitions.insert("source".to_owned(), source);
    definitions.insert("columns_of_source".to_owned(), columns);
    definitions.insert("stage".to_owned(), json!({"oneOf": all_stages}));
    definitions.insert("sink".to_owned(), json!({"oneOf": all_sinks}));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline of sochdb-bulk",
        "type": "object",
        "required": ["version", "source", "sink"],
        "additionalProperties": false,
        "properties": {
            "version": {"const": 1, "description": "The version of the language."},
            "name": {"type": "string", "description": "What you call it."},
            "run": run(),
            "source": {
                "description": "What to read: one table, or several that are read one behind the other.",
                "anyOf": [
                    {"$ref": "#/definitions/source"},
                    {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/source"}},
                ],
            },
            "stage": {
                "description": "What happens to the rows, in this order.",
                "type": "array",
                "items": {"$ref": "#/definitions/stage"},
            },
            "sink": {
                "description": "What becomes of them: one table, or several that get the same rows.",
                "anyOf": [
                    {"$ref": "#/definitions/sink"},
                    {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/sink"}},
                ],
            },
            "on_error": on_error(),
            "check": check(),
        },
        "definitions": definitions,
    })
}

fn run() -> Value {
    json!({
        "description": "How to run: none of this changes the result, but for rows.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "threads": {
                "type": "integer", "minimum": 0, "maximum": MAX_THREADS,
                "description": "The most threads that run at a time; 0 for one a core.",
            },
            "memory_limit": {
                "type": ["string", "integer"],
                "description": "The most memory that may be planned for, mapped files not counted: \"2GiB\", or a number of bytes.",
            },
            "rows": {"type": "string", "description": "Only these rows of all sources together, such as \"0..1000\"."},
            "batch_rows": {"type": "integer", "minimum": 1, "description": "Rows of one batch of the stream."},
            "resume": {
                "type": "boolean",
                "description": "Whether what was written is kept when the run is stopped, and gone on with; for outputs of rows of one size.",
            },
            "if_exists": {
                "enum": ["replace", "error", "skip"],
                "description": "What to do about an output that exists.",
            },
        },
    })
}

fn on_error() -> Value {
    json!({
        "description": "What becomes of rows that cannot be used; the same as a first stage of type filter.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "rows": {"enum": ["fail", "skip", "quarantine"], "description": "What to do with such a row."},
            "max_bad": {
                "type": ["string", "integer"],
                "description": "The most rows that may be left out: a number, or a share such as \"0.1%\".",
            },
            "quarantine": {"type": "string", "description": "The file for the rows that are put aside."},
            "checks": {
                "type": "array",
                "items": {"enum": ["non-finite", "zero"]},
                "description": "Which rows are meant.",
            },
        },
    })
}

fn check() -> Value {
    let count = |what: &str| json!({"type": "integer", "minimum": 1, "description": what});
    json!({
        "description": "What has to hold of the output before it gets its name.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "recall": {
                "type": "object",
                "additionalProperties": false,
                "required": ["min"],
                "description": "The recall of an index, measured by an exact search for a sample of its rows.",
                "properties": {
                    "min": {"type": "number", "minimum": 0, "maximum": 1, "description": "The least recall@k."},
                    "k": count("How many neighbours are looked for."),
                    "sample": count("How many rows are looked for."),
                    "ef": count("The ef of the searches."),
                },
            },
        },
    })
}

/// Further names of an option.
pub(super) fn aliases(option: &Value) -> impl Iterator<Item = &str> {
    option.get("aliases").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn words(name: &'static str, aliases: &[&'static str]) -> Words {
    std::iter::once(name).chain(aliases.iter().copied()).collect()
}

/// The schema of a plugin's options.
fn options(
    generator: &mut SchemaGenerator,
    schema: fn(&mut SchemaGenerator) -> Schema,
) -> Map<String, Value> {
    match schema(generator).to_value() {
        Value::Object(options) => options,
        _ => Map::new(),
    }
}

fn properties(options: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let properties = options.entry("properties").or_insert_with(|| json!({}));
    if !properties.is_object() {
        *properties = json!({});
    }
    match properties {
        Value::Object(properties) => properties,
        _ => unreachable!("it was made an object"),
    }
}

/// The options with a `type` that must be there.
fn with_type(mut options: Map<String, Value>, words: &[&str]) -> Value {
    properties(&mut options).insert("type".to_owned(), json!({"enum": words}));
    let required = options.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        required.push("type".into());
    }
    options.insert("additionalProperties".to_owned(), false.into());
    Value::Object(options)
}

/// A table of files: one variant a format, and one for files whose format is found out.
fn files(formats: &[(Words, Map<String, Value>)], common: &Map<String, Value>) -> Value {
    let mut any = Map::new();
    let mut variants = Vec::new();
    for (words, options) in formats {
        let mut options = options.clone();
        let properties_of = properties(&mut options);
        let more: Vec<(String, Value)> = properties_of
            .values()
            .flat_map(|option| aliases(option).map(|name| (name.to_owned(), option.clone())))
            .collect();
        properties_of.extend(more);
        for option in properties_of.values_mut().filter_map(Value::as_object_mut) {
            option.remove("aliases");
        }
        // What one format must have, another has not.
        for (name, schema) in properties(&mut options).iter() {
            let known = any.entry(name.clone()).or_insert_with(|| schema.clone());
            if known != schema {
                *known = json!({});
            }
        }
        for (name, schema) in common {
            properties(&mut options).insert(name.clone(), schema.clone());
        }
        variants.push(with_type(options, words));
    }
    any.extend(common.clone());
    variants.push(json!({"type": "object", "properties": any, "additionalProperties": false}));
    json!({"oneOf": variants})
}

fn files_of_columns() -> Map<String, Value> {
    let common = json!({
        "path": {"type": "string", "description": "A file, or a pattern such as \"shards/*.npy\"; `-` is standard input."},
        "paths": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "Several of them."},
        "io": {"enum": ["auto", "mmap", "read"], "description": "How the bytes come in."},
    });
    match common {
        Value::Object(common) => common,
        _ => unreachable!("an object was written"),
    }
}

fn files_of_source() -> Map<String, Value> {
    let mut common = files_of_columns();
    let more = [
        (
            "dim",
            json!({"type": "integer", "minimum": 1, "maximum": readers::MAX_DIM, "description": "Values a row."}),
        ),
        ("rows", json!({"type": "string", "description": "Only these rows, such as \"0..1000\"."})),
        ("limit", json!({"type": "integer", "minimum": 0, "description": "At most so many rows."})),
        (
            "columns",
            json!({
                "$ref": "#/definitions/columns_of_source",
                "description": "Files of the ids and further columns of the same rows.",
            }),
        ),
    ];
    common.extend(more.map(|(name, schema)| (name.to_owned(), schema)));
    common
}
