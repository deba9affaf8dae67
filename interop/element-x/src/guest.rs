//! The person who is invited.

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::{
    RoomState,
    ruma::{
        OwnedRoomId,
        api::client::receipt::create_receipt::v3::ReceiptType,
        events::{receipt::ReceiptThread, room::message::RoomMessageEventContentWithoutRelation},
    },
};
use matrix_sdk_ui::{
    notification_client::{NotificationClient, NotificationProcessSetup, NotificationStatus},
    timeline::EventTimelineItem,
};

use crate::{
    chat::{Chat, item},
    device::{Device, Found},
    walk::{ANSWER, BYE, EDITED, EMOJI, RENAMED, ROOM, SECRET, SECRET_ANSWER, TEXT, Walk, until},
};

/// Walks.
pub(crate) async fn run(walk: &Walk) -> Result<()> {
    let found = walk.step("discover", Found::homeserver(walk)).await?;
    let device = walk.step("sign_in", found.sign_in(walk, &walk.password)).await?;
    let [direct, group] = walk.step("invited", invited(walk, &device)).await?;
    let (direct, group) = walk.step("join", join(&device, &direct, &group)).await?;

    walk.step("read_secret", read_secret(&direct)).await?;
    walk.may("see_secret_image", direct.see_image()).await?;
    answers(walk, &group).await?;
    walk.may("notification", notification(&device, &direct)).await?;
    walk.step("paginate", group.paginate()).await?;
    walk.may("leave", async {
        group.room.leave().await?;
        Ok(group.room.forget().await?)
    })
    .await?;
    drop((direct, group));
    walk.step("sign_out", device.sign_out()).await
}

/// What the guest sees in the group, and what it answers.
async fn answers(walk: &Walk, group: &Chat<'_>) -> Result<()> {
    let timeline = &group.timeline;
    let text = walk
        .step("read_text", async {
            // It may be edited by now.
            let text = |event: &EventTimelineItem| {
                let body = event.content().as_message()?.body();
                [TEXT, EDITED].contains(&body).then(|| event.event_id().map(ToOwned::to_owned))?
            };
            group.event("the text", text).await
        })
        .await?;
    walk.step("read_edit", async {
        ensure!(group.message(EDITED).await? == text, "another event was edited");
        Ok(())
    })
    .await?;
    walk.step("react", async {
        timeline.toggle_reaction(&item(&text), EMOJI).await?;
        Ok(())
    })
    .await?;
    walk.step("reply", async {
        let content = RoomMessageEventContentWithoutRelation::text_plain(ANSWER);
        timeline.send_reply(content, text.clone()).await?;
        group.message(ANSWER).await?;
        Ok(())
    })
    .await?;
    walk.step("receipt", async {
        // Of the text: of its own reply, the last event, the app sends none.
        let (kind, thread) = (ReceiptType::Read, ReceiptThread::Unthreaded);
        group.room.send_single_receipt(kind, thread, text.clone()).await?;
        timeline.mark_as_read(ReceiptType::FullyRead).await?;
        Ok(())
    })
    .await?;
    walk.step("typing", async { Ok(group.room.typing_notice(true).await?) }).await?;
    walk.step("see_image", group.see_image()).await?;
    walk.step("see_name", async {
        until("the name", async || (group.room.name()? == RENAMED).then_some(())).await
    })
    .await?;
    walk.step("see_redaction", async {
        until("the redaction", async || {
            timeline.item_by_event_id(&text).await?.content().is_redacted().then_some(())
        })
        .await?;
        group.say(BYE).await?;
        Ok(())
    })
    .await
}

/// The rooms to which the host invites: the direct chat, and the group.
async fn invited(walk: &Walk, device: &Device) -> Result<[OwnedRoomId; 2]> {
    let rooms = until("two invitations", async || {
        let rooms = device.client.invited_rooms();
        (rooms.len() >= 2).then_some(rooms)
    })
    .await?;
    let (mut direct, mut group) = (None, None);
    for room in rooms {
        let inviter = room.invite_details().await?.inviter.context("nobody invites")?;
        ensure!(inviter.user_id() == walk.peer, "somebody else invites");
        let preview = device.client.get_room_preview(room.room_id().into(), Vec::new()).await?;
        ensure!(preview.num_joined_members == 1, "members: {}", preview.num_joined_members);
        let is_group = room.name().is_some_and(|name| name == ROOM);
        *(if is_group { &mut group } else { &mut direct }) = Some(room.room_id().to_owned());
    }
    Ok([direct.context("no direct chat")?, group.context("no group")?])
}

async fn join<'a>(
    device: &'a Device,
    direct: &OwnedRoomId,
    group: &OwnedRoomId,
) -> Result<(Chat<'a>, Chat<'a>)> {
    for id in [direct, group] {
        device.room(id, RoomState::Invited).await?.join().await?;
    }
    let direct = Chat::open(device, device.room(direct, RoomState::Joined).await?).await?;
    let group = Chat::open(device, device.room(group, RoomState::Joined).await?).await?;
    Ok((direct, group))
}

/// Reads an encrypted text, and answers.
async fn read_secret(direct: &Chat<'_>) -> Result<()> {
    direct.message(SECRET).await?;
    direct.say(SECRET_ANSWER).await?;
    Ok(())
}

/// What the app does when a push names an event.
async fn notification(device: &Device, direct: &Chat<'_>) -> Result<()> {
    let event = direct.message(SECRET).await?;
    let sync_service = device.sync.clone();
    let setup = NotificationProcessSetup::SingleProcess { sync_service };
    let client = NotificationClient::new(device.client.clone(), setup).await?;
    let got = client.get_notification(direct.room.room_id(), &event).await?;
    ensure!(matches!(got, NotificationStatus::Event(_)), "no event");
    Ok(())
}
