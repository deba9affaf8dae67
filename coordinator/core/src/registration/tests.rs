use std::net::Ipv4Addr;

use control_protocol::key::{MachinePublic, NodePublic};
use proptest::prelude::*;

use super::{
    Approval, Decision, KeyExpiry, PresentedKey, Refusal, RegistrationContext, Request,
    WAITING_BY_KEY_MAX, WAITING_MAX, WAITING_OF_ADDRESS_MAX, WAITING_OF_MACHINE_MAX, approve,
    decide,
};
use crate::{
    address::Addresses,
    key::PreAuthKey,
    model::{NewNode, Node, NodeTimes, Owner, Pending, Registrant, User},
    tagging::{RequestedTags, TagNotAllowed},
};

const NOW: i64 = 1_000_000;

fn machine(byte: u8) -> MachinePublic {
    MachinePublic::from_bytes([byte; 32])
}

fn node_key(byte: u8) -> NodePublic {
    NodePublic::from_bytes([byte; 32])
}

fn request() -> Request {
    Request { machine: machine(1), node_key: node_key(1), expiry: None, is_followup: false }
}

fn device() -> Registrant {
    Registrant { machine: machine(1), node_key: node_key(1), ..Registrant::default() }
}

fn node(expires: Option<i64>) -> Node {
    let new = NewNode {
        id: None,
        owner: Owner::User(1),
        device: device(),
        expires,
        name: None,
        wireguard: None,
    };
    let addresses = Addresses::of(Ipv4Addr::new(100, 64, 0, 1));
    new.into_node(7, ("n7".to_owned(), "laptop".to_owned()), addresses, 0)
}

fn key() -> PreAuthKey {
    PreAuthKey {
        id: 3,
        owner: Owner::User(1),
        reusable: false,
        ephemeral: false,
        pre_approved: true,
        created: 0,
        expires: NOW + 1,
        uses: 0,
    }
}

fn pending(key: Option<u64>) -> Pending {
    Pending {
        id: 9,
        ticket: "t".to_owned(),
        device: device(),
        source: String::new(),
        key: key.map(|id| (id, Owner::User(1))),
        replaces: None,
        created: 0,
        asked: 0,
    }
}

fn with_another_key(pending: Pending) -> Pending {
    Pending { device: Registrant { node_key: node_key(2), ..pending.device.clone() }, ..pending }
}

fn nothing() -> RegistrationContext<'static> {
    RegistrationContext {
        node: None,
        old: None,
        of_machine: &[],
        pending: None,
        waiting: 0,
        waiting_of_machine: 0,
        waiting_of_address: 0,
        waiting_by_key: 0,
        presented: PresentedKey::Nothing,
        asked: RequestedTags::default(),
    }
}

#[test]
fn a_stranger_waits_and_is_told_so_again() {
    let waiting = pending(None);

    assert_eq!(
        decide(&request(), &nothing(), NOW),
        Ok(Decision::Await { key: None, replaces: None })
    );
    let known = RegistrationContext { pending: Some(&waiting), ..nothing() };
    assert_eq!(decide(&request(), &known, NOW), Ok(Decision::StillWaiting));
    let followup = Request { is_followup: true, ..request() };
    assert_eq!(decide(&followup, &known, NOW), Ok(Decision::StillWaiting));
    assert_eq!(decide(&followup, &nothing(), NOW), Err(Refusal::Rejected));
}

#[test]
fn those_who_wait_are_counted() {
    let known = RegistrationContext { waiting: WAITING_MAX, ..nothing() };
    let asks = PreAuthKey { reusable: true, pre_approved: false, ..key() };

    assert_eq!(decide(&request(), &known, NOW), Err(Refusal::Full));
    let known = RegistrationContext {
        waiting_by_key: WAITING_BY_KEY_MAX,
        presented: PresentedKey::Key(&asks),
        ..nothing()
    };
    assert_eq!(decide(&request(), &known, NOW), Err(Refusal::Full));
    let without = pending(None);
    let known = RegistrationContext { pending: Some(&without), ..known };
    assert_eq!(decide(&request(), &known, NOW), Err(Refusal::Full), "it waited without one before");
    let by_another = pending(Some(4));
    let known = RegistrationContext { pending: Some(&by_another), ..known };
    let counted = Ok(Decision::Await { key: Some(3), replaces: None });
    assert_eq!(decide(&request(), &known, NOW), counted, "it is counted already");
}

