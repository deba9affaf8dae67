//! Replaces `${NAME}` in the strings of `openclaw.json` by the value of that variable, as OpenClaw does.
//!
//! `$${NAME}` stands for the text `${NAME}`; a name has capital letters, digits and underscores, so `${name}` is plain
//! text. `{source: "env", id: "NAME"}` is replaced by the value too. A missing variable keeps its place, so that one in a
//! section without effect does no harm.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    error::{OpenClawError, wrong},
    variables::{Variables, is_name},
};

/// Most bytes of all values together: a short file could name a long value often.
const BYTES_MAX: usize = 1024 * 1024;

/// Shortest value that is hidden in errors; a shorter one is not a secret and would hide half of the sentence.
const HIDDEN_MIN: usize = 4;

/// What the substitution did.
#[derive(Default)]
pub(super) struct Substituted {
    /// Each variable that was missing: the place of its string, and its name.
    pub(super) missing: Vec<(String, String)>,
    /// Each value that was used, with its variable's name.
    used: Vec<(String, Zeroizing<String>)>,
    bytes: usize,
}

impl Substituted {
    /// Replaces the variables in all strings below `root`.
    pub(super) fn replace(root: &mut Value, variables: &Variables) -> Result<Self, OpenClawError> {
        let mut done = Self::default();
        done.value(root, "", variables)?;
        // A value may contain another: the longer one is hidden first.
        done.used.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Ok(done)
    }

    /// The text with each value replaced by the name of its variable.
    pub(super) fn hide(&self, mut text: String) -> String {
        for (name, value) in self.used.iter().filter(|(_, value)| value.len() >= HIDDEN_MIN) {
            let quoted = format!("{:?}", value.as_str());
            for written in [quoted.trim_matches('"'), value.as_str()] {
                text = text.replace(written, &format!("${{{name}}}"));
            }
        }
        text
    }

    fn value(
        &mut self,
        value: &mut Value,
        at: &str,
        variables: &Variables,
    ) -> Result<(), OpenClawError> {
        if let Some(name) = value.as_object().and_then(reference) {
            *value = Value::String(format!("${{{name}}}"));
        }
        match value {
            Value::String(text) => {
                if text.contains("${") {
                    *text = self.text(text, at, variables)?;
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self.value(value, &format!("{at}[{index}]"), variables)?;
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                    self.value(value, &at, variables)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }

    fn text(
        &mut self,
        text: &str,
        at: &str,
        variables: &Variables,
    ) -> Result<String, OpenClawError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let named = after.split_once('}').filter(|(name, _)| is_name(name));
            let Some((name, after)) = named else {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            };
            rest = after;
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(&format!("{before}${{{name}}}"));
                continue;
            }
            out.push_str(before);
            if let Some(value) = variables.get(name) {
                self.bytes += value.len();
                if self.bytes > BYTES_MAX {
                    return Err(wrong(
                        at,
                        "the variables of the file make more than 1 MiB of text",
                    ));
                }
                out.push_str(&value);
                if self.used.iter().all(|(known, _)| known != name) {
                    self.used.push((name.to_owned(), value));
                }
            } else {
                out.push_str(&format!("${{{name}}}"));
                self.missing.push((at.to_owned(), name.to_owned()));
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The name in `{source: "env", id: "NAME"}`.
fn reference(object: &Map<String, Value>) -> Option<String> {
    let text = |key| object.get(key).and_then(Value::as_str);
    let name = text("id").filter(|name| is_name(name))?;
    (text("source") == Some("env") && !object.contains_key("path")).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        Variables::parse("/c/.env", "KEY=s3cret\nHOST='s3cret.example'\nQUOTED='a\"b\\c'").unwrap()
    }

    fn replaced(text: &str) -> (String, Vec<(String, String)>) {
        let mut value = json!({"a": [text]});
        let done = Substituted::replace(&mut value, &variables()).unwrap();
        (value["a"][0].as_str().unwrap().to_owned(), done.missing)
    }

    #[test]
    fn variables_are_replaced_where_openclaw_replaces_them() {
        for (text, expected) in [
            ("${KEY}", "s3cret"),
            ("https://${HOST}/v1/${KEY}", "https://s3cret.example/v1/s3cret"),
            ("$${KEY}", "${KEY}"),
            ("$$${KEY}", "$${KEY}"),
            ("${key}", "${key}"),
            ("${KEY", "${KEY"),
            ("${1KEY}", "${1KEY}"),
            ("${}", "${}"),
            ("${${KEY}}", "${s3cret}"),
            ("$KEY", "$KEY"),
        ] {
            assert_eq!(replaced(text), (expected.to_owned(), Vec::new()), "{text}");
        }
        let missing = vec![("a[0]".to_owned(), "NONE".to_owned())];
        assert_eq!(replaced("x${NONE}y"), ("x${NONE}y".to_owned(), missing));
    }

    #[test]
    fn a_value_is_not_searched_for_further_variables() {
        let variables = Variables::parse("/c/.env", "A='${B}'\nB=b").unwrap();
        let mut value = json!("${A}");
        assert!(Substituted::replace(&mut value, &variables).unwrap().missing.is_empty());
        assert_eq!(value, json!("${B}"));
    }

    #[test]
    fn a_reference_to_the_environment_is_the_value() {
        let mut value = json!({"k": {"source": "env", "provider": "default", "id": "KEY"},
            "other": {"source": "file", "id": "KEY"}});
        Substituted::replace(&mut value, &variables()).unwrap();
        assert_eq!(value, json!({"k": "s3cret", "other": {"source": "file", "id": "KEY"}}));
    }

    #[test]
    fn values_are_hidden_as_they_are_and_as_errors_quote_them() {
        let mut value = json!(["${KEY}", "${HOST}", "${QUOTED}"]);
        let done = Substituted::replace(&mut value, &variables()).unwrap();
        let text = format!("{:?} is at s3cret.example, {}", "a\"b\\c s3cret", "a\"b\\c");
        assert_eq!(done.hide(text), "\"${QUOTED} ${KEY}\" is at ${HOST}, ${QUOTED}");
    }

    #[test]
    fn many_long_values_are_refused() {
        let variables =
            Variables::parse("/c/.env", &format!("LONG={}", "x".repeat(60_000))).unwrap();
        let mut value = json!("${LONG}".repeat(18));
        assert!(Substituted::replace(&mut value, &variables).is_err());
    }

    proptest! {
        /// Whatever stands around it, each variable is replaced, kept as text, or reported.
        #[test]
        fn each_variable_is_replaced_or_reported(
            parts in prop::collection::vec(prop::sample::select(vec![
                ("${KEY}", "s3cret", false), ("${NONE}", "${NONE}", true), ("$${KEY}", "${KEY}", false),
                ("a", "a", false), ("{", "{", false), ("}", "}", false), ("한", "한", false),
            ]), 0..20),
        ) {
            let text: String = parts.iter().map(|part| part.0).collect();
            let (found, missing) = replaced(&text);
            prop_assert_eq!(found, parts.iter().map(|part| part.1).collect::<String>());
            prop_assert_eq!(missing.len(), parts.iter().filter(|part| part.2).count());
        }
    }
}
