//! JSON schemas as grammars of llama.cpp.
//!
//! What clients use of JSON Schema is translated, annotations (`title`, `description` …) change nothing, and the rest is
//! refused by its path: a reply follows the schema, or there is none. As in llama-server, an object with `properties`
//! has no others unless `additionalProperties` allows them. llama.cpp has a translation of its own, but it takes similar
//! names of definitions for the same one, and writes the schema into the log if it cannot use it.
//!
//! Anybody may send a schema, and the engine's thread checks every token against all alternatives that are still
//! possible. So length, depth, number of parts and of alternatives are bounded, also the depth of a value of any kind, and
//! each definition is translated once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// Longest schema, in bytes.
pub const SCHEMA_MAX: usize = 64 << 10;
/// Deepest nesting, with the definitions in their places.
const DEPTH_MAX: usize = 32;
/// Most parts: schemas and values of `enum`.
const PARTS_MAX: usize = 2000;
/// Most alternatives that one text may be the beginning of: nested `anyOf` multiply them.
const ALTERNATIVES_MAX: usize = 256;
/// Longest name in the path of an error, in characters.
const NAME_SHOWN: usize = 40;
/// Longest path of an error, in characters.
const PATH_SHOWN: usize = 160;

/// Keywords that say nothing about which values are valid.
const ANNOTATIONS: [&str; 12] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Deepest nesting of a value of any kind: how far llama.cpp looks for each token grows with the depth of the reply.
const FREE_DEPTH_MAX: usize = 16;

/// The grammar's fixed rules. Numbers and escapes are such as every JSON parser reads, and white space is short, so that
/// a model does not fill its reply with it.
const FIXED: &str = r#"ws ::= ( " " | "\n" [ \t]{0,20} )?
char ::= [^"\\\x7F\x00-\x1F] | [\\] ( ["\\/bfnrt] | "u" ( [0-9a-cA-CefEF] [0-9a-fA-F]{3} | [dD] [0-7] [0-9a-fA-F]{2} ) )
string ::= "\"" char* "\""
integer ::= "-"? ( "0" | [1-9] [0-9]{0,15} )
number ::= integer ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?
boolean ::= "true" | "false"
null ::= "null"
"#;

/// The fixed rules, with those of values of any kind, level by level.
fn fixed() -> String {
    let mut rules = FIXED.to_owned();
    let numbered = |level: usize| if level == 0 { String::new() } else { level.to_string() };
    for level in 0..=FREE_DEPTH_MAX {
        let (n, next) = (numbered(level), numbered(level + 1));
        let nested =
            if level < FREE_DEPTH_MAX { format!("object{n} | array{n} | ") } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(rules, "value{n} ::= {nested}string | number | boolean | null");
        if level < FREE_DEPTH_MAX {
            let _ = writeln!(rules, r#"pair{n} ::= string ":" ws value{next}"#);
            let _ = writeln!(
                rules,
                r#"object{n} ::= "{{" ws ( pair{n} ( "," ws pair{n} )* ws )? "}}""#
            );
            let _ = writeln!(
                rules,
                r#"array{n} ::= "[" ws ( value{next} ( "," ws value{next} )* ws )? "]""#
            );
        }
    }
    rules
}

/// The schema cannot be used. The message has the path, with names of properties as the client wrote them, and no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("response_format: `{path}` {reason}")]
pub struct SchemaError {
    path: String,
    reason: String,
}

type Result<T> = std::result::Result<T, SchemaError>;

/// The grammar of any JSON object.
#[must_use]
pub fn any_object() -> String {
    format!("root ::= object\n{}", fixed())
}

/// Translates a schema. The grammar's start is `root`.
///
/// # Errors
///
/// [`SchemaError`]: the path of what is invalid, not supported or beyond the bounds.
pub fn grammar(schema: &str) -> Result<String> {
    let root = Location("schema".to_owned());
    if schema.len() > SCHEMA_MAX {
        return root.refuse("must have at most 65536 bytes");
    }
    let raw: &RawValue = match serde_json::from_str(schema) {
        Ok(raw) => raw,
        Err(_) => return root.refuse("must be JSON"),
    };
    let mut translation = Translation::default();
    for key in ["$defs", "definitions"] {
        if let Some((_, definitions)) = root.object(raw)?.into_iter().find(|(name, _)| name == key)
        {
            for (name, definition) in root.child(key).object(definitions)? {
                let at = root.child(key).child(&name);
                let pointer = format!("#/{key}/{}", name.replace('~', "~0").replace('/', "~1"));
                translation.definitions.insert(pointer, (at, definition, Definition::Unused));
            }
        }
    }
    let rule = translation.schema(raw, &root, 0)?;
    let Translation { rules, .. } = translation;
    Ok(format!("root ::= {}\n{}{rules}", rule.name, fixed()))
}

/// The path of a part.
#[derive(Clone)]
struct Location(String);

impl Location {
    fn child(&self, name: &str) -> Self {
        Self(format!("{}.{}", self.0, common::foreign::short(name, NAME_SHOWN).replace('`', "'")))
    }

    fn entry(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    fn refuse<T>(&self, reason: &str) -> Result<T> {
        let mut path = self.0.clone();
        if let Some((end, _)) = path.char_indices().nth(PATH_SHOWN) {
            path.replace_range(end.., "…");
        }
        Err(SchemaError { path, reason: reason.to_owned() })
    }

    fn object<'a>(&self, raw: &'a RawValue) -> Result<Vec<(String, &'a RawValue)>> {
        match serde_json::from_str(raw.get()) {
            Ok(Object(fields)) => Ok(fields),
            Err(_) => self.refuse("must be an object without repeated names"),
        }
    }

    fn list<'a>(&self, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
        match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
            Ok(list) => Ok(list),
            Err(_) => self.refuse("must be a list"),
        }
    }

    fn some<'a>(&self, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
        let list = self.list(raw)?;
        if list.is_empty() { self.refuse("must not be empty") } else { Ok(list) }
    }

    fn text(&self, raw: &RawValue) -> Result<String> {
        serde_json::from_str(raw.get()).or_else(|_| self.refuse("must be a string"))
    }
}

