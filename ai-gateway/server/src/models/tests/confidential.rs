use super::*;

/// `ours/m` is the primary model; `lab` is a deployment on strangers' machines, with its own `m`.
fn with_lab(fallbacks: &[&str]) -> (Models, Arc<Scripted>, Arc<Scripted>) {
    let (ours, lab) = (Arc::<Scripted>::default(), Arc::<Scripted>::default());
    let provider = |backend: &Arc<Scripted>, models: Vec<Model>| {
        Provider::new(vec![Node::new("n", Arc::clone(backend) as _)], models)
    };
    let mut deployment = provider(&lab, vec![model("m"), model("only")]);
    deployment.confidential = true;
    let providers = BTreeMap::from([
        ("ours".to_owned(), provider(&ours, vec![model("m")])),
        ("lab".to_owned(), deployment),
    ]);
    let fallbacks = fallbacks.iter().map(|name| name.parse().unwrap()).collect();
    (Models::with_providers(providers, "ours/m".parse().unwrap(), fallbacks), ours, lab)
}

#[tokio::test]
async fn a_model_on_strangers_machines_answers_only_who_named_it() {
    let (models, ours, lab) = with_lab(&[]);
    for name in [None, Some("maru"), Some("m"), Some("ours/m")] {
        assert_eq!(ask(&models, name).await.unwrap().0, "ours/m", "{name:?}");
    }
    ours.down.store(true, Ordering::Relaxed);
    assert!(matches!(ask(&models, None).await, Err(Failure::Down(_))));
    assert!(matches!(ask(&models, Some("only")).await, Err(Failure::Unknown { .. })));
    assert_eq!(lab.asked.load(Ordering::Relaxed), 0);

    for (name, model) in [
        ("lab/m", "lab/m"),
        ("lab/only", "lab/only"),
        ("confidential/lab", "lab/m"),
        ("confidential/only", "lab/only"),
    ] {
        assert_eq!(ask(&models, Some(name)).await.unwrap().0, model, "{name}");
    }
    assert!(matches!(ask(&models, Some("confidential/ours")).await, Err(Failure::Unknown { .. })));
}

#[tokio::test]
async fn it_stands_in_where_it_is_listed_and_others_stand_in_for_it_where_they_are() {
    let (models, ours, lab) = with_lab(&["lab/m"]);
    ours.down.store(true, Ordering::Relaxed);
    lab.replies.lock().unwrap().push(Script::ProvedNode);
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    let reply = models.choose(None).unwrap().open(request).await.unwrap();
    assert_eq!(reply.evidence.unwrap().class, "NITRO");
    assert_eq!(reply.deltas.count().await, 1, "nothing of the reply is lost");

    // Whoever names it gets that one or none.
    ours.down.store(false, Ordering::Relaxed);
    lab.replies.lock().unwrap().push(Script::Untrusted("image-unknown"));
    let failure = ask(&models, Some("lab/m")).await.unwrap_err();
    assert_eq!(failure, Failure::Untrusted { code: "image-unknown", reason: "why", sent: false });
    assert_eq!(ours.asked.load(Ordering::Relaxed), 1, "only the first time");
}

#[tokio::test]
async fn an_untrusted_deployment_is_no_fault_and_its_code_is_reported_after_all_others() {
    let (models, ours, lab) = with_lab(&["lab/m"]);
    ours.down.store(true, Ordering::Relaxed);
    for _ in 0..10 {
        lab.replies.lock().unwrap().push(Script::Untrusted("nonce-absent"));
        let failure = ask(&models, None).await.unwrap_err();
        assert!(matches!(failure, Failure::Untrusted { code: "nonce-absent", .. }), "{failure:?}");
    }
    assert_eq!(ask(&models, Some("lab/m")).await.unwrap().0, "lab/m", "its breaker is closed");
}

#[tokio::test]
async fn of_several_deployments_the_error_reports_one_that_was_sent_to() {
    let (models, ours, lab) = with_lab(&["lab/m", "lab/only"]);
    ours.down.store(true, Ordering::Relaxed);
    let (sent, not_sent) =
        (|| Script::SentUntrusted("reply-unsealed"), || Script::Untrusted("image-unknown"));
    for order in [[sent(), not_sent()], [not_sent(), sent()]] {
        // They are taken from the end.
        *lab.replies.lock().unwrap() = order.into();
        let failure = ask(&models, None).await.unwrap_err();
        let told = matches!(failure, Failure::Untrusted { code: "reply-unsealed", sent: true, .. });
        assert!(told, "{failure:?}");
    }
}
