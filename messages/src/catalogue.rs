//! The texts, and how one is made of an id and arguments.

use std::{borrow::Cow, sync::LazyLock};

use common::problem::Problem;
use fluent_bundle::{
    FluentArgs, FluentResource, FluentValue, concurrent::FluentBundle, types::FluentNumber,
};

use crate::Language;

/// What the ids of problems begin with.
const PROBLEM: &str = "problem-";

type Bundle = FluentBundle<FluentResource>;

static ENGLISH: LazyLock<Bundle> = LazyLock::new(|| {
    bundle(&[
        include_str!("../en/chat.ftl"),
        include_str!("../en/cli.ftl"),
        include_str!("../en/pages.ftl"),
        include_str!("../en/problems.ftl"),
        include_str!("../en/rooms.ftl"),
    ])
});

/// Help texts in English are the doc comments of the command's arguments.
static KOREAN: LazyLock<Bundle> = LazyLock::new(|| {
    bundle(&[
        include_str!("../ko/chat.ftl"),
        include_str!("../ko/cli.ftl"),
        include_str!("../ko/help.ftl"),
        include_str!("../ko/pages.ftl"),
        include_str!("../ko/problems.ftl"),
        include_str!("../ko/rooms.ftl"),
    ])
});

/// Errors of syntax are found by the test.
fn bundle(sources: &[&'static str]) -> Bundle {
    let mut bundle = FluentBundle::new_concurrent(Vec::new());
    // The marks around arguments would be visible: what steers a terminal is replaced when it is printed.
    bundle.set_use_isolating(false);
    for source in sources {
        let resource = FluentResource::try_new((*source).to_owned());
        bundle.add_resource_overriding(resource.unwrap_or_else(|(resource, _)| resource));
    }
    let _ = bundle.add_function("NUMBER", number);
    bundle
}

/// Makes an argument, which is text, a number, by which a form can be chosen.
fn number<'a>(arguments: &[FluentValue<'a>], _: &FluentArgs<'_>) -> FluentValue<'a> {
    let number = match arguments {
        [FluentValue::String(text)] => text.parse::<FluentNumber>().ok(),
        _ => None,
    };
    number.map_or(FluentValue::Error, FluentValue::Number)
}

/// The text of a message, or of one of its attributes; `None` if there is none, or an argument is missing.
pub(crate) fn format(
    language: Language,
    id: &str,
    attribute: Option<&str>,
    arguments: &[(Cow<'static, str>, String)],
) -> Option<String> {
    let bundle = match language {
        Language::English => &*ENGLISH,
        Language::Korean => &*KOREAN,
    };
    let message = bundle.get_message(id)?;
    let pattern = match attribute {
        None => message.value()?,
        Some(attribute) => message.get_attribute(attribute)?.value(),
    };
    let values = arguments.iter().map(|(name, value)| (&**name, FluentValue::from(&**value)));
    let (values, mut errors) = (FluentArgs::from_iter(values), Vec::new());
    let text = bundle.format_pattern(pattern, Some(&values), &mut errors).into_owned();
    errors.is_empty().then_some(text)
}

/// The Korean help text of a command, such as `maru-device-approve`, or of one of its arguments. What is the same for
/// every command that has the argument is under `maru-any`.
#[must_use]
pub fn help(command: &str, argument: Option<&str>) -> Option<String> {
    let text = |command| format(Language::Korean, command, argument, &[]);
    text(command).or_else(|| argument.and_then(|_| text("maru-any")))
}

/// What a daemon's problem says in the current language: by its message if it names one that is known here, else by its
/// kind, with its English text. In English it is the problem's own title and detail.
#[must_use]
pub fn problem(problem: &Problem) -> String {
    let language = Language::current();
    if language == Language::English {
        return problem.to_string();
    }
    let arguments: Vec<_> = problem
        .arguments
        .iter()
        .map(|(name, value)| (name.clone().into(), value.clone()))
        .collect();
    let text = |id: &str, part| format(language, id, part, &arguments);
    let message = problem.message.as_deref().filter(|id| id.starts_with(PROBLEM));
    if let Some((id, title)) = message.and_then(|id| Some((id, text(id, None)?))) {
        let detail =
            problem.detail.clone().map(|english| text(id, Some("detail")).unwrap_or(english));
        return detail.map_or_else(|| title.clone(), |detail| format!("{title}: {detail}"));
    }
    text(&format!("{PROBLEM}{}", problem.word()), None)
        .map_or_else(|| problem.to_string(), |title| format!("{title} ({problem})"))
}
