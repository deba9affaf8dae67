//! The keys, certificates and policy of a deployment, which its administrator makes and signs.
//!
//! The folder holds `identity.key`, which signs policies and certificates, and `ca.crt` and `ca.key`, the authority of the
//! machines' TLS certificates. It must not be on a server: its owner can replace every key of the deployment.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use chassis::{
    durable::Access,
    pem::{self, FileError},
};
use clap::{Args, Subcommand, ValueEnum};
use common::wire::Version;
use confidential_api::{
    certificate::{Certificate, Use},
    names::role,
    policy::Policy,
    signed::{PublicKey, Signed},
};
use jiff::{Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use crate::{
    Error, clock, signing,
    state::{self, create},
};

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// Certificates are valid from so long ago, in milliseconds, because of clock skew.
const EARLY_MS: u64 = 3_600_000;

/// Make and sign the keys, certificates and policy of a deployment. Do not run it on a server.
#[derive(Debug, Args)]
pub struct Deployment {
    /// Folder with identity and certificate authority
    #[arg(long, value_name = "DIR", default_value = "deployment")]
    folder: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the folder with a new identity and certificate authority; print the identity, which homes pin
    Init,
    /// Make a signing key for a server in a new file; print its public key, which must be certified
    Key {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Certify a server's signing key; print the certificate
    Certify {
        /// What the key may sign
        #[arg(long = "for", value_enum, value_name = "KIND")]
        usage: Purpose,
        /// The public key, as `key` printed it
        #[arg(long, allow_hyphen_values = true)]
        key: PublicKey,
        /// How long it is valid
        #[arg(long, default_value_t = 365)]
        days: u16,
    },
    /// Sign a policy; print the signed document
    SignPolicy {
        /// The policy, JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Make a machine's TLS certificate and private key: NAME.crt and NAME.key, with a copy of ca.crt
    Machine {
        /// Name of the files, such as gateway
        #[arg(value_name = "NAME")]
        name: String,
        /// Host names and addresses of the machine
        #[arg(value_name = "HOST", required = true)]
        hosts: Vec<String>,
        /// Role as a client: the router accepts the gateway and nodes, nodes accept the router
        #[arg(long, value_enum)]
        role: Option<Role>,
        /// Folder for the two files and a copy of ca.crt [default: the deployment's]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// How long it is valid
        #[arg(long, default_value_t = 365)]
        days: u16,
    },
}

/// The role of a machine as a client.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Sends requests to the router
    Gateway,
    /// Sends requests to nodes
    Router,
    /// Registers with the router
    Node,
}

impl Role {
    /// The name in the certificate.
    const fn name(self) -> &'static str {
        match self {
            Self::Gateway => role::GATEWAY,
            Self::Router => role::ROUTER,
            Self::Node => role::NODE,
        }
    }
}

/// What a certified key may sign.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Purpose {
    /// The gateway's bundle of keys
    Bundle,
    /// The configuration, for auth
    Config,
}

impl Deployment {
    /// Runs the command; returns its output.
    ///
    /// # Errors
    ///
    /// A file cannot be used. Existing files are never replaced.
    pub fn run(&self) -> Result<String, Error> {
        match &self.command {
            Command::Init => self.init(),
            Command::Key { file } => Ok(signing::public(&signing::create(file)?).to_string()),
            Command::Certify { usage, key, days } => self.certify(*usage, *key, *days),
            Command::SignPolicy { file } => self.sign_policy(file),
            Command::Machine { name, hosts, role, out, days } => {
                let out = out.as_deref().unwrap_or(&self.folder);
                self.machine(name, hosts, *role, out, *days)
            }
        }
    }

    fn init(&self) -> Result<String, Error> {
        state::state_folder(&self.folder)?;
        let identity = signing::create(&self.folder.join("identity.key"))?;
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let mut params = authority();
        set_validity(&mut params, 3650)?;
        let certificate = params.self_signed(&key).map_err(Error::Certificate)?;
        create(&self.folder.join("ca.key"), Access::SECRET, &key.serialize_pem())?;
        create(&self.folder.join("ca.crt"), Access::READABLE, &certificate.pem())?;
        Ok(signing::public(&identity).to_string())
    }

    fn certify(&self, usage: Purpose, key: PublicKey, days: u16) -> Result<String, Error> {
        let identity = signing::read(&self.folder.join("identity.key"))?;
        let usage = match usage {
            Purpose::Bundle => Use::Bundle,
            Purpose::Config => Use::Config,
        };
        let now = clock::now_ms();
        let (not_before, not_after) =
            (now.saturating_sub(EARLY_MS), now + u64::from(days) * DAY_MS);
        let first_epoch = Certificate::first_epoch_at(now);
        let version = Version;
        let certificate = Certificate { version, usage, key, not_before, not_after, first_epoch };
        Ok(Signed::sign(&certificate, &identity, None)?.to_json())
    }

    fn sign_policy(&self, file: &Path) -> Result<String, Error> {
        let identity = signing::read(&self.folder.join("identity.key"))?;
        let text = pem::contents(file)?;
        let policy: Policy = serde_json::from_slice(&text)
            .map_err(|error| FileError::caused(file, "it is not a policy", error))?;
        Ok(Signed::sign(&policy, &identity, None)?.to_json())
    }

    fn machine(
        &self,
        name: &str,
        hosts: &[String],
        role: Option<Role>,
        out: &Path,
        days: u16,
    ) -> Result<String, Error> {
        let (ca, ca_key) = (self.folder.join("ca.crt"), self.folder.join("ca.key"));
        let text = |path: &Path| -> Result<_, Error> {
            let bytes = pem::contents(path)?;
            let text = String::from_utf8(bytes.to_vec());
            Ok(zeroize::Zeroizing::new(text.map_err(|_| FileError::new(path, "it is not PEM"))?))
        };
        let ca = text(&ca)?;
        let signer = KeyPair::from_pem(&text(&ca_key)?).map_err(Error::Certificate)?;
        let issuer = Issuer::new(authority(), signer);
        let mut params = CertificateParams::default();
        let hosts = hosts.iter().map(String::as_str).chain(role.map(Role::name));
        for host in hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.try_into().map_err(Error::Certificate)?),
            });
        }
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        set_validity(&mut params, days)?;
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let certificate = params.signed_by(&key, &issuer).map_err(Error::Certificate)?;
        state::state_folder(out)?;
        create(&out.join(format!("{name}.key")), Access::SECRET, &key.serialize_pem())?;
        create(&out.join(format!("{name}.crt")), Access::READABLE, &certificate.pem())?;
        if !out.join("ca.crt").exists() {
            create(&out.join("ca.crt"), Access::READABLE, &ca)?;
        }
        Ok(out.join(format!("{name}.crt")).display().to_string())
    }
}

/// The authority's certificate without key and validity.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Maru confidential deployment");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Makes a certificate valid from yesterday, for so many days from now.
fn set_validity(params: &mut CertificateParams, days: u16) -> Result<(), Error> {
    let day = |ms: u64| {
        let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let date = time
            .ok_or(Error::Reason("this machine's clock is wrong: correct it"))?
            .to_zoned(TimeZone::UTC)
            .date();
        let [month, day] = [date.month(), date.day()].map(i8::unsigned_abs);
        Ok::<_, Error>(date_time_ymd(date.year().into(), month, day))
    };
    let now = clock::now_ms();
    params.not_before = day(now.saturating_sub(DAY_MS))?;
    params.not_after = day(now + u64::from(days) * DAY_MS)?;
    Ok(())
}
