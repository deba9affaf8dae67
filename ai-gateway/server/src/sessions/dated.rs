//! Sessions that are named by another and the time: the former conversation of one that begins anew, and copies.

use ai_gateway_api::sealed::{Branch, SessionName};
use conversations::Error;
use jiff::Timestamp;
use mesh_identity::Person;

use super::{NotKept, OperationError, Sessions};
use crate::now_ms;

/// Most names that come of one session in a second.
const IN_A_SECOND: u32 = 9;

/// `main 2026-11-26 14:05:07`, then the same with numbers.
pub(crate) fn dated_names(session: &SessionName) -> impl Iterator<Item = SessionName> {
    (1..=IN_A_SECOND).filter_map(|number| dated_name(session, now_ms(), number))
}

impl Sessions {
    /// Gives a session a name with the time, so that the next message begins a new one; returns the name. `None`: there was
    /// no such session.
    pub(crate) async fn set_aside(
        &self,
        person: &Person,
        session: &SessionName,
    ) -> Result<Option<SessionName>, NotKept> {
        let conversations = self.opened().await?;
        for to in dated_names(session) {
            match conversations.rename(person, session.as_str(), to.as_str()).await {
                Ok(()) => return Ok(Some(to)),
                Err(Error::Missing) => return Ok(None),
                Err(Error::Taken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NotKept::Unavailable)
    }

    /// Copies the messages of a session below a number to a new one; returns its name.
    pub(crate) async fn branch_dated(
        &self,
        person: &Person,
        session: &SessionName,
        before: u64,
    ) -> Result<SessionName, OperationError> {
        for to in dated_names(session) {
            let branch = Branch { session: session.clone(), before, to: to.clone() };
            match self.branch(person, &branch).await {
                Ok(()) => return Ok(to),
                Err(OperationError::Taken) => {}
                Err(error) => return Err(error),
            }
        }
        Err(OperationError::Taken)
    }
}

fn dated_name(session: &SessionName, now_ms: u64, number: u32) -> Option<SessionName> {
    let time = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
    let mut suffix = time.strftime(" %Y-%m-%d %H:%M:%S").to_string();
    if number > 1 {
        suffix += &format!(" ({number})");
    }
    let session = session.as_str();
    let begin = &session[..session.floor_char_boundary(SessionName::MAX - suffix.len())];
    format!("{begin}{suffix}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_time() {
        let name = |session: &str, number| {
            let name = dated_name(&session.parse().unwrap(), 1_795_269_612_345, number);
            name.unwrap().to_string()
        };
        assert_eq!(name("main", 1), "main 2026-11-21 14:00:12");
        assert_eq!(name("main", 2), "main 2026-11-21 14:00:12 (2)");
        assert_eq!(name(&"가".repeat(33), 1), format!("{} 2026-11-21 14:00:12", "가".repeat(26)));
    }
}
