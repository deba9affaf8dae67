//! Connections that break, stay silent, or are dropped by the caller.

use super::*;

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let server = serve(|mut connection| async move {
        connection.begin().await;
        connection.chunk(event("a").as_bytes()).await;
        connection.is_left().await
    });

    let client = server.client();
    let mut stream = client.chat(request()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), Delta::text("a"));
    drop(stream);

    assert!(server.task.await.unwrap());
}

#[tokio::test]
async fn dropping_the_request_before_it_is_answered_closes_the_connection() {
    let server = serve(|mut connection| async move { connection.is_left().await });

    let client = server.client();
    assert!(timeout(STEP * 5, client.chat(request())).await.is_err(), "it was answered");

    assert!(server.task.await.unwrap());
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_is_a_cut() {
    let server = serve(|mut connection| async move {
        connection.begin().await;
        connection.chunk(event("a").as_bytes()).await;
    });

    let error = ask(&server.client()).await.unwrap_err();

    assert!(matches!(error, Error::Cut { began: true, .. }), "{error}");
    assert!(!error.may_try_another());
}

#[tokio::test]
async fn silence_in_the_middle_is_a_cut_but_pings_are_not_silence() {
    let server = serve(|mut connection| async move {
        connection.begin().await;
        connection.chunk(event("a").as_bytes()).await;
        for _ in 0..6 {
            tokio::time::sleep(STEP * 20).await;
            connection.chunk(b": ping\n\n").await;
        }
        connection.chunk(event("b").as_bytes()).await;
        connection.is_left().await
    });

    // All the pings take longer than silence may.
    let client = server.client_with(Duration::from_secs(2), Duration::from_secs(30));
    let items: Vec<_> = client.chat(request()).await.unwrap().collect().await;

    assert_eq!(items[0].as_ref().unwrap(), &Delta::text("a"));
    assert_eq!(items[1].as_ref().unwrap(), &Delta::text("b"));
    assert!(matches!(items[2], Err(Error::Cut { began: true, .. })), "{items:?}");
    assert_eq!(items.len(), 3);
    assert!(server.task.await.unwrap());
}

#[tokio::test]
async fn pings_alone_do_not_outlast_the_limits() {
    let pinging = |first: Option<&'static str>| {
        serve(move |mut connection| async move {
            connection.begin().await;
            if let Some(text) = first {
                connection.chunk(event(text).as_bytes()).await;
            }
            while connection.stream.write_all(b"8\r\n: ping\n\n\r\n").await.is_ok() {
                tokio::time::sleep(STEP).await;
            }
        })
    };
    let (never, once) = (pinging(None), pinging(Some("a")));

    // Silence is not what is tried.
    let patient =
        |server: &Server<()>| server.client_with(Duration::from_secs(30), Duration::from_secs(2));
    let clients = (patient(&never), patient(&once));
    let (late, overlong) = tokio::join!(ask(&clients.0), ask(&clients.1));
    let (late, overlong) = (late.unwrap_err(), overlong.unwrap_err());

    assert!(matches!(late, Error::Cut { began: false, .. }), "{late}");
    assert!(late.is_backend_fault() && late.may_try_another());
    assert!(matches!(overlong, Error::Overlong { .. }), "{overlong}");
    assert!(!overlong.is_backend_fault() && !overlong.may_try_another());
    never.task.await.unwrap();
    once.task.await.unwrap();
}

#[tokio::test]
async fn silence_while_the_prompt_is_read_is_no_fault() {
    let server = serve(|mut connection| async move {
        connection.begin().await;
        // Longer than silence may last after the first delta.
        tokio::time::sleep(STEP * 40).await;
        connection.chunk(format!("{}{END}", event("a")).as_bytes()).await;
    });

    assert_eq!(ask(&server.client()).await.unwrap()[0], Delta::text("a"));
}

#[tokio::test]
async fn without_a_listener_another_backend_may_answer() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("unix://{}", directory.path().join("none.sock").display());

    let error = ask(&OpenAiCompatible::new(Settings::new(&url)).unwrap()).await.unwrap_err();

    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.may_try_another());
    assert!(error.to_string().contains(&url) && error.to_string().contains("start it"), "{error}");
}

#[tokio::test]
async fn hanging_up_and_staying_silent_mean_another_backend_may_answer() {
    let hangs_up = serve(|connection| async move { drop(connection) });
    let silent = serve(|mut connection| async move { connection.is_left().await });

    for error in
        [ask(&hangs_up.client()).await.unwrap_err(), ask(&silent.client()).await.unwrap_err()]
    {
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }
}
