//! A provider with several nodes.

use super::*;

/// Nodes a, b and c of one provider, with a slot each, whose health is asked this often.
fn three(health: Duration) -> (Models, Vec<Arc<Scripted>>) {
    let backends: Vec<_> = (0..3).map(|_| Arc::<Scripted>::default()).collect();
    let nodes = ["a", "b", "c"].into_iter().zip(&backends).map(|(name, backend)| {
        Node::new(name, Arc::clone(backend) as _).with(Some(1), false, health)
    });
    (provider(nodes.collect()), backends)
}

fn provider(nodes: Vec<Node>) -> Models {
    let providers = BTreeMap::from([("p".to_owned(), Provider::new(nodes, vec![model("m")]))]);
    Models::with_providers(providers, "p/m".parse().unwrap(), Vec::new())
}

const LONG: Duration = Duration::from_secs(30);

async fn open(models: &Models, question: &str) -> Result<Reply, Failure> {
    let messages = vec![Message::user(question)];
    let request = ChatRequest { messages, ..ChatRequest::default() };
    models.choose(None)?.of(&Person::User(1)).open(request).await
}

/// Asks and hears the whole reply.
async fn talk(models: &Models, question: &str) -> Result<(), Failure> {
    open(models, question).await?.deltas.for_each(|_| std::future::ready(())).await;
    Ok(())
}

fn counts(backends: &[Arc<Scripted>]) -> Vec<usize> {
    backends.iter().map(|backend| backend.asked.load(Ordering::Relaxed)).collect()
}

/// Where a question is at home.
async fn home(models: &Models, backends: &[Arc<Scripted>], question: &str) -> usize {
    let before = counts(backends);
    talk(models, question).await.unwrap();
    let after = counts(backends);
    (0..after.len()).find(|&at| after[at] > before[at]).unwrap()
}

#[tokio::test]
async fn a_conversation_stays_at_its_node_and_goes_elsewhere_while_that_is_full() {
    let (models, backends) = three(LONG);
    let home = home(&models, &backends, "hi").await;
    for _ in 0..5 {
        talk(&models, "hi").await.unwrap();
    }
    assert_eq!(counts(&backends)[home], 6, "the same node each time");

    backends[home].replies.lock().unwrap().push(Script::Endless);
    let mut in_flight = open(&models, "hi").await.unwrap();
    in_flight.deltas.next().await.unwrap().unwrap();
    talk(&models, "hi").await.unwrap();
    assert_eq!(counts(&backends)[home], 7, "its slot is taken");
    assert_eq!(counts(&backends).iter().sum::<usize>(), 8);
    drop(in_flight);
    talk(&models, "hi").await.unwrap();
    assert_eq!(counts(&backends)[home], 8, "whoever leaves gives the slot back");

    for number in 0..60 {
        talk(&models, &number.to_string()).await.unwrap();
    }
    assert!(counts(&backends).iter().all(|&asked| asked > 8), "{:?}", counts(&backends));
}

#[tokio::test]
async fn the_next_node_is_asked_before_the_first_delta_and_never_after_it() {
    let (models, backends) = three(LONG);
    let home = home(&models, &backends, "hi").await;
    for script in [Script::CutAtOnce, Script::Refuse(404, "no such model"), Script::Full] {
        let before: usize = counts(&backends).iter().sum();
        backends[home].replies.lock().unwrap().push(script);
        talk(&models, "hi").await.unwrap();
        assert_eq!(counts(&backends).iter().sum::<usize>(), before + 2, "{script:?}");
    }
    let before: usize = counts(&backends).iter().sum();
    for (script, error) in [
        (
            Script::Refuse(400, "too hot"),
            Some(Failure::Refused("too hot".to_owned(), Detail::default())),
        ),
        (Script::CutLater, None),
    ] {
        backends[home].replies.lock().unwrap().push(script);
        assert_eq!(talk(&models, "hi").await.err(), error);
    }
    assert_eq!(counts(&backends).iter().sum::<usize>(), before + 2, "each once");
}

#[tokio::test]
async fn a_node_that_keeps_cutting_is_spared_alone() {
    let (models, backends) = three(LONG);
    let home = home(&models, &backends, "hi").await;
    *backends[home].replies.lock().unwrap() = vec![Script::CutLater; 9];
    for _ in 0..9 {
        talk(&models, "hi").await.unwrap();
    }
    let spared: Vec<_> = models.nodes().into_iter().map(|(_, state)| state.spared).collect();
    assert_eq!(spared, [0, 1, 2].map(|at| at == home));
    assert_eq!(counts(&backends)[home], 1 + 5, "five faults, then others are asked");
    assert!(models.describe().iter().all(|model| model.answers), "the provider still does");
}

#[tokio::test]
async fn a_node_that_drains_takes_no_new_request_and_ends_those_under_way() {
    let (models, backends) = three(LONG);
    let home = home(&models, &backends, "hi").await;
    backends[home].replies.lock().unwrap().push(Script::Endless);
    let mut in_flight = open(&models, "hi").await.unwrap();

    *backends[home].health.lock().unwrap() = Some(Health::Draining);
    models.probe().await;
    for _ in 0..5 {
        talk(&models, "hi").await.unwrap();
    }
    assert_eq!(counts(&backends)[home], 2, "none came there");
    assert_eq!(in_flight.deltas.next().await.unwrap().unwrap(), Delta::text("m"));
    drop(in_flight);

    *backends[home].health.lock().unwrap() = None;
    models.probe().await;
    talk(&models, "hi").await.unwrap();
    assert_eq!(counts(&backends)[home], 3, "it takes requests again");
}

