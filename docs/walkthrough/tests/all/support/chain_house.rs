//! A house that asks a deployment of the confidential chain.

use std::{fs, path::PathBuf};

use lab::{
    Deployment, Member, STOP,
    confidential::{Chain, Holder, Measurement},
};

/// It, and a laptop in it.
pub(crate) struct ConfidentialDeployment {
    pub(crate) laptop: Member,
    pub(crate) chain: Chain,
    // Last: it takes the state of all away.
    pub(crate) deployment: Deployment,
}

impl ConfidentialDeployment {
    /// With these nodes; `before` is done with them before home knows the deployment, `edit` with the text of
    /// `openclaw.json` after it.
    pub(crate) fn new(
        nodes: &[(Holder, Measurement)],
        before: impl FnOnce(&mut Chain),
        edit: impl FnOnce(String) -> String,
    ) -> Self {
        let mut deployment = Deployment::start_with(&["--engines", "1"]).unwrap();
        let state = deployment.state().to_owned();
        let model = PathBuf::from(std::env::var_os("MARU_TEST_MODEL").expect("a model"));
        let mut chain = Chain::start(&mut deployment.topology, &state, &model, nodes).unwrap();
        before(&mut chain);
        let added = chain.add(&deployment.home).unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let models = deployment.home.root.join("var/lib/maru/gateway/config/openclaw.json");
        let text = fs::read_to_string(&models).unwrap();
        fs::write(&models, edit(text)).unwrap();
        // Agent and gateway read their settings when they start.
        assert!(deployment.up.stop(STOP).unwrap().success());
        let model = format!("/run/maru-lab/{}", model.file_name().unwrap().display());
        let args = ["--engines", "1", "--model", &model];
        (deployment.up, _) = deployment.home.up(&args, |_| {}, || Ok(())).unwrap();
        let laptop = deployment.member("laptop", "alice").unwrap();
        Self { laptop, chain, deployment }
    }
}
