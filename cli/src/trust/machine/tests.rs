use std::os::unix::fs::PermissionsExt as _;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, NameConstraints,
};
use rustix::process::{getegid, geteuid};

use super::*;

const NETWORK: &str = "maru.home.arpa";

fn certificate() -> RootCertificate {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let every = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(NETWORK.to_owned())],
        excluded_subtrees: every.map(GeneralSubtree::IpAddress).into(),
    });
    let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    RootCertificate::read(&pem, NETWORK).unwrap()
}

/// A machine in a folder, whose programs note how they are called.
struct Fixture {
    machine: Machine,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(programs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        for system in &SYSTEMS {
            fs::create_dir_all(root.join(system.folder)).unwrap();
        }
        fs::create_dir_all(root.join("home/kim/.pki/nssdb")).unwrap();
        for program in programs {
            let path = root.join("usr/bin").join(program);
            fs::write(&path, "#!/bin/sh\necho \"$@\" >> \"$0.log\"\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let person = Some(Person { uid, gid, home: root.join("home/kim") });
        Self { machine: Machine { root, person }, folder }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap_or_default()
    }
}

#[test]
fn every_store_gets_the_certificate_and_loses_it_again() {
    let debian = Fixture::new(&["update-ca-certificates", "certutil"]);
    let certificate = certificate();
    let file = "usr/local/share/ca-certificates/maru-maru.home.arpa.crt";

    for _ in 0..2 {
        let done = debian.machine.add(&certificate).unwrap();
        assert!(done.iter().all(|done| matches!(done, Done::Changed(_))), "{done:?}");
        assert_eq!(done.len(), 3);
        assert_eq!(debian.read(file), certificate.pem());
    }
    assert_eq!(debian.read("usr/bin/update-ca-certificates.log"), "\n\n");
    let calls = debian.read("usr/bin/certutil.log");
    assert!(calls.contains("-A -n maru-maru.home.arpa -t C,, -i "), "{calls}");
    let policies: Value = serde_json::from_str(&debian.read(FIREFOX)).unwrap();
    let path = debian.folder.path().join(file).display().to_string();
    assert_eq!(policies, json!({"policies": {"Certificates": {"Install": [path]}}}), "once");

    assert_eq!(debian.machine.remove().unwrap().len(), 3);
    assert!(!debian.folder.path().join(file).exists());
    assert!(debian.read("usr/bin/update-ca-certificates.log").ends_with("--fresh\n"));
    assert!(debian.read("usr/bin/certutil.log").ends_with("-D -n maru-maru.home.arpa\n"));
    assert!(!debian.read(FIREFOX).contains("maru"));
    assert_eq!(debian.machine.remove().unwrap(), [], "there is nothing left");
}

#[test]
fn what_others_set_for_firefox_stays() {
    let fedora = Fixture::new(&["update-ca-trust"]);
    let path = fedora.folder.path().join(FIREFOX);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let others =
        json!({"policies": {"DisableTelemetry": true, "Certificates": {"Install": ["/a.crt"]}}});
    fs::write(&path, others.to_string()).unwrap();

    let done = fedora.machine.add(&certificate()).unwrap();
    assert!(fedora.read(FIREFOX).contains("/anchors/maru-maru.home.arpa.crt"));
    let skipped = done.iter().filter(|done| matches!(done, Done::Skipped(_))).count();
    assert_eq!(skipped, 1, "there is no certutil for Chromium: {done:?}");
    fedora.machine.remove().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&fedora.read(FIREFOX)).unwrap(), others);

    for odd in ["not JSON", "[]", r#"{"policies": {"Certificates": {"Install": "x"}}}"#] {
        fs::write(&path, odd).unwrap();
        let done = fedora.machine.add(&certificate()).unwrap();
        assert!(matches!(done.last(), Some(Done::Skipped(_))), "{odd}");
        assert_eq!(fedora.read(FIREFOX), odd);
    }
}

#[test]
fn a_machine_whose_store_is_unknown_is_left_as_it_is() {
    let odd = Fixture::new(&["certutil"]);
    assert!(odd.machine.add(&certificate()).is_err() && odd.machine.remove().is_err());
    assert_eq!(odd.read("usr/bin/certutil.log"), "");
}

#[test]
fn a_store_that_cannot_be_changed_is_said_and_the_others_are_changed() {
    let machine = Fixture::new(&["update-ca-certificates", "certutil"]);
    let certutil = machine.folder.path().join("usr/bin/certutil");
    fs::write(certutil, "#!/bin/sh\nexit 1\n").unwrap();

    let done = machine.machine.add(&certificate()).unwrap();

    let changed = |done: &Done| matches!(done, Done::Changed(_));
    assert_eq!(done.iter().map(changed).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn people_are_found_by_name() {
    let users = "root:x:0:0:root:/root:/bin/sh\nkim:x:1000:1001:Kim,,,:/home/kim:/bin/bash\n";
    let kim = person(users, "kim").unwrap();
    assert_eq!((kim.uid, kim.gid, kim.home.as_path()), (1000, 1001, Path::new("/home/kim")));
    assert!(person(users, "root").is_none() && person(users, "ki").is_none());
}
