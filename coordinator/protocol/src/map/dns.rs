//! Names and resolvers.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::json;

/// How a node resolves names. Replaces the configuration before it as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsConfig {
    /// Resolvers for every name; empty: the system's own stay.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<Resolver>,
    /// Resolvers by suffix; none listed: the client answers from the map.
    #[serde(deserialize_with = "json::null_values", skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, Vec<Resolver>>,
    /// Resolvers for names that no route covers, where the client cannot ask the system's own.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub fallback_resolvers: Vec<Resolver>,
    /// Search domains.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Whether the client answers for the nodes' names.
    #[serde(skip_serializing_if = "json::is_default")]
    pub proxied: bool,
    /// Names for which the coordinator can obtain certificates.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub cert_domains: Vec<String>,
    /// Names besides those of the nodes.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub extra_records: Vec<DnsRecord>,
}

/// One resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resolver {
    /// An IP address with or without a port, an `https://` URL, or `tls://` and a host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    /// Addresses of the host in `addr`.
    #[serde(deserialize_with = "json::lenient_list", skip_serializing_if = "Vec::is_empty")]
    pub bootstrap_resolution: Vec<IpAddr>,
}

/// One name besides those of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsRecord {
    /// Fully qualified name.
    pub name: String,
    /// `A` or `AAAA`; empty: by the value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// The address.
    pub value: String,
}