/// The fields of an object in their order; names are unique.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let (mut names, mut fields) = (BTreeSet::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("a repeated name"));
                    }
                    fields.push((name, value));
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// A rule of the grammar.
#[derive(Clone)]
struct Rule {
    name: String,
    /// Alternatives that one text may be the beginning of.
    alternatives: usize,
    /// Levels of schemas in it.
    depth: usize,
}

impl Rule {
    fn fixed(name: &str) -> Self {
        let alternatives = if matches!(name, "value" | "object" | "array") { 8 } else { 1 };
        Self { name: name.to_owned(), alternatives, depth: 1 }
    }
}

enum Definition {
    Unused,
    /// Its translation has begun.
    Open,
    Translated(Rule),
}

#[derive(Default)]
struct Translation<'a> {
    /// By the text of `$ref`.
    definitions: BTreeMap<String, (Location, &'a RawValue, Definition)>,
    rules: String,
    n_rules: usize,
    parts: usize,
}

impl<'a> Translation<'a> {
    /// Translates one schema; it stands at this depth.
    fn schema(&mut self, raw: &'a RawValue, at: &Location, depth: usize) -> Result<Rule> {
        self.count(at)?;
        if depth >= DEPTH_MAX {
            return at.refuse("is nested deeper than 32 levels");
        }
        if raw.get() == "true" {
            return Ok(Rule::fixed("value"));
        }
        let mut fields = Fields { at, fields: at.object(raw)? };
        fields.fields.retain(|(name, _)| !ANNOTATIONS.contains(&name.as_str()));
        let rule = if let Some(raw) = fields.take("$ref") {
            self.reference(raw, &at.child("$ref"), depth)?
        } else if let Some(raw) = fields.take("anyOf") {
            self.any_of(raw, &at.child("anyOf"), depth)?
        } else if let Some(raw) = fields.take("const") {
            self.constants(&[(at.child("const"), raw)], &mut fields)?
        } else if let Some(raw) = fields.take("enum") {
            // Each has a path of its own, which may be long: no more of them than are refused for their number.
            let values = at.child("enum").some(raw)?.into_iter().enumerate().take(PARTS_MAX + 1);
            let values: Vec<_> = values.map(|(i, raw)| (at.child("enum").entry(i), raw)).collect();
            self.constants(&values, &mut fields)?
        } else {
            self.typed(&mut fields, depth)?
        };
        if let Some((name, _)) = fields.fields.first() {
            return at.child(name).refuse("is not supported here by this engine: leave it out");
        }
        if rule.alternatives > ALTERNATIVES_MAX {
            return at.refuse("has too many alternatives: at most 256");
        }
        if depth + rule.depth > DEPTH_MAX {
            return at.refuse("is nested deeper than 32 levels");
        }
        Ok(rule)
    }

