//! Who is there (specification, client-server API, "Presence"). In memory, outside the order of events: it may be lost.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId, presence::PresenceState};

use crate::Error;

/// For how long an app that says no more counts as there. The longest sync is shorter.
pub const LINGER: Duration = Duration::from_secs(90);
/// Longest status message, in bytes.
pub const STATUS_MAX: usize = 512;
/// Most people in memory. Of others nothing is known.
const PEOPLE_MAX: usize = 2_000;
/// Most apps of a person in memory.
const DEVICES_MAX: usize = 16;

/// What others are told of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The most that one of the person's apps says.
    pub state: PresenceState,
    /// The person's own words.
    pub message: Option<String>,
    /// How long ago an app said that the person is there.
    pub active_ago: Duration,
}

/// Everybody's presence.
#[derive(Debug, Default)]
pub struct Presence {
    people: HashMap<OwnedUserId, Person>,
    /// Who changed, by the number of the person's last change.
    changes: BTreeMap<u64, OwnedUserId>,
    count: u64,
    /// No app's time is over before that.
    next_timeout: Option<Instant>,
}

#[derive(Debug)]
struct Person {
    /// What each app says, and until when.
    devices: BTreeMap<OwnedDeviceId, (PresenceState, Instant)>,
    message: Option<String>,
    active_at: Instant,
    state: PresenceState,
    change: u64,
}

impl Presence {
    /// Records what an app of a person says. With [`PresenceState::Offline`] it says no more that the person is there.
    pub fn report(
        &mut self,
        user: &UserId,
        device: &DeviceId,
        state: &PresenceState,
        now: Instant,
    ) {
        let is_there = *state != PresenceState::Offline;
        let Some(person) = person(&mut self.people, user, is_there, now) else { return };
        person.devices.remove(device);
        if is_there {
            if person.devices.len() >= DEVICES_MAX {
                person.devices.pop_first();
            }
            let until = now + LINGER;
            person.devices.insert(device.to_owned(), (state.clone(), until));
            self.next_timeout = Some(self.next_timeout.map_or(until, |next| next.min(until)));
        }
        if *state == PresenceState::Online {
            person.active_at = now;
        }
        if person.renew() {
            self.show_again(user);
        }
    }

    /// Records what an app says, and the person's own words.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for words of more than [`STATUS_MAX`] bytes.
    pub fn set(
        &mut self,
        user: &UserId,
        device: &DeviceId,
        (state, message): (&PresenceState, Option<String>),
        now: Instant,
    ) -> Result<(), Error> {
        if message.as_ref().is_some_and(|message| message.len() > STATUS_MAX) {
            return Err(Error::TooLarge { what: "status_msg", max: "512 bytes" });
        }
        self.report(user, device, state, now);
        if let Some(person) = person(&mut self.people, user, message.is_some(), now)
            && person.message != message
        {
            person.message = message;
            self.show_again(user);
        }
        Ok(())
    }

    /// Shows a person again to all who share a room with the person, one of whom is new.
    pub fn show_again(&mut self, user: &UserId) {
        let Some(person) = self.people.get_mut(user) else { return };
        self.changes.remove(&person.change);
        self.count += 1;
        person.change = self.count;
        self.changes.insert(self.count, user.to_owned());
    }

    /// Ends what apps said too long ago. Cheap if nothing ends.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout.is_none_or(|next| now < next) {
            return;
        }
        let mut changed = Vec::new();
        self.next_timeout = None;
        for (user, person) in &mut self.people {
            person.devices.retain(|_, (_, until)| now < *until);
            let ends = person.devices.values().map(|(_, until)| *until);
            self.next_timeout = ends.chain(self.next_timeout).min();
            if person.renew() {
                changed.push(user.clone());
            }
        }
        changed.iter().for_each(|user| self.show_again(user));
    }

    /// What others are told of a person; nothing of whom nothing is known.
    #[must_use]
    pub fn status(&self, user: &UserId, now: Instant) -> Option<Status> {
        let person = self.people.get(user)?;
        Some(Status {
            state: person.state.clone(),
            message: person.message.clone(),
            active_ago: now.saturating_duration_since(person.active_at),
        })
    }

    /// Who changed after the change with this number. Of the past nobody is named who is offline and says nothing.
    pub fn changed_after(&self, seen: u64) -> impl Iterator<Item = &UserId> {
        let changed = self.changes.range(seen.saturating_add(1)..).map(|(_, user)| &**user);
        changed.filter(move |user| {
            let person = self.people.get(*user);
            let is_told = |it: &Person| it.state != PresenceState::Offline || it.message.is_some();
            seen > 0 || person.is_some_and(is_told)
        })
    }

    /// The number of the last change: what a sync has seen that looks now.
    #[must_use]
    pub fn latest_change(&self) -> u64 {
        self.count
    }
}

/// What is known of a person. `is_made` says that somebody of whom nothing is known begins to be.
fn person<'a>(
    people: &'a mut HashMap<OwnedUserId, Person>,
    user: &UserId,
    is_made: bool,
    now: Instant,
) -> Option<&'a mut Person> {
    if is_made && !people.contains_key(user) && people.len() < PEOPLE_MAX {
        let person = Person {
            devices: BTreeMap::new(),
            message: None,
            active_at: now,
            state: PresenceState::Offline,
            change: 0,
        };
        people.insert(user.to_owned(), person);
    }
    people.get_mut(user)
}

