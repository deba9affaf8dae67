//! What llama.cpp does with a grammar, without its speed.

use std::collections::{BTreeMap, BTreeSet};

type Alternatives = Vec<Vec<(Item, u32, u32)>>;

enum Item {
    Text(Vec<char>),
    /// Ranges, and whether the others are meant.
    Class(Vec<(char, char)>, bool),
    Rule(String),
    Group(Alternatives),
}

struct Reader<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Reader<'_> {
    fn is(&mut self, c: char) -> bool {
        self.0.next_if_eq(&c).is_some()
    }

    fn alternatives(&mut self) -> Alternatives {
        let mut all = vec![Vec::new()];
        loop {
            match self.0.peek().copied() {
                None | Some(')') => return all,
                Some(' ') => drop(self.0.next()),
                Some('|') => {
                    self.0.next();
                    all.push(Vec::new());
                }
                Some(_) => {
                    let item = self.item();
                    let (least, most) = self.times();
                    all.last_mut().unwrap().push((item, least, most));
                }
            }
        }
    }

    fn item(&mut self) -> Item {
        if self.is('"') {
            let mut text = Vec::new();
            while !self.is('"') {
                text.push(self.character());
            }
            return Item::Text(text);
        }
        if self.is('(') {
            let group = self.alternatives();
            assert!(self.is(')'));
            return Item::Group(group);
        }
        if !self.is('[') {
            let mut name = String::new();
            while let Some(c) = self.0.next_if(char::is_ascii_alphanumeric) {
                name.push(c);
            }
            assert!(!name.is_empty());
            return Item::Rule(name);
        }
        let is_others = self.is('^');
        let mut ranges = Vec::new();
        while !self.is(']') {
            let from = self.character();
            // A hyphen at the end is itself.
            let to = if self.is('-') {
                if self.0.peek() == Some(&']') {
                    ranges.push(('-', '-'));
                    from
                } else {
                    self.character()
                }
            } else {
                from
            };
            ranges.push((from, to));
        }
        Item::Class(ranges, is_others)
    }

    fn character(&mut self) -> char {
        match self.0.next().unwrap() {
            '\\' => match self.0.next().unwrap() {
                'n' => '\n',
                't' => '\t',
                'x' => {
                    let hex: String = self.0.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&hex, 16).unwrap())
                }
                c @ ('\\' | '"' | '[' | ']' | '-') => c,
                other => panic!("\\{other}"),
            },
            c => c,
        }
    }

    fn times(&mut self) -> (u32, u32) {
        if self.is('*') {
            return (0, u32::MAX);
        }
        if self.is('?') {
            return (0, 1);
        }
        if !self.is('{') {
            return (1, 1);
        }
        let mut range = String::new();
        while !self.is('}') {
            range.push(self.0.next().unwrap());
        }
        let (least, most) = range.split_once(',').unwrap_or((&range, &range));
        let most = if most.is_empty() { u32::MAX } else { most.parse().unwrap() };
        (least.parse().unwrap(), most)
    }
}

fn rules(grammar: &str) -> BTreeMap<&str, Alternatives> {
    let mut rules = BTreeMap::new();
    for line in grammar.lines() {
        let (name, text) = line.split_once(" ::= ").unwrap();
        let mut reader = Reader(text.chars().peekable());
        let before = rules.insert(name, reader.alternatives());
        assert!(before.is_none() && reader.0.next().is_none(), "{line}");
    }
    rules
}

/// Whether every rule that is named exists.
pub(super) fn is_closed(grammar: &str) -> bool {
    fn closed(all: &Alternatives, rules: &BTreeMap<&str, Alternatives>) -> bool {
        all.iter().flatten().all(|(item, ..)| match item {
            Item::Rule(name) => rules.contains_key(name.as_str()),
            Item::Group(group) => closed(group, rules),
            Item::Text(_) | Item::Class(..) => true,
        })
    }
    let rules = rules(grammar);
    rules.values().all(|all| closed(all, &rules))
}

/// Whether the grammar takes a whole text.
pub(super) fn matches(grammar: &str, text: &str) -> bool {
    let (rules, text) = (rules(grammar), text.chars().collect::<Vec<_>>());
    ends(&rules["root"], &rules, &text, 0).contains(&text.len())
}

type Ends = BTreeSet<usize>;

fn ends(
    all: &Alternatives,
    rules: &BTreeMap<&str, Alternatives>,
    text: &[char],
    at: usize,
) -> Ends {
    let mut reached = Ends::new();
    for sequence in all {
        let mut here = Ends::from([at]);
        for (item, least, most) in sequence {
            let (mut front, mut times, mut after) = (here, 0, Ends::new());
            while !front.is_empty() {
                if times >= *least {
                    after.extend(&front);
                }
                if times == *most {
                    break;
                }
                let next = front.iter().flat_map(|&at| step(item, rules, text, at));
                front = next.filter(|at| times < *least || !after.contains(at)).collect();
                times += 1;
            }
            here = after;
        }
        reached.extend(here);
    }
    reached
}

fn step(item: &Item, rules: &BTreeMap<&str, Alternatives>, text: &[char], at: usize) -> Ends {
    match item {
        Item::Text(it) if text[at..].starts_with(it) => Ends::from([at + it.len()]),
        Item::Class(ranges, is_others) => match text.get(at) {
            Some(c) if ranges.iter().any(|(from, to)| (from..=to).contains(&c)) != *is_others => {
                Ends::from([at + 1])
            }
            _ => Ends::new(),
        },
        Item::Text(_) => Ends::new(),
        Item::Rule(name) => ends(&rules[name.as_str()], rules, text, at),
        Item::Group(group) => ends(group, rules, text, at),
    }
}