    fn typed(&mut self, fields: &mut Fields<'a, '_>, depth: usize) -> Result<Rule> {
        let types = fields.types()?;
        let mut rules = Vec::new();
        for kind in &types {
            rules.push(match kind.as_str() {
                "object" => self.object(fields, depth)?,
                "array" => self.array(fields, depth)?,
                simple => Rule::fixed(simple),
            });
        }
        match <[Rule; 1]>::try_from(rules) {
            Ok([rule]) => Ok(rule),
            Err(rules) if rules.is_empty() => Ok(Rule::fixed("value")),
            Err(rules) => Ok(self.choice(&rules)),
        }
    }

    fn reference(&mut self, raw: &RawValue, at: &Location, depth: usize) -> Result<Rule> {
        let pointer = at.text(raw)?;
        let Some((place, definition, state)) = self.definitions.get_mut(&pointer) else {
            return at.refuse("must name a definition, such as \"#/$defs/NAME\"");
        };
        let (place, definition) = (place.clone(), *definition);
        match state {
            Definition::Translated(rule) => return Ok(rule.clone()),
            Definition::Open => return place.refuse("contains itself, which is not supported"),
            Definition::Unused => *state = Definition::Open,
        }
        let rule = self.schema(definition, &place, depth + 1)?;
        let translated = Definition::Translated(rule.clone());
        self.definitions.insert(pointer, (place, definition, translated));
        Ok(rule)
    }

    fn any_of(&mut self, raw: &'a RawValue, at: &Location, depth: usize) -> Result<Rule> {
        let mut rules = Vec::new();
        for (index, raw) in at.some(raw)?.into_iter().enumerate() {
            rules.push(self.schema(raw, &at.entry(index), depth + 1)?);
        }
        Ok(self.choice(&rules))
    }

    fn choice(&mut self, rules: &[Rule]) -> Rule {
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
        let alternatives = rules.iter().map(|rule| rule.alternatives).sum();
        self.add(&names.join(" | "), alternatives, rules)
    }

    /// Values that stand in the schema: texts, numbers, booleans, null.
    fn constants(
        &mut self,
        values: &[(Location, &RawValue)],
        fields: &mut Fields<'_, '_>,
    ) -> Result<Rule> {
        let types = fields.types()?;
        let mut literals = Vec::new();
        for (at, raw) in values {
            self.count(at)?;
            let Ok(value) = serde_json::from_str::<Value>(raw.get()) else {
                return at.refuse("must be a number of usual size");
            };
            let text = match &value {
                Value::Object(_) | Value::Array(_) => {
                    return at.refuse("must be a string, a number, a boolean or null");
                }
                // Numbers stay as they were written.
                Value::Number(_) => raw.get().to_owned(),
                Value::String(_) | Value::Bool(_) | Value::Null => value.to_string(),
            };
            let fits = |kind: &String| match (kind.as_str(), &value) {
                ("string", Value::String(_)) | ("number", Value::Number(_)) => true,
                ("integer", Value::Number(number)) => number.is_i64() || number.is_u64(),
                ("boolean", Value::Bool(_)) | ("null", Value::Null) => true,
                _ => false,
            };
            if !types.is_empty() && !types.iter().any(fits) {
                return at.refuse("is not of the type beside it");
            }
            literals.push(literal(&text));
        }
        Ok(self.add(&literals.join(" | "), literals.len(), &[]))
    }

