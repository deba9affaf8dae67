//! Faults of backends: the client's error, the time until it, the next node and the breaker's count. Each row of the
//! table in `docs/protocols/backends.md` is tested with a backend that has the fault.

mod backend;
mod clock;
mod rows;
mod surface;

use std::{fs, path::PathBuf, time::Duration};

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use testkit::{equal, eventually};
use tokio::time::Instant;

use self::{
    backend::{FaultyBackend, Kind, ON_THE_WAY, RequestCounts, Step},
    clock::{Clock, GRAIN},
    rows::{Deadline, ROWS, Row, Setting},
    surface::{Surface, WHOLE},
};
use super::{Member, TestGateway, gateway_with_models, member};
use crate::models::State;

const KINDS: [Kind; 2] = [Kind::OpenAi, Kind::Ollama];
/// A reply as it should be.
const WELL: &[Step] = &[Step::Head, Step::Text, Step::End];
/// Half as long as a backend may be silent: what has ended by then did not end for that.
const SOON: Duration = Duration::from_secs(30);

/// A row, with a backend of one kind and settings of one size.
#[derive(Clone, Copy)]
struct Case {
    number: usize,
    row: &'static Row,
    kind: Kind,
    size: u32,
}

impl Case {
    fn all() -> Vec<Self> {
        let each = ROWS.iter().flat_map(|row| {
            let of = move |kind| row.soon.sizes().iter().map(move |&size| (row, kind, size));
            KINDS.into_iter().flat_map(of)
        });
        let cases = each.enumerate();
        cases.map(|(number, (row, kind, size))| Self { number, row, kind, size }).collect()
    }

    /// What it is called where it fails.
    fn what(self) -> String {
        format!("{:?} {:?}, {} times the settings", self.row.name, self.kind, self.size)
    }

    fn name(self) -> String {
        format!("case-{}", self.number)
    }

    fn model(self) -> String {
        format!("{}/m", self.name())
    }

    fn socket(self, node: &str) -> String {
        format!("run/faults/{}-{node}.sock", self.number)
    }

    /// The provider, with these nodes and their slots.
    fn provider(self, nodes: &[(&str, u32)]) -> Value {
        let node = |(name, slots): &(&str, u32)| json!({"baseUrl": format!("unix:///{}", self.socket(name)), "slots": slots});
        let set = self.row.soon.set(self.size);
        let timeouts: Map<_, _> =
            set.map(|(it, long)| (it.name().to_owned(), json!(long.as_secs_f64()))).collect();
        json!({
            "api": self.kind.api(),
            "nodes": nodes.iter().map(node).collect::<Vec<_>>(),
            "timeouts": timeouts,
            "models": [{"id": "m"}],
        })
    }

    /// The faulty node; `None` for the row without a listener.
    fn faulty(self, gateway: &TestGateway) -> Option<FaultyBackend> {
        let Row { steps, healthy, .. } = *self.row;
        let socket = gateway.root.path().join(self.socket("faulty"));
        (!steps.is_empty()).then(|| FaultyBackend::start(&socket, self.kind, steps, healthy))
    }

    /// A node that answers as it should.
    fn well(self, gateway: &TestGateway) -> FaultyBackend {
        FaultyBackend::start(&gateway.root.path().join(self.socket("well")), self.kind, WELL, true)
    }

    /// Checks that the request of this moment was answered neither sooner nor later than the row says, and that the
    /// faulty node got it once. `plain`: the node may also have got a test request.
    fn check(
        self,
        asked: Instant,
        before: RequestCounts,
        after: RequestCounts,
        plain: bool,
        what: &str,
    ) {
        let (took, (least, most)) = (asked.elapsed(), self.row.bounds(self.size));
        assert!(
            took >= least && took <= most + GRAIN,
            "{what}: {took:?}, not {least:?} to {most:?}"
        );
        let plain = usize::from(plain);
        let once = usize::from(!self.row.steps.is_empty());
        let requests = after.asked - before.asked;
        assert!((once..=once + plain).contains(&requests), "{what}: {requests} requests");
        // One in each such time.
        let health = self.row.soon.long(self.size, Setting::Health);
        let checks = after.checks - before.checks;
        let expected = most.as_nanos() / health.as_nanos();
        assert!(checks as u128 <= expected + plain as u128, "{what}: {checks} health checks");
        if self.row.soon == Deadline::Bytes {
            let (taken, max) = (after.endless - before.endless, self.kind.line_max());
            assert!(taken >= max && taken <= max + ON_THE_WAY, "{what}: {taken} bytes");
        }
    }

    /// A person of the case's own, whose device is bound.
    async fn person(self, gateway: &TestGateway) -> Member {
        let who = member(u64::try_from(self.number).unwrap() + 100);
        assert!(gateway.bind(&who).await.status.is_success());
        who
    }
}

/// A gateway that has all cases as providers with these nodes.
fn gateway_of(cases: &[Case], nodes: &[(&str, u32)]) -> TestGateway {
    let providers: Map<_, _> =
        cases.iter().map(|case| (case.name(), case.provider(nodes))).collect();
    gateway_with_models(&json!({"models": {"providers": providers}}).to_string())
}

fn node(gateway: &TestGateway, case: Case, name: &str) -> State {
    let states = gateway.app.models.nodes().into_iter();
    let mut states =
        states.filter(|(provider, _)| *provider == case.name()).map(|(_, state)| state);
    states.find(|state| state.name.ends_with(&format!("-{name}.sock"))).unwrap()
}

