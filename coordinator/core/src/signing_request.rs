//! Signing requests (RFC 2986) for public certificates.
//!
//! Only what our agent sends is accepted: a key on P-256, one DNS name, nothing else. So a node can neither slip in a second name
//! nor ask for a certificate of another kind. The authority checks the signature.

use x509_parser::{
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY},
    prelude::FromDer as _,
    x509::SubjectPublicKeyInfo,
};

/// Longest request, in bytes. Ours has less than 600 with the longest name.
pub const MAX_LEN: usize = 1024;

/// Bytes of an uncompressed point on P-256 (SEC 1, section 2.3.3).
const POINT_LEN: usize = 65;

/// Why a signing request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is too long, or not a signing request.
    #[error("not a signing request of at most {MAX_LEN} bytes")]
    Broken,
    /// The key is not on P-256.
    #[error("the signing request's key is not on P-256")]
    Key,
    /// It asks for more than one name, or for something other than a DNS name.
    #[error("the signing request is not for one DNS name alone")]
    Name,
}

/// A signing request for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningRequest<'a> {
    /// The request, in DER.
    pub der: &'a [u8],
    /// The name, as it is written there.
    pub name: String,
}

impl<'a> SigningRequest<'a> {
    /// Reads a request in DER.
    ///
    /// # Errors
    ///
    /// [`RequestError`], if it is not a request for one name with a key on P-256.
    pub fn decode(der: &'a [u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_LEN {
            return Err(RequestError::Broken);
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| RequestError::Broken)?;
        if !rest.is_empty() {
            return Err(RequestError::Broken);
        }
        let info = &request.certification_request_info;
        if !is_p256(&info.subject_pki) {
            return Err(RequestError::Key);
        }
        let [attribute] = info.attributes() else { return Err(RequestError::Name) };
        let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() else {
            return Err(RequestError::Name);
        };
        let [extension] = &asked.extensions[..] else { return Err(RequestError::Name) };
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            return Err(RequestError::Name);
        };
        let [GeneralName::DNSName(name)] = names.general_names[..] else {
            return Err(RequestError::Name);
        };
        if info.subject.iter_rdn().next().is_some() {
            return Err(RequestError::Name);
        }
        Ok(Self { der, name: name.to_owned() })
    }
}

fn is_p256(key: &SubjectPublicKeyInfo<'_>) -> bool {
    let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve.is_some_and(|curve| curve == OID_EC_P256)
        && key.subject_public_key.data.len() == POINT_LEN
}

#[cfg(test)]
mod tests;
