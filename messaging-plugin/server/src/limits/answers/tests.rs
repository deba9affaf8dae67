use axum::{body::Bytes, http::StatusCode, response::IntoResponse as _};
use ruma::user_id;

use super::*;

const MIB: usize = 1 << 20;

fn response(size: usize) -> Response {
    Body::from(vec![b'x'; size]).into_response()
}

/// Sends until there is no memory, or 200 MiB. Returns the bytes that a connection holds: it has dropped the bodies.
async fn fill(answers: &Answers, person: impl Fn(usize) -> u64) -> Vec<Bytes> {
    let mut unread = Vec::new();
    while unread.len() < 200
        && let Ok(response) = answers.send(person(unread.len()), self::response(MIB)).await
    {
        let frame = chassis::body::frame(&mut response.into_body()).await;
        unread.push(frame.unwrap().unwrap().into_data().unwrap());
    }
    unread
}

#[tokio::test]
async fn who_reads_nothing_holds_so_much_and_others_are_answered() {
    let answers = Answers::default();
    let unread = fill(&answers, |_| 1).await;
    assert_eq!(unread.len(), UNSENT.1 / MIB);
    let refused = answers.send(1, response(MIB)).await.unwrap_err();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    answers.send(1, response(SMALL)).await.unwrap();
    answers.send(2, response(MIB)).await.unwrap();
    drop(unread);
    answers.send(1, response(MIB)).await.unwrap();
}

#[tokio::test]
async fn all_together_hold_so_much() {
    let answers = Answers::default();
    let unread = fill(&answers, |number| number as u64).await;
    assert_eq!(unread.len(), UNSENT.0 / MIB);
}

#[test]
fn one_large_sync_of_a_person_is_read_at_a_time() {
    let answers = Answers::default();
    let (kim, min) = (user_id!("@kim:maru.test"), user_id!("@min:maru.test"));
    let mut first = answers.begin(kim);
    first.add(LARGE + 1).unwrap();
    let mut small = answers.begin(kim);
    small.add(LARGE).unwrap();
    let refused = small.add(1).unwrap_err();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    answers.begin(min).add(LARGE + 1).unwrap();
    drop(first);
    answers.begin(kim).add(LARGE + 1).unwrap();
}

#[test]
fn a_sync_has_a_largest_size() {
    let answers = Answers::default();
    let mut size = answers.begin(user_id!("@kim:maru.test"));
    size.add(SYNC_MAX).unwrap();
    assert_eq!(size.add(1).unwrap_err().status(), StatusCode::BAD_REQUEST);
}

#[test]
fn so_many_requests_of_a_person_are_in_progress() {
    let answers = Answers::default();
    let places: Vec<_> = (0..1_000).map_while(|_| answers.start(1).ok()).collect();
    assert_eq!(places.len(), REQUESTS.1);
    drop(answers.start(2).unwrap());
    drop(places);
    drop(answers.start(1).unwrap());
}
