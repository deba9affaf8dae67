//! The services that run as processes beside `maru up`.

use std::path::Path;

use anyhow::Context as _;
use services::{Service, child};

use crate::{
    memory::{Group, Holder},
    parameters::Parameters,
    processes::Spec,
};

/// How `service` is run; `confine` is the program that bounds its memory and files.
///
/// # Errors
///
/// Fails if its program was not looked for, or its control group cannot be made.
pub fn spec(
    service: &Service,
    parameters: &Parameters,
    group: &Group,
    holder: Holder,
    confine: &Path,
) -> anyhow::Result<Spec> {
    let (program, root) = (parameters.program(service)?, &parameters.root);
    let bound = group.bound(holder, service).with_context(|| {
        format!("cannot make a control group for the {} service; see `maru doctor`", service.name)
    })?;
    Ok(Spec::of(service, root, child::command(service, &bound, confine, program, root), None))
}
