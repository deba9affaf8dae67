//! The document as it is written.

mod ssh;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::Value;

use crate::{
    addresses::prefix,
    error::{Error, Location, Problems, Word},
    network::User,
    text::{self, Fields, Item, words},
};

pub(crate) use self::ssh::{SshRule, SshTest};

const SECTIONS: [&str; 11] = [
    "acls",
    "grants",
    "groups",
    "hosts",
    "tagOwners",
    "tests",
    "autoApprovers",
    "nodeAttrs",
    "ssh",
    "sshTests",
    "randomizeClientPort",
];

/// A policy's sections. An unknown one is refused: it may be a typo that opens or closes access.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) acls: Vec<Acl>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) groups: BTreeMap<String, Vec<Word>>,
    pub(crate) hosts: BTreeMap<String, IpNet>,
    /// Names of hosts whose addresses cannot be read. They select nothing, no person of that name either.
    pub(crate) lost_hosts: BTreeSet<String>,
    /// Each with the location of its name.
    pub(crate) tag_owners: BTreeMap<String, (Location, Vec<Word>)>,
    pub(crate) tests: Vec<Test>,
    pub(crate) approved_routes: Vec<(Word, Vec<Word>)>,
    pub(crate) approved_exits: Vec<Word>,
    pub(crate) node_attrs: Vec<NodeAttr>,
    pub(crate) ssh: Vec<SshRule>,
    pub(crate) ssh_tests: Vec<SshTest>,
    pub(crate) randomize_client_port: bool,
}

/// An `acls` rule.
#[derive(Clone, Debug)]
pub(crate) struct Acl {
    pub(crate) location: Location,
    pub(crate) action: Option<Word>,
    pub(crate) proto: Option<Word>,
    pub(crate) src: Vec<Word>,
    pub(crate) dst: Vec<Word>,
}

/// A `grants` rule.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) location: Location,
    pub(crate) src: Vec<Word>,
    pub(crate) dst: Vec<Word>,
    pub(crate) ip: Vec<Word>,
    pub(crate) app: App,
    pub(crate) via: Vec<Word>,
}

/// Capabilities by name, each with its values.
pub(crate) type App = Vec<(Word, Vec<Value>)>;

/// A `nodeAttrs` entry: attributes that stock apps on these nodes receive.
#[derive(Clone, Debug)]
pub(crate) struct NodeAttr {
    pub(crate) location: Location,
    pub(crate) target: Vec<Word>,
    /// Names without values.
    pub(crate) attr: Vec<Word>,
    /// Names with values.
    pub(crate) app: App,
}

/// One of the policy's own tests.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) location: Location,
    pub(crate) src: Option<Word>,
    pub(crate) proto: Option<Word>,
    pub(crate) accept: Vec<Word>,
    pub(crate) deny: Vec<Word>,
}

impl Document {
    /// Whether a person is in a group, by login name or mail address.
    pub(crate) fn in_group(&self, group: &str, user: &User) -> bool {
        let members = self.groups.get(group).into_iter().flatten();
        members.into_iter().any(|member| user.is(&member.text))
    }

    /// The approvers of routes and exit nodes.
    pub(crate) fn approvers(&self) -> impl Iterator<Item = &Word> {
        let routes = self.approved_routes.iter().flat_map(|(_, approvers)| approvers);
        routes.chain(&self.approved_exits)
    }

    /// Whether a person is named anywhere, by login name or mail address.
    pub(crate) fn names(&self, login: &str) -> bool {
        let user = User { id: 0, name: login.to_owned(), email: login.to_owned() };
        let lists = self.groups.values().chain(self.tag_owners.values().map(|(_, owners)| owners));
        let rules = self.acls.iter().flat_map(|rule| [&rule.src, &rule.dst]);
        let grants = self.grants.iter().flat_map(|grant| [&grant.src, &grant.dst]);
        let tests = self.tests.iter().flat_map(|test| [&test.accept, &test.deny]);
        let targets = self.node_attrs.iter().map(|entry| &entry.target);
        let texts = lists.chain(rules).chain(grants).chain(tests).chain(targets).flatten();
        let sources = self.tests.iter().filter_map(|test| test.src.as_ref());
        let ssh = self.ssh.iter().flat_map(SshRule::words);
        let ssh = ssh.chain(self.ssh_tests.iter().flat_map(SshTest::words));
        texts.chain(sources).chain(self.approvers()).chain(ssh).any(|word| {
            let text = word.text.as_str();
            let before_ports = text.rsplit_once(':').map_or(text, |(name, _)| name);
            user.is(text) || user.is(before_ports)
        })
    }
}

