//! The person who makes the rooms.

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::{
    RoomMemberships, RoomState,
    notification_settings::RoomNotificationMode,
    room::edit::EditedContent,
    ruma::{
        OwnedEventId, OwnedRoomId,
        api::client::room::create_room::v3::{Request as CreateRoom, RoomPreset},
        events::{
            EmptyStateKey, GlobalAccountDataEventType, InitialStateEvent,
            room::encryption::RoomEncryptionEventContent,
            room::message::RoomMessageEventContentWithoutRelation,
        },
        serde::Raw,
    },
};
use matrix_sdk_ui::timeline::{EventTimelineItem, TimelineDetails};
use serde_json::{Value, json};

use crate::{
    chat::{Chat, item},
    device::{Device, Found},
    oauth,
    walk::{ANSWER, EDITED, EMOJI, RENAMED, ROOM, SECRET, SECRET_ANSWER, TEXT, Walk, until},
};

/// Walks.
pub(crate) async fn run(walk: &Walk) -> Result<()> {
    let found = walk.step("discover", Found::homeserver(walk)).await?;
    let device = walk.step("sign_in", found.sign_in(walk, &walk.password)).await?;
    walk.may("first_screens", first_screens(walk, &device)).await?;
    let key = walk.step("recovery", recovery(&device)).await?;
    let direct = walk.step("direct_chat", direct_chat(walk, &device)).await?;
    let group = walk.step("group", group(walk, &device)).await?;
    let (direct, group) = walk.step("joined", joined(walk, &device, &direct, &group)).await?;
    walk.step("secret", secret(&direct)).await?;
    walk.may("secret_image", direct.send_image()).await?;
    let text = writes(walk, &group).await?;
    walk.step("tag", async {
        group.room.set_is_favourite(true, None).await?;
        until("the tag", async || group.room.is_favourite().then_some(())).await
    })
    .await?;
    walk.step("account_data", account_data(&device)).await?;
    walk.may("mute", mute(&group)).await?;
    walk.may("pin", async {
        group.room.pin_event(&text).await?;
        until("the pin", async || group.room.pinned_event_ids()?.contains(&text).then_some(()))
            .await
    })
    .await?;
    walk.step("redact", async {
        group.timeline.redact(&item(&text), Some("a mistake")).await?;
        Ok(())
    })
    .await?;
    walk.step("paginate", group.paginate()).await?;
    walk.may("recovered_device", recovered_device(walk, &key, &direct)).await?;
    walk.may("verified_device", verified_device(walk, &device, &direct)).await?;
    walk.may("oauth", oauth::device(walk)).await?;
    drop((direct, group));
    walk.step("sign_out", device.sign_out()).await
}

/// What the host writes in the group, up to its new name, and what the guest answers; returns the text's id.
async fn writes(walk: &Walk, group: &Chat<'_>) -> Result<OwnedEventId> {
    let timeline = &group.timeline;
    let (_guard, mut typing) = group.room.subscribe_to_typing_notifications();
    let text = walk.step("text", group.say(TEXT)).await?;
    walk.step("edit", async {
        let content = RoomMessageEventContentWithoutRelation::text_plain(EDITED);
        timeline.edit(&item(&text), EditedContent::RoomMessage(content)).await?;
        Ok(())
    })
    .await?;
    walk.step("reaction_and_reply", async {
        until("the reaction", async || {
            let event = timeline.item_by_event_id(&text).await?;
            event.content().reactions()?.get(EMOJI).map(|_| ())
        })
        .await?;
        let answer = |event: &EventTimelineItem| {
            let reply = event.content().in_reply_to()?;
            let is_whole = matches!(reply.event, TimelineDetails::Ready(_));
            (event.content().as_message()?.body() == ANSWER && is_whole).then_some(reply.event_id)
        };
        ensure!(group.event("the reply", answer).await? == text, "a reply to something else");
        Ok(())
    })
    .await?;
    walk.step("read_receipt", async {
        until("the receipt", async || {
            timeline.latest_user_read_receipt(&walk.peer).await.map(|_| ())
        })
        .await
    })
    .await?;
    walk.step("sees_typing", async {
        until("typing", async || typing.try_recv().ok().filter(|who| who.contains(&walk.peer)))
            .await?;
        Ok(())
    })
    .await?;
    walk.step("image", group.send_image()).await?;
    walk.step("rename", async {
        group.room.set_name(RENAMED.to_owned()).await?;
        until("the name", async || (group.room.name()? == RENAMED).then_some(())).await
    })
    .await?;
    Ok(text)
}

