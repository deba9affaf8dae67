use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// The same rules without any memory of an order: who had a turn when is looked up in all that ever happened.
struct ReferenceScheduler {
    bounds: QueueLimits,
    next: EntryId,
    now: u64,
    /// Person, number, whether it holds a slot, and its bytes.
    places: Vec<(u8, EntryId, bool, usize)>,
    /// For each person when they last got or gave back a slot, or began to wait with none waiting.
    since: HashMap<u8, u64>,
}

impl ReferenceScheduler {
    fn count(&self, person: Option<u8>, held: bool) -> usize {
        self.of(person, held).len()
    }

    /// The bytes of each.
    fn of(&self, person: Option<u8>, held: bool) -> Vec<usize> {
        let is = |place: &&(u8, EntryId, bool, usize)| {
            place.2 == held && person.is_none_or(|person| person == place.0)
        };
        self.places.iter().filter(is).map(|place| place.3).collect()
    }

    /// Whether a slot is free for this person: not the last one if they hold another.
    fn is_free_for(&self, person: u8) -> bool {
        let free = self.bounds.slots.saturating_sub(self.count(None, true));
        free > 1 || (free == 1 && self.count(Some(person), true) == 0)
    }

    fn enter(&mut self, person: u8, bytes: usize) -> Result<EntryId, QueueFull> {
        let full = |waiting: Vec<usize>, count, most: usize| {
            let sum = waiting.iter().sum::<usize>() + bytes;
            waiting.len() >= count || (!waiting.is_empty() && sum > most)
        };
        if !self.is_free_for(person) {
            let QueueLimits { waiting_per_person, bytes_per_person, .. } = self.bounds;
            if full(self.of(Some(person), false), waiting_per_person, bytes_per_person) {
                return Err(QueueFull::Person);
            }
            if full(self.of(None, false), self.bounds.waiting, self.bounds.bytes) {
                return Err(QueueFull::Total);
            }
        }
        self.now += 1;
        if self.count(Some(person), false) == 0 {
            self.since.insert(person, self.now);
        }
        self.places.push((person, self.next, false, bytes));
        self.next += 1;
        Ok(self.next - 1)
    }

    fn leave(&mut self, person: u8, number: EntryId) {
        if self.places.iter().any(|place| place.1 == number && place.2) {
            self.now += 1;
            self.since.insert(person, self.now);
        }
        self.places.retain(|place| place.1 != number);
    }

    fn call(&mut self) -> Option<EntryId> {
        let waits = self.places.iter().filter(|place| !place.2);
        let first = waits.min_by_key(|(person, number, ..)| {
            (self.count(Some(*person), true), self.since[person], *number)
        });
        let (person, number, ..) = *first?;
        if !self.is_free_for(person) {
            return None;
        }
        self.now += 1;
        self.since.insert(person, self.now);
        for place in &mut self.places {
            place.2 |= place.1 == number;
        }
        Some(number)
    }
}

#[derive(Clone, Debug)]
enum Action {
    /// This person with so many bytes.
    Enter(u8, usize),
    /// Whoever has this place among those that there are leaves it.
    Leave(prop::sample::Index),
}

fn acts() -> impl Strategy<Value = Vec<Action>> {
    let act = prop_oneof![
        3 => (0..5_u8, 0..10_usize).prop_map(|(person, bytes)| Action::Enter(person, bytes)),
        2 => any::<prop::sample::Index>().prop_map(Action::Leave),
    ];
    prop::collection::vec(act, 0..200)
}

/// What the rules promise, after all that may be called was called.
fn check(slow: &ReferenceScheduler) -> Result<(), TestCaseError> {
    let (held, waiting) = (slow.count(None, true), slow.count(None, false));
    prop_assert!(held <= slow.bounds.slots);
    let free = slow.bounds.slots - held;
    let waits = |person: &u8| slow.count(Some(*person), false) > 0;
    let holds = |person| slow.count(Some(person), true) > 0;
    prop_assert!((0..5).filter(waits).all(|person| free == 0 || (free == 1 && holds(person))));
    prop_assert!(waiting <= slow.bounds.waiting);
    let bytes = slow.of(None, false).iter().sum::<usize>();
    prop_assert!(waiting < 2 || bytes <= slow.bounds.bytes);
    for person in 0..5 {
        let own = slow.of(Some(person), false);
        prop_assert!(own.len() <= slow.bounds.waiting_per_person);
        prop_assert!(own.len() < 2 || own.iter().sum::<usize>() <= slow.bounds.bytes_per_person);
    }
    Ok(())
}

