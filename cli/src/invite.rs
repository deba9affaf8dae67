//! `maru invite NAME`.

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use clap::Args;
use coordinator_api::{CreateInvitation, endpoints, invitation::Destination};
use messages::message;

use crate::{
    client::Client,
    duration,
    output::{self, Format, OutputArgs},
    qr,
    reach::HttpsGap,
};

#[derive(Clone, Debug, Args)]
pub(crate) struct InviteArgs {
    /// Owner of the device; the person is created if missing
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Approve the device automatically
    #[arg(long)]
    pub(crate) approved: bool,
    /// Allow --approved although the coordinator is reached over plain HTTP: anyone who sees the
    /// invitation can join
    #[arg(long)]
    pub(crate) force: bool,
    /// How long the invitation can be used
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = duration::parse)]
    pub(crate) expires: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
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
        output::structured(format, &invitation)?;
        return Ok(ExitCode::SUCCESS);
    }
    let user = common::foreign::line(&invitation.user);
    if invitation.user_created {
        output::note(message!("user-created", name = user));
    }
    output::line(invitation.url.reveal())?;
    if let Ok(Destination::Invitation(read)) = Destination::read(invitation.url.reveal())
        && !read.server.is_plain()
    {
        show_qr(invitation.url.reveal());
    }
    output::note(message!("invitation-use", user, expires = invitation.expires));
    if let Ok(read) = Destination::read(invitation.url.reveal())
        && let Some(gap) = HttpsGap::of(read.server())
    {
        output::note(message!("invitation-other-apps", gap = gap.text()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a link as a QR code, for a phone's camera.
fn show_qr(link: &str) {
    if let Ok(code) = qr::draw(link, std::io::stderr().is_terminal()) {
        output::note(format!("\n{code}\n"));
    }
    output::note(message!("invitation-link"));
}
