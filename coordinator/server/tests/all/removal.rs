//! Removing a device cannot be put off by the device.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use control_protocol::{key::MachinePublic, map::MapRequest};
use hyper::StatusCode;
use serde_json::json;
use testkit::{eventually, eventually_within, postgres::Postgres};
use tokio::{
    net::TcpStream,
    process::Command,
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    device::{Channel, Device, server_key},
    harness::{Coordinator, OPEN, PATIENCE, config},
};

/// How long the database takes for a commit.
const COMMIT: Duration = Duration::from_millis(20);
/// How long after the command's start the device may be in: far shorter than the queue of its updates.
const OUT_WITHIN: Duration = Duration::from_secs(30);
/// More connections than anyone gets.
const CONNECTIONS: u16 = 300;
/// Requests under way at once in each, as many as the coordinator allows.
const REQUESTS: u16 = 32;
/// Longer than the queue of a coordinator that keeps the command waiting.
const LONG: Duration = Duration::from_secs(300);

/// A device that updates as fast as it may, on as many connections as it gets. It runs on threads of its own.
struct Flood {
    answered: Arc<AtomicUsize>,
    connected: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    running: Option<thread::JoinHandle<()>>,
}

impl Flood {
    /// Asks for the coordinator's key once: else the questions for it alone could be as many as one address may ask.
    async fn start(device: Device, address: SocketAddr) -> Self {
        let server = server_key(address).await;
        let (stop, mut stopped) = watch::channel(false);
        let (answered, connected) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let counts = (Arc::clone(&answered), Arc::clone(&connected));
        let running = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for number in 0..CONNECTIONS {
                    // Whoever is refused or cut tries no more: the others go on.
                    let to = (address, server);
                    tokio::spawn(flood(device.clone(), to, number, counts.clone()));
                }
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            runtime.shutdown_background();
        });
        Self { answered, connected, stop, running: Some(running) }
    }

    /// Waits until it is in full swing.
    async fn swell(&self) {
        let swollen = async || self.answered.load(Ordering::SeqCst) >= 100;
        eventually_within(LONG, "updates are answered", swollen).await;
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

async fn flood(
    device: Device,
    (address, server): (SocketAddr, MachinePublic),
    number: u16,
    (answered, connected): (Arc<AtomicUsize>, Arc<AtomicUsize>),
) {
    let Ok(io) = TcpStream::connect(address).await else { return };
    let Some(channel) = device.connect_over(io, server).await else { return };
    connected.fetch_add(1, Ordering::SeqCst);
    for stream in 0..REQUESTS {
        let (mut channel, answered) = (channel.clone(), Arc::clone(&answered));
        tokio::spawn(async move {
            for port in 1..u16::MAX {
                let [high, low] = number.to_be_bytes();
                let [_, stream] = stream.to_be_bytes();
                let endpoint = ([10 + high, low, stream, 1], port).into();
                let request = MapRequest { endpoints: vec![endpoint], ..channel.map_request() };
                match channel.try_update(request).await {
                    Some(StatusCode::OK) => answered.fetch_add(1, Ordering::SeqCst),
                    Some(_) => 0,
                    None => return,
                };
            }
        });
    }
}

/// Reads a device's map stream to its end; when that was.
async fn end_of_stream(mut channel: Channel, begun: oneshot::Sender<()>) -> Instant {
    let mut stream = channel.stream().await;
    stream.next().await.unwrap();
    begun.send(()).unwrap();
    while stream.next().await.is_some() {}
    Instant::now()
}

/// Follows a peer's map until it no longer holds the device; when that was.
async fn gone_from_map(mut channel: Channel, label: &str, begun: oneshot::Sender<()>) -> Instant {
    let mut stream = channel.stream().await;
    stream.until(|held| held.peer(label).is_some()).await;
    begun.send(()).unwrap();
    timeout(LONG, stream.until(|held| held.peer(label).is_none())).await.unwrap();
    Instant::now()
}

/// The command is the real one, from the folder of the workspace's programs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root, postgres"]
async fn a_device_that_updates_as_fast_as_it_may_is_out_before_its_updates_are_through() {
    let maru = lab::binary("maru").unwrap();
    let database = Postgres::with_slow_commits(COMMIT);
    let coordinator = Coordinator::with(config(), Some(database)).await;
    coordinator.ok(hyper::Method::PUT, "/policy", json!({ "policy": OPEN })).await;
    let key =
        coordinator.key(json!({ "user": "eve", "pre_approved": true, "reusable": true })).await;
    let watching = Device::new("laptop").join(&coordinator, &key).await;
    let device = Device::new("flooder");
    let flooding = device.join(&coordinator, &key).await;
    let ((one, begun), (other, seen)) = (oneshot::channel(), oneshot::channel());
    let ended = tokio::spawn(end_of_stream(flooding, one));
    let gone = tokio::spawn(gone_from_map(watching, "flooder", other));
    begun.await.unwrap();
    seen.await.unwrap();
    let flood = Flood::start(device.clone(), coordinator.address).await;
    flood.swell().await;

    let start = Instant::now();
    let command = Command::new(maru)
        .arg("--root")
        .arg(coordinator.root.path())
        .args(["device", "remove", "flooder"])
        .output();
    let output = timeout(LONG, command).await.expect("the command returns").unwrap();
    let returned = start.elapsed();
    let (ended, gone) = (timeout(LONG, ended).await, timeout(LONG, gone).await);
    let (ended, gone) = (ended.unwrap().unwrap() - start, gone.unwrap().unwrap() - start);

    let connected = flood.connected.load(Ordering::SeqCst);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "after {returned:?}, {connected} connections: {said}");
    let times =
        format!("returned {returned:?}, ended {ended:?}, gone {gone:?}, {connected} connections");
    assert!([returned, ended, gone].iter().all(|time| *time < OUT_WITHIN), "{times}");
    drop(flood);
    let connect = async || device.try_connect(coordinator.address).await;
    let mut channel = eventually("it connects", connect).await;
    let late = timeout(PATIENCE, channel.try_stream("")).await.unwrap();
    assert_eq!(late.err(), Some(StatusCode::NOT_FOUND));
}
