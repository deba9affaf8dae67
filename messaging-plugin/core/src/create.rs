//! The first events of a room.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, MilliSecondsSinceUnixEpoch, OwnedRoomAliasId,
    OwnedRoomId, OwnedUserId, RoomAliasId, RoomVersionId, ServerName, UserId,
    api::client::room::{
        Visibility,
        create_room::v3::{Request, RoomPreset},
    },
    canonical_json::try_from_json_map,
    events::TimelineEventType,
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    Error, authorise,
    event::{Draft, Event, Head},
    json,
    state::RoomState,
};

/// Most state events in `initial_state`.
pub const INITIAL_STATE_MAX: usize = 100;

/// Most people in `invite`. More are invited one by one.
pub const INVITE_MAX: usize = 100;

/// Localpart of the alias of the room that every person enters at the first visit.
pub const HOME_ALIAS: &str = "home";

/// A person as member events show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Display name.
    pub display_name: Option<String>,
    /// Address of the avatar (`mxc://`).
    pub avatar: Option<String>,
}

/// The content of a member event.
#[must_use]
pub fn member_content(membership: &str, profile: &Profile) -> CanonicalJsonObject {
    let fields = [
        ("membership", Some(membership)),
        ("displayname", profile.display_name.as_deref()),
        ("avatar_url", profile.avatar.as_deref()),
    ];
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect()
}

/// Who makes which room.
#[derive(Clone, Debug)]
pub struct Context {
    /// The new room's id, which nobody has used.
    pub room_id: OwnedRoomId,
    /// Who makes it.
    pub creator: OwnedUserId,
    /// When.
    pub time: MilliSecondsSinceUnixEpoch,
}

/// A new room.
#[derive(Clone, Debug)]
pub struct Creation {
    /// Its events, in order.
    pub events: Vec<Arc<Event>>,
    /// Its state after them.
    pub state: RoomState,
    /// The alias that leads to it. The caller refuses the request if another room has it.
    pub alias: Option<OwnedRoomAliasId>,
    /// Whether the room is in the network's list of rooms.
    pub is_listed: bool,
}

/// Makes the events of a `createRoom` request, in the order of the specification (client-server API, "Creation"), each
/// authorised by those before it.
///
/// `profile` gives a person's profile, or `None` if the user is not a person of the network. Rooms that are not public
/// have `history_visibility` `invited` where the specification has `shared`: later members cannot read earlier
/// messages. It is not `joined`, since what is written between an invitation and the join could not be decrypted.
///
/// # Errors
///
/// [`Error::UnsupportedRoomVersion`] for another version than 11; [`Error::InvalidParam`] for an invalid alias, an
/// invited user who is not a person of the network, or an invitation by a third-party id; [`Error::TooLarge`] beyond a
/// limit; [`Error::BadJson`] for malformed contents; [`Error::Forbidden`] if the requested power levels forbid the
/// creator one of the events.
pub fn create(
    request: &Request,
    context: &Context,
    profile: impl Fn(&UserId) -> Option<Profile>,
) -> Result<Creation, Error> {
    check_request(request)?;
    let alias = request
        .room_alias_name
        .as_deref()
        .map(|name| room_alias(name, context.creator.server_name()))
        .transpose()?;
    let preset = preset(request);
    let initial = initial_state(&request.initial_state)?;
    let mut builder = Builder { context, events: Vec::new(), state: RoomState::default() };

    builder.state("m.room.create", "", create_content(request)?)?;
    let creator = profile(&context.creator).unwrap_or_default();
    builder.member(&context.creator, member_content("join", &creator))?;
    builder.state("m.room.power_levels", "", power_levels(request, &preset, &context.creator)?)?;
    if let Some(alias) = &alias {
        builder.json("m.room.canonical_alias", json!({ "alias": alias }))?;
    }
    let given: BTreeSet<&str> = initial
        .iter()
        .filter(|event| event.state_key.is_empty())
        .map(|event| event.kind.as_str())
        .collect();
    for (kind, content) in preset_state(&preset) {
        if !given.contains(kind) {
            builder.json(kind, content)?;
        }
    }
    for event in &initial {
        builder.state(&event.kind, &event.state_key, event.content()?)?;
    }
    if let Some(name) = &request.name {
        builder.json("m.room.name", json!({ "name": name }))?;
    }
    if let Some(topic) = &request.topic {
        let text = json!({ "m.text": [{ "body": topic }] });
        builder.json("m.room.topic", json!({ "topic": topic, "m.topic": text }))?;
    }
    for user in &request.invite {
        let unknown = || Error::InvalidParam(format!("{user} is not a person of this network"));
        let mut content = member_content("invite", &profile(user).ok_or_else(unknown)?);
        if request.is_direct {
            content.insert("is_direct".to_owned(), CanonicalJsonValue::Bool(true));
        }
        builder.member(user, content)?;
    }
    let is_listed = request.visibility == Visibility::Public;
    Ok(Creation { events: builder.events, state: builder.state, alias, is_listed })
}