/// What the app asks while it shows a person its first screens.
async fn first_screens(walk: &Walk, device: &Device) -> Result<()> {
    let client = &device.client;
    client.account().fetch_user_profile().await.context("profile")?;
    client.homeserver_capabilities().refresh().await.context("capabilities")?;
    client.load_or_fetch_max_upload_size().await.context("size of uploads")?;
    client.account().fetch_media_preview_config_event_content().await.context("previews")?;
    let people = client.search_users(walk.peer.localpart(), 10).await.context("people")?;
    ensure!(people.results.iter().any(|person| person.user_id == walk.peer), "nobody found");
    Ok(())
}

/// Sets up a recovery key, and the backup of keys that it opens.
async fn recovery(device: &Device) -> Result<String> {
    Ok(device.client.encryption().recovery().enable().wait_for_backups_to_upload().await?)
}

/// Makes an encrypted chat with the other person.
pub(crate) async fn direct_chat(walk: &Walk, device: &Device) -> Result<OwnedRoomId> {
    let mut room = CreateRoom::new();
    room.is_direct = true;
    room.preset = Some(RoomPreset::TrustedPrivateChat);
    room.invite = vec![walk.peer.clone()];
    let encryption = RoomEncryptionEventContent::with_recommended_defaults();
    room.initial_state = vec![InitialStateEvent::new(EmptyStateKey, encryption).to_raw_any()];
    Ok(device.client.create_room(room).await?.room_id().to_owned())
}

async fn group(walk: &Walk, device: &Device) -> Result<OwnedRoomId> {
    let mut room = CreateRoom::new();
    room.preset = Some(RoomPreset::PrivateChat);
    room.name = Some(ROOM.to_owned());
    room.invite = vec![walk.peer.clone()];
    Ok(device.client.create_room(room).await?.room_id().to_owned())
}

/// Opens both rooms, once the guest is in them.
async fn joined<'a>(
    walk: &Walk,
    device: &'a Device,
    direct: &OwnedRoomId,
    group: &OwnedRoomId,
) -> Result<(Chat<'a>, Chat<'a>)> {
    let mut chats = Vec::new();
    for id in [direct, group] {
        let room = device.room(id, RoomState::Joined).await?;
        until("the guest", async || {
            let members = room.members(RoomMemberships::JOIN).await.ok()?;
            members.iter().any(|member| member.user_id() == walk.peer).then_some(())
        })
        .await?;
        chats.push(Chat::open(device, room).await?);
    }
    let group = chats.pop().context("no group")?;
    let direct = chats.pop().context("no direct chat")?;
    ensure!(direct.room.encryption_state().is_encrypted(), "the direct chat is not encrypted");
    Ok((direct, group))
}

/// An encrypted text and its answer.
async fn secret(direct: &Chat<'_>) -> Result<()> {
    direct.say(SECRET).await?;
    direct.message(SECRET_ANSWER).await?;
    Ok(())
}

/// Stores a value, and reads it back once a sync brings it.
async fn account_data(device: &Device) -> Result<()> {
    let (kind, value) =
        (GlobalAccountDataEventType::from("org.example.walk"), json!({ "steps": 1 }));
    let account = device.client.account();
    account.set_account_data_raw(kind.clone(), Raw::new(&value)?.cast_unchecked()).await?;
    until("the data", async || {
        let stored = account.account_data_raw(kind.clone()).await.ok()??;
        (stored.deserialize_as_unchecked::<Value>().ok()? == value).then_some(())
    })
    .await
}

async fn mute(group: &Chat<'_>) -> Result<()> {
    let settings = group.device.client.notification_settings().await;
    let mode = RoomNotificationMode::Mute;
    settings.set_room_notification_mode(group.room.room_id(), mode).await?;
    until("the rule", async || {
        let now = settings.get_user_defined_room_notification_mode(group.room.room_id()).await?;
        (now == mode).then_some(())
    })
    .await
}

/// A second device, with the recovery key, reads what was written before.
async fn recovered_device(walk: &Walk, key: &str, direct: &Chat<'_>) -> Result<()> {
    let second = Device::another(walk).await?;
    let room = second.room(direct.room.room_id(), RoomState::Joined).await?;
    second.recover(key).await?;
    Chat::open(&second, room).await?.message(SECRET).await?;
    second.sign_out().await
}

/// A third device, verified by emoji, reads it as well.
async fn verified_device(walk: &Walk, device: &Device, direct: &Chat<'_>) -> Result<()> {
    let third = Device::another(walk).await?;
    third.verify_with(device).await?;
    let room = third.room(direct.room.room_id(), RoomState::Joined).await?;
    Chat::open(&third, room).await?.message(SECRET).await?;
    third.sign_out().await
}
