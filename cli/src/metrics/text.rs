//! From a daemon's counters, in OpenMetrics' format, to Prometheus' older text format (0.0.4), which node exporter reads.
//!
//! A daemon may have been taken over. Its lines stand in one file with those of others, so only lines that are metrics of
//! its own are taken, each once.

use std::collections::BTreeSet;

/// Longest line that is taken, in bytes.
const LINE_MAX: usize = 4096;

/// Ends of the names of a histogram's samples, which no other metric's name has.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A metric, as its `# TYPE` line declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "info" => Self::Info,
            _ => return None,
        })
    }

    /// The type's name and the end of the metric's name in the older format.
    fn older(self) -> (&'static str, &'static str) {
        match self {
            Self::Counter => ("counter", "_total"),
            Self::Gauge => ("gauge", ""),
            Self::Histogram => ("histogram", ""),
            Self::Info => ("gauge", "_info"),
        }
    }

    /// Whether a sample of the metric may have this end of its name and these labels.
    fn has(self, end: &str, labels: &[(&str, &str)]) -> bool {
        let bound = labels.iter().find(|(name, _)| *name == "le").map(|(_, value)| *value);
        match (self, bound) {
            (Self::Histogram, Some(bound)) => end == "_bucket" && bound.parse::<f64>().is_ok(),
            (Self::Histogram, None) => end == "_sum" || end == "_count",
            (_, Some(_)) => false,
            (_, None) => end == self.older().1,
        }
    }
}

/// The metrics of a daemon whose names begin with `prefix`; what is no such line is left out.
pub(crate) fn prometheus(answer: &str, prefix: &str) -> String {
    let mut text = String::new();
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let (mut help, mut current) = (None, None);
    for line in answer.lines().filter(|line| line.len() <= LINE_MAX) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let declared = rest.split_once(' ').and_then(|(name, kind)| {
                let (own, kind) = (name.strip_prefix(prefix)?, Kind::parse(kind)?);
                let alone = !PARTS.iter().any(|part| own.ends_with(part));
                let is_new =
                    alone && is_name(own) && families.insert([name, kind.older().1].concat());
                is_new.then_some((name, kind))
            });
            current = declared;
            if let Some((name, kind)) = declared {
                let (kind, end) = kind.older();
                let meaning = help.filter(|(of, text)| *of == name && is_help(text));
                if let Some((_, meaning)) = meaning {
                    text.push_str(&format!("# HELP {name}{end} {meaning}\n"));
                }
                text.push_str(&format!("# TYPE {name}{end} {kind}\n"));
            }
        } else if let Some((name, kind)) = current
            && let Some((sample, mut labels)) = sample(line)
            && let Some(end) = sample.strip_prefix(name)
            && kind.has(end, &labels)
        {
            labels.sort_unstable();
            let once = labels.windows(2).all(|two| two[0].0 != two[1].0);
            if once && samples.insert((sample, labels)) {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// Whether these are lower case letters, digits and underscores.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_plain)
}

/// Whether a text is as plain as the meanings of metrics are: nothing to escape.
fn is_help(text: &str) -> bool {
    !text.chars().any(|it| it.is_control() || it == '\\')
}

/// The name and labels of `NAME{LABEL="VALUE",…} NUMBER`, without a time.
fn sample(line: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let at = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(at);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, quoted) = rest.split_once("=\"")?;
            let (value, after) = quoted.split_at(end_of_value(quoted)?);
            labels.push((label, value));
            rest = after.strip_prefix('"')?;
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.strip_prefix(' ')?;
    let is_number = value.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it));
    let sound = is_number && value.parse::<f64>().is_ok() && labels.iter().all(|it| is_name(it.0));
    sound.then_some((name, labels))
}