#[test]
fn strangers_keep_no_machine_out_that_was_a_node_and_no_one_waits_too_often() {
    let (expired, mine) = (node(Some(NOW)), [node(Some(NOW))]);
    let request = Request { node_key: node_key(2), ..request() };
    let crowd = RegistrationContext {
        waiting: WAITING_MAX,
        waiting_of_address: WAITING_OF_ADDRESS_MAX,
        ..nothing()
    };

    let by_old_key = RegistrationContext { old: Some(&expired), ..crowd };
    let again = Ok(Decision::Await { key: None, replaces: Some(7) });
    assert_eq!(decide(&request, &by_old_key, NOW), again);
    let by_machine = RegistrationContext { of_machine: &mine, ..crowd };
    let anew = Ok(Decision::Await { key: None, replaces: None });
    assert_eq!(decide(&request, &by_machine, NOW), anew);
    for full in [
        RegistrationContext { waiting_of_address: WAITING_OF_ADDRESS_MAX, ..nothing() },
        RegistrationContext { waiting_of_machine: WAITING_OF_MACHINE_MAX, ..nothing() },
        RegistrationContext {
            waiting_of_machine: WAITING_OF_MACHINE_MAX,
            of_machine: &mine,
            ..nothing()
        },
    ] {
        assert_eq!(decide(&request, &full, NOW), Err(Refusal::Full), "{full:?}");
    }
}

#[test]
fn a_pre_approved_key_admits_and_one_that_is_not_makes_wait() {
    let (good, asks) = (key(), PreAuthKey { pre_approved: false, ..key() });

    let by_good = RegistrationContext { presented: PresentedKey::Key(&good), ..nothing() };
    assert_eq!(decide(&request(), &by_good, NOW), Ok(Decision::Admit { key: 3 }));
    let by_asking = RegistrationContext {
        presented: PresentedKey::Key(&asks),
        waiting: WAITING_MAX,
        ..nothing()
    };
    assert_eq!(
        decide(&request(), &by_asking, NOW),
        Ok(Decision::Await { key: Some(3), replaces: None })
    );
}

#[test]
fn a_used_expired_or_unknown_key_is_refused() {
    let used = PreAuthKey { uses: 1, ..key() };
    let expired = PreAuthKey { expires: NOW, ..key() };

    for presented in [PresentedKey::Key(&used), PresentedKey::Key(&expired), PresentedKey::Unknown]
    {
        assert_eq!(
            decide(&request(), &RegistrationContext { presented, ..nothing() }, NOW),
            Err(Refusal::Key)
        );
    }
}

#[test]
fn a_device_that_waits_by_a_key_may_send_that_key_again_but_no_other() {
    let (used, waiting) = (PreAuthKey { uses: 1, pre_approved: false, ..key() }, pending(Some(3)));
    let known = RegistrationContext { pending: Some(&waiting), ..nothing() };

    assert_eq!(
        decide(
            &request(),
            &RegistrationContext { presented: PresentedKey::Key(&used), ..known },
            NOW
        ),
        Ok(Decision::StillWaiting)
    );
    assert_eq!(
        decide(&request(), &RegistrationContext { presented: PresentedKey::Unknown, ..known }, NOW),
        Err(Refusal::Key)
    );
}

#[test]
fn a_reusable_key_is_counted_once_for_a_device_that_waits_by_it() {
    let (reusable, waiting) =
        (PreAuthKey { reusable: true, pre_approved: false, uses: 1, ..key() }, pending(Some(3)));
    let known = RegistrationContext {
        pending: Some(&waiting),
        presented: PresentedKey::Key(&reusable),
        ..nothing()
    };

    assert_eq!(decide(&request(), &known, NOW), Ok(Decision::StillWaiting));
}

#[test]
fn a_node_that_restarts_is_taken_back_whatever_key_it_sends() {
    let (node, used) = (node(Some(NOW + 1)), PreAuthKey { uses: 1, ..key() });

    for presented in [PresentedKey::Nothing, PresentedKey::Unknown, PresentedKey::Key(&used)] {
        let known = RegistrationContext { node: Some(&node), presented, ..nothing() };
        assert_eq!(decide(&request(), &known, NOW), Ok(Decision::Refresh(7)));
    }
}

#[test]
fn an_expired_node_needs_a_new_key_of_either_kind() {
    let (node, good) = (node(Some(NOW)), key());
    let known = RegistrationContext { node: Some(&node), ..nothing() };

    assert_eq!(decide(&request(), &known, NOW), Ok(Decision::Expired));
    let renewed = Decision::Replace { node: 7, key: Some(3), life: KeyExpiry::New };
    assert_eq!(
        decide(
            &request(),
            &RegistrationContext { presented: PresentedKey::Key(&good), ..known },
            NOW
        ),
        Ok(renewed)
    );
}

#[test]
fn a_rotated_key_keeps_its_end_and_an_ended_one_waits() {
    let (valid, expired) = (node(Some(NOW + 1)), node(Some(NOW)));
    let request = Request { node_key: node_key(2), ..request() };

    let known = RegistrationContext { old: Some(&valid), ..nothing() };
    let rotated = Decision::Replace { node: 7, key: None, life: KeyExpiry::Same };
    assert_eq!(decide(&request, &known, NOW), Ok(rotated));
    let known = RegistrationContext { old: Some(&expired), ..nothing() };
    assert_eq!(decide(&request, &known, NOW), Ok(Decision::Await { key: None, replaces: Some(7) }));
}