proptest! {
    /// Whoever comes and goes: the line does what the slow one does, and never what the rules forbid.
    #[test]
    fn people_take_turns(
        slots in 1..4_usize,
        waiting in 0..12_usize,
        waiting_per_person in 0..6_usize,
        bytes in 0..60_usize,
        bytes_per_person in 0..30_usize,
        acts in acts(),
    ) {
        let bounds = QueueLimits::of(slots, waiting, waiting_per_person);
        let bounds = QueueLimits { bytes, bytes_per_person, ..bounds };
        let now = Instant::now();
        let mut turns = Scheduler::new(bounds);
        let (places, since) = (Vec::new(), HashMap::new());
        let mut slow = ReferenceScheduler { bounds, next: 0, now: 0, places, since };
        // For each person who had a turn, those who have waited since.
        let mut last: HashMap<u8, HashSet<u8>> = HashMap::new();
        for act in acts {
            match act {
                Action::Enter(person, bytes) => {
                    prop_assert_eq!(turns.enter(&person, bytes, now), slow.enter(person, bytes));
                }
                Action::Leave(_) if slow.places.is_empty() => {}
                Action::Leave(index) => {
                    let (person, number, held, _) = slow.places[index.index(slow.places.len())];
                    turns.leave(&person, number, now);
                    slow.leave(person, number);
                    // Whoever stopped waiting has lost the turn; whoever gave back a slot had one.
                    if held || slow.count(Some(person), false) == 0 {
                        last.values_mut().for_each(|waits| { waits.remove(&person); });
                    }
                }
            }
            loop {
                let before: Vec<_> = (0..5).map(|person| slow.count(Some(person), true)).collect();
                let called = turns.call(now);
                prop_assert_eq!(called, slow.call());
                let Some(number) = called else { break };
                let (person, ..) = *slow.places.iter().find(|place| place.1 == number).unwrap();
                let waits = |other: u8| slow.count(Some(other), false) > 0;
                for other in (0..5).filter(|&other| other != person && waits(other)) {
                    let (own, state) = (before[usize::from(person)], before[usize::from(other)]);
                    prop_assert!(state >= own, "a further slot before somebody with fewer");
                    // Waited since the other's last turn, holds no more, and was passed over again.
                    let passed = last.get(&person).is_some_and(|waits| waits.contains(&other));
                    prop_assert!(!passed || state > own, "two turns while another waits for one");
                }
                last.values_mut().for_each(|waits| { waits.remove(&person); });
                let waiting = (0..5).filter(|&other| other != person && waits(other));
                last.insert(person, waiting.collect());
            }
            check(&slow)?;
            prop_assert_eq!(turns.held(), slow.count(None, true));
            prop_assert_eq!(turns.waiting(), slow.count(None, false));
        }
        for (person, number, ..) in std::mem::take(&mut slow.places) {
            turns.leave(&person, number, now);
        }
        prop_assert!(turns.people.is_empty() && turns.order.is_empty(), "nobody is remembered");
        prop_assert_eq!((turns.waiting.count, turns.waiting.bytes, turns.held), (0, 0, 0));
    }
}

/// Nobody is called.
const NOBODY: [EntryId; 0] = [];

/// A line of which the time is told, in seconds.
struct TimedScheduler {
    turns: Scheduler<&'static str>,
    began: Instant,
}

