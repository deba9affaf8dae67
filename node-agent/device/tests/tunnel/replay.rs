//! What somebody on the way heard and sends again is not taken again.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lab::Machine;

use crate::pair::{PORT, Pair, Side, close_relay, is_direct};

/// Datagrams inside.
const COUNT: u16 = 300;
/// First byte of a WireGuard message: a handshake's first, and data.
const INITIATION: u8 = 1;
const DATA: u8 = 4;

/// On the way between A and B: hands on what each sends the other, and keeps what was for B.
struct Eavesdropper {
    socket: UdpSocket,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Eavesdropper {
    /// On A's machine, which both take for the other.
    fn start(a: &Machine, between: [SocketAddr; 2]) -> Self {
        let socket = a.in_network(|| UdpSocket::bind((between[0].ip(), 0)).unwrap());
        let (own, heard) = (socket.try_clone().unwrap(), Arc::<Mutex<Vec<_>>>::default());
        let kept = Arc::clone(&heard);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = own.recv_from(&mut buffer) {
                let message = &buffer[..len];
                let to = if from == between[0] { between[1] } else { between[0] };
                if to == between[1] {
                    kept.lock().unwrap().push(message.to_vec());
                }
                let _ = own.send_to(message, to);
            }
        });
        Self { socket, heard }
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }
}

/// Numbers of datagrams that a receiver has until nothing more comes.
fn numbers(receiver: &UdpSocket) -> Vec<u16> {
    let mut buffer = [0; 2];
    let mut numbers = Vec::new();
    while receiver.recv(&mut buffer).is_ok() {
        numbers.push(u16::from_be_bytes(buffer));
    }
    numbers
}

fn session(side: &Side) -> std::time::SystemTime {
    side.device.peer_stats()[0].last_handshake.unwrap()
}

#[test]
#[ignore = "needs: root"]
fn what_is_sent_again_is_refused() {
    let pair = Pair::new("replay");
    close_relay(&pair);
    let between = [pair.a.under_v4, pair.b.under_v4];
    let eavesdropper = Eavesdropper::start(&pair.a.machine, between);
    let address = eavesdropper.socket.local_addr().unwrap();
    pair.a.know_at(&pair.b, vec![address]);
    pair.b.know(&pair.a, false);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    let (path, since) = (pair.b.path(), session(&pair.b));
    assert_eq!(path, wireguard_device::Path::Direct(address));

    let inside = pair.b.machine.in_network(|| UdpSocket::bind((pair.b.v4, 9000)).unwrap());
    inside.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let sender = pair.a.udp(pair.b.v4, 9000);
    // One by one, so that none is lost on the way.
    for number in 0..COUNT {
        sender.send(&number.to_be_bytes()).unwrap();
        let mut received = [0; 2];
        inside.recv(&mut received).unwrap();
        assert_eq!(received, number.to_be_bytes());
    }

    let heard = eavesdropper.heard();
    let of = |kind| heard.iter().filter(|message| message[0] == kind).count();
    assert!(of(DATA) > usize::from(COUNT) && of(INITIATION) > 0, "it heard them");
    let unopened = || pair.b.device.drops()["unopened"];
    let before = unopened();
    // From where they came, and from elsewhere.
    let elsewhere =
        pair.a.machine.in_network(|| UdpSocket::bind((address.ip(), PORT + 1)).unwrap());
    for socket in [&eavesdropper.socket, &elsewhere] {
        for message in &heard {
            socket.send_to(message, pair.b.under_v4).unwrap();
        }
    }
    // It comes after all of them.
    sender.send(&COUNT.to_be_bytes()).unwrap();
    assert_eq!(numbers(&inside), [COUNT], "the inside sees each once");
    assert!(unopened() >= before + 2 * of(DATA) as u64, "and counts the copies");
    assert_eq!(pair.b.path(), path, "a copy is no sign of its sender's path");
    let moved = session(&pair.b).duration_since(since).unwrap_or_default();
    assert!(moved < Duration::from_millis(100), "no new session, but {moved:?}");
}
