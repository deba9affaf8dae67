//! Opens one of the two layers of sealing as a stream: sealed bytes in, head and content out.

use bytes::Bytes;
use confidential_envelope::{
    Limits, Plaintext, ResponseOpener, ResponseStream,
    bhttp::{Decoder, Event, ResponseHead},
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};

use crate::body::{Pieces, StreamError};

/// Longest content of an answer, in bytes.
const CONTENT_MAX: u64 = 64 << 20;
/// Longest sealed answer that is not streamed, in bytes.
const WHOLE_MAX: usize = 17 << 20;

/// An answer whose head was opened.
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    /// The content. It ends with an error unless the seal's end arrived.
    pub(crate) content: Pieces,
}

impl Answer {
    /// Opens an answer, chunk by chunk or as a whole.
    pub(crate) async fn open(
        sealed: Pieces,
        opener: ResponseOpener,
        chunked: bool,
        limits: Limits,
    ) -> Result<Self, StreamError> {
        let decoder = Decoder::new(CONTENT_MAX);
        let seal = if chunked {
            Seal::Chunks(Some(opener.chunked(limits)))
        } else {
            Seal::Whole(Some(opener), Vec::new())
        };
        let mut opening = Opening { sealed, seal, decoder: Some(decoder), ready: Vec::new() };
        // The head is the first that is decoded.
        let head = match opening.next().await {
            Some(Ok(Event::Head(head))) => head,
            Some(Ok(Event::Content(_) | Event::Trailers(_))) | None => {
                return Err(StreamError::Sealed);
            }
            Some(Err(broken)) => return Err(broken),
        };
        Ok(Self { head, content: opening.content() })
    }

    /// The whole answer, at most `max` bytes.
    pub(crate) async fn whole(mut self, max: usize) -> Result<(ResponseHead, Vec<u8>), ()> {
        let mut whole = Vec::new();
        while let Some(piece) = self.content.next().await {
            let piece = piece.map_err(drop)?;
            if whole.len() + piece.len() > max {
                return Err(());
            }
            whole.extend_from_slice(&piece);
        }
        Ok((self.head, whole))
    }
}

/// An answer that is being opened.
struct Opening {
    sealed: Pieces,
    seal: Seal,
    /// None once the message has ended.
    decoder: Option<Decoder<ResponseHead>>,
    /// Decoded events, the last first.
    ready: Vec<Event<ResponseHead>>,
}

enum Seal {
    Chunks(Option<ResponseStream>),
    Whole(Option<ResponseOpener>, Vec<u8>),
}

impl Opening {
    async fn next(&mut self) -> Option<Result<Event<ResponseHead>, StreamError>> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Some(Ok(event));
            }
            self.decoder.as_ref()?;
            let taken = match self.sealed.next().await {
                Some(Ok(bytes)) => self.take(&bytes),
                Some(Err(broken)) => {
                    self.decoder = None;
                    return Some(Err(broken));
                }
                None => self.end(),
            };
            self.ready.reverse();
            if taken.is_err() {
                self.decoder = None;
                // What was opened before is genuine, but the reply is incomplete.
                self.ready.clear();
                return Some(Err(StreamError::Sealed));
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let mut opened = Plaintext::default();
        match &mut self.seal {
            Seal::Chunks(stream) => {
                stream.as_mut().ok_or(())?.push(bytes, &mut opened).map_err(drop)?;
            }
            Seal::Whole(_, so_far) => {
                if so_far.len() + bytes.len() > WHOLE_MAX {
                    return Err(());
                }
                so_far.extend_from_slice(bytes);
            }
        }
        self.decode(&opened)
    }

    fn end(&mut self) -> Result<(), ()> {
        let mut opened = Plaintext::default();
        match &mut self.seal {
            Seal::Chunks(stream) => {
                stream.take().ok_or(())?.finish(&mut opened).map_err(drop)?;
            }
            Seal::Whole(opener, sealed) => {
                opened = opener.take().ok_or(())?.open(sealed).map_err(drop)?;
            }
        }
        self.decode(&opened)?;
        let decoder = self.decoder.take().ok_or(())?;
        decoder.finish(&mut self.ready).map_err(drop)
    }

    fn decode(&mut self, opened: &[u8]) -> Result<(), ()> {
        match &mut self.decoder {
            Some(decoder) if !opened.is_empty() => {
                decoder.push(opened, &mut self.ready).map_err(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn content(self) -> BoxStream<'static, Result<Bytes, StreamError>> {
        stream::unfold(self, async |mut opening| {
            loop {
                match opening.next().await? {
                    Ok(Event::Content(content)) => {
                        return Some((Ok(Bytes::copy_from_slice(&content)), opening));
                    }
                    Ok(Event::Head(_) | Event::Trailers(_)) => {}
                    Err(broken) => return Some((Err(broken), opening)),
                }
            }
        })
        .boxed()
    }
}