/// The request for the room that every person enters at the first visit: encrypted, and open to every person of the
/// network, so that no member has to invite. The server must refuse programs that join without an invitation.
#[must_use]
pub fn home(name: &str) -> Request {
    let mut request = Request::new();
    request.name = Some(name.to_owned());
    request.preset = Some(RoomPreset::PublicChat);
    request.room_alias_name = Some(HOME_ALIAS.to_owned());
    let initial = [
        json!({"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}),
        json!({"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}),
    ];
    request.initial_state =
        initial.iter().filter_map(|event| Raw::new(event).ok()).map(Raw::cast_unchecked).collect();
    request
}

/// Events that are built, authorised and applied, one after the other.
struct Builder<'a> {
    context: &'a Context,
    events: Vec<Arc<Event>>,
    state: RoomState,
}

impl Builder<'_> {
    /// Adds a state event of the creator.
    fn state(&mut self, kind: &str, key: &str, content: CanonicalJsonObject) -> Result<(), Error> {
        let draft = Draft {
            room_id: self.context.room_id.clone(),
            sender: self.context.creator.clone(),
            kind: TimelineEventType::from(kind),
            state_key: Some(key.to_owned()),
            content,
            time: self.context.time,
        };
        let head: Option<Head> = self.events.last().map(|event| event.head());
        let event = Event::build(draft, head.as_ref(), |kind, key| self.state.id(kind, key))?;
        authorise::check(&event, &self.state)?;
        let event = Arc::new(event);
        self.state.apply(&event)?;
        self.events.push(event);
        Ok(())
    }

    /// Adds a state event with an empty key.
    fn json(&mut self, kind: &str, content: Value) -> Result<(), Error> {
        self.state(kind, "", object(content)?)
    }

    /// Adds a membership.
    fn member(&mut self, user: &UserId, content: CanonicalJsonObject) -> Result<(), Error> {
        self.state("m.room.member", user.as_str(), content)
    }
}

/// One entry of `initial_state`.
#[derive(Deserialize)]
struct InitialEvent {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: String,
    content: Box<RawValue>,
}

impl InitialEvent {
    fn content(&self) -> Result<CanonicalJsonObject, Error> {
        json::content(self.content.get().as_bytes())
    }
}

fn check_request(request: &Request) -> Result<(), Error> {
    if request.room_version.as_ref().is_some_and(|version| *version != RoomVersionId::V11) {
        return Err(Error::UnsupportedRoomVersion);
    }
    if !request.invite_3pid.is_empty() {
        return Err(Error::InvalidParam(
            "invitations by mail or phone number are not supported".to_owned(),
        ));
    }
    if request.initial_state.len() > INITIAL_STATE_MAX {
        return Err(Error::TooLarge { what: "initial_state", max: "100 events" });
    }
    if request.invite.len() > INVITE_MAX {
        return Err(Error::TooLarge { what: "invite", max: "100 people" });
    }
    Ok(())
}

/// The preset, or that of the visibility.
fn preset(request: &Request) -> RoomPreset {
    let is_public = request.visibility == Visibility::Public;
    let of_visibility = if is_public { RoomPreset::PublicChat } else { RoomPreset::PrivateChat };
    request.preset.clone().unwrap_or(of_visibility)
}

/// The alias with this localpart, in the form in which it may be given to a room.
///
/// # Errors
///
/// [`Error::InvalidParam`] if it is empty, too long, or has a colon, white space or a control character.
pub fn room_alias(name: &str, server: &ServerName) -> Result<OwnedRoomAliasId, Error> {
    let is_plain = !name.is_empty()
        && !name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control());
    let alias = is_plain.then(|| RoomAliasId::parse(format!("#{name}:{server}")));
    alias
        .and_then(Result::ok)
        .ok_or_else(|| Error::InvalidParam("this cannot be an alias of a room".to_owned()))
}

/// What the client asks for, with what the server decides: the version, and no `creator`, which is the sender.
fn create_content(request: &Request) -> Result<CanonicalJsonObject, Error> {
    let mut content = match &request.creation_content {
        Some(raw) => json::content(raw.json().get().as_bytes())?,
        None => CanonicalJsonObject::new(),
    };
    content.remove("creator");
    content.insert("room_version".to_owned(), RoomVersionId::V11.as_str().into());
    Ok(content)
}

/// The usual power levels, whose keys the client may replace.
fn power_levels(
    request: &Request,
    preset: &RoomPreset,
    creator: &UserId,
) -> Result<CanonicalJsonObject, Error> {
    let invitees = request.invite.iter().filter(|_| *preset == RoomPreset::TrustedPrivateChat);
    let users: CanonicalJsonObject = invitees
        .map(AsRef::as_ref)
        .chain([creator])
        .map(|user: &UserId| (user.to_string(), ruma::int!(100).into()))
        .collect();
    let mut content = object(json!({
        "ban": 50,
        "events": {
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.encryption": 100,
            "m.room.history_visibility": 100,
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": 100,
        },
        "events_default": 0,
        "invite": if *preset == RoomPreset::PublicChat { 50 } else { 0 },
        "kick": 50,
        "redact": 50,
        "state_default": 50,
        "users_default": 0,
    }))?;
    content.insert("users".to_owned(), users.into());
    if let Some(levels) = &request.power_level_content_override {
        content.extend(json::content(levels.json().get().as_bytes())?);
    }
    Ok(content)
}

/// The state events of a preset.
fn preset_state(preset: &RoomPreset) -> [(&'static str, Value); 3] {
    let is_public = *preset == RoomPreset::PublicChat;
    let (join_rule, visibility) =
        if is_public { ("public", "shared") } else { ("invite", "invited") };
    [
        ("m.room.join_rules", json!({ "join_rule": join_rule })),
        ("m.room.history_visibility", json!({ "history_visibility": visibility })),
        ("m.room.guest_access", json!({"guest_access": "forbidden"})),
    ]
}

/// Reads `initial_state`. Memberships are not set by it.
fn initial_state(
    events: &[Raw<ruma::events::AnyInitialStateEvent>],
) -> Result<Vec<InitialEvent>, Error> {
    let malformed =
        |error| Error::BadJson(format!("an event of initial_state is malformed: {error}"));
    let events: Result<Vec<InitialEvent>, _> = events
        .iter()
        .map(|raw| serde_json::from_str(raw.json().get()).map_err(malformed))
        .collect();
    let events = events?;
    if events.iter().any(|event| matches!(event.kind.as_str(), "m.room.create" | "m.room.member")) {
        return Err(Error::InvalidParam(
            "initial_state has neither m.room.create nor m.room.member".to_owned(),
        ));
    }
    Ok(events)
}

/// A JSON object that was written here, perhaps with texts of a client.
fn object(value: Value) -> Result<CanonicalJsonObject, Error> {
    let bad = || Error::BadJson("the content is not canonical JSON".to_owned());
    let Value::Object(map) = value else { return Err(bad()) };
    try_from_json_map(map).map_err(|_| bad())
}

#[cfg(test)]
mod tests;