/// Where a label's value ends: at the first quote that is not escaped. Only `\\`, `\"` and `\n` are escapes.
fn end_of_value(quoted: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match (escaped, byte) {
            (true, b'\\' | b'"' | b'n') => escaped = false,
            (true, _) | (false, 0..=0x1f | 0x7f) => return None,
            (false, b'\\') => escaped = true,
            (false, b'"') => return Some(at),
            (false, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::prometheus;

    const OWN: &str = "maru_gateway_";

    #[test]
    fn counters_keep_their_values_under_the_older_names() {
        let text = "# HELP maru_gateway_chats Chats by how they ended.\n# TYPE maru_gateway_chats counter\n\
                    maru_gateway_chats_total{surface=\"openai\",outcome=\"done\"} 3\n\
                    # HELP maru_gateway_build Version.\n# TYPE maru_gateway_build info\n\
                    maru_gateway_build_info{version=\"1.0\"} 1\n\
                    # HELP maru_gateway_wait_seconds Time.\n# TYPE maru_gateway_wait_seconds histogram\n\
                    # UNIT maru_gateway_wait_seconds seconds\n\
                    maru_gateway_wait_seconds_sum 0.5\nmaru_gateway_wait_seconds_count 1\n\
                    maru_gateway_wait_seconds_bucket{le=\"1.0\"} 1\n\
                    maru_gateway_wait_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let expected = "# HELP maru_gateway_chats_total Chats by how they ended.\n\
                        # TYPE maru_gateway_chats_total counter\n\
                        maru_gateway_chats_total{surface=\"openai\",outcome=\"done\"} 3\n\
                        # HELP maru_gateway_build_info Version.\n# TYPE maru_gateway_build_info gauge\n\
                        maru_gateway_build_info{version=\"1.0\"} 1\n\
                        # HELP maru_gateway_wait_seconds Time.\n# TYPE maru_gateway_wait_seconds histogram\n\
                        maru_gateway_wait_seconds_sum 0.5\nmaru_gateway_wait_seconds_count 1\n\
                        maru_gateway_wait_seconds_bucket{le=\"1.0\"} 1\n\
                        maru_gateway_wait_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(prometheus(text, OWN), expected);
    }

    #[test]
    fn a_daemon_speaks_for_no_other_and_breaks_no_file() {
        let good = "# TYPE maru_gateway_up gauge\nmaru_gateway_up 1\n";
        for bad in [
            "# TYPE maru_machine_service_up gauge\nmaru_machine_service_up{service=\"relay\"} 1\n",
            "maru_machine_service_up{service=\"relay\"} 1\n",
            "maru_gateway_up 1\n",
            "maru_gateway_up 1 1700000000\n",
            "maru_gateway_up one\n",
            "maru_gateway_up{a=\"b\",a=\"c\"} 1\n",
            "maru_gateway_up{a=\"b} 1\n",
            "maru_gateway_up{a=\"\\x\"} 1\n",
            "maru_gateway_up{le=\"1\"} 1\n",
            "maru_gateway_upper 1\n",
            "# TYPE maru_gateway_up gauge\n",
            "# TYPE maru_gateway_strange summary\nmaru_gateway_strange 1\n",
            "\n\u{1b}[2J\n",
        ] {
            assert_eq!(prometheus(&format!("{good}{bad}"), OWN), good, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_the_daemons_own(
            lines in proptest::collection::vec(
                prop_oneof![
                    "# TYPE maru_(gateway|machine)_[ab] (gauge|counter|histogram|info|x)",
                    "maru_gateway_[ab](_total|_info|_sum|_count|_bucket)?(\\{[a-c,le=\"\\\\n]{0,9}\\})? [0-9.+Inf-]{1,4}",
                    "\\PC{0,30}",
                ],
                0..12,
            ),
        ) {
            for line in prometheus(&lines.join("\n"), OWN).lines() {
                let name = line.strip_prefix("# TYPE ").or(line.strip_prefix("# HELP "));
                prop_assert!(name.unwrap_or(line).starts_with(OWN), "{}", line);
            }
        }
    }
}
