use std::path::Path;

use chat_vocabulary::Usage;
use proptest::prelude::*;

use super::*;

/// 2026-11-22 00:00:00 in UTC.
const MIDNIGHT: Duration = Duration::from_secs(1_795_305_600);

fn at(days: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + MIDNIGHT + DAY * days
}

fn ledger(folder: &Path, days: u16) -> Ledger {
    Ledger::load(folder.join(FILE), days).unwrap()
}

const ONE: Tally = Tally { requests: 1, prompt_tokens: 10, reply_tokens: 5 };

fn days(ledger: &Ledger, now: SystemTime) -> Vec<String> {
    ledger.report(now).days.into_keys().collect()
}

#[test]
fn a_day_ends_at_midnight_in_utc() {
    assert_eq!(day(at(0)), "2026-11-22");
    assert_eq!(day(at(0) - Duration::from_secs(1)), "2026-11-21");
    assert_eq!(day(SystemTime::UNIX_EPOCH - DAY), "1970-01-01");
    assert_eq!(day(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 50)), "9999-12-31");
}

#[test]
fn people_are_counted_by_day_and_the_file_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let one = ledger(folder.path(), 90);
    let (ada, node) = (Person::User(1), Person::Node("n7".to_owned()));
    one.count(&ada, ONE, at(0));
    one.count(&ada, ONE, at(0));
    one.count(&node, ONE, at(0));
    one.count(&ada, ONE, at(1));
    one.keep(at(1));

    let again = ledger(folder.path(), 90).report(at(1));
    assert_eq!(again, one.report(at(1)));
    let twice = Tally { requests: 2, prompt_tokens: 20, reply_tokens: 10 };
    assert_eq!(again.days["2026-11-22"]["user:1"], twice);
    assert_eq!(again.days["2026-11-22"]["node:n7"], ONE);
    assert_eq!(again.days["2026-11-23"]["user:1"], ONE);
    let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
    assert!(text.starts_with("{\"version\":1,"), "{text}");
}

#[test]
fn unchanged_usage_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path(), 90);
    ledger.keep(at(0));
    assert!(!folder.path().join(FILE).exists());
    ledger.count(&Person::User(1), ONE, at(0));
    ledger.keep(at(0));
    std::fs::remove_file(folder.path().join(FILE)).unwrap();
    ledger.keep(at(0));
    assert!(!folder.path().join(FILE).exists());
}

#[test]
fn usage_that_could_not_be_written_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(&folder.path().join("absent"), 90);
    ledger.count(&Person::User(1), ONE, at(0));
    ledger.keep(at(0));
    std::fs::create_dir(folder.path().join("absent")).unwrap();
    ledger.keep(at(0));
    assert!(folder.path().join("absent").join(FILE).exists());
}

#[test]
fn old_days_are_forgotten_also_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let one = ledger(folder.path(), 3);
    for day in 0..5 {
        one.count(&Person::User(1), ONE, at(day));
    }
    assert_eq!(days(&one, at(4)), ["2026-11-24", "2026-11-25", "2026-11-26"]);
    assert_eq!(days(&one, at(5)), ["2026-11-25", "2026-11-26"], "nobody asked since");
    one.keep(at(5));
    assert_eq!(days(&ledger(folder.path(), 90), at(5)), ["2026-11-25", "2026-11-26"]);

    let none = ledger(folder.path(), 0);
    none.count(&Person::User(1), ONE, at(5));
    assert_eq!(days(&none, at(5)), Vec::<String>::new());
    none.keep(at(5));
    let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
    assert!(!text.contains("user:1"), "{text}");
}

#[test]
fn a_bill_says_what_the_model_counted_or_else_what_came() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(ledger(folder.path(), 90));
    for counted in [Some(Usage { prompt_tokens: 100, completion_tokens: 20 }), None] {
        let mut usage_guard = UsageGuard::open(Arc::clone(&ledger), Person::User(1));
        usage_guard.count_piece();
        usage_guard.count_piece();
        if let Some(usage) = counted {
            usage_guard.set_counted(usage);
        }
    }
    let counted = ledger.report(SystemTime::now()).days.pop_first().unwrap().1["user:1"];
    assert_eq!(counted, Tally { requests: 2, prompt_tokens: 100, reply_tokens: 22 });
}

#[test]
fn a_file_that_cannot_be_read_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    for text in ["{\"version\":2,\"days\":{}}", "{\"version\":1,\"days\":3}", "garbage"] {
        std::fs::write(&file, text).unwrap();
        let error = Ledger::load(file.clone(), 90).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

proptest! {
    /// Whoever asks, however often and whatever the clock says: days and people are bounded, and nothing gets lost of
    /// what falls on a day that is kept.
    #[test]
    fn it_does_not_grow(
        asked in prop::collection::vec((0..600_u64, any::<u32>()), 0..600),
        kept in 1..4_u16,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path(), kept);
        let mut today = 0;
        for (user, second) in &asked {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(second % 20) * 43_200);
            ledger.count(&Person::User(*user), ONE, now);
            today += 1;
            let report = ledger.report(now);
            prop_assert!(report.days.len() <= usize::from(kept));
            prop_assert!(report.days.values().all(|people| people.len() <= PEOPLE_MAX + 1));
        }
        let ledger = Ledger::load(folder.path().join("one"), 1).unwrap();
        for (user, _) in &asked {
            ledger.count(&Person::User(*user), ONE, at(0));
        }
        let report = ledger.report(at(0));
        let requests: u64 = report.days.values().flatten().map(|(_, tally)| tally.requests).sum();
        prop_assert_eq!(requests, today);
    }
}
