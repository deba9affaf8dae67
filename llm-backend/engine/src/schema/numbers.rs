//! Ranges of numbers as grammars: digit by digit, because a grammar does not compute.

use super::{fields::Fields, location::Result};

/// Largest whole number of a reply: as many digits as the fixed rule `integer` has, so that every JSON parser reads it.
const WHOLE_MAX: i64 = 9_999_999_999_999_999;
/// Largest bound that a number with a fraction may not reach: with its six digits it is not rounded to the bound.
const OPEN_MAX: i64 = 1_000_000_000;

/// What may follow a whole number that is not the last of a range.
const FRACTION: &str = r#"( "." [0-9]{1,6} )?"#;
/// What may follow one that is the last.
const NO_FRACTION: &str = r#"( "." "0"{1,6} )?"#;
/// What follows one that is not in the range itself.
const MORE: &str = r#""." ( [1-9] [0-9]{0,5} | "0" [1-9] [0-9]{0,4} | "00" [1-9] [0-9]{0,3} | "000" [1-9] [0-9]{0,2} | "0000" [1-9] [0-9]{0,1} | "00000" [1-9] )"#;

/// An end of a range.
#[derive(Clone, Copy)]
struct End {
    at: i64,
    /// Whether it is in the range.
    is_in: bool,
}

/// Takes `minimum`, `maximum` and their exclusive forms; [`None`]: there is none of them.
pub(super) fn text(fields: &mut Fields<'_, '_>, is_whole: bool) -> Result<Option<String>> {
    let mut end = |name: &str, exclusive: &str, outer: fn(i64, i64) -> i64| {
        let (closed, open) = (fields.number(name)?, fields.number(exclusive)?);
        if !is_whole && open.is_some_and(|at| at.saturating_abs() > OPEN_MAX) {
            return fields
                .at
                .child(exclusive)
                .refuse("must be from -1000000000 to 1000000000 here");
        }
        Ok(match (closed, open) {
            (None, None) => None,
            (Some(at), None) => Some(End { at, is_in: true }),
            // Of two ends the stricter one; if they are the same, the open one.
            (closed, Some(open)) => match closed {
                Some(at) if at != open && outer(at, open) == open => Some(End { at, is_in: true }),
                _ => Some(End { at: open, is_in: false }),
            },
        })
    };
    let least = end("minimum", "exclusiveMinimum", Ord::min)?;
    let most = end("maximum", "exclusiveMaximum", Ord::max)?;
    if least.is_none() && most.is_none() {
        return Ok(None);
    }
    let unbounded = |at| End { at, is_in: true };
    let mut least = least.unwrap_or(unbounded(-WHOLE_MAX));
    let mut most = most.unwrap_or(unbounded(WHOLE_MAX));
    if is_whole {
        let step = |end: End| i64::from(!end.is_in);
        least = unbounded(least.at.saturating_add(step(least)));
        most = unbounded(most.at.saturating_sub(step(most)));
    }
    if least.at < -WHOLE_MAX {
        least = unbounded(-WHOLE_MAX);
    }
    if most.at > WHOLE_MAX {
        most = unbounded(WHOLE_MAX);
    }
    let all = signed(least, most, is_whole);
    if all.is_empty() {
        return fields.at.refuse("must leave a number of at most 16 digits");
    }
    Ok(Some(all.join(" | ")))
}

/// The numbers from one to another, as alternatives.
fn signed(least: End, most: End, is_whole: bool) -> Vec<String> {
    let range = if is_whole { whole_range } else { fraction_range };
    let zero = End { at: 0, is_in: true };
    let mut all = Vec::new();
    if most.at >= 0 && least.at <= most.at {
        all.extend(range(if least.at < 0 { zero } else { least }, most));
    }
    if least.at < 0 && least.at <= most.at {
        // There is no -0.
        let nearest = End { at: 0, is_in: false };
        let nearest = if most.at < 0 { End { at: -most.at, ..most } } else { nearest };
        let below = range(nearest, End { at: -least.at, ..least });
        if !below.is_empty() {
            all.push(format!("\"-\" ( {} )", below.join(" | ")));
        }
    }
    all
}

/// Whole numbers from 0.
fn whole_range(least: End, most: End) -> Vec<String> {
    let outer = |end: End| i64::from(!end.is_in);
    whole(least.at + outer(least), most.at - outer(most))
}

/// Numbers from 0 with up to six digits of a fraction.
fn fraction_range(least: End, most: End) -> Vec<String> {
    if least.at == most.at {
        let one = || format!("\"{}\" {NO_FRACTION}", least.at);
        return (least.is_in && most.is_in).then(one).into_iter().collect();
    }
    let mut all = Vec::new();
    if !least.is_in {
        all.push(format!("\"{}\" {MORE}", least.at));
    }
    let between = whole(least.at + i64::from(!least.is_in), most.at - 1);
    if !between.is_empty() {
        all.push(format!("( {} ) {FRACTION}", between.join(" | ")));
    }
    if most.is_in {
        all.push(format!("\"{}\" {NO_FRACTION}", most.at));
    }
    all
}

/// The digits of the whole numbers from one to another, both from 0 to [`WHOLE_MAX`].
fn whole(least: i64, most: i64) -> Vec<String> {
    let (Ok(mut from), Ok(most)) = (u64::try_from(least), u64::try_from(most)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if from == 0 {
        all.push("\"0\"".to_owned());
        from = 1;
    }
    while from <= most {
        let length = from.ilog10();
        let begins_a_length = from == 10_u64.pow(length);
        let lengths =
            (length + 1..=16).take_while(|n| begins_a_length && 10_u64.pow(*n) - 1 <= most);
        if let Some(longest) = lengths.last() {
            all.push(format!("[1-9] [0-9]{{{length},{}}}", longest - 1));
            from = 10_u64.pow(longest);
        } else {
            let to = most.min(10_u64.pow(length + 1) - 1);
            same_length("", &from.to_string(), &to.to_string(), &mut all);
            from = to + 1;
        }
    }
    all
}

/// Numbers of one length that begin with `before`.
fn same_length(before: &str, from: &str, to: &str, all: &mut Vec<String>) {
    let same = from.bytes().zip(to.bytes()).take_while(|(from, to)| from == to).count();
    let before = &[before, &from[..same]].concat();
    let (from, to) = (&from[same..], &to[same..]);
    let (Some(mut first), Some(mut last)) = (from.bytes().next(), to.bytes().next()) else {
        return all.push(format!("\"{before}\""));
    };
    let (from_rest, to_rest) = (&from[1..], &to[1..]);
    let with = |digit: u8| format!("{before}{}", char::from(digit));
    if from_rest.bytes().any(|digit| digit != b'0') {
        same_length(&with(first), from_rest, &"9".repeat(from_rest.len()), all);
        first += 1;
    }
    let is_whole = to_rest.bytes().all(|digit| digit == b'9');
    if !is_whole {
        last -= 1;
    }
    if first <= last {
        let (first, last) = (char::from(first), char::from(last));
        let n = from_rest.len();
        all.push(format!("\"{before}\" [{first}-{last}] [0-9]{{{n},{n}}}"));
    }
    if !is_whole {
        same_length(&with(last + 1), &"0".repeat(to_rest.len()), to_rest, all);
    }
}