impl TimedScheduler {
    /// With these slots, where replies yield after ten seconds; whoever had a turn waits for five at most.
    fn new(slots: usize) -> Self {
        let (yield_after, patience) = (Duration::from_secs(10), Duration::from_secs(5));
        let bounds = QueueLimits { yield_after, patience, ..QueueLimits::of(slots, 99, 99) };
        Self { turns: Scheduler::new(bounds), began: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.began + Duration::from_secs(seconds)
    }

    /// Takes a place at this time, and calls who is next.
    fn enter(&mut self, person: &'static str, seconds: u64) -> EntryId {
        let number = self.turns.enter(&person, 1, self.at(seconds)).unwrap();
        self.call(seconds);
        number
    }

    fn leave(&mut self, person: &'static str, number: EntryId, seconds: u64) -> Vec<EntryId> {
        self.turns.leave(&person, number, self.at(seconds));
        self.call(seconds)
    }

    fn call(&mut self, seconds: u64) -> Vec<EntryId> {
        let now = self.at(seconds);
        std::iter::from_fn(|| self.turns.call(now)).collect()
    }

    fn preempt_one(&mut self, seconds: u64) -> Option<EntryId> {
        self.turns.preempt_one(self.at(seconds))
    }

    /// What a request has to do that came at this time.
    fn decide(&self, person: &'static str, entered: u64, seconds: u64) -> WaitDecision {
        self.turns.decide(&person, self.at(entered), self.at(seconds))
    }
}

#[test]
fn the_last_free_slot_is_for_whoever_holds_none() {
    let mut line = TimedScheduler::new(4);
    let ada: Vec<_> = (0..5).map(|_| line.enter("ada", 0)).collect();
    assert_eq!((line.turns.held(), line.turns.waiting()), (3, 2), "one slot stays free");
    assert!(!line.turns.is_free_for(&"ada") && line.turns.is_free_for(&"bob"));
    let bob = line.enter("bob", 0);
    assert_eq!((line.turns.held(), line.turns.waiting()), (4, 2), "he need not wait");
    assert_eq!(line.leave("ada", ada[0], 0), NOBODY, "and it stays his: she holds two");
    assert_eq!(line.leave("bob", bob, 0), [ada[3]]);

    let mut alone = TimedScheduler::new(1);
    alone.enter("ada", 0);
    assert_eq!(alone.turns.held(), 1, "of a single slot there is none to keep");
}

#[test]
fn a_person_without_a_slot_gets_one_of_the_person_with_most() {
    let mut line = TimedScheduler::new(3);
    let ada: Vec<_> = [0, 1].map(|seconds| line.enter("ada", seconds)).into();
    let bob = line.enter("bob", 2);
    let carol = line.enter("carol", 3);
    assert_eq!(line.decide("carol", 3, 4), WaitDecision::WaitUntil(line.at(13)));
    assert_eq!((line.preempt_one(12), line.decide("carol", 3, 13)), (None, WaitDecision::Preempt));
    assert_eq!(line.preempt_one(13), Some(ada[0]), "the longest of hers: she holds two");
    assert_eq!(line.preempt_one(13), None, "one is enough");
    assert_eq!(line.leave("ada", ada[0], 14), [carol]);

    // Now each holds one, and the next waits until the longest has run as long: Ada's other.
    let dave = line.enter("dave", 14);
    assert_eq!(line.preempt_one(24), Some(ada[1]));
    let eve = line.enter("eve", 14);
    assert_eq!(line.preempt_one(24), Some(bob), "each who is owed a slot gets one");
    assert_eq!(line.preempt_one(99), None);
    assert_eq!(
        (line.leave("ada", ada[1], 25), line.leave("bob", bob, 25)),
        (vec![dave], vec![eve])
    );
}

#[test]
fn a_single_slot_is_held_for_so_long_at_least_and_no_longer_while_others_wait() {
    let mut line = TimedScheduler::new(1);
    let ada = line.enter("ada", 5);
    assert_eq!(line.preempt_one(1000), None, "nobody waits");
    let bob = line.enter("bob", 1000);
    let carol = line.enter("carol", 1001);
    assert_eq!((line.preempt_one(1009), line.preempt_one(1010)), (None, Some(ada)));
    assert_eq!(
        line.decide("carol", 1001, 1011),
        WaitDecision::WaitUntil(line.at(1021)),
        "bob is before her"
    );
    assert_eq!(line.leave("ada", ada, 1012), [bob]);
    assert_eq!(
        line.decide("carol", 1001, 1021),
        WaitDecision::WaitUntil(line.at(1022)),
        "he has run for nine"
    );
    assert_eq!(
        (line.decide("carol", 1001, 1022), line.preempt_one(1022)),
        (WaitDecision::Preempt, Some(bob))
    );
    assert_eq!(line.leave("bob", bob, 1022), [carol]);
}

#[test]
fn a_person_with_a_slot_is_owed_none_and_waits_for_the_patience() {
    let mut line = TimedScheduler::new(1);
    let ada: Vec<_> = (0..3).map(|_| line.enter("ada", 0)).collect();
    assert_eq!(line.decide("ada", 0, 4), WaitDecision::WaitUntil(line.at(5)));
    assert_eq!((line.decide("ada", 0, 5), line.preempt_one(1000)), (WaitDecision::GiveUp, None));
    assert_eq!(line.leave("ada", ada[0], 4), [ada[1]]);
    assert_eq!(
        line.decide("ada", 0, 8),
        WaitDecision::WaitUntil(line.at(9)),
        "she had a turn meanwhile"
    );

    // While others have the slot she is owed one, and it is not too late before she gets it.
    let bob = line.enter("bob", 5);
    assert_eq!(line.leave("ada", ada[1], 6), [bob]);
    assert_eq!(line.decide("ada", 0, 15), WaitDecision::WaitUntil(line.at(16)));
    assert_eq!(
        (line.decide("ada", 0, 16), line.preempt_one(16)),
        (WaitDecision::Preempt, Some(bob))
    );
    // Bob was before her: it could have been twice as long, and some seconds for a reply to end.
    assert_eq!(line.decide("ada", 0, 30), WaitDecision::WaitUntil(line.at(31)));
    assert_eq!(
        line.decide("ada", 0, 31),
        WaitDecision::GiveUp,
        "a reply that does not end is no endless wait"
    );
}

/// What happens in a line over time.
#[derive(Clone, Debug)]
enum Event {
    /// This person asks.
    Enter(usize),
    /// One of those who hold a slot gives it back by themselves.
    Done(prop::sample::Index),
    /// So many seconds pass.
    Pass(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..PEOPLE.len()).prop_map(Event::Enter),
        1 => any::<prop::sample::Index>().prop_map(Event::Done),
        2 => (0..15_u64).prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 0..60)
}

