//! The appliance that is measured.

use anyhow::Result;
use lab::Deployment;

use crate::{model, progress::Step};

/// Starts the appliance on a fresh root, with the small model.
pub(super) fn deployment() -> Result<Deployment> {
    let model = model::get()?;
    let step = Step::new("home: maru up");
    let deployment = Deployment::start_with_model(&model, &[])?;
    step.done("home: the appliance runs");
    Ok(deployment)
}