#[test]
fn a_machine_that_comes_back_with_a_key_of_the_same_owner_is_the_same_node() {
    let (of_machine, good) = ([node(Some(NOW))], key());
    let request = Request { node_key: node_key(2), ..request() };
    let known = RegistrationContext {
        of_machine: &of_machine,
        presented: PresentedKey::Key(&good),
        ..nothing()
    };

    let same = Decision::Replace { node: 7, key: Some(3), life: KeyExpiry::New };
    assert_eq!(decide(&request, &known, NOW), Ok(same));
    let other = PreAuthKey { owner: Owner::tags(vec!["tag:home".to_owned()]), ..key() };
    let known = RegistrationContext { presented: PresentedKey::Key(&other), ..known };
    assert_eq!(decide(&request, &known, NOW), Ok(Decision::Admit { key: 3 }));
}

#[test]
fn an_expired_node_key_is_not_taken_over_by_another_owners_key() {
    let (node, other) = (node(Some(NOW)), PreAuthKey { owner: Owner::User(2), ..key() });
    let known = RegistrationContext {
        node: Some(&node),
        presented: PresentedKey::Key(&other),
        ..nothing()
    };

    assert_eq!(decide(&request(), &known, NOW), Ok(Decision::Expired));
}

#[test]
fn a_logout_comes_before_the_key_that_it_carries() {
    let (good, staying) = (key(), node(None));
    let leaving = Node { times: NodeTimes { ephemeral: true, ..node(None).times }, ..node(None) };
    let request = Request { expiry: Some(123_000), ..request() };
    let known = RegistrationContext { presented: PresentedKey::Key(&good), ..nothing() };

    assert_eq!(
        decide(&request, &RegistrationContext { node: Some(&staying), ..known }, NOW),
        Ok(Decision::Logout(7))
    );
    assert_eq!(
        decide(&request, &RegistrationContext { node: Some(&leaving), ..known }, NOW),
        Ok(Decision::Forget(7))
    );
    assert_eq!(decide(&request, &known, NOW), Ok(Decision::LoggedOut));
    let expired = node(Some(NOW));
    assert_eq!(
        decide(&request, &RegistrationContext { node: Some(&expired), ..known }, NOW),
        Ok(Decision::LoggedOut),
        "nothing changes"
    );
}

#[test]
fn the_admin_says_whose_it_is_or_the_key_did_or_it_was_someones() {
    let (tags, was) = (Owner::tags(vec!["tag:home".to_owned()]), [node(Some(NOW))]);
    let fresh = |key| with_another_key(pending(key));

    let approved = |pending: &Pending, said, of_machine: &[Node]| {
        approve(pending, said, of_machine, &RequestedTags::default()).unwrap()
    };
    let is = |owner: &Owner, replaces| Some(Approval { owner: owner.clone(), replaces });

    assert_eq!(approved(&pending(None), None, &[]), None);
    assert_eq!(approved(&fresh(Some(3)), Some(tags.clone()), &was), is(&tags, None));
    assert_eq!(approved(&fresh(Some(3)), None, &was), is(&Owner::User(1), Some(7)));
    let again = Pending { replaces: Some(7), ..fresh(None) };
    assert_eq!(approved(&again, None, &was), is(&Owner::User(1), Some(7)));
    let other = Owner::User(2);
    assert_eq!(approved(&pending(None), Some(other.clone()), &was), is(&other, Some(7)));
}

/// What decides on `tag:printer`, which user 1 may give, and `tag:home`, which nobody may.
struct TagPolicy {
    tags: Vec<String>,
    policy: acl::Policy,
    users: [User; 1],
}

impl TagPolicy {
    fn of(tag: &str) -> Self {
        let policy = r#"{ "tagOwners": { "tag:printer": ["alice"], "tag:home": [] } }"#;
        Self {
            tags: vec![tag.to_owned()],
            policy: acl::Policy::parse(policy).unwrap(),
            users: [User { id: 1, name: "alice".to_owned(), created: 0 }],
        }
    }

    fn asked(&self) -> RequestedTags<'_> {
        RequestedTags { tags: &self.tags, policy: Some(&self.policy), users: &self.users }
    }
}