const PEOPLE: [&str; 5] = ["ada", "bob", "carol", "dave", "eve"];

proptest! {
    /// Whoever asks and whenever, as long as replies end when they have to: a reply ends only for somebody who has waited
    /// long enough without a slot, and who holds one alone holds it as long; and nobody without one waits longer than the
    /// people before them make it, nor is told before that that it is too late.
    #[test]
    fn no_person_without_a_slot_waits_longer_than_promised(slots in 1..4_usize, events in events()) {
        let mut line = TimedScheduler::new(slots);
        // Person, number and when it got its slot; and since when people have waited with none, and for how long at most.
        let mut held: Vec<(&str, EntryId, u64)> = Vec::new();
        let mut waiting: Vec<(&str, EntryId, u64)> = Vec::new();
        let mut without: HashMap<&str, (u64, u64)> = HashMap::new();
        let mut now = 0;
        for event in events {
            match event {
                Event::Enter(person) => {
                    let person = PEOPLE[person];
                    let new = line.turns.enter(&person, 1, line.at(now)).unwrap();
                    waiting.push((person, new, now));
                    let is_new = held.iter().all(|it| it.0 != person) && !without.contains_key(person);
                    if is_new {
                        let turns = without.len() / slots + 1;
                        without.insert(person, (now, 10 * u64::try_from(turns).unwrap()));
                    }
                }
                Event::Done(_) if held.is_empty() => {}
                Event::Done(index) => {
                    let (person, number, _) = held.remove(index.index(held.len()));
                    line.turns.leave(&person, number, line.at(now));
                    let has_none = held.iter().all(|it| it.0 != person);
                    if has_none && waiting.iter().any(|it| it.0 == person) {
                        let turns = without.len() / slots + 1;
                        without.insert(person, (now, 10 * u64::try_from(turns).unwrap()));
                    }
                }
                Event::Pass(seconds) => now += seconds,
            }
            // Second by second, so that nothing is looked at too late.
            let from = if let Event::Pass(seconds) = event { now - seconds } else { now };
            for now in from..=now {
                loop {
                    for number in line.call(now) {
                        let at = waiting.iter().position(|it| it.1 == number).unwrap();
                        let (person, ..) = waiting.remove(at);
                        held.push((person, number, now));
                        without.remove(person);
                    }
                    for (person, _, entered) in &waiting {
                        let decision = line.decide(person, *entered, now);
                        if without.contains_key(person) {
                            prop_assert!(decision != WaitDecision::GiveUp, "{person} is owed a slot");
                        }
                    }
                    let Some(number) = line.preempt_one(now) else { break };
                    let waited = without.values().map(|(since, _)| now - since).max();
                    prop_assert!(waited.is_some_and(|waited| waited >= 10), "nobody waited so long");
                    let at = held.iter().position(|it| it.1 == number).unwrap();
                    let (person, _, since) = held.remove(at);
                    let others = held.iter().filter(|it| it.0 == person);
                    let count = |who: &str| held.iter().filter(|it| it.0 == who).count();
                    prop_assert!(PEOPLE.iter().all(|who| count(who) <= count(person) + 1));
                    if others.clone().count() == 0 {
                        prop_assert!(now - since >= 10, "a turn that was too short");
                    }
                    prop_assert!(others.clone().all(|it| it.2 >= since), "not the longest");
                    line.turns.leave(&person, number, line.at(now));
                    if waiting.iter().any(|it| it.0 == person) && count(person) == 0 {
                        let turns = without.len() / slots + 1;
                        without.insert(person, (now, 10 * u64::try_from(turns).unwrap()));
                    }
                }
                for (person, (since, most)) in &without {
                    prop_assert!(now - since <= *most, "{person} waits for longer than {most}");
                }
            }
        }
    }
}

