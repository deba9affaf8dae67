//! The rows of a node in the table "Faults" of `docs/protocols/confidential.md`: its processes and its engine, killed and
//! hung, before a reply and amid one; and what bounds a worker.

use std::{fs, time::Duration};

use chassis::tls::CertificateFiles;
use http_body_util::Full;
use hyper::Request;
use rustix::process::Signal;
use testkit::blocking::eventually;
use tokio::{join, select, time::timeout};

use crate::support::{Node, NodeResponse, client, own, question, signal};

/// Longer than every limit of the nodes here.
const ALL: Duration = Duration::from_secs(60);
const PATH: &str = "/v1/chat/completions";

/// A reply that has begun, and whose engine says no more; and the worker that writes it.
async fn begun(node: &Node) -> (NodeResponse, u32) {
    node.engine.hold(true);
    let (sealed, key, _) = node.seal(&question(PATH, "smollm2")).await;
    let mut answer = node.ask(&key, &sealed).await;
    assert_eq!(answer.status, 200);
    assert!(matches!(answer.piece().await, Ok(Some(_))));
    let worker = node.engine.worker().expect("it waits for the rest");
    (answer, worker)
}

/// Whether what is left of a reply ends, and not as a whole one.
async fn is_cut(mut answer: NodeResponse) -> bool {
    let rest = async {
        loop {
            match answer.piece().await {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    };
    timeout(ALL, rest).await.expect("it ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boot_that_is_gone_or_hangs_is_seen_by_the_router() {
    for fault in [Signal::STOP, Signal::KILL] {
        let node = Node::start().await;
        let (sealed, key, _) = node.seal(&question(PATH, "smollm2")).await;
        assert_eq!(node.health().await, 200);

        node.signal_boot(fault);

        eventually("what the signal does", || node.boot_is_still());
        assert_eq!(node.health().await, 503, "{fault:?}, at the first look");
        if fault == Signal::KILL {
            let answer = node.ask(&key, &sealed).await;
            assert_eq!((answer.status, answer.kind), (500, None));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_amid_which_its_worker_or_boot_is_killed_is_cut() {
    let node = Node::start().await;
    let (answer, worker) = begun(&node).await;
    signal(worker, Signal::KILL);
    assert!(is_cut(answer).await, "its worker");

    let (answer, _) = begun(&node).await;
    node.signal_boot(Signal::KILL);
    assert!(is_cut(answer).await, "boot, whose workers end with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_or_whose_engine_does_is_ended_when_its_time_is_up() {
    let node = Node::start_with("worker_s = 2\n").await;
    let (answer, worker) = begun(&node).await;
    assert!(is_cut(answer).await, "the engine says no more");
    eventually("its end", || !node.workers().contains(&worker));

    let (answer, worker) = begun(&node).await;
    signal(worker, Signal::STOP);
    assert!(is_cut(answer).await, "the worker says no more");
    eventually("its end", || !node.workers().contains(&worker));
}

/// The worker that waits for a request, of a node where none has a request.
fn waiting(node: &Node) -> u32 {
    eventually("one worker", || node.workers().try_into().ok().map(|[worker]: [u32; 1]| worker))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_before_a_reply_is_told_and_before_its_request_is_replaced() {
    let node = Node::start().await;
    let (sealed, key, opener) = node.seal(&question(PATH, "smollm2")).await;
    signal(waiting(&node), Signal::KILL);
    assert_eq!(node.ask(&key, &sealed).await.open(opener).await.unwrap().0, 200);

    node.engine.hang(true);
    let (sealed, key, _) = node.seal(&question(PATH, "smollm2")).await;
    let kill = async {
        let worker = testkit::eventually("its job", async || node.engine.worker()).await;
        signal(worker, Signal::KILL);
    };
    let (answer, ()) = join!(node.ask(&key, &sealed), kill);
    assert_eq!((answer.status, answer.kind), (500, None));
    node.engine.hang(false);
    let (sealed, key, opener) = node.seal(&question(PATH, "smollm2")).await;
    assert_eq!(node.ask(&key, &sealed).await.open(opener).await.unwrap().0, 200);
}

/// It was handed the request, and did not read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_with_its_request_unread_is_replaced_too() {
    let node = Node::start().await;
    let worker = waiting(&node);
    signal(worker, Signal::STOP);
    let (sealed, key, opener) = node.seal(&question(PATH, "smollm2")).await;
    let kill = async {
        // The next one is started once this one has its request.
        testkit::eventually("another worker", async || node.workers().len() >= 2).await;
        signal(worker, Signal::KILL);
    };
    let (answer, ()) = join!(node.ask(&key, &sealed), kill);
    assert_eq!(answer.open(opener).await.unwrap().0, 200);
}

/// The router waits for `answer_s`, tells 502, and leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_before_a_reply_or_whose_engine_does_says_nothing_and_ends_with_its_caller()
 {
    for engine in [true, false] {
        let node = Node::start().await;
        let (sealed, key, _) = node.seal(&question(PATH, "smollm2")).await;
        let worker = waiting(&node);
        node.engine.hang(engine);
        if !engine {
            signal(worker, Signal::STOP);
        }
        // Another one waits for the next request once this one has its job.
        let works = async || node.workers().len() >= 2 && (!engine || node.engine.under_way() > 0);
        select! {
            _ = node.ask(&key, &sealed) => panic!("it hangs"),
            () = testkit::eventually("it works", works) => {}
        }
        eventually("its end", || !node.workers().contains(&worker));
        eventually("the end of the engine's work", || node.engine.under_way() == 0);
        assert_eq!(node.engine.asked.lock().unwrap().len(), usize::from(engine));

        node.engine.hang(false);
        let (sealed, key, opener) = node.seal(&question(PATH, "smollm2")).await;
        assert_eq!(node.ask(&key, &sealed).await.open(opener).await.unwrap().0, 200);
    }
}

/// For a router that would wait longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_before_a_reply_is_told_when_its_time_is_up() {
    let node = Node::start_with("worker_s = 2\n").await;
    for engine in [true, false] {
        node.engine.hang(engine);
        let (sealed, key, _) = node.seal(&question(PATH, "smollm2")).await;
        let worker = waiting(&node);
        if !engine {
            signal(worker, Signal::STOP);
        }
        let answer = node.ask(&key, &sealed).await;
        assert_eq!((answer.status, answer.kind), (500, None), "engine: {engine}");
        eventually("its end", || !node.workers().contains(&worker));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_gone_is_told_under_the_seal() {
    let node = Node::start().await;
    fs::remove_file(node.root.path().join("run/engine.sock")).unwrap();
    let (sealed, key, opener) = node.seal(&question(PATH, "smollm2")).await;

    let answer = node.ask(&key, &sealed).await;

    assert_eq!(answer.status, 200, "outside of the seal nothing is told");
    assert_eq!(answer.open(opener).await.unwrap().0, 502);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workers_memory_is_bounded_and_so_is_how_many_there_are() {
    let node = Node::start_with("workers = 1\n").await;
    let (_answer, worker) = begun(&node).await;
    let limits = fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3..5], ["268435456", "268435456"], "{line}");

    let (sealed, key, _) = node.seal(&question(PATH, "smollm2")).await;
    assert_eq!(node.ask(&key, &sealed).await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_alone_is_answered() {
    let node = Node::start().await;
    let root = node.root.path();
    let health = || Request::get("/_health").header("host", "node").body(Full::default()).unwrap();
    let as_who = async |own: Option<CertificateFiles>| {
        let answer = node.send_as(&client(root, own.as_ref()), health()).await;
        answer.map(|answer| answer.status)
    };

    assert_eq!(as_who(None).await, None, "nobody");
    assert_eq!(as_who(Some(own(root, "other"))).await, Some(403), "another machine");
    assert_eq!(as_who(Some(own(root, "node"))).await, Some(403), "another node");
    assert_eq!(as_who(Some(own(root, "router"))).await, Some(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_or_malformed_is_refused() {
    let node = Node::start().await;
    let long = vec![0; (2 << 20) + (128 << 10) + 1];
    // It is refused by its announced length: who writes on meanwhile may find the connection closed first.
    let refused = node.try_ask(&[1; 1120], &long).await;
    assert!(refused.is_none_or(|answer| answer.status == 413));
    assert_eq!(node.ask(&[1; 1120], b"sealed").await.status, 400);
    assert_eq!(node.ask(&[], b"sealed").await.status, 400, "no key");
    assert_eq!(node.ask(&[1; 5000], b"sealed").await.status, 400, "a key of no suite");
    for (body, status) in [(vec![0xff; 40], 400), (vec![0; 1025], 413)] {
        let request = Request::post("/attest").header("host", "node").body(Full::new(body.into()));
        let tls = client(node.root.path(), Some(&own(node.root.path(), "router")));
        assert_eq!(node.send_as(&tls, request.unwrap()).await.unwrap().status, status);
    }
}