/// Runs the cases side by side.
async fn each(cases: &[Case], run: impl AsyncFn(Case)) {
    join_all(cases.iter().map(|case| run(*case))).await;
}

#[tokio::test(start_paused = true)]
async fn every_surface_shows_in_time_what_the_table_says_and_the_breaker_counts_it() {
    let _clock = Clock::start();
    let cases = Case::all();
    let gateway = gateway_of(&cases, &[("faulty", 1)]);
    each(&cases, async |case| {
        let faulty = case.faulty(&gateway);
        let counts = || faulty.as_ref().map(FaultyBackend::counts).unwrap_or_default();
        let who = case.person(&gateway).await;
        for (at, surface) in (1..).zip(Surface::ALL) {
            let (asked, before) = (Instant::now(), counts());
            let shown = surface.show(&gateway, &who, &case.model()).await;
            let what = format!("{} {surface:?}", case.what());
            assert_eq!(shown, case.row.shown(surface), "{what}");
            // The last one may have it asked something plain first, at which it fails as well.
            let plain = case.row.counts && at == Surface::ALL.len();
            case.check(asked, before, counts(), plain, &what);
        }
        let faults = u32::try_from(Surface::ALL.len()).unwrap() * u32::from(case.row.counts);
        let found = async || equal(node(&gateway, case, "faulty").faults, faults);
        eventually(&format!("{}: {faults} faults", case.what()), found).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_next_node_is_asked_in_time_and_only_where_the_table_says_so() {
    let _clock = Clock::start();
    let cases = Case::all();
    // The first is at home by far the most.
    let gateway = gateway_of(&cases, &[("faulty", 4096), ("well", 1)]);
    each(&cases, async |case| {
        let (faulty, well) = (case.faulty(&gateway), case.well(&gateway));
        let counts = || faulty.as_ref().map(FaultyBackend::counts).unwrap_or_default();
        let who = case.person(&gateway).await;
        let surface = Surface::OpenAi { stream: true };
        let asked = Instant::now();
        let shown = surface.show(&gateway, &who, &case.model()).await;
        let what = case.what();
        case.check(asked, RequestCounts::default(), counts(), false, &what);
        assert_eq!(well.counts().asked, usize::from(case.row.next), "{what}");
        let expected = if case.row.next { WHOLE } else { case.row.shown(surface) };
        assert_eq!(shown, expected, "{what}");
        assert_eq!(node(&gateway, case, "faulty").faults, u32::from(case.row.counts), "{what}");
        let under_way = ["faulty", "well"].map(|name| node(&gateway, case, name).busy);
        assert_eq!(under_way, [0, 0], "{what}");
    })
    .await;
}

/// The table and the tests say the same, so neither can change alone.
#[test]
fn the_table_in_the_documentation_is_this_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/backends.md");
    let text = fs::read_to_string(path).unwrap();
    let head = "| a backend that | `/v1` | `/api` | sealed chat | how soon | next node | breaker |";
    let mut lines = text.lines().skip_while(|line| *line != head).skip(2);
    for row in ROWS {
        assert_eq!(lines.next(), Some(row.cells().as_str()));
    }
    assert!(lines.next().is_none_or(|line| !line.starts_with('|')), "a row without a test");
}

/// Where a reply can be when its client leaves.
const MOMENTS: [(&str, &[Step]); 3] = [
    ("before the headers", &[Step::Hang]),
    ("before the first token", &[Step::Head, Step::Hang]),
    ("in the middle", &[Step::Head, Step::Text, Step::Hang]),
];

#[tokio::test]
async fn leaving_closes_the_backends_connection_on_every_surface() {
    let moments =
        MOMENTS.iter().flat_map(|(moment, steps)| KINDS.map(|kind| (*moment, *steps, kind)));
    let moments: Vec<_> = moments.enumerate().collect();
    let provider = |at: usize, kind: Kind| {
        (
            format!("p{at}"),
            json!({"api": kind.api(), "baseUrl": format!("unix:///run/{at}.sock"), "models": [{"id": "m"}]}),
        )
    };
    let providers: Map<_, _> =
        moments.iter().map(|(at, (_, _, kind))| provider(*at, *kind)).collect();
    let gateway = gateway_with_models(&json!({"models": {"providers": providers}}).to_string());
    for (at, (moment, steps, kind)) in moments {
        let backend = FaultyBackend::start(
            &gateway.root.path().join(format!("run/{at}.sock")),
            kind,
            steps,
            true,
        );
        let who = member(u64::try_from(at).unwrap() + 100);
        assert!(gateway.bind(&who).await.status.is_success());
        let model = format!("p{at}/m");
        let mut before = 0;
        for surface in Surface::ALL {
            tokio::select! {
                biased;
                shown = surface.show(&gateway, &who, &model) => {
                    panic!("{moment} {kind:?} {surface:?}: {shown}");
                }
                () = backend.until(SOON, |counts| counts.hung > before) => {}
            }
            backend.until(SOON, |counts| counts.left > before).await;
            before += 1;
        }
        for (path, body) in surface::other_calls(&model) {
            let asked = async { gateway.post(&who, path, &body).await.text().await };
            tokio::select! {
                biased;
                shown = asked => panic!("{moment} {kind:?} {path}: {shown}"),
                () = backend.until(SOON, |counts| counts.hung > before) => {}
            }
            backend.until(SOON, |counts| counts.left > before).await;
            before += 1;
        }
    }
}
