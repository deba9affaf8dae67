//! Which evidence is accepted: what both the home's pin and the published policy allow.

use std::collections::BTreeMap;

use common::wire::{self, Fixed};
use confidential_api::{
    policy::{Anchor, EvidenceKind, Image, Policy},
    signed::{Document as _, PublicKey, Signed},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{AWS_NITRO_ROOT, Check, Class, Code, Fingerprint, Refused, Report, nitro, tpm};

/// What a home accepts from a deployment, whatever the deployment publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The deployment's identity, which signs its policies.
    pub identity: PublicKey,
    /// Roots beside AWS's.
    #[serde(default)]
    pub anchors: Vec<PinnedAnchor>,
    /// Images; if there are none, every image of the published policy is accepted.
    #[serde(default)]
    pub images: Option<Vec<Image>>,
    /// Policies below this epoch are refused.
    #[serde(default)]
    pub min_epoch: u64,
}

/// A root in a home's pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedAnchor {
    /// The root.
    #[serde(flatten)]
    pub anchor: Anchor,
    /// Whether it is a TPM of a vendor. Evidence from any other TPM is SIMULATED.
    #[serde(default)]
    pub vendor: bool,
}

/// The newest document of a kind that a home has seen from a deployment; kept across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentVersion {
    /// Its epoch.
    pub epoch: u64,
    /// SHA-256 of its text, of which each epoch has one.
    pub digest: Fixed<32>,
}

/// A published policy that the pinned identity signed, with the pin.
#[derive(Clone, Debug)]
pub struct EffectivePolicy {
    pin: Pin,
    signed: Signed<Policy>,
    policy: Policy,
}

impl EffectivePolicy {
    /// Takes a published policy; `seen` is the newest one before it.
    ///
    /// # Errors
    ///
    /// [`Code::PolicyMalformed`], [`Code::PolicySignature`], [`Code::PolicyRolledBack`] or [`Code::PolicyExpired`]. The
    /// policy that was in use stays in use until it expires.
    pub fn new(
        pin: Pin,
        signed: Signed<Policy>,
        seen: Option<&DocumentVersion>,
        now: u64,
    ) -> Result<Self, Refused> {
        let policy = read(&signed)?;
        let rules = Rules { signed: &signed, policy: &policy, pin: Some(&pin), seen };
        let mut report = Report::new(Check::POLICY);
        rules.check(&mut report, now);
        report.verdict()?;
        Ok(Self { pin, signed, policy })
    }

    /// The version to store: no older policy, and no other of this epoch, is accepted afterwards.
    #[must_use]
    pub fn seen(&self) -> DocumentVersion {
        DocumentVersion::of(&self.signed, &self.policy)
    }

    /// The published policy, without the pin.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Names of published images and anchors that the home's pin does not have, for the log.
    #[must_use]
    pub fn wider_than_pin(&self) -> Vec<&str> {
        let rules = self.rules();
        let images = self.policy.images.iter().filter(|image| !rules.pins_image(image));
        let anchors = self.policy.anchors.iter().filter(|anchor| {
            let fingerprint = fingerprint(anchor);
            fingerprint != Some(AWS_NITRO_ROOT) && rules.pinned(anchor.kind, fingerprint).is_none()
        });
        let images = images.map(|image| image.name.as_str());
        images.chain(anchors.map(|anchor| anchor.name.as_str())).collect()
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules { signed: &self.signed, policy: &self.policy, pin: Some(&self.pin), seen: None }
    }
}

impl DocumentVersion {
    fn of(signed: &Signed<Policy>, policy: &Policy) -> Self {
        let digest = Fixed(Sha256::digest(&signed.payload).into());
        Self { epoch: policy.epoch, digest }
    }

    /// Whether a policy may follow this one.
    fn allows(&self, next: &Self) -> bool {
        next.epoch > self.epoch || next == self
    }
}

/// Reads a policy without checking its signature.
pub(crate) fn read(signed: &Signed<Policy>) -> Result<Policy, Code> {
    let policy: Policy =
        wire::decode(signed.payload.as_bytes()).map_err(|_| Code::PolicyMalformed)?;
    policy.check().map_err(|_| Code::PolicyMalformed)?;
    Ok(policy)
}

/// SHA-256 of an anchor's certificate or key; `None` if it has neither.
fn fingerprint(anchor: &Anchor) -> Option<Fingerprint> {
    let bytes = anchor.certificate.as_ref().or(anchor.key.as_ref())?;
    Some(Fingerprint::of(&bytes.0))
}

/// The rules for verifying evidence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) signed: &'a Signed<Policy>,
    pub(crate) policy: &'a Policy,
    /// `None` if nothing is pinned: the checks that need it are not made.
    pub(crate) pin: Option<&'a Pin>,
    pub(crate) seen: Option<&'a DocumentVersion>,
}

impl<'a> Rules<'a> {
    /// Checks the policy itself.
    pub(crate) fn check(&self, report: &mut Report, now: u64) {
        if let Some(pin) = self.pin {
            report.note(Check::PolicySignature, self.check_signature(pin, now));
            report.note(Check::PolicyEpoch, self.check_epoch(pin));
        }
        let is_over = now >= self.policy.not_after;
        report.note(Check::PolicyTime, if is_over { Err(Code::PolicyExpired) } else { Ok(()) });
    }

