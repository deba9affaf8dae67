//! Session keys, as OpenClaw writes them: `agent:main:NAME` for the session NAME of the calling person.

use ai_gateway_api::sealed::SessionName;

use super::frame::Failure;

/// The only agent: the household's AI.
pub(super) const AGENT: &str = "main";
/// The session that a client opens first.
pub(super) const MAIN: &str = "main";
/// The key of [`MAIN`].
pub(super) const MAIN_KEY: &str = "agent:main:main";

/// The key of a session.
pub(super) fn of(session: &SessionName) -> String {
    format!("agent:{AGENT}:{session}")
}

/// The session that a key names. A name alone, such as `main`, is short for its key.
pub(super) fn session(key: &str) -> Result<SessionName, Failure> {
    let name = match key.split_once(':') {
        Some(("agent", rest)) => match rest.split_once(':') {
            Some((AGENT, name)) => name,
            Some(_) | None => {
                return Err(Failure::Invalid("this gateway has one agent: main".into()));
            }
        },
        Some(_) | None => key,
    };
    named(name)
}

/// The session of this name.
pub(super) fn named(name: &str) -> Result<SessionName, Failure> {
    let session = name.parse().ok().filter(|_| !name.is_empty());
    let text = "a session's name has 1 to 100 bytes";
    session.ok_or(Failure::Invalid(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_a_session_of_the_only_agent() {
        for (key, name) in [
            ("agent:main:main", "main"),
            ("main", "main"),
            ("agent:main:a:b", "a:b"),
            ("agent:main:Überraschung", "Überraschung"),
        ] {
            assert_eq!(session(key).unwrap().as_str(), name, "{key}");
        }
        assert_eq!(of(&session("agent:main:a:b").unwrap()), "agent:main:a:b");
        assert_eq!(of(&session(MAIN).unwrap()), MAIN_KEY);
        for key in ["", "agent:", "agent:main", "agent:main:", "agent:other:main"] {
            session(key).unwrap_err();
        }
        session(&"x".repeat(101)).unwrap_err();
    }
}
