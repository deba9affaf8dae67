//! HTTPS at a house: a certificate for its name, by an authority that only the lab knows.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use lab::{Deployment, Machine, ROOT, topology::HOME};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// The name of the house.
pub(crate) const NAME: &str = "maru.example.net";
/// Where machines have the authority's certificate, for stock nodes.
pub(crate) const FILE: &str = "/etc/lab-authority.pem";
/// User and group of the coordinator.
const COORDINATOR: u32 = 61_001;

/// The authority's certificate, PEM.
#[derive(Debug)]
pub(crate) struct Authority(String);

impl Authority {
    /// Has the coordinator of a house speak HTTPS under [`NAME`], and starts it again.
    pub(crate) fn serve(house: &Deployment) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let folder = house.home.root.join("etc/maru/tls");
        fs::create_dir_all(&folder).unwrap();
        write(&folder.join("fullchain.pem"), &certificate.pem());
        write(&folder.join("privkey.pem"), &key.serialize_pem());
        let settings = house.home.root.join("etc/maru/coordinator.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let https = text.replace(&format!("http://{HOME}"), &format!("https://{NAME}"));
        assert_ne!(text, https, "the settings name another address");
        let tls = "\n[tls]\ncertificate = \"etc/maru/tls/fullchain.pem\"\nkey = \"etc/maru/tls/privkey.pem\"\n";
        fs::write(settings, https + tls).unwrap();
        house.crash("maru-coordinator", "serve").unwrap();
        let is_back = |text: &str| text.contains("home").then_some(());
        let list = ["device", "list", "-o", "json"];
        house.home.wait_until(&list, Duration::from_secs(60), is_back).unwrap();
        Self(issuer.pem())
    }

    /// Tells a machine where the house is, and whom to trust; a stock node there is told so by `SSL_CERT_FILE`.
    pub(crate) fn tell(&self, machine: &Machine) {
        fs::write(machine.path(FILE), &self.0).unwrap();
        machine.sh(&format!("echo '{HOME} {NAME}' >> /etc/hosts")).unwrap();
    }

    /// Writes the certificate below a device's root; returns where `maru join` finds it there.
    pub(crate) fn lend(&self, root: &Path) -> String {
        fs::write(root.join("authority.pem"), &self.0).unwrap();
        format!("{ROOT}/authority.pem")
    }
}

/// For the coordinator to read.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(path, None, Some(COORDINATOR)).unwrap();
}
