//! HTTPS at a house: a certificate for its name, by an authority that only the lab knows.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use lab::{Deployment, Machine, ROOT, topology::HOME};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The name of the house.
pub(crate) const NAME: &str = "maru.example.net";
/// Where machines have the authority's certificate, for stock nodes.
pub(crate) const FILE: &str = "/etc/lab-authority.pem";
/// What the coordinator's settings say of the certificate.
pub(crate) const TLS: &str =
    "\n[tls]\ncertificate = \"etc/maru/tls/fullchain.pem\"\nkey = \"etc/maru/tls/privkey.pem\"\n";
/// User and group of the coordinator.
const COORDINATOR: u32 = 61_001;

/// The authority's certificate, PEM.
#[derive(Debug)]
pub(crate) struct Authority(String);

impl Authority {
    /// Leaves a certificate for [`NAME`] and its key below the root of a coordinator, where [`TLS`] looks for it.
    pub(crate) fn issue(root: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than the certificate's, which OpenSSL would else take to be signed by itself.
        params.distinguished_name.push(DnType::CommonName, "the lab's authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let folder = root.join("etc/maru/tls");
        fs::create_dir_all(&folder).unwrap();
        write(&folder.join("fullchain.pem"), &certificate.pem());
        write(&folder.join("privkey.pem"), &key.serialize_pem());
        Self(issuer.pem())
    }

    /// Has the coordinator of a house speak HTTPS under [`NAME`], and starts it again.
    pub(crate) fn serve(house: &Deployment) -> Self {
        let authority = Self::issue(&house.home.root);
        let settings = house.home.root.join("etc/maru/coordinator.toml");
        let text = fs::read_to_string(&settings).unwrap();
        let https = text.replace(&format!("http://{HOME}"), &format!("https://{NAME}"));
        assert_ne!(text, https, "the settings name another address");
        fs::write(settings, https + TLS).unwrap();
        house.crash("maru-coordinator", "serve").unwrap();
        let is_back = |text: &str| text.contains("home").then_some(());
        let list = ["device", "list", "-o", "json"];
        house.home.wait_until(&list, Duration::from_secs(60), is_back).unwrap();
        authority
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
