use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// The same rules without any memory of an order: who had a turn when is looked up in all that ever happened.
struct Slow {
    bounds: Bounds,
    next: Number,
    now: u64,
    /// Person, number, whether it holds a slot, and its bytes.
    places: Vec<(u8, Number, bool, usize)>,
    /// For each person when they last got or gave back a slot, or began to wait with none waiting.
    since: HashMap<u8, u64>,
}

impl Slow {
    fn count(&self, person: Option<u8>, held: bool) -> usize {
        self.of(person, held).len()
    }

    /// The bytes of each.
    fn of(&self, person: Option<u8>, held: bool) -> Vec<usize> {
        let is = |place: &&(u8, Number, bool, usize)| {
            place.2 == held && person.is_none_or(|person| person == place.0)
        };
        self.places.iter().filter(is).map(|place| place.3).collect()
    }

    fn enter(&mut self, person: u8, bytes: usize) -> Result<Number, Full> {
        let full = |waiting: Vec<usize>, count, most: usize| {
            let sum = waiting.iter().sum::<usize>() + bytes;
            waiting.len() >= count || (!waiting.is_empty() && sum > most)
        };
        if self.count(None, true) == self.bounds.slots {
            let Bounds { waiting_per_person, bytes_per_person, .. } = self.bounds;
            if full(self.of(Some(person), false), waiting_per_person, bytes_per_person) {
                return Err(Full::Person);
            }
            if full(self.of(None, false), self.bounds.waiting, self.bounds.bytes) {
                return Err(Full::Total);
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

    fn leave(&mut self, person: u8, number: Number) {
        if self.places.iter().any(|place| place.1 == number && place.2) {
            self.now += 1;
            self.since.insert(person, self.now);
        }
        self.places.retain(|place| place.1 != number);
    }

    fn call(&mut self) -> Option<Number> {
        if self.count(None, true) >= self.bounds.slots {
            return None;
        }
        let waits = self.places.iter().filter(|place| !place.2);
        let first = waits.min_by_key(|(person, number, ..)| {
            (self.count(Some(*person), true), self.since[person], *number)
        });
        let (person, number, ..) = *first?;
        self.now += 1;
        self.since.insert(person, self.now);
        for place in &mut self.places {
            place.2 |= place.1 == number;
        }
        Some(number)
    }
}

#[derive(Clone, Debug)]
enum Act {
    /// This person with so many bytes.
    Enter(u8, usize),
    /// Whoever has this place among those that there are leaves it.
    Leave(prop::sample::Index),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0..5_u8, 0..10_usize).prop_map(|(person, bytes)| Act::Enter(person, bytes)),
        2 => any::<prop::sample::Index>().prop_map(Act::Leave),
    ];
    prop::collection::vec(act, 0..200)
}

/// What the rules promise, after all that may be called was called.
fn check(slow: &Slow) -> Result<(), TestCaseError> {
    let (held, waiting) = (slow.count(None, true), slow.count(None, false));
    prop_assert!(held <= slow.bounds.slots);
    prop_assert!(waiting == 0 || held == slow.bounds.slots, "somebody waits beside a free slot");
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
        let bounds = Bounds { slots, waiting, waiting_per_person, bytes, bytes_per_person };
        let mut turns = Turns::new(bounds);
        let (places, since) = (Vec::new(), HashMap::new());
        let mut slow = Slow { bounds, next: 0, now: 0, places, since };
        // For each person who had a turn, those who have waited since.
        let mut last: HashMap<u8, HashSet<u8>> = HashMap::new();
        for act in acts {
            match act {
                Act::Enter(person, bytes) => {
                    prop_assert_eq!(turns.enter(&person, bytes), slow.enter(person, bytes));
                }
                Act::Leave(_) if slow.places.is_empty() => {}
                Act::Leave(index) => {
                    let (person, number, held, _) = slow.places[index.index(slow.places.len())];
                    turns.leave(&person, number);
                    slow.leave(person, number);
                    // Whoever stopped waiting has lost the turn; whoever gave back a slot had one.
                    if held || slow.count(Some(person), false) == 0 {
                        last.values_mut().for_each(|waits| { waits.remove(&person); });
                    }
                }
            }
            loop {
                let before: Vec<_> = (0..5).map(|person| slow.count(Some(person), true)).collect();
                let called = turns.call();
                prop_assert_eq!(called, slow.call());
                let Some(number) = called else { break };
                let (person, ..) = *slow.places.iter().find(|place| place.1 == number).unwrap();
                let waits = |other: u8| slow.count(Some(other), false) > 0;
                for other in (0..5).filter(|&other| other != person && waits(other)) {
                    let (own, theirs) = (before[usize::from(person)], before[usize::from(other)]);
                    prop_assert!(theirs >= own, "a further slot before somebody with fewer");
                    // Waited since the other's last turn, holds no more, and was passed over again.
                    let passed = last.get(&person).is_some_and(|waits| waits.contains(&other));
                    prop_assert!(!passed || theirs > own, "two turns while another waits for one");
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
            turns.leave(&person, number);
        }
        prop_assert!(turns.people.is_empty() && turns.order.is_empty(), "nobody is remembered");
        prop_assert_eq!((turns.waiting.count, turns.waiting.bytes, turns.held), (0, 0, 0));
    }
}

#[test]
fn a_free_slot_goes_to_whoever_has_none() {
    let mut turns = Turns::new(Bounds::of(2, 9, 9));
    let ada: Vec<_> = (0..4).map(|_| turns.enter(&"ada", 1).unwrap()).collect();
    assert_eq!([turns.call(), turns.call(), turns.call()], [Some(ada[0]), Some(ada[1]), None]);
    let bob: Vec<_> = (0..2).map(|_| turns.enter(&"bob", 1).unwrap()).collect();
    turns.leave(&"ada", ada[0]);
    assert_eq!([turns.call(), turns.call()], [Some(bob[0]), None], "one reply later");
    // Ada's other slot comes back to her: each has one.
    turns.leave(&"ada", ada[1]);
    assert_eq!(turns.call(), Some(ada[2]));
    turns.leave(&"bob", bob[0]);
    assert_eq!(turns.call(), Some(bob[1]));
    // Once nobody else waits, one may have both.
    turns.leave(&"bob", bob[1]);
    assert_eq!(turns.call(), Some(ada[3]));
}

#[test]
fn a_full_line_refuses_and_whoever_leaves_makes_room() {
    let mut turns = Turns::new(Bounds::of(1, 3, 2));
    let first = turns.enter(&1, 1).unwrap();
    assert_eq!(turns.call(), Some(first));
    let second = turns.enter(&1, 1).unwrap();
    turns.enter(&1, 1).unwrap();
    assert_eq!(turns.enter(&1, 1), Err(Full::Person));
    turns.enter(&2, 1).unwrap();
    assert_eq!(turns.enter(&3, 1), Err(Full::Total));
    turns.leave(&1, second);
    turns.enter(&3, 1).unwrap();
    assert_eq!(turns.call(), None, "whoever left had no slot");
}

#[test]
fn without_places_to_wait_a_free_slot_is_still_taken() {
    let mut turns = Turns::new(Bounds::of(1, 0, 0));
    let first = turns.enter(&1, 1).unwrap();
    assert_eq!(turns.call(), Some(first));
    assert!(turns.enter(&2, 1).is_err());
    turns.leave(&1, first);
    turns.enter(&2, 1).unwrap();
}

#[test]
fn what_waits_is_bounded_in_bytes_but_one_may_always_wait() {
    let bounds = Bounds { bytes: 30, bytes_per_person: 20, ..Bounds::of(1, 9, 9) };
    let mut turns = Turns::new(bounds);
    let first = turns.enter(&1, 100).unwrap();
    assert_eq!(turns.call(), Some(first));
    let large = turns.enter(&1, 25).expect("it is alone");
    assert_eq!(turns.enter(&1, 1), Err(Full::Person));
    turns.enter(&2, 5).unwrap();
    assert_eq!(turns.enter(&2, 1), Err(Full::Total));
    turns.leave(&1, large);
    turns.enter(&2, 15).unwrap();
    assert_eq!(turns.enter(&2, 1), Err(Full::Person));
}