/// Reads a document. A part that cannot be read is left out and reported in `problems`.
pub(crate) fn read(text: &str, problems: &mut Problems) -> Result<Document, Error> {
    text::read(text, |root| {
        let mut sections = Fields::new();
        for (key, name, item) in root.named(&SECTIONS)? {
            let Some(name) = name else {
                problems.add(key.wrong(text::unknown(&key.text, &SECTIONS)));
                continue;
            };
            if sections.insert(name, item).is_some() {
                problems.add(key.wrong(format!(
                    "duplicate object member name \"{}\": put the two together",
                    key.text
                )));
            }
        }
        Ok(document(&sections, problems))
    })
}

fn document(sections: &Fields<'_>, problems: &mut Problems) -> Document {
    let mut document = Document::default();
    groups(sections, &mut document, problems);
    hosts(sections, &mut document, problems);
    tag_owners(sections, &mut document, problems);
    document.acls = each(sections, "acls", problems, acl);
    document.grants = each(sections, "grants", problems, grant);
    document.node_attrs = each(sections, "nodeAttrs", problems, node_attr);
    document.tests = each(sections, "tests", problems, test);
    document.ssh = each(sections, "ssh", problems, ssh::rule);
    document.ssh_tests = each(sections, "sshTests", problems, ssh::test);
    if let Some(item) = sections.get("autoApprovers") {
        let read = approvers(item, &mut document, problems);
        problems.keep(read);
    }
    if let Some(item) = sections.get("randomizeClientPort").filter(|item| !item.is_null()) {
        document.randomize_client_port = problems.keep(item.flag()).unwrap_or_default();
    }
    document
}

/// The entries of a section that is a list.
fn each<T>(
    sections: &Fields<'_>,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(&Item<'_>) -> Result<T, Error>,
) -> Vec<T> {
    let items = sections.get(name).and_then(|item| problems.keep(item.list()));
    items.unwrap_or_default().iter().filter_map(|item| problems.keep(read(item))).collect()
}

/// The entries of a section whose keys are free names.
fn named<'a>(sections: &Fields<'a>, name: &str, problems: &mut Problems) -> Vec<(Word, Item<'a>)> {
    let Some(item) = sections.get(name) else { return Vec::new() };
    let entries = item.map_or_last(problems);
    problems.keep(entries).unwrap_or_default()
}

fn groups(sections: &Fields<'_>, document: &mut Document, problems: &mut Problems) {
    let mut entries = named(sections, "groups", problems);
    // The reference names the last group first.
    entries.sort_by(|(a, _), (b, _)| b.text.cmp(&a.text));
    for (name, item) in entries {
        if !name.text.starts_with("group:") {
            let reason =
                format!("group must start with 'group:', got: \"{}\": rename it", name.text);
            problems.add(name.wrong(reason));
            continue;
        }
        let not_people = |item: &Item<'_>, reason: &str| {
            name_only(item.wrong(format!("{reason}: list login names")), &name)
        };
        let Ok(list) = item.list() else {
            problems.add(not_people(&item, "group value must be an array of users"));
            continue;
        };
        let mut members = Vec::new();
        for member in list {
            match member.word() {
                Ok(word) => match person(&word.text) {
                    Ok(()) => members.push(word),
                    Err(reason) => problems.add(not_people(&member, &reason)),
                },
                Err(_) => problems.add(not_people(&member, "invalid group member type")),
            }
        }
        document.groups.insert(name.text, members);
    }
}

/// The error at its position, with the path of the whole entry.
fn name_only(error: Error, name: &Word) -> Error {
    match error {
        Error::Rule { at, reason, .. } => {
            Error::Rule { at, place: name.location.place.clone(), reason }
        }
        Error::Syntax { .. } | Error::Test(_) => error,
    }
}

/// Checks that a group's member is a person.
fn person(text: &str) -> Result<(), String> {
    if text.starts_with("group:") {
        return Err(format!("\"{text}\": group members cannot be recursive"));
    }
    // A login name of this network has none of these characters; a word with an @ is a login name or mail address.
    let is_name = !text.is_empty() && !text.contains([':', '/', '*', ' ']);
    if text.contains('@') || is_name {
        return Ok(());
    }
    Err(format!("username must contain @, got: \"{text}\""))
}

