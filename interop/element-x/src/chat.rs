//! A room as a person sees it.

use anyhow::{Result, ensure};
use matrix_sdk::{
    Room,
    attachment::AttachmentConfig,
    media::{MediaFormat, MediaRequestParameters, MediaThumbnailSettings},
    ruma::{
        EventId, OwnedEventId,
        events::{
            AnyMessageLikeEventContent,
            room::{
                MediaSource,
                message::{MessageType, RoomMessageEventContent},
            },
        },
    },
};
use matrix_sdk_ui::{
    Timeline,
    timeline::{EventTimelineItem, RoomExt as _, TimelineEventItemId},
};

use crate::{
    device::Device,
    walk::{ANSWER, BYE, PNG, TEXT, until},
};

/// Events that one look into the past asks for.
const PAGE: u16 = 5;

/// A room on the screen.
pub(crate) struct Chat<'a> {
    pub(crate) device: &'a Device,
    pub(crate) room: Room,
    pub(crate) timeline: Timeline,
}

impl<'a> Chat<'a> {
    /// Opens a room.
    pub(crate) async fn open(device: &'a Device, room: Room) -> Result<Self> {
        device.sync.room_list_service().subscribe_to_rooms(&[room.room_id()]).await;
        let timeline = room.timeline().await?;
        Ok(Self { device, room, timeline })
    }

    /// Waits for an event.
    pub(crate) async fn event<T>(
        &self,
        what: &str,
        look: impl Fn(&EventTimelineItem) -> Option<T>,
    ) -> Result<T> {
        until(what, async || {
            let items = self.timeline.items().await;
            items.iter().filter_map(|item| item.as_event()).find_map(&look)
        })
        .await
    }

    /// Waits for a message, and returns its id.
    pub(crate) async fn message(&self, body: &str) -> Result<OwnedEventId> {
        self.event(body, |event| id_if(event, body)).await
    }

    /// Sends a text, and returns its id.
    pub(crate) async fn say(&self, text: &str) -> Result<OwnedEventId> {
        let content = RoomMessageEventContent::text_plain(text);
        self.timeline.send(AnyMessageLikeEventContent::RoomMessage(content)).await?;
        self.message(text).await
    }

    /// Sends the picture.
    pub(crate) async fn send_image(&self) -> Result<()> {
        let config = AttachmentConfig::new();
        self.room.send_attachment("dot.png", &mime::IMAGE_PNG, PNG.to_vec(), config).await?;
        Ok(())
    }

    /// Waits for the picture, and fetches it.
    pub(crate) async fn see_image(&self) -> Result<()> {
        let image = |event: &EventTimelineItem| match event.content().as_message()?.msgtype() {
            MessageType::Image(image) => Some(image.source.clone()),
            _ => None,
        };
        let source = self.event("the picture", image).await?;
        ensure!(self.file(source.clone(), MediaFormat::File).await? == PNG, "another picture");
        if matches!(source, MediaSource::Plain(_)) {
            let size = MediaThumbnailSettings::new(32_u32.into(), 32_u32.into());
            let small = self.file(source, MediaFormat::Thumbnail(size)).await?;
            ensure!(!small.is_empty(), "no thumbnail");
        }
        Ok(())
    }

    async fn file(&self, source: MediaSource, format: MediaFormat) -> Result<Vec<u8>> {
        let request = MediaRequestParameters { source, format };
        Ok(self.device.client.media().get_media_content(&request, false).await?)
    }

    /// Reads back to the room's first event.
    pub(crate) async fn paginate(&self) -> Result<()> {
        self.message(BYE).await?;
        while !self.timeline.paginate_backwards(PAGE).await? {}
        let items = self.timeline.items().await;
        let events: Vec<_> = items.iter().filter_map(|item| item.as_event()).collect();
        let mut ids: Vec<_> = events.iter().filter_map(|event| event.event_id()).collect();
        let count = ids.len();
        ids.sort();
        ids.dedup();
        ensure!(ids.len() == count, "an event comes twice");
        let says = |body| events.iter().any(|event| id_if(event, body).is_some());
        ensure!(says(ANSWER) && says(BYE) && !says(TEXT), "the texts");
        Ok(())
    }
}

/// An event as a timeline names it.
pub(crate) fn item(id: &EventId) -> TimelineEventItemId {
    TimelineEventItemId::EventId(id.to_owned())
}

fn id_if(event: &EventTimelineItem, body: &str) -> Option<OwnedEventId> {
    let message = event.content().as_message()?;
    (message.body() == body).then(|| event.event_id().map(ToOwned::to_owned))?
}
