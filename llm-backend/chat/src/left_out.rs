//! Logs the names of ignored fields, so that it can be found out why a field of an app has no effect.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// Most fields that are logged.
const NAMED_MAX: usize = 64;
/// Longest part of a field's name in a log or an error, in characters.
const NAME_MAX: usize = 64;

/// Fields that were logged since the process started.
static NAMED: Mutex<LoggedNames> = Mutex::new(LoggedNames(BTreeSet::new()));

/// A client's name for a field, on one line and shortened.
pub(crate) fn shown(name: &str) -> String {
    let shown = name.chars().map(|c| if common::foreign::steers(c) || c == '`' { '?' } else { c });
    shown.take(NAME_MAX).collect()
}

/// Logs each ignored field of an object of this kind once, at level debug, without its value.
pub(crate) fn log<'a>(of: &'static str, fields: impl Iterator<Item = &'a str>) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for field in fields {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(field) = named.first_time(of, field) {
            tracing::debug!(of, field, "an unknown field is ignored");
        }
    }
}

/// The kinds of objects and the names of their fields.
struct LoggedNames(BTreeSet<(&'static str, String)>);

impl LoggedNames {
    /// The field's name for the log, unless it was logged before or the limit is reached.
    fn first_time(&mut self, of: &'static str, field: &str) -> Option<String> {
        if self.0.len() == NAMED_MAX {
            return None;
        }
        let field = shown(field);
        self.0.insert((of, field.clone())).then_some(field)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::Arc,
    };

    use tracing::Level;

    use super::*;
    use crate::{decode, ollama};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged meanwhile.
    fn logged(run: impl FnOnce()) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let log = tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false);
        tracing::subscriber::with_default(log.with_writer(move || to.clone()).finish(), run);
        let lines = lines.0.lock().unwrap();
        String::from_utf8(lines.clone()).unwrap()
    }

    #[test]
    fn fields_are_named_once_and_values_never() {
        let image = r#"{"type":"image_url","of_part":1,"image_url":{"of_image":1,"url":"data:image/png;base64,iVBORw0KGgoAAAAN"}}"#;
        let call = |arguments| {
            format!(
                r#"{{"of_call":"canary","function":{{"of_function":1,"name":"f","arguments":{arguments}}}}}"#
            )
        };
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":[{image}]}},
                {{"role":"assistant","refusal":null,"of_message":{{"canary":"canary"}},"tool_calls":[{}]}}]}}"#,
            call(r#""{}""#)
        );
        let older = format!(
            r#"{{"model":"m","messages":[{{"role":"user","of_ollamas":["canary"],"tool_calls":[{}]}}]}}"#,
            call("{}")
        );

        let lines = logged(|| {
            for _ in 0..2 {
                decode(body.as_bytes()).unwrap();
                ollama::decode_chat(older.as_bytes()).unwrap();
            }
        });

        for field in ["of_part", "of_image", "of_call", "of_function", "of_message", "of_ollamas"] {
            assert_eq!(lines.matches(field).count(), 1, "{field}: {lines}");
        }
        assert!(!lines.contains("canary") && !lines.contains("refusal"), "{lines}");
    }

    #[test]
    fn names_are_bounded_in_length_and_number_and_steer_nothing() {
        let mut named = LoggedNames(BTreeSet::new());
        let long =
            named.first_time("message", &format!("\u{1b}\n{}", "x".repeat(1 << 20))).unwrap();
        assert!(long.starts_with("??x") && long.chars().count() == 64, "{long}");
        let told = (0..1000).filter_map(|at| named.first_time("message", &at.to_string())).count();
        assert_eq!(told, NAMED_MAX - 1);
    }
}
