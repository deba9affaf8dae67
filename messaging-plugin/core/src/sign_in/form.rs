//! Parameters of queries and forms (`application/x-www-form-urlencoded`).

use std::collections::BTreeMap;

use url::form_urlencoded;

use crate::Error;

/// Largest query or form, in bytes.
pub const FORM_MAX: usize = 16_384;

/// Most parameters.
pub const PARAMETERS_MAX: usize = 50;

/// Parameters, none of them twice (RFC 6749, section 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads a query or form.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond a limit; [`Error::InvalidParam`] if a parameter is there twice.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > FORM_MAX {
            return Err(Error::TooLarge { what: "the form", max: "16,384 bytes" });
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            if parameters.len() == PARAMETERS_MAX {
                return Err(Error::TooLarge { what: "the number of parameters", max: "50" });
            }
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Error::InvalidParam("a parameter is there twice".to_owned()));
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter, if it has one that is not empty (RFC 6749, section 3.1).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] if it is missing or empty.
    pub fn need(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::InvalidParam(format!("{name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::{FORM_MAX, Form, PARAMETERS_MAX};

    #[test]
    fn parameters_are_read_once() {
        let form = Form::parse(b"a=1&b=x+y%26&empty=&c").unwrap();
        assert_eq!((form.get("a"), form.get("b")), (Some("1"), Some("x y&")));
        assert!(form.get("empty").is_none() && form.get("c").is_none() && form.get("d").is_none());
        assert!(form.need("a").is_ok() && form.need("empty").is_err());
        assert!(Form::parse(b"a=1&a=1").is_err());
    }

    #[test]
    fn forms_are_bounded() {
        let many = |count: usize| (0..count).map(|n| format!("{n}=&")).collect::<String>();
        assert!(Form::parse(many(PARAMETERS_MAX).as_bytes()).is_ok());
        assert!(Form::parse(many(PARAMETERS_MAX + 1).as_bytes()).is_err());
        assert!(Form::parse(&vec![b'a'; FORM_MAX]).is_ok());
        assert!(Form::parse(&vec![b'a'; FORM_MAX + 1]).is_err());
    }
}
