//! The answers to slash commands in conversations.

use std::sync::Arc;

use ai_gateway_api::sealed::SessionName;
use mesh_identity::Person;
use messages::{Language, message};

use crate::{
    App, Error,
    commands::{self, Command, Unknown, Verb},
    memory::command::MemoryCommand,
};

/// The answer to a message that is a command; `None` for any other message. Without a session nothing is kept, and so no
/// session is changed.
pub(crate) async fn answer_command(
    app: &Arc<App>,
    person: &Person,
    session: Option<&SessionName>,
    text: &str,
    language: Language,
) -> Option<Result<String, Error>> {
    if let Some(command) = MemoryCommand::parse(text) {
        let said = command.carry_out(app, person).await;
        return Some(said.map(|said| said.text(language).into_owned()).map_err(Error::from));
    }
    let command = commands::parse(text)?;
    Some(carry_out(app, person, session, command, language).await)
}

/// Carries out a command in a session; returns what to say.
async fn carry_out(
    app: &App,
    person: &Person,
    session: Option<&SessionName>,
    command: Result<Command<'_>, Unknown<'_>>,
    language: Language,
) -> Result<String, Error> {
    let current = async || {
        let chosen = match session {
            Some(session) => app.sessions.model(person, session).await?,
            None => None,
        };
        Ok::<_, Error>(commands::current(&app.models, chosen.as_deref()))
    };
    let Command { verb, argument } = match command {
        Ok(command) => command,
        Err(unknown) => return Ok(unknown.message().text(language).into_owned()),
    };
    let said = match (verb, argument) {
        (Verb::New, _) => {
            let former = match session {
                Some(session) => app.sessions.set_aside(person, session).await?,
                None => None,
            };
            match former {
                Some(former) => message!("command-new-former", former),
                None => message!("command-new"),
            }
        }
        (Verb::Status, _) => {
            let model = current().await?;
            let health = commands::health(&app.models, &model);
            message!("command-status", model, health = health.text(language))
        }
        (Verb::Model, None) => {
            let model = current().await?;
            message!("command-models", model, models = commands::list(&app.models))
        }
        (Verb::Model, Some(name)) => match (commands::choose(&app.models, name), session) {
            (Ok((model, chosen)), Some(session)) => {
                app.sessions.choose_model(person, session, chosen.as_deref()).await?;
                message!("command-model", model)
            }
            (Ok(_), None) => message!("command-model-unkept"),
            (Err(unknown), _) => unknown,
        },
        (Verb::Stop, _) => message!("command-stop"),
        (Verb::Export, _) => message!("command-export"),
        (Verb::Help, _) => message!("command-help"),
    };
    Ok(said.text(language).into_owned())
}