#[test]
fn a_free_slot_goes_to_whoever_has_none_or_fewest() {
    let mut line = TimedScheduler::new(3);
    let ada: Vec<_> = (0..5).map(|_| line.enter("ada", 0)).collect();
    let bob: Vec<_> = (0..2).map(|_| line.enter("bob", 0)).collect();
    assert_eq!((line.turns.held(), line.turns.waiting()), (3, 4), "two of hers, one of his");
    let carol = line.enter("carol", 0);
    assert_eq!(line.leave("ada", ada[0], 0), [carol], "one reply later");
    assert_eq!(line.leave("carol", carol, 0), NOBODY, "who holds one takes not the last");
    assert_eq!(line.leave("bob", bob[0], 0), [bob[1]], "he holds none by now");
    assert_eq!(line.leave("ada", ada[1], 0), [ada[2]], "nor she: each has one, and one is free");
    assert_eq!(line.leave("bob", bob[1], 0), [ada[3]]);
}

#[test]
fn a_full_line_refuses_and_whoever_leaves_makes_room() {
    let now = Instant::now();
    let mut turns = Scheduler::new(QueueLimits::of(1, 3, 2));
    let first = turns.enter(&1, 1, now).unwrap();
    assert_eq!(turns.call(now), Some(first));
    let second = turns.enter(&1, 1, now).unwrap();
    turns.enter(&1, 1, now).unwrap();
    assert_eq!(turns.enter(&1, 1, now), Err(QueueFull::Person));
    turns.enter(&2, 1, now).unwrap();
    assert_eq!(turns.enter(&3, 1, now), Err(QueueFull::Total));
    turns.leave(&1, second, now);
    turns.enter(&3, 1, now).unwrap();
    assert_eq!(turns.call(now), None, "whoever left had no slot");
}

#[test]
fn without_places_to_wait_a_free_slot_is_still_taken() {
    let now = Instant::now();
    let mut turns = Scheduler::new(QueueLimits::of(1, 0, 0));
    let first = turns.enter(&1, 1, now).unwrap();
    assert_eq!(turns.call(now), Some(first));
    assert!(turns.enter(&2, 1, now).is_err());
    turns.leave(&1, first, now);
    turns.enter(&2, 1, now).unwrap();
}

#[test]
fn waiting_requests_are_bounded_in_bytes_but_one_may_always_wait() {
    let bounds = QueueLimits { bytes: 30, bytes_per_person: 20, ..QueueLimits::of(1, 9, 9) };
    let now = Instant::now();
    let mut turns = Scheduler::new(bounds);
    let first = turns.enter(&1, 100, now).unwrap();
    assert_eq!(turns.call(now), Some(first));
    let large = turns.enter(&1, 25, now).expect("it is alone");
    assert_eq!(turns.enter(&1, 1, now), Err(QueueFull::Person));
    turns.enter(&2, 5, now).unwrap();
    assert_eq!(turns.enter(&2, 1, now), Err(QueueFull::Total));
    turns.leave(&1, large, now);
    turns.enter(&2, 15, now).unwrap();
    assert_eq!(turns.enter(&2, 1, now), Err(QueueFull::Person));
}
