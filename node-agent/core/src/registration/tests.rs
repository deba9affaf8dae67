#![allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use proptest::prelude::*;

use super::*;

const KEY: &str = "sesame";

fn registration(auth_key: Option<&str>) -> Registration {
    let hostinfo = Hostinfo { hostname: "laptop".to_owned(), ..Hostinfo::default() };
    let key = NodePublic::from_bytes([7; 32]);
    Registration::new(key, None, auth_key.map(str::to_owned), hostinfo)
}

fn send(registration: &mut Registration) -> RegisterRequest {
    let Some(Action::SendRegister(request)) = registration.poll_action() else {
        panic!("a request is due");
    };
    *request
}

fn wait_for(url: &str) -> RegisterResponse {
    RegisterResponse { auth_url: url.to_owned(), ..RegisterResponse::default() }
}

fn refuse(error: &str) -> RegisterResponse {
    RegisterResponse { error: error.to_owned(), ..RegisterResponse::default() }
}

fn admit() -> RegisterResponse {
    RegisterResponse { machine_authorized: true, ..RegisterResponse::default() }
}

#[test]
fn a_key_that_is_pre_approved_admits_at_once() {
    let now = Instant::now();
    let mut registration = registration(Some(KEY));

    assert_eq!(send(&mut registration).auth_key(), Some(KEY));
    registration.handle_response(&admit(), now);

    assert_eq!(registration.status(), &Status::Registered);
    assert_eq!(registration.poll_timeout(), None);
    assert_eq!(registration.poll_action(), None);
}

#[test]
fn approval_is_followed_up_without_the_key() {
    let now = Instant::now();
    let mut registration = registration(Some(KEY));
    send(&mut registration);
    registration.handle_response(&wait_for("http://c/register/1"), now);
    let waiting = Status::Waiting { auth_url: Some("http://c/register/1".to_owned()) };
    assert_eq!(registration.status(), &waiting);

    registration.handle_timeout(now + APPROVAL_POLL);
    let request = send(&mut registration);

    assert_eq!(request.followup, "http://c/register/1");
    assert_eq!(request.auth_key(), None);
}

#[test]
fn a_rejection_ends_the_waiting_and_the_next_request_starts_anew() {
    let now = Instant::now();
    let mut registration = registration(Some(KEY));
    send(&mut registration);
    registration.handle_response(&wait_for("http://c/register/1"), now);
    registration.handle_timeout(now + APPROVAL_POLL);
    send(&mut registration);

    registration.handle_response(&refuse("rejected"), now);
    assert_eq!(registration.status(), &Status::Refused { reason: "rejected".to_owned() });
    registration.handle_timeout(now + RETRY_REFUSED);
    let request = send(&mut registration);
    assert_eq!((request.followup.as_str(), request.auth_key()), ("", Some(KEY)));
}

#[test]
fn nothing_of_the_coordinator_can_steer_a_terminal() {
    let now = Instant::now();
    let mut registration = registration(None);
    send(&mut registration);
    registration.handle_response(&wait_for("http://c/\u{1b}[2J"), now);
    assert_eq!(registration.status(), &Status::Waiting { auth_url: None });
    registration.handle_timeout(now + APPROVAL_POLL);
    send(&mut registration);
    registration.handle_response(&refuse("no\u{1b}[2J\nway"), now);
    assert_eq!(registration.status(), &Status::Refused { reason: "no\u{fffd}[2J way".to_owned() });
}

#[test]
fn the_key_is_not_shown() {
    let mut registration = registration(Some(KEY));
    assert!(!format!("{registration:?}").contains(KEY));
    assert!(!format!("{:?}", registration.poll_action()).contains(KEY));
}

#[test]
fn a_logout_expires_in_the_past() {
    let request = logout(NodePublic::from_bytes([7; 32]));
    assert!(request.expiry.unwrap().starts_with("1970-"));
    assert_eq!(request.auth, None);
}

proptest! {
    /// Whatever the coordinator answers and whenever, one request at most is in flight,
    /// and after every answer but admission the next wake-up is set and lies ahead.
    #[test]
    fn always_asks_again_and_never_at_once(
        steps in prop::collection::vec((step(), 0..7200_u64), 0..64),
    ) {
        let mut now = Instant::now();
        let mut registration = registration(Some(KEY));

        for (answer, elapsed_s) in steps {
            now += Duration::from_secs(elapsed_s);
            registration.handle_timeout(now);
            if registration.poll_action().is_none() {
                continue;
            }
            prop_assert_eq!(registration.poll_action(), None, "second request in flight");

            registration.handle_response(&answer, now);
            let done = registration.status() == &Status::Registered;
            let ahead = registration.poll_timeout().is_some_and(|at| at > now);
            prop_assert!(done || ahead);
        }
    }
}

fn step() -> impl Strategy<Value = RegisterResponse> {
    (any::<String>(), any::<String>(), any::<(bool, bool)>(), 0..4_u8).prop_map(
        |(auth_url, error, (machine_authorized, node_key_expired), kind)| RegisterResponse {
            auth_url: if kind & 1 == 0 { String::new() } else { auth_url },
            error: if kind & 2 == 0 { String::new() } else { error },
            machine_authorized,
            node_key_expired,
            ..RegisterResponse::default()
        },
    )
}
