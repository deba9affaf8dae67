//! Kinds of problem (RFC 9457) of the gateway and of the relay before it: the word after `urn:maru:problem:`.

/// 400: a sealed request cannot be opened. The answer is the same for every reason.
pub const SEALED: &str = "sealed";
/// 400: the body is not the JSON of this endpoint.
pub const BODY: &str = "body";
/// 400: this gateway does not support the version that the body names.
pub const VERSION: &str = "version";
/// 401: a program of this machine sent no key, or an unknown one.
pub const KEY: &str = "key";
/// 403: the device key is not bound to the calling node and its person; bind it at `POST /maru/v1/devices` on port
/// 18789.
pub const DEVICE: &str = "device";
/// 403: the caller may not do this.
pub const FORBIDDEN: &str = "forbidden";
/// 404: no such thing.
pub const NOT_FOUND: &str = "not-found";
/// 409: the participant sent this event with this attempt before; it runs once.
pub const REPEATED: &str = "repeated";
/// In a notice: the AI added a line to the person's memory.
pub const REMEMBERED: &str = "remembered";
/// In a notice: the oldest messages are no longer in prompts, and no summary stands for them.
pub const CUT: &str = "cut";
/// 409: a file of the memory has another text by now.
pub const CHANGED: &str = "changed";
/// 409: the device key is bound to another node.
pub const DEVICE_BOUND: &str = "device-bound";
/// 413: the body is larger than this endpoint takes.
pub const TOO_LARGE: &str = "too-large";
/// 415: JSON under another content type.
pub const CONTENT_TYPE: &str = "content-type";
/// 421: the Host is not a name of this service.
pub const HOST: &str = "host";
/// 409: another session of the person has this name.
pub const NAME_TAKEN: &str = "name-taken";
/// 409: another app has this name.
pub const TAKEN: &str = "taken";
/// 403: the Origin is another site.
pub const ORIGIN: &str = "origin";
/// 409: the person's conversations were sealed on another machine; their recovery code opens them.
pub const OTHER_MACHINE: &str = "other-machine";
/// 403: the person's recovery code is another one.
pub const WRONG_CODE: &str = "wrong-code";
/// 507: the person's conversations take all that they may.
pub const FULL: &str = "full";
/// A notice in a sealed reply: this turn is answered, but not kept.
pub const NOT_KEPT: &str = "not-kept";
/// 429: too many requests from this person or address.
pub const RATE: &str = "rate";
/// 502: the next hop (the gateway behind telmeet) cannot be reached.
pub const UNREACHABLE: &str = "unreachable";
/// 503: a limit of this process is reached. The same request may succeed later.
pub const BUSY: &str = "busy";
/// 502 or, inside a sealed reply, an error event: no node of the confidential chain passed verification, so nothing was
/// sealed.
pub const ATTESTATION: &str = "attestation-failed";
/// 502 or, inside a sealed reply, an error event: no model answered.
pub const MODEL: &str = "model";