fn hosts(sections: &Fields<'_>, document: &mut Document, problems: &mut Problems) {
    for (name, item) in named(sections, "hosts", problems) {
        let Some(address) = problems.keep(item.word()) else {
            document.lost_hosts.insert(name.text);
            continue;
        };
        if name.text.contains(['@', ':']) || name.text.is_empty() {
            problems.add(name.wrong(format!(
                "invalid hostname: \"{}\": a host's name has neither @ nor a colon",
                name.text
            )));
            continue;
        }
        match prefix(&address.text) {
            Some(prefix) => {
                document.hosts.insert(name.text, prefix);
            }
            None => {
                problems.add(address.wrong(format!(
                    "hostname contains invalid IP address: hostname \"{}\" address \"{}\": write an address or a prefix",
                    name.text, address.text
                )));
                document.lost_hosts.insert(name.text);
            }
        }
    }
}

fn tag_owners(sections: &Fields<'_>, document: &mut Document, problems: &mut Problems) {
    for (name, item) in named(sections, "tagOwners", problems) {
        if let Err(reason) = tag(&name.text) {
            problems.add(name.wrong(reason));
            continue;
        }
        let owners = problems.keep(item.words()).unwrap_or_default();
        document.tag_owners.insert(name.text, (name.location, owners));
    }
}

/// Checks the name of a tag.
fn tag(text: &str) -> Result<(), String> {
    let Some(name) = text.strip_prefix("tag:") else {
        return Err(format!("tag must start with 'tag:', got: \"{text}\": rename it"));
    };
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(());
    }
    Err("tag names must start with a letter, after 'tag:': rename it".to_owned())
}

fn acl(item: &Item<'_>) -> Result<Acl, Error> {
    let fields = item.fields(&["action", "proto", "src", "dst"], true)?;
    Ok(Acl {
        location: item.location(),
        action: fields.get("action").map(Item::word).transpose()?,
        proto: fields.get("proto").map(Item::word_or_number).transpose()?,
        src: words(&fields, "src")?,
        dst: exact_words(&fields, "dst")?,
    })
}

fn grant(item: &Item<'_>) -> Result<Grant, Error> {
    let fields = item.fields(&["src", "dst", "ip", "app", "via"], false)?;
    Ok(Grant {
        location: item.location(),
        src: words(&fields, "src")?,
        dst: words(&fields, "dst")?,
        ip: exact_words(&fields, "ip")?,
        app: app(&fields)?,
        via: exact_words(&fields, "via")?,
    })
}

fn node_attr(item: &Item<'_>) -> Result<NodeAttr, Error> {
    let known = ["target", "attr", "app", "ipPool"];
    let fields = item.fields(&known, false)?;
    if let Some(pool) = fields.get("ipPool").filter(|pool| !pool.is_null()) {
        return Err(
            pool.wrong("nodeAttrs ipPool is not supported: the coordinator gives the addresses")
        );
    }
    Ok(NodeAttr {
        location: item.location(),
        target: words(&fields, "target")?,
        attr: exact_words(&fields, "attr")?,
        app: app(&fields)?,
    })
}

fn test(item: &Item<'_>) -> Result<Test, Error> {
    let fields = item.fields(&["src", "proto", "accept", "deny"], false)?;
    Ok(Test {
        location: item.location(),
        src: fields.get("src").map(Item::word).transpose()?,
        proto: fields.get("proto").map(Item::word_or_number).transpose()?,
        accept: exact_words(&fields, "accept")?,
        deny: exact_words(&fields, "deny")?,
    })
}

fn approvers(
    item: &Item<'_>,
    document: &mut Document,
    problems: &mut Problems,
) -> Result<(), Error> {
    let fields = item.fields(&["routes", "exitNode"], false)?;
    for (route, item) in named(&fields, "routes", problems) {
        document.approved_routes.push((route, item.words()?));
    }
    document.approved_exits = words(&fields, "exitNode")?;
    Ok(())
}

/// A list of strings as they are written; an absent one is empty.
fn exact_words(fields: &Fields<'_>, name: &str) -> Result<Vec<Word>, Error> {
    let list = fields.get(name).map(Item::list).transpose()?.unwrap_or_default();
    list.iter().map(Item::word).collect()
}

fn app(fields: &Fields<'_>) -> Result<App, Error> {
    let entries = fields.get("app").map(Item::map).transpose()?.unwrap_or_default();
    let read = |(name, item): (Word, Item<'_>)| {
        let values: Vec<Value> = item.list()?.iter().map(Item::json).collect();
        Ok((name, values))
    };
    entries.into_iter().map(read).collect()
}
