mod cache_key;
mod confidential;
mod several;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chat_vocabulary::{
    Capability, ChatRequest, Content, Delta, Evidence, Image, Message, ModelInfo, Part,
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use llm_backend::{
    ApiKey, Backend, DeltaStream, Detail, EmbedRequest, Embeddings, Health, SocketTrust, Timeouts,
};
use mesh_identity::Person;

use super::{settings::settings, *};
use crate::openclaw::{self, Model};

/// Answers as told.
#[derive(Debug, Default)]
struct Scripted {
    down: AtomicBool,
    asked: AtomicUsize,
    /// The cache key of each request.
    keys: Mutex<Vec<Option<String>>>,
    replies: Mutex<Vec<Script>>,
    /// What it says of its health; ready if absent.
    health: Mutex<Option<Health>>,
    /// Tokens of a conversation; 4096 if 0.
    context: AtomicU32,
    /// What it says that its model can do; it does not tell if absent.
    capabilities: Mutex<Option<Vec<Capability>>>,
    /// Whether it said that it forwards its models.
    forwards: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
enum Script {
    /// Ends without having begun.
    CutAtOnce,
    /// Ends after a first delta.
    CutLater,
    /// Says that it failed.
    ErrorRow,
    /// Does not take the request.
    Refuse(u16, &'static str),
    /// Has no room.
    Full,
    /// Has not proved itself.
    Untrusted(&'static str),
    /// Was sent the question, and is not trusted with the answer.
    SentUntrusted(&'static str),
    /// Says what stood behind it.
    ProvedNode,
    /// Reads the prompt for so long.
    Read(Duration),
    /// Says something and goes on for ever.
    Endless,
}

fn cut(began: bool) -> Error {
    Error::Cut { backend: "b".to_owned(), reason: "gone".to_owned(), began, source: None }
}

impl Scripted {
    fn check(&self) -> Result<(), Error> {
        if self.down.load(Ordering::Relaxed) {
            return Err(Error::Unreachable {
                backend: "b".to_owned(),
                reason: "is not there",
                arrived: false,
                source: None,
            });
        }
        Ok(())
    }
}

impl Backend for Scripted {
    fn chat(&self, request: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.keys.lock().unwrap().push(request.prompt_cache_key.clone());
            self.check()?;
            let hello = Ok(Delta::text(request.model.unwrap_or_default()));
            let script = self.replies.lock().unwrap().pop();
            let deltas = match script {
                None => vec![hello],
                Some(Script::CutAtOnce) => vec![Err(cut(false))],
                Some(Script::CutLater) => vec![hello, Err(cut(true))],
                Some(Script::ErrorRow) => vec![Err(Error::Cut {
                    backend: "b".to_owned(),
                    reason: "the backend reported an error: no".to_owned(),
                    began: false,
                    source: None,
                })],
                Some(Script::Full) => {
                    return Err(Error::Busy { backend: "b".to_owned(), reason: "is full" });
                }
                Some(Script::Untrusted(code)) => {
                    let (backend, reason) = ("b".to_owned(), "why");
                    return Err(Error::Untrusted { backend, code, reason, sent: false });
                }
                Some(Script::SentUntrusted(code)) => {
                    let (backend, reason) = ("b".to_owned(), "why");
                    return Err(Error::Untrusted { backend, code, reason, sent: true });
                }
                Some(Script::ProvedNode) => {
                    let evidence = Evidence {
                        class: "NITRO".to_owned(),
                        image: "i".to_owned(),
                        node: "n".to_owned(),
                        verified_at: 1,
                    };
                    vec![Ok(Delta { evidence: Some(Arc::new(evidence)), ..Delta::text("m") })]
                }
                Some(Script::Read(time)) => {
                    tokio::time::sleep(time).await;
                    vec![hello]
                }
                Some(Script::Endless) => {
                    return Ok(stream::iter([hello]).chain(stream::pending()).boxed());
                }
                Some(Script::Refuse(status, words)) => {
                    let message = words.to_owned();
                    let (backend, detail) = ("b".to_owned(), Detail::default());
                    return Err(Error::Refused { backend, status, message, detail });
                }
            };
            Ok(stream::iter(deltas).boxed())
        }
        .boxed()
    }

    fn embed(&self, request: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>> {
        async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.check()?;
            let vectors = request.input.iter().map(|text| vec![text.len() as f32]).collect();
            Ok(Embeddings { vectors, prompt_tokens: Some(3) })
        }
        .boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        let context_tokens = match self.context.load(Ordering::Relaxed) {
            0 => Some(4096),
            tokens => Some(tokens),
        };
        let capabilities = self.capabilities.lock().unwrap().clone();
        let info = ModelInfo { id: "m".to_owned(), context_tokens, capabilities };
        async { self.check().map(|()| vec![info]) }.boxed()
    }

    fn tells_capabilities(&self) -> bool {
        self.capabilities.lock().unwrap().is_some()
    }

    fn forwards(&self, _model: &str) -> bool {
        self.forwards.load(Ordering::Relaxed)
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        async {
            let said = self.health.lock().unwrap().unwrap_or(Health::Ready);
            self.check().map(|()| said)
        }
        .boxed()
    }
}

fn model(id: &str) -> Model {
    Model { id: id.to_owned(), max_tokens: Some(64), ..Model::default() }
}

fn models() -> (Models, Arc<Scripted>, Arc<Scripted>) {
    let (one, two) = (Arc::<Scripted>::default(), Arc::<Scripted>::default());
    let mut providers = BTreeMap::new();
    providers.insert(
        "one".to_owned(),
        Provider::new(
            vec![Node::new("n", Arc::clone(&one) as _)],
            vec![model("m"), model("big"), model("tagged:latest")],
        ),
    );
    let spare = Provider::new(vec![Node::new("n", Arc::clone(&two) as _)], vec![model("m")]);
    providers.insert("two".to_owned(), spare);
    let primary = "one/m".parse().unwrap();
    (Models::with_providers(providers, primary, vec!["two/m".parse().unwrap()]), one, two)
}

/// The providers and fallbacks, to change them.
fn catalog(models: &mut Models) -> &mut Catalog {
    Arc::get_mut(models.catalog.get_mut().unwrap()).expect("nobody else has it")
}

async fn ask(models: &Models, model: Option<&str>) -> Result<(String, usize), Failure> {
    let request = ChatRequest { messages: vec![Message::user("hi")], ..ChatRequest::default() };
    let reply = models.choose(model)?.open(request).await?;
    let name = reply.model.to_string();
    Ok((name, reply.deltas.filter(|delta| std::future::ready(delta.is_ok())).count().await))
}

#[tokio::test]
async fn the_primary_answers_and_its_fallback_when_it_does_not() {
    let (models, one, two) = models();
    assert_eq!(ask(&models, None).await.unwrap(), ("one/m".to_owned(), 1));
    assert_eq!(two.asked.load(Ordering::Relaxed), 0);

    one.down.store(true, Ordering::Relaxed);
    assert_eq!(ask(&models, Some("one/m")).await.unwrap().0, "two/m");

    one.down.store(false, Ordering::Relaxed);
    one.replies.lock().unwrap().push(Script::CutAtOnce);
    assert_eq!(ask(&models, None).await.unwrap().0, "two/m", "it went away before the first delta");
}

#[tokio::test]
async fn a_reply_that_has_begun_is_never_begun_again_elsewhere() {
    let (models, one, two) = models();
    one.replies.lock().unwrap().push(Script::CutLater);
    assert_eq!(ask(&models, None).await.unwrap(), ("one/m".to_owned(), 1));
    assert_eq!(two.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_not_sent_around() {
    let (models, one, two) = models();
    one.replies.lock().unwrap().push(Script::Refuse(400, "not so"));
    assert!(matches!(ask(&models, None).await, Err(Failure::Refused(why, _)) if why == "not so"));
    assert_eq!(two.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn too_long_and_unsupported_are_distinguished_by_the_backends_message() {
    let (models, one, _two) = models();
    for (words, expected) in [
        (
            "m does not support tools",
            Failure::Unsupported("m does not support tools".to_owned(), Detail::default()),
        ),
        (
            "exceeds the available context size",
            Failure::TooLong("exceeds the available context size".to_owned()),
        ),
    ] {
        one.replies.lock().unwrap().push(Script::Refuse(400, words));
        assert_eq!(ask(&models, None).await.unwrap_err(), expected);
    }
}

/// A question with an image.
fn image() -> ChatRequest {
    let image = Part::Image(Image::from_base64("iVBORw0KGgoAAAAN".to_owned()).unwrap());
    let message = Message::user(Content::Parts(vec![image]));
    ChatRequest { messages: vec![message], ..ChatRequest::default() }
}

/// A model that sees images, or none, by the settings.
fn reads(images: bool) -> Model {
    let kinds = if images { &["text", "image"][..] } else { &["text"] };
    let input = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    Model { input: Some(input), ..model("m") }
}

/// A provider of this model alone.
fn provider_of(backend: &Arc<Scripted>, model: Model) -> Arc<Provider> {
    Arc::new(Provider::new(vec![Node::new("n", Arc::clone(backend) as _)], vec![model]))
}

#[tokio::test]
async fn a_capability_that_the_settings_deny_is_refused_before_the_request() {
    let (mut models, one, two) = models();
    catalog(&mut models).providers.insert("one".to_owned(), provider_of(&one, reads(false)));
    let refused = models.choose(None).unwrap().open(image()).await.unwrap_err();
    assert_eq!(
        refused,
        Failure::Unsupported("one/m does not support vision".to_owned(), Detail::default())
    );
    assert_eq!((one.asked.load(Ordering::Relaxed), two.asked.load(Ordering::Relaxed)), (0, 0));
}

/// An Ollama would leave it out unseen.
#[tokio::test]
async fn an_image_is_refused_where_the_backend_tells_that_its_model_sees_none() {
    use Capability::{Completion, Vision};
    let refused =
        Failure::Unsupported("one/m does not support vision".to_owned(), Detail::default());
    for (told, settings, expected) in [
        (Some(vec![Completion]), model("m"), Some(refused.clone())),
        (Some(vec![Completion, Vision]), model("m"), None),
        (None, model("m"), None),
        // What the settings say holds.
        (Some(vec![Completion]), reads(true), None),
        (Some(vec![Completion, Vision]), reads(false), Some(refused)),
    ] {
        let (mut models, one, _two) = models();
        *one.capabilities.lock().unwrap() = told.clone();
        catalog(&mut models).providers.insert("one".to_owned(), provider_of(&one, settings));
        // Nobody has asked before what it can do.
        let reply = models.choose(None).unwrap().open(image()).await;
        assert_eq!(reply.err(), expected, "{told:?}");
        assert_eq!(one.asked.load(Ordering::Relaxed), usize::from(expected.is_none()), "{told:?}");
        assert!(ask(&models, None).await.is_ok(), "without an image it answers");
    }
}

#[tokio::test]
async fn a_fallback_that_lacks_what_is_needed_does_not_hide_that_the_primary_is_absent() {
    let (mut models, one, two) = models();
    one.down.store(true, Ordering::Relaxed);
    let by_settings = provider_of(&two, reads(false));
    let by_itself = provider_of(&two, model("m"));
    for (provider, tried) in [(by_settings, &["one/m"][..]), (by_itself, &["one/m", "two/m"])] {
        catalog(&mut models).providers.insert("two".to_owned(), provider);
        two.replies.lock().unwrap().push(Script::Refuse(400, "m does not support vision"));
        let absent = models.choose(None).unwrap().open(image()).await.unwrap_err();
        let tried = tried.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(absent, Failure::Down(tried));
    }
    assert_eq!(two.asked.load(Ordering::Relaxed), 1);

    // The next one that does not lack it answers.
    catalog(&mut models).providers.insert("two".to_owned(), provider_of(&two, reads(false)));
    let three = Arc::<Scripted>::default();
    catalog(&mut models).providers.insert("three".to_owned(), provider_of(&three, model("m")));
    catalog(&mut models).fallbacks.push("three/m".parse().unwrap());
    let reply = models.choose(None).unwrap().open(image()).await.unwrap();
    assert_eq!(reply.model.to_string(), "three/m");
}

#[tokio::test]
async fn a_model_that_its_backend_forwards_is_not_asked() {
    let (models, one, two) = models();
    one.forwards.store(true, Ordering::Relaxed);
    for name in [None, Some("one/big")] {
        let refused = ask(&models, name).await.unwrap_err();
        assert!(
            matches!(&refused, Failure::Unsupported(why, _) if why.contains("cloud")),
            "{refused}"
        );
    }
    let chain = models.choose(None).unwrap();
    assert!(chain.embed(vec!["text".to_owned()], None).await.is_err());
    assert_eq!((one.asked.load(Ordering::Relaxed), two.asked.load(Ordering::Relaxed)), (0, 0));
}

#[test]
fn no_line_is_entered_before_a_fallback_that_lacks_what_the_request_needs() {
    let (mut models, _, two) = models();
    let request = image();
    let providers = |models: &Models| {
        let chain = models.choose(None).unwrap();
        chain.providers(&request).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(providers(&models), ["one", "two"]);
    catalog(&mut models).providers.insert("two".to_owned(), provider_of(&two, reads(false)));
    assert_eq!(providers(&models), ["one"], "it would refuse what the first could answer");
}

#[tokio::test]
async fn an_error_names_all_models_that_were_tried() {
    let (models, one, two) = models();
    for backend in [&one, &two] {
        backend.down.store(true, Ordering::Relaxed);
    }
    let error = ask(&models, None).await.unwrap_err();
    assert_eq!(error.to_string(), "no model answers (tried one/m, two/m): try again in a moment");
}

#[tokio::test]
async fn a_backend_that_keeps_failing_is_spared_until_it_is_back() {
    let (models, one, _two) = models();
    one.down.store(true, Ordering::Relaxed);
    for _ in 0..8 {
        assert_eq!(ask(&models, None).await.unwrap().0, "two/m");
    }
    assert_eq!(one.asked.load(Ordering::Relaxed), 5, "five faults, then it is spared");
    let spared: Vec<_> = models.nodes().into_iter().map(|(name, it)| (name, it.spared)).collect();
    assert_eq!(spared, [("one".to_owned(), true), ("two".to_owned(), false)]);

    models.probe().await;
    assert_eq!(ask(&models, None).await.unwrap().0, "two/m", "still down");
    one.down.store(false, Ordering::Relaxed);
    models.probe().await;
    assert_eq!(ask(&models, None).await.unwrap().0, "one/m");
}

#[tokio::test]
async fn a_standby_is_asked_only_when_no_other_node_answers() {
    // Either way, because without it the same node always has this conversation.
    for standby in [0, 1] {
        let (mut models, one, two) = models();
        let backends = [one, two];
        let node = |at: usize| Node::new(["a", "b"][at], Arc::clone(&backends[at]) as _);
        let provider = Arc::new(Provider::new(vec![node(0), node(1)], vec![model("m")]));
        catalog(&mut models).providers.insert("one".to_owned(), provider);
        let (first, spare) = (&backends[1 - standby], &backends[standby]);
        *spare.health.lock().unwrap() = Some(Health::Standby);
        models.probe().await;

        assert_eq!(ask(&models, None).await.unwrap().0, "one/m");
        assert_eq!(spare.asked.load(Ordering::Relaxed), 0);
        first.down.store(true, Ordering::Relaxed);
        assert_eq!(ask(&models, None).await.unwrap().0, "one/m");
        assert_eq!(spare.asked.load(Ordering::Relaxed), 1);
        assert!(models.ready().await, "it counts as one that answers");
    }
}

#[tokio::test]
async fn models_are_found_by_name() {
    let (models, one, _two) = models();
    assert_eq!(ask(&models, Some("one/big")).await.unwrap().0, "one/big");
    assert_eq!(ask(&models, Some("big")).await.unwrap().0, "one/big", "one provider only has it");
    assert_eq!(ask(&models, Some("m")).await.unwrap().0, "one/m", "the primary's");
    for name in ["big:latest", "one/big:latest"] {
        assert_eq!(ask(&models, Some(name)).await.unwrap().0, "one/big", "{name}");
    }
    assert_eq!(ask(&models, Some("tagged")).await.unwrap().0, "one/tagged:latest");
    for name in [None, Some("maru"), Some("maru:latest"), Some("openclaw/default")] {
        assert_eq!(ask(&models, name).await.unwrap().0, "one/m", "{name:?}");
        assert!(models.choose(name).unwrap().household);
    }
    assert!(!models.choose(Some("one/m")).unwrap().household, "a named model is that model alone");
    let error = ask(&models, Some("gpt-4")).await.unwrap_err().to_string();
    assert!(error.contains("\"gpt-4\"") && error.contains("two/m"), "{error}");

    one.down.store(true, Ordering::Relaxed);
    let error = ask(&models, Some("one/big")).await.unwrap_err();
    assert!(matches!(error, Failure::Down(_)), "whoever names a model gets that one or none");
}

#[tokio::test]
async fn a_context_that_the_settings_do_not_say_is_learned() {
    let (models, one, two) = models();
    let known = || models.choose(None).unwrap().context_window;
    assert_eq!(known(), None);
    models.learn(false).await;
    assert_eq!(known(), Some(4096));

    // An engine was started again with another model.
    one.context.store(8192, Ordering::Relaxed);
    two.context.store(8192, Ordering::Relaxed);
    models.learn(false).await;
    assert_eq!(known(), Some(4096), "nobody is asked twice for nothing");
    models.learn(true).await;
    assert_eq!(known(), Some(8192));
}

#[test]
fn sockets_and_files_lie_below_the_root() {
    let text = r#"{"models": {"providers": {"a": {"baseUrl": "unix:///run/llm.sock",
        "apiKey": {"source": "file", "path": "/etc/a.key"},
        "request": {"tls": {"ca": "etc/ca.pem"}}, "uid": 61004, "models": [{"id": "m"}]}}}}"#;
    let mut provider = OpenClaw::parse(text).unwrap().providers.remove("a").unwrap();
    let node = &mut provider.nodes[0];
    let settings =
        |root: &str, node: &openclaw::Node| settings(Path::new(root), node, Timeouts::default());

    let below = settings("/tmp/house", node);
    assert_eq!(below.base_url, "unix:///tmp/house/run/llm.sock");
    assert_eq!(below.key, Some(ApiKey::File("/tmp/house/etc/a.key".into())));
    assert_eq!(below.tls.ca, Some("/tmp/house/etc/ca.pem".into()));
    assert_eq!(below.socket, SocketTrust { root: "/tmp/house".into(), uid: Some(61004) });

    assert_eq!(settings("/", node).base_url, "unix:///run/llm.sock");
    node.base_url.clone_from(&below.base_url);
    assert_eq!(settings("/tmp/house", node).base_url, below.base_url);
    node.base_url = "http://127.0.0.1:1/v1".to_owned();
    assert_eq!(settings("/tmp/house", node).base_url, "http://127.0.0.1:1/v1");
}