impl Person {
    /// Takes the state of its apps. Whether it is another one.
    fn renew(&mut self) -> bool {
        let says = |wanted| self.devices.values().any(|(state, _)| *state == wanted);
        let state = if says(PresenceState::Online) {
            PresenceState::Online
        } else if says(PresenceState::Unavailable) {
            PresenceState::Unavailable
        } else {
            PresenceState::Offline
        };
        let is_other = self.state != state;
        self.state = state;
        is_other
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use ruma::{OwnedDeviceId, UserId, presence::PresenceState};

    use super::{DEVICES_MAX, LINGER, PEOPLE_MAX, Presence, STATUS_MAX};
    use crate::testing::user;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods)]
    fn now() -> Instant {
        Instant::now()
    }

    fn state(presence: &Presence, user: &UserId, now: Instant) -> PresenceState {
        presence.status(user, now).map_or(PresenceState::Offline, |status| status.state)
    }

    fn changed(presence: &Presence, seen: u64) -> Vec<&UserId> {
        presence.changed_after(seen).collect()
    }

    #[test]
    fn the_most_that_an_app_says_counts_until_it_says_no_more() {
        let (mut presence, now, kim) = (Presence::default(), now(), user("kim"));
        let (phone, laptop) = ("PHONE".into(), "LAPTOP".into());
        presence.report(&kim, phone, &PresenceState::Online, now);
        presence.report(&kim, laptop, &PresenceState::Unavailable, now + SECOND);
        presence.report(&kim, phone, &PresenceState::Online, now + SECOND);
        assert_eq!(
            (state(&presence, &kim, now), presence.latest_change()),
            (PresenceState::Online, 1)
        );
        presence.report(&kim, phone, &PresenceState::Unavailable, now + 2 * SECOND);
        assert_eq!(
            (state(&presence, &kim, now), presence.latest_change()),
            (PresenceState::Unavailable, 2)
        );
        assert_eq!(presence.status(&kim, now + 5 * SECOND).unwrap().active_ago, 4 * SECOND);
        presence.report(&kim, phone, &PresenceState::Offline, now + 3 * SECOND);
        assert_eq!(state(&presence, &kim, now), PresenceState::Unavailable, "there is the laptop");
        presence.handle_timeout(now + LINGER);
        assert_eq!(state(&presence, &kim, now), PresenceState::Unavailable);
        presence.handle_timeout(now + SECOND + LINGER);
        assert_eq!(
            (state(&presence, &kim, now), presence.latest_change()),
            (PresenceState::Offline, 3)
        );
    }

    #[test]
    fn others_are_told_what_changed() {
        let (mut presence, now) = (Presence::default(), now());
        let (kim, min, seo) = (user("kim"), user("min"), user("seo"));
        let device = "PHONE".into();
        presence.report(&kim, device, &PresenceState::Offline, now);
        assert_eq!((changed(&presence, 0), presence.latest_change()), (vec![], 0));
        presence.report(&kim, device, &PresenceState::Online, now);
        presence.report(&min, device, &PresenceState::Online, now);
        let words = (&PresenceState::Online, Some("away at ten".to_owned()));
        presence.set(&seo, device, words.clone(), now).unwrap();
        presence.set(&seo, device, words, now).unwrap();
        assert_eq!(changed(&presence, 0), [&*kim, &*min, &*seo]);
        let seen = presence.latest_change();
        presence.show_again(&min);
        presence.report(&kim, device, &PresenceState::Offline, now);
        assert_eq!(changed(&presence, seen), [&*min, &*kim]);
        assert_eq!(changed(&presence, 0), [&*seo, &*min], "who was never there is not named");
        let too_long = (&PresenceState::Online, Some("a".repeat(STATUS_MAX + 1)));
        assert!(presence.set(&seo, device, too_long, now).is_err());
        assert_eq!(presence.status(&seo, now).unwrap().message.as_deref(), Some("away at ten"));
        presence.set(&seo, device, (&PresenceState::Online, None), now).unwrap();
        assert_eq!(presence.status(&seo, now).unwrap().message, None);
    }

    #[test]
    fn people_and_apps_have_their_bounds() {
        let (mut presence, now) = (Presence::default(), now());
        for number in 0..=PEOPLE_MAX {
            let device: OwnedDeviceId = format!("D{number}").into();
            presence.report(&user(&format!("p{number}")), &device, &PresenceState::Online, now);
            presence.report(&user("p0"), &device, &PresenceState::Online, now);
        }
        assert_eq!((presence.people.len(), presence.changes.len()), (PEOPLE_MAX, PEOPLE_MAX));
        assert_eq!(presence.people[&user("p0")].devices.len(), DEVICES_MAX);
    }

    proptest! {
        /// Whatever apps say: after the longest time nobody is there, each change of a state has a number, and each
        /// person has one number.
        #[test]
        fn nobody_is_there_for_ever(steps in prop::collection::vec((0..3_u8, 0..3_u8, 0..3_u8, 0..120_u64), 0..40)) {
            let (mut presence, mut now) = (Presence::default(), now());
            for (person, device, says, seconds) in steps {
                let user = user(&format!("p{person}"));
                let (before, was) = (presence.latest_change(), state(&presence, &user, now));
                now += Duration::from_secs(seconds);
                presence.handle_timeout(now);
                let says = [PresenceState::Online, PresenceState::Unavailable, PresenceState::Offline][usize::from(says)].clone();
                presence.report(&user, format!("D{device}").as_str().into(), &says, now);
                prop_assert!(state(&presence, &user, now) == was || presence.latest_change() > before);
                let due = presence.people.values().flat_map(|it| it.devices.values()).map(|(_, until)| *until).min();
                prop_assert!(due.is_none_or(|due| presence.next_timeout.is_some_and(|next| next <= due)));
                prop_assert_eq!(presence.changes.len(), presence.people.values().filter(|it| it.change > 0).count());
            }
            presence.handle_timeout(now + LINGER);
            prop_assert!(presence.people.values().all(|it| it.state == PresenceState::Offline && it.devices.is_empty()));
        }
    }
}
