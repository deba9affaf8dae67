//! What `maru up` and `maru setup` print once everything runs.

use std::path::PathBuf;

use messages::{Language, Message, message};

use crate::{fingerprint::Fingerprint, output};

/// The network once everything runs.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// The instance's root.
    pub(crate) root: PathBuf,
    /// Domain of the network.
    pub(crate) network: String,
    /// Where devices reach the coordinator.
    pub(crate) server_url: String,
    /// By what apps recognise the AI gateway.
    pub(crate) gateway: Fingerprint,
    /// Devices beside the home machine.
    pub(crate) members: usize,
    /// Devices that wait for approval.
    pub(crate) waiting: usize,
}

/// Prints it; `end` is how everything is stopped.
pub(crate) fn print(home: &Summary, end: &Message) -> anyhow::Result<()> {
    output::line(text(home, end, Language::current()))
}

fn text(home: &Summary, end: &Message, language: Language) -> String {
    let Summary { network, server_url, gateway, members, waiting, .. } = home;
    let maru = if home.root.as_os_str() == "/" {
        "sudo maru".to_owned()
    } else {
        format!("sudo maru --root {}", home.root.display())
    };
    let head = message!("guide", network, server_url, gateway, members, waiting);
    let steps = [
        (format!("{maru} invite NAME"), message!("guide-invite")),
        (format!("{maru} device list"), message!("guide-list")),
        (format!("{maru} device approve DEVICE"), message!("guide-approve")),
        ("maru chat".to_owned(), message!("guide-chat")),
    ];
    let width = steps.iter().map(|step| step.0.len()).max().unwrap_or(0);
    let steps = steps
        .iter()
        .map(|(command, purpose)| format!("  {command:width$}   {}\n", purpose.text(language)));
    let steps: String = steps.collect();
    format!("{}\n{steps}{}", head.text(language), end.text(language))
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::wire::Fixed;

    use super::{Fingerprint, Language, Summary, message, text};

    #[test]
    fn the_guide() {
        let home = Summary {
            root: "/".into(),
            network: "maru.home.arpa".to_owned(),
            server_url: "http://203.0.113.7:8443".to_owned(),
            gateway: Fingerprint::of(Fixed([1; 32])),
            members: 1,
            waiting: 2,
        };

        let end = message!("guide-end");
        insta::assert_snapshot!("guide-english", text(&home, &end, Language::English));
        insta::assert_snapshot!("guide-korean", text(&home, &end, Language::Korean));
    }
}