#[tokio::test]
async fn draining_may_be_a_setting_and_a_provider_that_drains_is_busy() {
    let (kept, drains) = (Arc::<Scripted>::default(), Arc::<Scripted>::default());
    let node = |name: &str, backend: &Arc<Scripted>, draining| {
        Node::new(name, Arc::clone(backend) as _).with(None, draining, LONG)
    };
    let models = provider(vec![node("a", &kept, false), node("b", &drains, true)]);
    for number in 0..20 {
        talk(&models, &number.to_string()).await.unwrap();
    }
    assert_eq!(drains.asked.load(Ordering::Relaxed), 0);

    let models = provider(vec![node("b", &drains, true)]);
    let error = talk(&models, "hi").await.unwrap_err();
    assert_eq!(error, Failure::Busy(vec!["p/m".to_owned()]));
}

#[tokio::test]
async fn a_prompt_is_read_for_as_long_as_the_node_answers_health_checks() {
    let health = Duration::from_millis(40);
    let (models, backends) = three(health);
    let home = home(&models, &backends, "hi").await;
    let read = |time| backends[home].replies.lock().unwrap().push(Script::Read(time));

    read(health * 20);
    talk(&models, "hi").await.unwrap();
    assert_eq!(counts(&backends).iter().sum::<usize>(), 2, "it was waited for");
    let faults = |models: &Models| models.nodes().iter().map(|(_, it)| it.faults).sum::<u32>();
    assert_eq!(faults(&models), 0);

    read(LONG * 60);
    let silent = Arc::clone(&backends[home]);
    let (_, asked) = tokio::join!(
        async move {
            while silent.asked.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            silent.down.store(true, Ordering::Relaxed);
        },
        tokio::time::timeout(LONG, talk(&models, "hi")),
    );
    asked.expect("it is taken for hung").unwrap();
    assert_eq!(counts(&backends).iter().sum::<usize>(), 4, "another one answered");
    assert_eq!(faults(&models), 1);
}

#[tokio::test]
async fn a_request_that_fails_wherever_it_arrives_goes_to_two_nodes() {
    let (models, backends) = three(LONG);
    for backend in &backends {
        backend.replies.lock().unwrap().push(Script::CutAtOnce);
    }
    assert!(matches!(talk(&models, "hi").await, Err(Failure::Down(_))));
    let faults: u32 = models.nodes().iter().map(|(_, state)| state.faults).sum();
    assert_eq!((counts(&backends).iter().sum::<usize>(), faults), (2, 2));

    // Where it did not even arrive it may go on.
    let (models, backends) = three(LONG);
    let home = home(&models, &backends, "hi").await;
    let last = (home + 1) % 3;
    for (at, backend) in backends.iter().enumerate() {
        backend.down.store(at != last, Ordering::Relaxed);
    }
    talk(&models, "hi").await.unwrap();
    assert_eq!(counts(&backends)[last], 1);
}

#[tokio::test]
async fn a_full_backend_is_no_fault_and_distinguished_from_one_that_is_down() {
    let (models, backends) = three(LONG);
    for backend in &backends {
        *backend.replies.lock().unwrap() = vec![Script::Full; 8];
    }
    for _ in 0..8 {
        assert!(matches!(talk(&models, "hi").await, Err(Failure::Busy(_))));
    }
    assert!(models.nodes().iter().all(|(_, state)| state.faults == 0 && state.busy == 0));
    for backend in &backends {
        backend.down.store(true, Ordering::Relaxed);
    }
    assert!(matches!(talk(&models, "hi").await, Err(Failure::Down(_))));
}

#[tokio::test]
async fn vectors_come_from_the_next_node_of_the_same_model() {
    let (models, backends) = three(LONG);
    let embed = async || models.choose(None).unwrap().embed(vec!["text".to_owned()], None).await;
    embed().await.unwrap();
    let first = counts(&backends).iter().position(|&asked| asked == 1).unwrap();
    backends[first].down.store(true, Ordering::Relaxed);
    let (name, made) = embed().await.unwrap();
    assert_eq!((name.to_string().as_str(), made.vectors.len()), ("p/m", 1));
    assert_eq!(counts(&backends).iter().sum::<usize>(), 3);
}

/// Asks five times and once more in ways at which a node fails and says so; what the node is then.
async fn after_six_failures(backend: &Arc<Scripted>, models: &Models) -> State {
    for _ in 0..6 {
        backend.replies.lock().unwrap().push(Script::ErrorRow);
        assert!(talk(models, "hi").await.is_err());
        // What it is asked besides is over.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, state) = models.nodes().into_iter().next().unwrap();
    state
}

#[tokio::test]
async fn a_fault_of_some_requests_only_does_not_open_the_breaker() {
    let backend = Arc::<Scripted>::default();
    let models = provider(vec![Node::new("a", Arc::clone(&backend) as _)]);
    let state = after_six_failures(&backend, &models).await;
    assert!(!state.spared, "{state:?}");
    assert_eq!(counts(&[Arc::clone(&backend)]), [7], "one plain question at the fifth");
    talk(&models, "hi").await.unwrap();
}

#[tokio::test]
async fn one_that_fails_at_plain_requests_or_health_checks_as_well_is_spared() {
    let backend = Arc::<Scripted>::default();
    let models = provider(vec![Node::new("a", Arc::clone(&backend) as _)]);
    backend.replies.lock().unwrap().extend([Script::ErrorRow; 2]);
    let state = after_six_failures(&backend, &models).await;
    assert!(state.spared, "{state:?}");
}
