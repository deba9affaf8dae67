//! A session that begins anew: the former conversation stays under another name.

use ai_gateway_api::sealed::SessionName;
use conversations::Error;
use jiff::Timestamp;
use mesh_identity::Person;

use super::{NotKept, Sessions};
use crate::now_ms;

/// Most conversations that one session leaves behind in a second.
const IN_A_SECOND: u32 = 9;

impl Sessions {
    /// Gives a session a name with the time, so that the next message begins a new one; returns the name. `None`: there was
    /// no such session.
    pub(crate) async fn set_aside(
        &self,
        person: &Person,
        session: &SessionName,
    ) -> Result<Option<SessionName>, NotKept> {
        let conversations = self.opened().await?;
        let names = (1..=IN_A_SECOND).filter_map(|number| former_name(session, now_ms(), number));
        for to in names {
            match conversations.rename(person, session.as_str(), to.as_str()).await {
                Ok(()) => return Ok(Some(to)),
                Err(Error::Missing) => return Ok(None),
                Err(Error::Taken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(NotKept::Unavailable)
    }
}

/// `main 2026-11-26 14:05:07`, or with a number after it.
fn former_name(session: &SessionName, now_ms: u64, number: u32) -> Option<SessionName> {
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
    fn a_former_conversation_is_named_by_the_time() {
        let name = |session: &str, number| {
            let name = former_name(&session.parse().unwrap(), 1_795_269_612_345, number);
            name.unwrap().to_string()
        };
        assert_eq!(name("main", 1), "main 2026-11-21 14:00:12");
        assert_eq!(name("main", 2), "main 2026-11-21 14:00:12 (2)");
        assert_eq!(name(&"가".repeat(33), 1), format!("{} 2026-11-21 14:00:12", "가".repeat(26)));
    }
}