    fn array(&mut self, fields: &mut Fields<'a, '_>, depth: usize) -> Result<Rule> {
        let at = fields.at.child("items");
        let Some(raw) = fields.take("items") else { return Ok(Rule::fixed("array")) };
        let item = self.schema(raw, &at, depth + 1)?;
        let Rule { name, alternatives, .. } = &item;
        let text = format!(r#""[" ws ( {name} ( "," ws {name} )* ws )? "]""#);
        Ok(self.add(&text, alternatives + 1, std::slice::from_ref(&item)))
    }

    fn object(&mut self, fields: &mut Fields<'a, '_>, depth: usize) -> Result<Rule> {
        let properties = fields.take("properties");
        let required = fields.take("required");
        let others = fields.take("additionalProperties");
        let (at, others_at) = (fields.at, fields.at.child("additionalProperties"));
        if properties.is_some() && others.is_some_and(|others| others.get() != "false") {
            return others_at.refuse("must be false beside properties");
        }
        let place = at.child("properties");
        let properties = properties.map(|raw| place.object(raw)).transpose()?;
        let required_at = at.child("required");
        let required = required.map(|raw| required_at.list(raw)).transpose()?.unwrap_or_default();
        let mut needed = BTreeSet::new();
        for (index, raw) in required.into_iter().enumerate() {
            let name = required_at.entry(index).text(raw)?;
            if !properties.iter().flatten().any(|(property, _)| *property == name) {
                return required_at.entry(index).refuse("must be one of the properties");
            }
            needed.insert(name);
        }
        let properties = match (properties, others) {
            (Some(properties), _) => properties,
            (None, None) => return Ok(Rule::fixed("object")),
            (None, Some(others)) => match others.get() {
                "true" => return Ok(Rule::fixed("object")),
                "false" => Vec::new(),
                _ => return self.map(others, &others_at, depth),
            },
        };
        let mut members = Vec::new();
        for (name, raw) in &properties {
            let value = self.schema(raw, &place.child(name), depth + 1)?;
            let key = literal(&Value::from(name.as_str()).to_string());
            let pair = self.add(&format!("{key} \":\" ws {}", value.name), 1, &[]);
            members.push((pair.name, needed.contains(name), value));
        }
        // From the last property: what may follow if there is none yet, and what may follow another.
        let (mut first, mut next) = ("ws".to_owned(), "ws".to_owned());
        let (mut open, mut most) = (1, 1);
        for (pair, is_needed, value) in members.iter().rev() {
            let skip = |rest: &str| if *is_needed { String::new() } else { format!(" | {rest}") };
            let then = format!("{pair} {next}{}", skip(&first));
            let later = format!("\",\" ws {pair} {next}{}", skip(&next));
            (first, next) = (self.add(&then, 1, &[]).name, self.add(&later, 1, &[]).name);
            // Optional ones in a row are alternatives.
            open = if *is_needed { 1 } else { open + 1 };
            most = most.max(open).max(value.alternatives);
        }
        let start = if members.is_empty() { String::new() } else { "ws ".to_owned() };
        let values: Vec<_> = members.into_iter().map(|(_, _, value)| value).collect();
        Ok(self.add(&format!("\"{{\" {start}{first} \"}}\""), most, &values))
    }

    /// An object of any names whose values follow one schema.
    fn map(&mut self, raw: &'a RawValue, at: &Location, depth: usize) -> Result<Rule> {
        let value = self.schema(raw, at, depth + 1)?;
        let pair = self.add(&format!("string \":\" ws {}", value.name), 1, &[]).name;
        let text = format!(r#""{{" ws ( {pair} ( "," ws {pair} )* ws )? "}}""#);
        Ok(self.add(&text, value.alternatives + 1, &[value]))
    }

    /// Adds a rule with rules in it.
    fn add(&mut self, text: &str, alternatives: usize, within: &[Rule]) -> Rule {
        let name = format!("r{}", self.n_rules);
        self.n_rules += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(self.rules, "{name} ::= {text}");
        let depth = 1 + within.iter().map(|rule| rule.depth).max().unwrap_or_default();
        Rule { name, alternatives, depth }
    }

    fn count(&mut self, at: &Location) -> Result<()> {
        self.parts += 1;
        if self.parts > PARTS_MAX {
            at.refuse("is one part too many: at most 2000")
        } else {
            Ok(())
        }
    }
}

/// Keywords of a schema that were not taken yet.
struct Fields<'a, 'p> {
    at: &'p Location,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a, '_> {
    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(index).1)
    }

    /// The types; empty if any. What an object or a list is made of says its type, too.
    fn types(&mut self) -> Result<Vec<String>> {
        let at = self.at.child("type");
        let has = |name: &str| self.fields.iter().any(|(field, _)| field == name);
        let types = match self.fields.iter().find(|(name, _)| name == "type") {
            None if has("properties") || has("additionalProperties") => vec!["object".to_owned()],
            None if has("items") => vec!["array".to_owned()],
            None => Vec::new(),
            Some((_, raw)) if raw.get().starts_with('[') => {
                let list = at.some(raw)?.into_iter().enumerate();
                list.map(|(index, raw)| at.entry(index).text(raw)).collect::<Result<_>>()?
            }
            Some((_, raw)) => vec![at.text(raw)?],
        };
        let known = ["object", "array", "string", "number", "integer", "boolean", "null"];
        let is_unique = types.iter().collect::<BTreeSet<_>>().len() == types.len();
        if !is_unique || types.iter().any(|kind| !known.contains(&kind.as_str())) {
            return at.refuse("must be object, array, string, number, integer, boolean or null");
        }
        let _ = self.take("type");
        Ok(types)
    }
}

/// A text of JSON as a literal of the grammar.
fn literal(json: &str) -> String {
    format!("\"{}\"", json.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
