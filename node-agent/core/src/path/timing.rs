//! Timing of paths.

use std::time::Duration;

/// Silence where an answer was due, after which data also goes over the relay.
pub const SUSPECT_AFTER: Duration = Duration::from_secs(2);
/// Silence where an answer was due, after which the path is given up.
pub const SILENCE: Duration = Duration::from_secs(5);
/// An empty packet within this time is an answer. Shorter than [`PROBE_INTERVAL`], so that a probe of a peer that does not hear
/// us is not mistaken for one.
pub const ANSWER_WINDOW: Duration = Duration::from_secs(3);
/// How long a trial lasts.
pub const TRIAL: Duration = Duration::from_secs(5);
/// Pause between two probes of the candidates.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// Pause between two probes after the first [`QUICK_PROBES`].
pub const PROBE_INTERVAL_SLOW: Duration = Duration::from_secs(30);
/// Received data is answered within this time.
pub const ANSWER_DELAY: Duration = Duration::from_secs(1);
/// Interval of keepalives on a direct path: NATs drop an idle UDP mapping after 30 s.
pub const KEEP_OPEN: Duration = Duration::from_secs(20);
/// First pause before a failed address is used again; doubles up to [`PENALTY_MAX`].
pub const PENALTY_MIN: Duration = Duration::from_secs(5);
/// Longest pause.
pub const PENALTY_MAX: Duration = Duration::from_secs(300);
/// How many times the candidates are probed in quick succession.
pub const QUICK_PROBES: u32 = 24;
/// Candidates kept per peer.
pub const MAX_CANDIDATES: usize = 16;

/// A path that was heard within this time does not move to another address.
pub(super) const ROAM_AFTER: Duration = Duration::from_secs(1);
/// A path that is idle for this time moves to any other address that is heard.
pub(super) const QUIET: Duration = Duration::from_secs(15);
/// A path that lasted this long clears its failures.
pub(super) const PROVEN: Duration = Duration::from_secs(60);

/// A pong counts for this time after its ping.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of pings on a direct path while data is sent.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// A ping that is unanswered for this time makes a path doubtful: data is also sent over the relay.
pub const DOUBT_AFTER: Duration = Duration::from_secs(1);
/// Least pause between two pings to one address.
pub const PING_PAUSE: Duration = Duration::from_millis(400);
/// Data within this time makes pings frequent ([`HEARTBEAT`]).
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// Without a session, a path is kept and looked for as long after the last sign that it is needed.
pub(super) const WANTED: Duration = Duration::from_secs(45);
/// Pause between the first three searches, in case of loss.
pub(super) const SEARCH_QUICK: Duration = Duration::from_secs(1);
/// Searches with that pause.
pub(super) const SEARCHES_QUICK: u32 = 3;
/// Least pause between two call-me-maybes that we send.
pub(super) const CALL_PAUSE: Duration = Duration::from_secs(3);
/// Least pause between two call-me-maybes that are heeded.
pub(super) const HEED_PAUSE: Duration = Duration::from_secs(1);
/// How often a better path is looked for, while a direct one outside of the LAN is in use.
pub(super) const UPGRADE: Duration = Duration::from_secs(60);
