//! The command for whoever is responsible for a deployment, and the settings that are shipped as examples.

use std::os::unix::fs::PermissionsExt as _;

use confidential_api::{
    certificate::{Certificate, Use},
    config::KeySource,
    settings,
    signed::{PublicKey, Signed},
};

use super::{
    client::now,
    world::{TestDeployment, run},
};

#[test]
fn secrets_are_their_owners_and_nothing_is_replaced() {
    let world = TestDeployment::new();
    for secret in [
        world.own().join("identity.key"),
        world.own().join("ca.key"),
        world.file("gateway.key"),
        world.file("bundle.key"),
    ] {
        let mode = std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", secret.display());
        let before = std::fs::read(&secret).unwrap();
        let etc = world.file("");
        for words in [
            &["init"][..],
            &["key", secret.to_str().unwrap()],
            &["machine", "gateway", "gateway", "--out", etc.to_str().unwrap()],
        ] {
            assert!(run(&world.own(), words).unwrap_err().contains("never replaced"), "{words:?}");
        }
        assert_eq!(std::fs::read(&secret).unwrap(), before);
    }
    assert_eq!(std::fs::metadata(world.own()).unwrap().permissions().mode() & 0o777, 0o700);

    let identity = world.own().join("identity.key");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o640)).unwrap();
    let policy = world.root.path().join("policy.json");
    let refused = run(&world.own(), &["sign-policy", policy.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_certificate_is_for_one_key_one_use_and_a_time() {
    let world = TestDeployment::new();
    let text = std::fs::read(world.file("bundle.json")).unwrap();
    let signed = Signed::<Certificate>::parse(&text).unwrap();
    let certificate = signed.verify(&world.identity, now()).unwrap();
    assert_eq!(certificate.usage, Use::Bundle);
    assert!((certificate.not_before..certificate.not_after).contains(&now()));
    assert!(certificate.first_epoch <= Certificate::first_epoch_at(now()));
    assert!(certificate.first_epoch >= Certificate::first_epoch_at(certificate.not_before));
    let other: PublicKey =
        run(&world.root.path().join("other"), &["init"]).unwrap().parse().unwrap();
    assert!(signed.verify(&other, now()).is_err());

    let policy = world.root.path().join("broken.json");
    std::fs::write(&policy, r#"{"version":1}"#).unwrap();
    assert!(run(&world.own(), &["sign-policy", policy.to_str().unwrap()]).is_err());
}

#[tokio::test]
async fn a_role_says_in_one_sentence_which_setting_is_wrong() {
    use confidential_server::{auth, gateway, relay};

    let world = TestDeployment::new();
    let root = world.root.path();
    let at = ([127, 0, 0, 1], 9).into();
    let mut said = Vec::new();
    let settings =
        settings::relay::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
    said.push((
        "cannot be used as a URL",
        relay::start(root, &settings).await.err().map(|error| error.to_string()),
    ));
    let mut settings = world.gateway_settings(at);
    settings.names.clear();
    said.push((
        "`names`",
        gateway::start(root, &settings).await.err().map(|error| error.to_string()),
    ));
    let mut settings = world.gateway_settings(at);
    settings.listen_plain = Some(([0, 0, 0, 0], 0).into());
    said.push((
        "must be a loopback address",
        gateway::start(root, &settings).await.err().map(|error| error.to_string()),
    ));
    world.secret("seeds.json", "[]");
    let seeds = world.file("seeds.json");
    std::fs::set_permissions(&seeds, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut settings = world.gateway_settings(at);
    settings.keys.source = KeySource::Seeds;
    settings.keys.seeds_file = Some("etc/maru/confidential/seeds.json".into());
    said.push((
        "chmod 600",
        gateway::start(root, &settings).await.err().map(|error| error.to_string()),
    ));
    let mut settings = world.auth_settings(at);
    settings.identity = None;
    said.push((
        "`identity`",
        auth::start(root, &settings).await.err().map(|error| error.to_string()),
    ));
    let mut settings = world.auth_settings(at);
    settings.identity = Some(run(&root.join("other"), &["init"]).unwrap().parse().unwrap());
    said.push((
        "the signature of the certificate is wrong",
        auth::start(root, &settings).await.err().map(|error| error.to_string()),
    ));
    for (expected, error) in said {
        let error = error.unwrap_or_default();
        assert!(error.contains(expected) && !error.contains('\n'), "{expected}: {error}");
    }
}

#[test]
fn the_examples_are_settings() {
    let relay: settings::relay::Settings =
        toml::from_str(include_str!("../../relay.example.toml")).unwrap();
    let gateway: settings::gateway::Settings =
        toml::from_str(include_str!("../../gateway.example.toml")).unwrap();
    let router: settings::router::Settings =
        toml::from_str(include_str!("../../router.example.toml")).unwrap();
    let auth: settings::auth::Settings =
        toml::from_str(include_str!("../../auth.example.toml")).unwrap();

    // What has to be named is named, and what is shown as the default is the default.
    let default =
        settings::relay::Settings { gateway: relay.gateway.clone(), ..Default::default() };
    assert_eq!(relay, default);
    let default = settings::gateway::Settings {
        router: gateway.router.clone(),
        names: gateway.names.clone(),
        ..Default::default()
    };
    assert_eq!(gateway, default);
    assert_eq!(router, settings::router::Settings::default());
    let default = settings::auth::Settings {
        identity: auth.identity,
        relay_urls: auth.relay_urls.clone(),
        router_url: auth.router_url.clone(),
        gateway: auth.gateway.clone(),
        verifier_hints: auth.verifier_hints.clone(),
        ..Default::default()
    };
    assert_eq!(auth, default);
}
