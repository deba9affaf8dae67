use testkit::eventually;

use super::*;
use crate::client::{Client, Refused};

fn asked() -> UseModel {
    UseModel { path: "/models/a.gguf".into() }
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

async fn client(root: &Path) -> Client {
    Client::supervisor(root).await.expect("it runs")
}

#[tokio::test]
async fn what_is_asked_arrives_and_its_outcome_is_told() {
    let root = tempfile::tempdir().unwrap();
    assert!(Client::supervisor(root.path()).await.is_none());
    let mut control = Control::serve_to(root.path(), own_uid()).unwrap();
    let client = client(root.path()).await;
    let question = asked();
    for outcome in [Ok(()), Err("it does not start".to_owned())] {
        let asking = client.call(&USE_MODEL, &[], &question);
        let answering = async {
            let ask = control.next().await;
            assert_eq!(ask.path, question.path);
            ask.answer.send(outcome.clone()).unwrap();
        };
        let (answer, ()) = tokio::join!(asking, answering);
        match (&outcome, answer) {
            (Ok(()), Ok(answer)) => assert_eq!(answer, question),
            (Err(words), Err(error)) => {
                assert!(error.is::<Refused>() && error.to_string() == *words, "{error:#}");
            }
            (outcome, answer) => panic!("{outcome:?}: {answer:?}"),
        }
    }
    drop(control);
    let is_gone = async || Client::supervisor(root.path()).await.is_none();
    eventually("nobody listens", is_gone).await;
}

#[tokio::test]
async fn one_may_wait_for_another_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let mut control = Control::serve_to(root.path(), own_uid()).unwrap();
    let start = || {
        let root = root.path().to_owned();
        tokio::spawn(async move { client(&root).await.call(&USE_MODEL, &[], &asked()).await })
    };
    let first = start();
    let ask = control.next().await;
    // One is under way, one waits.
    let asks = [first, start(), start()];
    let is_any_finished = async || asks.iter().any(tokio::task::JoinHandle::is_finished);
    eventually("a third is refused", is_any_finished).await;
    ask.answer.send(Ok(())).unwrap();
    control.next().await.answer.send(Ok(())).unwrap();
    let mut refused = 0;
    for ask in asks {
        if let Err(error) = ask.await.unwrap() {
            assert!(error.to_string().contains("being changed already"), "{error:#}");
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn no_other_user_is_heard() {
    let root = tempfile::tempdir().unwrap();
    let _control = Control::serve_to(root.path(), own_uid() + 1).unwrap();
    assert!(client(root.path()).await.call(&USE_MODEL, &[], &asked()).await.is_err());
}
