//! The person's recovery code: made, and used on another machine.

use std::io::Write;

use ai_gateway_api::sealed::{Operation, Recover};
use messages::message;

use super::super::{gateway::Gateway, print::Printer};
use crate::{output, passphrase};

/// Makes a recovery code and prints it, this once.
pub(super) async fn make<G: Gateway, W: Write>(
    gateway: &mut G,
    printer: &mut Printer<W>,
    text: bool,
) -> anyhow::Result<()> {
    gateway.ask(&Operation::RecoveryCode, printer).await?;
    if text {
        output::note(message!("recovery-code-made"));
    }
    Ok(())
}

/// Opens, with the code that the person types, conversations that another machine sealed.
pub(super) async fn recover<G: Gateway, W: Write>(
    gateway: &mut G,
    printer: &mut Printer<W>,
) -> anyhow::Result<()> {
    let code = passphrase::read_secret(&message!("recovery-code-ask"))?.to_string();
    gateway.ask(&Operation::Recover(Recover { code }), printer).await
}
