//! `maru join URL` and `maru leave`.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use node_agent_api::{JOIN, Join, LEAVE, STATUS, State, Status};
use reqwest::Url;

use crate::{args::JoinArgs, client::Client, error::Usage, language::Language, output};

/// How long the coordinator may take to answer before the command gives up waiting.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(200);

/// Asks the agent to join, and says where that leads.
pub(crate) async fn join(args: JoinArgs, root: &Path) -> anyhow::Result<ExitCode> {
    check(&args.url, args.key.is_some())?;
    let client = Client::agent(root)?;
    let body = Join { url: args.url, key: args.key, hostname: args.hostname };
    let _: Status = client.post(JOIN, &body).await?;
    let language = Language::current();
    let mut said_waiting = false;
    let started = Instant::now();
    loop {
        let status: Status = client.get(STATUS).await?;
        match status.state {
            State::Running => {
                joined(language, &status)?;
                return Ok(ExitCode::SUCCESS);
            }
            State::WaitingForApproval => {
                // It waits for an approval that it was waiting for before.
                if let Some(problem) = status.problem {
                    bail!("{problem}");
                }
                if !said_waiting {
                    waiting(language, &status)?;
                    said_waiting = true;
                }
                if !args.wait {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            State::NeedsJoin | State::Expired => {
                if let Some(problem) = status.problem {
                    bail!("{problem}");
                }
            }
            State::Joining => {}
        }
        if !said_waiting && started.elapsed() > PATIENCE {
            let problem = status.problem.unwrap_or_else(|| "the coordinator is silent".to_owned());
            bail!("{problem}; the agent goes on trying, `maru status` says how it stands");
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Asks the agent to leave.
pub(crate) async fn leave(root: &Path) -> anyhow::Result<ExitCode> {
    let _: Status = Client::agent(root)?.post(LEAVE, &serde_json::json!({})).await?;
    output::line(
        Language::current()
            .pick("This device has left the network.", "이 기기가 네트워크에서 나왔습니다."),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn joined(language: Language, status: &Status) -> anyhow::Result<()> {
    let network = status.network.as_deref().unwrap_or_default();
    let name = status.node.as_ref().map_or("", |node| node.name.as_str());
    output::line(&language.pick(
        format!("This device is {name}.{network}. Next: maru chat"),
        format!("이 기기는 {name}.{network} 입니다. 다음: maru chat"),
    ))
}

fn waiting(language: Language, status: &Status) -> anyhow::Result<()> {
    let page = status.auth_url.as_deref().unwrap_or_default();
    output::line(&language.pick(
        format!(
            "Waiting for the admin's approval. On the home machine: maru device list, then maru \
             device approve ID. {page}"
        ),
        format!(
            "관리자의 승인을 기다리고 있습니다. 집에 있는 컴퓨터에서 maru device list, 그다음 maru \
             device approve ID를 실행하세요. {page}"
        ),
    ))
}

/// Refuses what cannot be an invitation or an address, before anything is asked for.
fn check(url: &str, has_key: bool) -> Result<(), Usage> {
    let usage = |text: &str| Usage(text.to_owned());
    let parsed = Url::parse(url)
        .map_err(|_| usage("that is no link; it looks like http://HOST:8443/join#1.…"))?;
    if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
        return Err(usage("a link begins with http:// or https:// and a host"));
    }
    if parsed.path() != "/join" {
        return match parsed.fragment() {
            None if parsed.path() == "/" => Ok(()),
            Some(_) | None => Err(usage("the address is not an invitation; ask for another link")),
        };
    }
    let fragment = parsed.fragment().filter(|text| !text.is_empty()).ok_or_else(|| {
        usage("the part after # is missing; put the link in quotes: maru join 'LINK'")
    })?;
    let mut parts = fragment.splitn(3, '.');
    if parts.next() != Some("1") {
        return Err(usage("the invitation is of another version; update Maru on this device"));
    }
    let noise_key = parts.next().unwrap_or_default();
    let is_key = noise_key.len() == 64 && noise_key.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_key || parts.next().is_none_or(str::is_empty) {
        return Err(usage("the invitation is cut short; copy all of it, or ask for another link"));
    }
    if has_key {
        return Err(usage("the invitation already holds a key; leave out --key"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    fn invitation(fragment: &str) -> Result<(), String> {
        check(&format!("http://203.0.113.7:8443/join{fragment}"), false)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_invitation_and_an_address_are_taken() {
        let key = "ab".repeat(32);

        assert_eq!(invitation(&format!("#1.{key}.maru-auth-1.x_-")), Ok(()));
        assert!(check("http://203.0.113.7:8443", false).is_ok());
        assert!(check("https://maru.example.org/", true).is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_link_is_said() {
        let key = "ab".repeat(32);

        assert!(invitation("").unwrap_err().contains("quotes"));
        assert!(invitation(&format!("#2.{key}.k")).unwrap_err().contains("version"));
        assert!(invitation(&format!("#1.{key}")).unwrap_err().contains("cut short"));
        assert!(invitation(&format!("#1.{}.k", &key[1..])).unwrap_err().contains("cut short"));
        assert!(check("maru.example.org", false).is_err());
        assert!(check("ftp://maru.example.org/join#1.a.b", false).is_err());
        let whole = format!("http://h/join#1.{key}.k");
        assert!(check(&whole, true).unwrap_err().to_string().contains("--key"));
    }
}
