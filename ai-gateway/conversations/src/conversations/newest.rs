//! The newest messages of a conversation.

use std::ops::Range;

use sqlx::{AnyConnection, Row as _};

use crate::{error::Error, sealed::SealedMessage};

/// The newest messages of these numbers, as many as `max_bytes` hold as they are stored, oldest first.
pub(super) async fn newest(
    connection: &mut AnyConnection,
    conversation: i64,
    numbers: Range<i64>,
    max_bytes: usize,
) -> Result<Vec<SealedMessage>, Error> {
    let (mut rows, mut bytes, mut before) = (Vec::new(), 0, numbers.end);
    'all: loop {
        let next = sqlx::query(
            "SELECT number, content_sealed, created_at FROM messages \
             WHERE conversation = $1 AND number >= $2 AND number < $3 \
             ORDER BY number DESC LIMIT 64",
        )
        .bind(conversation)
        .bind(numbers.start)
        .bind(before)
        .fetch_all(&mut *connection)
        .await?;
        let Some(last) = next.last() else { break };
        before = last.try_get("number")?;
        for row in next {
            let message = SealedMessage::read(&row)?;
            bytes += message.content.len();
            if bytes > max_bytes {
                break 'all;
            }
            rows.push(message);
        }
    }
    rows.reverse();
    Ok(rows)
}
