//! Where to go next.

use std::path::PathBuf;

use crate::{fingerprint::Fingerprint, language::Language, output};

/// What is known of the network once everything runs.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// The instance's root.
    pub(super) root: PathBuf,
    /// Domain of the network.
    pub(super) network: String,
    /// Where devices reach the coordinator.
    pub(super) server_url: String,
    /// By what apps recognise the AI gateway.
    pub(super) gateway: Fingerprint,
    /// Devices beside the home machine.
    pub(super) members: usize,
    /// Devices that wait for approval.
    pub(super) waiting: usize,
}

/// Prints it.
pub(super) fn print(home: &Home) -> anyhow::Result<()> {
    output::line(&text(home, Language::current()))
}

fn text(home: &Home, language: Language) -> String {
    let Home { network, server_url, gateway, members, waiting, .. } = home;
    let maru = if home.root.as_os_str() == "/" {
        "sudo maru".to_owned()
    } else {
        format!("sudo maru --root {}", home.root.display())
    };
    let head = language.pick(
        format!(
            "Maru runs. Network {network}, coordinator {server_url}. Devices: {members}, waiting \
             for approval: {waiting}.\nFingerprint of the AI gateway: {gateway}"
        ),
        format!(
            "마루가 켜졌습니다. 네트워크 {network}, 코디네이터 {server_url}, 기기 {members}대, 승인 \
             대기 {waiting}대.\nAI 게이트웨이의 지문: {gateway}"
        ),
    );
    let steps = [
        (
            format!("{maru} invite NAME"),
            language.pick(
                "an invitation with which a device of NAME joins",
                "NAME 님의 기기가 참여할 초대장",
            ),
        ),
        (
            format!("{maru} device list"),
            language.pick("who is there, and who waits", "참여한 기기와 기다리는 기기"),
        ),
        (
            format!("{maru} device approve DEVICE"),
            language.pick("let one in", "기다리는 기기 승인"),
        ),
        (
            "maru chat".to_owned(),
            language.pick("on a device that joined: talk with the AI", "참여한 기기에서 AI와 대화"),
        ),
    ];
    let width = steps.iter().map(|step| step.0.len()).max().unwrap_or(0);
    let steps: String =
        steps.iter().map(|(command, what)| format!("  {command:width$}   {what}\n")).collect();
    let end = language.pick("Ctrl-C stops everything.", "Ctrl-C를 누르면 모두 멈춥니다.");
    format!("{head}\n{steps}{end}")
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::wire::Fixed;

    use super::{Fingerprint, Home, Language, text};

    #[test]
    fn the_guide() {
        let home = Home {
            root: "/".into(),
            network: "maru.internal".to_owned(),
            server_url: "http://203.0.113.7:8443".to_owned(),
            gateway: Fingerprint::of(Fixed([1; 32])),
            members: 1,
            waiting: 2,
        };

        insta::assert_snapshot!("guide-english", text(&home, Language::English));
        insta::assert_snapshot!("guide-korean", text(&home, Language::Korean));
    }
}
