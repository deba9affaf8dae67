use std::{io, time::Duration};

use axum::{
    http::{StatusCode, header},
    response::IntoResponse as _,
};
use common::problem::Problem;

use super::ErrorResponse;
use crate::body::whole;

#[derive(Debug, thiserror::Error)]
#[error("the database cannot be used now")]
struct Failed(#[source] io::Error);

async fn read(response: ErrorResponse) -> (StatusCode, Option<String>, Problem) {
    let response = response.into_response();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let after = response.headers().get(header::RETRY_AFTER);
    let (status, after) =
        (response.status(), after.map(|value| value.to_str().unwrap().to_owned()));
    let body = whole(response.into_body(), 4096, Duration::from_secs(30)).await.unwrap();
    (status, after, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn an_answer_carries_its_status_kind_and_what_to_do() {
    let response = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "rate", "too many")
        .detail("wait")
        .retry_after(7);

    let (status, after, problem) = read(response).await;

    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(after.as_deref(), Some("7"));
    assert_eq!(problem, Problem::new("rate", 429, "too many").with_detail("wait"));
}

#[tokio::test]
async fn a_failure_here_says_its_own_sentence_and_no_cause() {
    let cause = io::Error::other("password authentication failed for postgres://10.1.1.1");

    let error = Failed(cause);
    let response = ErrorResponse::of(StatusCode::SERVICE_UNAVAILABLE, "store", &error);

    let (status, after, problem) = read(response).await;
    assert_eq!((status, after), (StatusCode::SERVICE_UNAVAILABLE, None));
    assert_eq!(problem, Problem::new("store", 503, "the database cannot be used now"));
}