    fn check_signature(&self, pin: &Pin, now: u64) -> Result<(), Code> {
        match self.signed.verify(&pin.identity, now) {
            Ok(verified) if verified == *self.policy => Ok(()),
            Ok(_) | Err(_) => Err(Code::PolicySignature),
        }
    }

    fn check_epoch(&self, pin: &Pin) -> Result<(), Code> {
        let is_followed = self
            .seen
            .is_none_or(|seen| seen.allows(&DocumentVersion::of(self.signed, self.policy)));
        let is_new = is_followed && self.policy.epoch >= pin.min_epoch;
        if is_new { Ok(()) } else { Err(Code::PolicyRolledBack) }
    }

    /// The class of evidence of this kind that this anchor signed.
    pub(crate) fn class(&self, kind: EvidenceKind, anchor: Fingerprint) -> Result<Class, Code> {
        if kind == EvidenceKind::Nitro && anchor == AWS_NITRO_ROOT {
            return Ok(Class::Nitro);
        }
        let mut published = self.policy.anchors.iter().filter(|known| known.kind == kind);
        if !published.any(|known| fingerprint(known) == Some(anchor)) {
            return Err(Code::UnknownRoot);
        }
        let pinned = self.pinned(kind, Some(anchor));
        if self.pin.is_some() && pinned.is_none() {
            return Err(Code::PolicyWiderThanPin);
        }
        let is_vendor = kind == EvidenceKind::Tpm && pinned.is_some_and(|pinned| pinned.vendor);
        Ok(if is_vendor { Class::Tpm } else { Class::Simulated })
    }

    fn pinned(&self, kind: EvidenceKind, anchor: Option<Fingerprint>) -> Option<&'a PinnedAnchor> {
        let mut pinned = self.pin?.anchors.iter().filter(|pinned| pinned.anchor.kind == kind);
        pinned.find(|pinned| fingerprint(&pinned.anchor) == anchor)
    }

    /// Whether the home accepts this image: its pin has it, or names no images.
    fn pins_image(&self, image: &'a Image) -> bool {
        self.name_of(image).is_some()
    }

    /// The image's name in the home's pin or, if that names no images, in the policy. A published policy cannot give a pinned
    /// image another name. `None` if the home does not accept it.
    pub(crate) fn name_of(&self, image: &'a Image) -> Option<&'a str> {
        let Some(images) = self.pin.and_then(|pin| pin.images.as_ref()) else {
            return Some(&image.name);
        };
        let mut same = images.iter().filter(|pinned| {
            (pinned.kind, &pinned.pcrs, pinned.rek) == (image.kind, &image.pcrs, image.rek)
                && image.models.iter().all(|model| pinned.models.contains(model))
        });
        same.next().map(|pinned| pinned.name.as_str())
    }

    /// The image whose registers all have these values; of several, one that serves the model. For a vendor's TPM, it must list
    /// the boot registers, too.
    pub(crate) fn image(
        &self,
        kind: EvidenceKind,
        class: Option<Class>,
        registers: &BTreeMap<u8, Vec<u8>>,
        model: Option<&str>,
    ) -> Result<&'a Image, Code> {
        let images = &self.policy.images;
        let known = || images.iter().filter(|image| image.kind == kind && lists_code(image));
        let whole: Vec<&Image> = known().filter(|image| is_whole(image, registers)).collect();
        let taken = || whole.iter().copied().filter(|image| self.pins_image(image));
        let serves =
            |image: &&Image| model.is_none_or(|model| image.models.iter().any(|it| it == model));
        let booted = || taken().filter(|image| class != Some(Class::Tpm) || lists_boot(image));
        if let Some(image) = booted().find(serves).or_else(|| booted().next()) {
            return Ok(image);
        }
        if taken().next().is_some() {
            return Err(Code::BootNotMeasured);
        }
        if !whole.is_empty() {
            return Err(Code::PolicyWiderThanPin);
        }
        let is_of_some = |index: &u8| {
            let mut images = known().filter_map(|image| image.pcrs.0.get(index));
            images.any(|value| registers.get(index) == Some(value))
        };
        let mut indexes = known().flat_map(|image| image.pcrs.0.keys());
        let is_mixed = known().next().is_some() && indexes.all(is_of_some);
        Err(if is_mixed { Code::ImageMixed } else { Code::ImageUnknown })
    }
}

/// Whether the image lists the registers of its code; others are ignored.
fn lists_code(image: &Image) -> bool {
    let registers = match image.kind {
        EvidenceKind::Nitro => &nitro::REGISTERS_OF_CODE[..],
        EvidenceKind::Tpm => &tpm::REGISTERS_OF_CODE,
    };
    registers.iter().all(|index| image.pcrs.0.contains_key(index))
}

/// Whether a TPM's image lists the boot registers, which decide whether the measurement of the code can be trusted.
fn lists_boot(image: &Image) -> bool {
    tpm::REGISTERS_OF_BOOT.iter().all(|index| image.pcrs.0.contains_key(index))
}

/// Whether every register that the image lists has its value.
fn is_whole(image: &Image, registers: &BTreeMap<u8, Vec<u8>>) -> bool {
    image.pcrs.0.iter().all(|(index, value)| registers.get(index) == Some(value))
}
