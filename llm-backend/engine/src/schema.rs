//! JSON schemas as grammars of llama.cpp.
//!
//! What clients use of JSON Schema is translated, annotations (`title`, `description` …) change nothing, and the rest is
//! refused by its path: a reply follows the schema, or there is none. As in llama-server, an object with `properties`
//! has no others unless `additionalProperties` allows them. llama.cpp has a translation of its own, but it takes similar
//! names of definitions for the same one, and writes the schema into the log if it cannot use it.
//!
//! Anybody may send a schema, and the engine's thread checks every token against all alternatives that are still
//! possible. So length, depth, number of parts, of alternatives and of what is counted are bounded, also the depth of a
//! value of any kind, and each definition is translated once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::{Value, json, value::RawValue};

use self::{
    fields::{Fields, Times},
    fixed::fixed,
    location::{Location, Result},
};

mod fields;
mod fixed;
mod location;
mod numbers;
mod strings;

pub use self::{fixed::any_object, location::SchemaError};

/// Longest schema, in bytes.
pub const SCHEMA_MAX: usize = 64 << 10;
/// Deepest nesting, with the definitions in their places.
const DEPTH_MAX: usize = 32;
/// Most parts: schemas and values of `enum`.
const PARTS_MAX: usize = 2000;
/// Most alternatives that one text may be the beginning of: nested `anyOf` multiply them.
const ALTERNATIVES_MAX: usize = 256;
/// Most characters, entries and digits that are counted: each is a rule for llama.cpp.
const COUNTED_MAX: usize = 20_000;

/// Translates a schema. The grammar's start is `root`.
///
/// # Errors
///
/// [`SchemaError`]: the path of what is invalid, not supported or beyond the bounds.
pub fn grammar(schema: &str) -> Result<String> {
    let root = Location::root();
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
    counted: usize,
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
        let mut fields = Fields::open(at, raw)?;
        let rule = if let Some(raw) = fields.take("$ref") {
            self.reference(raw, &at.child("$ref"), depth)?
        } else if let Some(raw) = fields.take("anyOf") {
            self.any_of(raw, &at.child("anyOf"), depth)?
        } else if let Some(raw) = fields.take("oneOf") {
            // As in llama-server: a reply may follow several of them.
            self.any_of(raw, &at.child("oneOf"), depth)?
        } else if let Some(raw) = fields.take("allOf") {
            self.all_of(raw, &at.child("allOf"), depth)?
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
        if let Some(name) = fields.rest() {
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
        let mut types = fields.types()?;
        // A whole number is a number.
        let has_number = types.iter().any(|kind| kind == "number");
        types.retain(|kind| kind != "integer" || !has_number);
        let mut rules = Vec::new();
        for kind in &types {
            rules.push(match kind.as_str() {
                "object" => self.object(fields, depth)?,
                "array" => self.array(fields, depth)?,
                "string" => self.string(fields)?,
                kind @ ("integer" | "number") => match numbers::text(fields, kind == "integer")? {
                    Some(text) => self.add_text(&text, fields.at)?,
                    None => Rule::fixed(kind),
                },
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

    /// All of one: Pydantic writes so what a reference has beside it.
    fn all_of(&mut self, raw: &'a RawValue, at: &Location, depth: usize) -> Result<Rule> {
        match at.some(raw)?[..] {
            [only] => self.schema(only, &at.entry(0), depth + 1),
            _ => at.refuse("must have one entry for this engine"),
        }
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

    fn string(&mut self, fields: &mut Fields<'a, '_>) -> Result<Rule> {
        let Some((text, times)) = strings::text(fields)? else { return Ok(Rule::fixed("string")) };
        self.charge_times(times, fields.at)?;
        self.add_text(&text, fields.at)
    }

    fn array(&mut self, fields: &mut Fields<'a, '_>, depth: usize) -> Result<Rule> {
        let at = fields.at.child("items");
        let times = fields.times("minItems", "maxItems")?;
        let (least, most) = (times.least, times.most);
        if let Some(raw) = fields.take("prefixItems") {
            return self.tuple(raw, times, fields, depth);
        }
        let item = match fields.take("items") {
            Some(raw) => self.schema(raw, &at, depth + 1)?,
            None if (least, most) == (0, None) => return Ok(Rule::fixed("array")),
            None => Rule::fixed("value"),
        };
        if most == Some(0) {
            return Ok(self.add(r#""[" ws "]""#, 1, &[]));
        }
        self.charge_times(times, fields.at)?;
        let Rule { name, alternatives, .. } = &item;
        // Rules of their own, because llama.cpp counts what a group has in it.
        let next = self.add(&format!("\",\" ws {name}"), 1, &[]).name;
        let rest = Times { least: least.saturating_sub(1), most: most.map(|most| most - 1) };
        let items = self.add(&format!("{name} {next}{rest} ws"), 1, &[]).name;
        let optional = if least == 0 { "?" } else { "" };
        let text = format!(r#""[" ws {items}{optional} "]""#);
        Ok(self.add(&text, alternatives + 1, std::slice::from_ref(&item)))
    }

    /// A list whose entries have a schema each: there are these and no others.
    fn tuple(
        &mut self,
        raw: &'a RawValue,
        times: Times,
        fields: &mut Fields<'a, '_>,
        depth: usize,
    ) -> Result<Rule> {
        let at = fields.at.child("prefixItems");
        if fields.take("items").is_some_and(|items| items.get() != "false") {
            return fields.at.child("items").refuse("must be false beside prefixItems");
        }
        let entries = at.some(raw)?;
        let n = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        if n < times.least || times.most.is_some_and(|most| most < n) {
            return at.refuse("must have as many entries as minItems and maxItems say");
        }
        let mut rules = Vec::new();
        for (index, raw) in entries.into_iter().enumerate() {
            rules.push(self.schema(raw, &at.entry(index), depth + 1)?);
        }
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
        let alternatives = rules.iter().map(|rule| rule.alternatives).max().unwrap_or_default();
        let text = format!(r#""[" ws {} ws "]""#, names.join(r#" "," ws "#));
        Ok(self.add(&text, alternatives, &rules))
    }

    fn object(&mut self, fields: &mut Fields<'a, '_>, depth: usize) -> Result<Rule> {
        let properties = fields.take("properties");
        let required = fields.take("required");
        let others = fields.take("additionalProperties");
        if let Some(raw) = fields.take("propertyNames")
            && !serde_json::from_str(raw.get())
                .is_ok_and(|it: Value| it == json!({ "type": "string" }))
        {
            return fields.at.child("propertyNames").refuse("must be {\"type\": \"string\"}");
        }
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

    /// Adds a rule of characters only.
    fn add_text(&mut self, text: &str, at: &Location) -> Result<Rule> {
        // More than there are, if a character is one.
        let alternatives = 1 + text.matches('|').count();
        self.charge(alternatives, at)?;
        Ok(self.add(text, alternatives, &[]))
    }

    fn charge_times(&mut self, times: Times, at: &Location) -> Result<()> {
        self.charge(times.most.unwrap_or(times.least) as usize, at)
    }

    fn charge(&mut self, n: usize, at: &Location) -> Result<()> {
        self.counted += n;
        if self.counted > COUNTED_MAX {
            at.refuse("is too much: this engine counts 20000 characters, entries and digits in all")
        } else {
            Ok(())
        }
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

/// A text of JSON as a literal of the grammar.
fn literal(json: &str) -> String {
    format!("\"{}\"", json.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