#[test]
fn tags_are_given_with_a_key_if_its_owner_may_give_them() {
    let (printer, home) = (TagPolicy::of("tag:printer"), TagPolicy::of("tag:home"));
    let (good, asks) = (key(), PreAuthKey { pre_approved: false, ..key() });
    let with = |key, tagging: &TagPolicy| {
        let known = RegistrationContext {
            presented: PresentedKey::Key(key),
            asked: tagging.asked(),
            ..nothing()
        };
        decide(&request(), &known, NOW)
    };

    assert_eq!(with(&good, &printer), Ok(Decision::Admit { key: 3 }));
    assert_eq!(with(&asks, &printer), Ok(Decision::Await { key: Some(3), replaces: None }));
    assert_eq!(with(&good, &home), Err(Refusal::Tags));
    assert_eq!(with(&asks, &home), Err(Refusal::Tags));
    let was = node(None);
    let known = RegistrationContext { node: Some(&was), asked: home.asked(), ..nothing() };
    assert_eq!(decide(&request(), &known, NOW), Ok(Decision::Refresh(7)), "it is a node already");
}

#[test]
fn a_node_becomes_its_tags_only_with_a_key_or_the_admin_and_stays_the_node_that_it_was() {
    let (printer, home) = (TagPolicy::of("tag:printer"), TagPolicy::of("tag:home"));
    let (was, good) = (node(None), key());
    let request = Request { node_key: node_key(2), ..request() };
    let rotates = RegistrationContext { old: Some(&was), asked: printer.asked(), ..nothing() };

    let waits = Ok(Decision::Await { key: None, replaces: Some(7) });
    assert_eq!(decide(&request, &rotates, NOW), waits);
    let refused = RegistrationContext { asked: home.asked(), ..rotates };
    assert_eq!(decide(&request, &refused, NOW), Err(Refusal::Tags));
    let with_key = RegistrationContext { presented: PresentedKey::Key(&good), ..rotates };
    let goes_on = Ok(Decision::Replace { node: 7, key: Some(3), life: KeyExpiry::New });
    assert_eq!(decide(&request, &with_key, NOW), goes_on);
    let tagged = Node { owner: Owner::tags(home.tags.clone()), ..was.clone() };
    let of_tags = RegistrationContext { old: Some(&tagged), ..rotates };
    let renewed = Ok(Decision::Replace { node: 7, key: None, life: KeyExpiry::Same });
    assert_eq!(decide(&request, &of_tags, NOW), renewed, "what a tagged node asks changes nothing");

    let waiting = Pending { replaces: Some(7), ..with_another_key(pending(None)) };
    let nodes = [was];
    let approved = approve(&waiting, None, &nodes, &printer.asked()).unwrap().unwrap();
    assert_eq!((approved.owner, approved.replaces), (Owner::tags(printer.tags.clone()), Some(7)));
    assert_eq!(approve(&waiting, None, &nodes, &home.asked()), Err(TagNotAllowed));
    let said = Some(Owner::tags(vec!["tag:other".to_owned()]));
    let by_admin = approve(&waiting, said.clone(), &nodes, &home.asked()).unwrap().unwrap();
    assert_eq!((Some(by_admin.owner), by_admin.replaces), (said, None));
    let by_user = approve(&waiting, Some(Owner::User(1)), &[], &home.asked());
    assert_eq!(by_user, Err(TagNotAllowed));
}

proptest! {
    /// Whoever proves another machine key gets nothing by sending this node's key, on any path.
    #[test]
    fn a_node_key_of_another_machine_is_always_refused(
        thief in any::<[u8; 32]>().prop_filter("another machine", |bytes| *bytes != [1; 32]),
        expires in prop::option::of(any::<i64>()),
        expiry in prop::option::of(any::<i64>()),
        is_followup in any::<bool>(),
        place in 0..3,
        with_key in any::<bool>(),
    ) {
        let (node, waiting, good) = (node(expires), pending(None), key());
        let request = Request { machine: MachinePublic::from_bytes(thief), expiry, is_followup, ..request() };
        let known = RegistrationContext {
            node: (place == 0).then_some(&node),
            old: (place == 1).then_some(&node),
            pending: (place == 2).then_some(&waiting),
            presented: if with_key { PresentedKey::Key(&good) } else { PresentedKey::Nothing },
            ..nothing()
        };

        prop_assert_eq!(decide(&request, &known, NOW), Err(Refusal::NodeKey));
    }

    /// Without a pre-auth key that is good at `now`, nobody becomes a node who was none.
    #[test]
    fn nobody_is_admitted_without_a_good_key(
        uses in any::<u64>(), expires in any::<i64>(), reusable in any::<bool>(), pre_approved in any::<bool>(),
        now in any::<i64>(), followup in any::<bool>(),
    ) {
        let key = PreAuthKey { uses, expires, reusable, pre_approved, ..key() };
        let request = Request { is_followup: followup, ..request() };
        let known = RegistrationContext { presented: PresentedKey::Key(&key), ..nothing() };

        let decision = decide(&request, &known, now);

        let good = expires > now && (reusable || uses == 0);
        prop_assert_eq!(decision == Ok(Decision::Admit { key: 3 }), good && pre_approved);
    }
}
