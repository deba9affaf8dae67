//! What the stand-in for the Nitro Security Module answers.

use std::collections::BTreeMap;

use attester::{
    Authority,
    nsm::{MAX_RESPONSE, Module, extended},
};
use ciborium::Value;
use proptest::prelude::*;

const ID: &str = "i-0123456789abcdef0-enc0123456789abcdef";
const NOW: u64 = 1_790_000_000_000;

fn module() -> Module {
    let pcrs = BTreeMap::from([(0, vec![1; 48]), (17, vec![2; 48])]);
    Module::new(ID.to_owned(), Authority::generate().unwrap(), &pcrs).unwrap()
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.map(|(name, value)| (Value::from(name), value)).to_vec())
}

fn one(name: &str, value: Value) -> Value {
    map([(name, value)])
}

fn ask(module: &mut Module, request: Value) -> Value {
    let mut bytes = Vec::new();
    ciborium::ser::into_writer(&request, &mut bytes).unwrap();
    let answer = module.handle(&bytes, NOW);
    ciborium::de::from_reader(answer.as_slice()).unwrap()
}

fn error(word: &str) -> Value {
    one("Error", word.into())
}

fn index(call: &str, index: u16) -> Value {
    one(call, map([("index", index.into())]))
}

#[test]
fn a_register_holds_what_was_extended_into_it() {
    let mut module = module();
    let extend = |index: u16| map([("index", index.into()), ("data", Value::Bytes(b"x".to_vec()))]);

    let answer = ask(&mut module, one("ExtendPCR", extend(16)));

    let value = Value::Bytes(extended(&[0; 48], b"x"));
    assert_eq!(answer, one("ExtendPCR", map([("data", value.clone())])));
    let described = ask(&mut module, index("DescribePCR", 16));
    assert_eq!(described, one("DescribePCR", map([("lock", false.into()), ("data", value)])));
    for given in [0, 1, 17] {
        assert_eq!(ask(&mut module, one("ExtendPCR", extend(given))), error("ReadOnlyIndex"));
    }
    assert_eq!(ask(&mut module, one("ExtendPCR", extend(32))), error("InvalidIndex"));
}

#[test]
fn a_locked_register_stays_as_it_is() {
    let mut module = module();
    assert_eq!(ask(&mut module, index("LockPCR", 16)), Value::from("LockPCR"));
    assert_eq!(ask(&mut module, index("LockPCR", 16)), error("ReadOnlyIndex"));
    let all = |range: u16| one("LockPCRs", map([("range", range.into())]));
    assert_eq!(ask(&mut module, all(33)), error("InvalidIndex"));
    assert_eq!(ask(&mut module, all(32)), Value::from("LockPCRs"));
    let data = map([("index", 31.into()), ("data", Value::Bytes(b"x".to_vec()))]);
    assert_eq!(ask(&mut module, one("ExtendPCR", data)), error("ReadOnlyIndex"));
}

#[test]
fn what_is_no_call_gets_an_error() {
    let mut module = module();
    let data = |len: usize| one("Attestation", map([("user_data", vec![0; len].into())]));
    for (request, word) in [
        (Value::from("Frobnicate"), "InvalidOperation"),
        (Value::from(1), "InvalidArgument"),
        (one("DescribePCR", map([])), "InvalidArgument"),
        (index("DescribePCR", 32), "InvalidIndex"),
        (data(513), "InputTooLarge"),
        (data(5000), "InputTooLarge"),
    ] {
        assert_eq!(ask(&mut module, request.clone()), error(word), "{request:?}");
    }
}

#[test]
fn a_module_describes_itself() {
    let Value::Map(answer) = ask(&mut module(), "DescribeNSM".into()) else { panic!() };
    let Value::Map(fields) = &answer[0].1 else { panic!() };
    let named = |name: &str| &fields.iter().find(|(key, _)| key.as_text() == Some(name)).unwrap().1;
    assert_eq!(named("module_id"), &Value::from(ID));
    assert_eq!(named("digest"), &Value::from("SHA384"));
    assert_eq!(named("locked_pcrs").as_array().unwrap().len(), 17);
}

#[test]
fn registers_that_there_are_not_are_refused() {
    for pcrs in [BTreeMap::from([(32, vec![0; 48])]), BTreeMap::from([(0, vec![0; 47])])] {
        assert!(Module::new(ID.to_owned(), Authority::generate().unwrap(), &pcrs).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_bytes_are_there_is_an_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let answer = module().handle(&bytes, NOW);
        prop_assert!(answer.len() <= MAX_RESPONSE);
        let answer: Value = ciborium::de::from_reader(answer.as_slice()).unwrap();
        prop_assert!(answer.is_map() || answer.is_text());
    }
}
