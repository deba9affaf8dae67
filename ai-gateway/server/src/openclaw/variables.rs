//! The variables that `openclaw.json` names as `${NAME}`: those of the process, of the file `.env` beside it, and of its
//! own `env.vars`, the first of which has a value (OpenClaw 2026.9.6, `docs/gateway/configuration/environment-variables.md`).
//!
//! A container has no environment, so `.env` is the usual place. It is read as `dotenv` reads it. Values are secrets: they
//! are printed and logged nowhere.

use std::{
    collections::BTreeMap,
    env, fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde_json::Value;
use zeroize::Zeroizing;

use super::error::OpenClawError;

/// The file's name.
const FILE: &str = ".env";
/// Longest file, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// Variables and their values.
#[derive(Default, PartialEq, Eq)]
pub struct Variables {
    file: PathBuf,
    values: BTreeMap<String, Zeroizing<String>>,
}

/// Shows names only.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Variables {
    /// The path of the file beside `openclaw.json`.
    pub(super) fn path(config: &Path) -> PathBuf {
        config.with_file_name(FILE)
    }

    /// Reads the file beside `openclaw.json`, which may be missing.
    ///
    /// # Errors
    ///
    /// [`OpenClawError::Read`] and [`OpenClawError::Variables`].
    pub fn beside(config: &Path) -> Result<Self, OpenClawError> {
        let path = Self::path(config);
        let mut text = Zeroizing::new(String::new());
        match File::open(&path).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text)) {
            Ok(_) => Self::parse(path, &text),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Self::parse(path, ""),
            Err(source) => Err(OpenClawError::Read { path, source }),
        }
    }

    /// Parses the text of the file at `file`.
    ///
    /// # Errors
    ///
    /// [`OpenClawError::Variables`] with the first line that is wrong; it contains no text of the file.
    pub fn parse(file: impl Into<PathBuf>, text: &str) -> Result<Self, OpenClawError> {
        let file = file.into();
        let wrong = |line, reason| OpenClawError::Variables { path: file.clone(), line, reason };
        if text.len() as u64 > FILE_MAX {
            return Err(wrong(1, "a file of variables has at most 64 KiB"));
        }
        let mut values = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = assignment(line).map_err(|reason| wrong(number, reason))?;
            values.insert(name.to_owned(), Zeroizing::new(value));
        }
        Ok(Self { file, values })
    }

    /// Adds those of `env.vars`. A name that is already there keeps its value.
    pub(super) fn with_own(&self, root: &Value) -> Self {
        let mut values = self.values.clone();
        let own = root.pointer("/env/vars").and_then(Value::as_object);
        for (name, value) in own.into_iter().flatten() {
            if let Some(value) = value.as_str() {
                values.entry(name.clone()).or_insert_with(|| Zeroizing::new(value.to_owned()));
            }
        }
        Self { file: self.file.clone(), values }
    }

    /// The value of a variable; an empty one is missing, as at OpenClaw.
    pub(super) fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        let own = env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new);
        own.or_else(|| self.values.get(name).filter(|value| !value.is_empty()).cloned())
    }

    /// The file, as errors name it.
    pub(super) fn file(&self) -> &Path {
        if self.file.as_os_str().is_empty() { Path::new(FILE) } else { &self.file }
    }
}

/// The name and the value of a line `NAME=value`, with or without `export` before it.
fn assignment(line: &str) -> Result<(&str, String), &'static str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("write NAME=value")?;
    let name = name.trim();
    if !is_name(name) {
        return Err("a name has capital letters, digits and underscores: write NAME=value");
    }
    let value = value.trim();
    for quote in ['"', '\'', '`'] {
        let Some(rest) = value.strip_prefix(quote) else {
            continue;
        };
        let (inside, after) = rest.split_once(quote).ok_or("the quote does not end on its line")?;
        if !(after.trim().is_empty() || after.trim_start().starts_with('#')) {
            return Err("only a comment may follow the quote");
        }
        let newlines = quote == '"';
        let inside = if newlines { inside.replace("\\n", "\n") } else { inside.to_owned() };
        return Ok((name, inside));
    }
    let value = value.split_once('#').map_or(value, |(value, _comment)| value.trim_end());
    Ok((name, value.to_owned()))
}

/// Whether OpenClaw would replace `${name}`.
pub(super) fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(known) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Variables, String> {
        Variables::parse("/c/.env", text).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_read_as_dotenv_reads_them() {
        let text = "# a comment\n\nexport A_KEY = plain # why\nB=\"two\\nlines # kept\" # why\nC='a\\n#b'\r\nD=`x`\nE=\n_F1=a=b\nA_KEY=later";
        let variables = read(text).unwrap();
        let value = |name: &str| variables.get(name).map(|value| value.to_string());
        for (name, expected) in [
            ("A_KEY", Some("later")),
            ("B", Some("two\nlines # kept")),
            ("C", Some("a\\n#b")),
            ("D", Some("x")),
            ("E", None),
            ("_F1", Some("a=b")),
            ("G", None),
        ] {
            assert_eq!(value(name).as_deref(), expected, "{name}");
        }
        assert_eq!(format!("{variables:?}"), r#"{"A_KEY", "B", "C", "D", "E", "_F1"}"#);
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number_and_not_repeated() {
        let long = format!("A=s3cret{}", "x".repeat(64 * 1024));
        for (text, said) in [
            ("A=1\ns3cret", "/c/.env, line 2: write NAME=value"),
            ("\n\n1s3cret=x", "line 3: a name"),
            ("a=s3cret", "line 1: a name"),
            ("A='s3cret", "line 1: the quote does not end"),
            ("A='s3cret' s3cret", "line 1: only a comment"),
            (&long, "at most 64 KiB"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn the_process_comes_first_then_the_file_then_the_settings() {
        let own = serde_json::json!({"env": {"vars": {"A": "settings", "B": "settings", "N": 1}}});
        let file = "A=file\nCARGO_PKG_NAME=file";
        let variables = read(file).unwrap().with_own(&own);
        let value = |name: &str| variables.get(name).map(|value| value.to_string());
        assert_eq!(value("CARGO_PKG_NAME").as_deref(), Some(env!("CARGO_PKG_NAME")));
        assert_eq!(value("A").as_deref(), Some("file"));
        assert_eq!(value("B").as_deref(), Some("settings"));
        assert_eq!(value("N"), None);
    }

    #[test]
    fn the_file_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("openclaw.json");
        assert_eq!(Variables::beside(&config).unwrap().get("A"), None);
        std::fs::write(folder.path().join(".env"), "A=1").unwrap();
        assert!(Variables::beside(&config).unwrap().get("A").is_some());
        std::fs::write(folder.path().join(".env"), [0xff]).unwrap();
        assert!(matches!(Variables::beside(&config), Err(OpenClawError::Read { .. })));
    }
}
