//! `maru invite NAME`.

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use clap::Args;
use coordinator_api::{CreateInvitation, endpoints, invitation::Destination};

use crate::{
    client::Client,
    duration,
    language::Language,
    output::{self, Format, OutputArgs},
    qr,
    reach::Lack,
};

/// Of `maru invite`.
#[derive(Clone, Debug, Args)]
pub struct InviteArgs {
    /// Whose device it will be; the person is created if missing
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The device needs no approval
    #[arg(long)]
    pub approved: bool,
    /// With --approved, although the coordinator is reached over plain HTTP: whoever sees the
    /// invitation has a device in the network
    #[arg(long)]
    pub force: bool,
    /// How long the invitation can be used
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration::parse)]
    pub expires: Duration,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Makes an invitation and prints it.
pub(crate) async fn run(args: InviteArgs, client: &Client) -> anyhow::Result<ExitCode> {
    let body = CreateInvitation {
        user: args.name,
        pre_approved: args.approved,
        force: args.force,
        expires_in_s: Some(args.expires.as_secs()),
    };
    let invitation = client.call(&endpoints::CREATE_INVITATION, &[], &body).await?;
    let format = args.output.output;
    if format != Format::Table {
        output::one(format, &invitation, &[])?;
        return Ok(ExitCode::SUCCESS);
    }
    let user = common::foreign::line(&invitation.user);
    if invitation.user_created {
        output::note(&format!("created {user}"));
    }
    output::line(invitation.url.reveal())?;
    if let Ok(Destination::Invitation(read)) = Destination::read(invitation.url.reveal())
        && !read.server.is_plain()
    {
        show_qr(invitation.url.reveal());
    }
    output::note(&Language::current().pick(
        format!(
            "For one device of {user}, until {}. There: sudo maru join -, then paste it. Whoever \
             has the invitation can join with it: send it to nobody else.",
            invitation.expires
        ),
        format!(
            "{user} 님의 기기 한 대에서 {}까지 쓸 수 있습니다. 그 기기에서 sudo maru join - 를 실행하고 \
             초대장을 붙여 넣으세요. 초대장을 가진 사람은 누구나 참여할 수 있으니 다른 사람에게 보내지 \
             마세요.",
            invitation.expires
        ),
    ));
    if let Ok(read) = Destination::read(invitation.url.reveal())
        && let Some(lack) = Lack::of(read.server())
    {
        let (english, korean) = (lack.text(), lack.text_ko());
        output::note(&Language::current().pick(
            format!("For other apps than Maru's own: {english}. `maru doctor` says what to do."),
            format!("마루가 아닌 앱의 경우: {korean}. 해결 방법은 `maru doctor`가 알려 줍니다."),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a link as a QR code, for a phone's camera.
fn show_qr(link: &str) {
    if let Ok(code) = qr::draw(link, std::io::stderr().is_terminal()) {
        output::note(&format!("\n{code}\n"));
    }
    output::note(Language::current().pick(
        "On a phone or another computer: open the link, or point the camera at the code.",
        "휴대전화나 다른 컴퓨터에서는 링크를 열거나 카메라로 코드를 비추세요.",
    ));
}
