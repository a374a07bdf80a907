//! The options of a plugin, out of the JSON schema that its type has.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// What a plugin is, and its options: those that must be given first.
pub(super) fn options_of(schema: fn(&mut SchemaGenerator) -> Schema) -> (String, Vec<Described>) {
    let mut generator = SchemaGenerator::default();
    let schema = schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut options: Vec<_> = (schema["properties"].as_object().into_iter().flatten())
        .map(|(name, property)| {
            Described::of(name, property, &definitions, required.contains(&name.as_str()))
        })
        .collect();
    options.sort_by_key(|option| !option.required);
    (prose(&schema), options)
}

/// An option as its schema describes it.
pub(super) struct Described {
    pub(super) name: String,
    r#type: String,
    /// The words it may be, each with its meaning.
    values: Vec<(String, String)>,
    default: Option<Value>,
    required: bool,
    about: String,
}

impl Described {
    fn of(name: &str, property: &Value, definitions: &Map<String, Value>, required: bool) -> Self {
        let resolved = resolve(property, definitions);
        let own = prose(property);
        let values = words(resolved, definitions);
        let r#type = type_of(property, definitions);
        let default = property.get("default").filter(|default| !default.is_null()).cloned();
        let about = if own.is_empty() { prose(resolved) } else { own };
        Self { name: name.to_owned(), r#type, values, default, required, about }
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.r#type,
            "values": self.values.iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(),
            "default": self.default,
            "required": self.required,
            "description": self.about,
        })
    }

    /// Its name, its type, and what it is where nobody says: `m (integer, default 16)`.
    fn heading(&self) -> String {
        let given = match &self.default {
            _ if self.required => ", required".to_owned(),
            Some(default) => format!(", default {default}"),
            None => String::new(),
        };
        format!("{} ({}{given})", self.name, self.r#type)
    }

    /// The heading and the first sentence, in one line.
    pub(super) fn line(&self) -> String {
        let first = self.about.lines().next().unwrap_or_default();
        // A dot inside of a name or a number ends no sentence.
        let sentence = first.split_once(". ").map_or(first, |(sentence, _)| sentence);
        match sentence.trim_end_matches('.') {
            "" => self.heading(),
            sentence => format!("{}: {sentence}", self.heading()),
        }
    }

    /// All of it, for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("  {}\n", self.heading());
        text.extend(self.about.lines().map(|line| format!("      {line}\n")));
        for (word, meaning) in &self.values {
            let meaning = if meaning.is_empty() { String::new() } else { format!(": {meaning}") };
            text += &format!("      \"{word}\"{meaning}\n");
        }
        text
    }
}

/// The text of a schema, its lines put together.
fn prose(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.lines().collect::<Vec<_>>().join(" "));
    paragraphs.collect::<Vec<_>>().join("\n")
}

/// A schema that is another's name or that or null: the other.
fn resolve<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return definitions.get(name).unwrap_or(schema);
    }
    let or_null = schema["anyOf"].as_array().into_iter().flatten().find(|one| one["type"] != "null");
    or_null.map_or(schema, |one| resolve(one, definitions))
}

/// The words that an option may be.
fn words(schema: &Value, definitions: &Map<String, Value>) -> Vec<(String, String)> {
    if schema["type"] == "array" {
        return words(resolve(&schema["items"], definitions), definitions);
    }
    let plain = schema["enum"].as_array().into_iter().flatten();
    let plain = plain.filter_map(|word| Some((word.as_str()?.to_owned(), String::new())));
    let described =
        schema["oneOf"].as_array().into_iter().flatten().flat_map(|one| match one["const"].as_str() {
            Some(word) => vec![(word.to_owned(), prose(one))],
            None => words(one, definitions),
        });
    plain.chain(described).collect()
}

fn type_of(schema: &Value, definitions: &Map<String, Value>) -> String {
    let resolved = resolve(schema, definitions);
    let kind = match &resolved["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null"),
        kind => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some("array") => format!("list of {}", type_of(&resolved["items"], definitions)),
        Some(kind) => kind.to_owned(),
        None if !words(resolved, definitions).is_empty() => "string".to_owned(),
        None => "value".to_owned(),
    }
}
