//! A backend with scripted faults, byte by byte, on a UNIX socket.

use std::{io, path::Path, time::Duration};

use rustix::net::sockopt::set_socket_send_buffer_size;
use serde_json::{Value, json};
use testkit::server::{Server, chunk, chunked, read_request, response};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::watch,
    time::{sleep, timeout},
};

/// Bytes of an endless line that go out at a time.
const PIECE: usize = 4 << 10;
/// Most unread bytes of an endless line that are in the socket's buffers.
pub(super) const ON_THE_WAY: usize = 64 << 10;

/// What a backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// OpenAI's API: server-sent events.
    OpenAi,
    /// Ollama's: a JSON object a line.
    Ollama,
}

impl Kind {
    /// OpenClaw's word for it.
    pub(super) const fn api(self) -> &'static str {
        match self {
            Self::OpenAi => "openai-completions",
            Self::Ollama => "ollama",
        }
    }

    /// The longest line that is taken from it, in bytes.
    pub(super) const fn line_max(self) -> usize {
        match self {
            Self::OpenAi => 256 << 10,
            Self::Ollama => 1 << 20,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::OpenAi => "text/event-stream",
            Self::Ollama => "application/x-ndjson",
        }
    }

    fn event(self, value: &Value) -> String {
        match self {
            Self::OpenAi => format!("data: {value}\n\n"),
            Self::Ollama => format!("{value}\n"),
        }
    }

    fn text(self) -> String {
        self.event(&match self {
            Self::OpenAi => json!({"choices": [{"index": 0, "delta": {"content": "Hello"}}]}),
            Self::Ollama => json!({"message": {"role": "assistant", "content": "Hello"}}),
        })
    }

    fn end(self) -> String {
        match self {
            Self::OpenAi => {
                let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
                format!("{}data: [DONE]\n\n", self.event(&end))
            }
            Self::Ollama => self.event(&json!({"done": true, "done_reason": "stop"})),
        }
    }

    fn error(self) -> Value {
        match self {
            Self::OpenAi => json!({"error": {"message": "out of memory", "code": 500}}),
            Self::Ollama => json!({"error": "out of memory"}),
        }
    }

    /// What says only that the server lives.
    const fn comment(self) -> &'static str {
        match self {
            Self::OpenAi => ": ping\n\n",
            Self::Ollama => "\n",
        }
    }
}

/// What a backend does next with a request for a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Refuses, with this status.
    Status(&'static str),
    /// Refuses with 500, as llama-server does if its model does not support the request.
    Unsupported,
    /// Refuses with 400 and this code of OpenAI's.
    Code(&'static str),
    /// Answers with a page.
    Page,
    /// Begins a stream.
    Head,
    /// Says something.
    Text,
    /// Ends the stream as it should.
    End,
    /// Reports an error under status 200.
    Error,
    /// Says something that is no event of this kind.
    Garbage,
    /// Says something that is not HTTP.
    NotHttp,
    /// Begins a line and never ends it.
    EndlessLine,
    /// Shows that it lives and says nothing, for ever.
    Comments,
    /// Does nothing for so many milliseconds.
    Pause(u64),
    /// Does nothing until the client leaves.
    Hang,
}

impl Step {
    /// How long it does nothing, in milliseconds.
    pub(super) const fn pause_ms(self) -> u64 {
        if let Self::Pause(milliseconds) = self { milliseconds } else { 0 }
    }
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestCounts {
    /// Requests for replies or vectors.
    pub(super) asked: usize,
    /// Of these, hung.
    pub(super) hung: usize,
    /// Of these, left by the client.
    pub(super) left: usize,
    /// Answers health checks and other requests that need no model.
    pub(super) checks: usize,
    /// Bytes of endless lines that somebody took.
    pub(super) endless: usize,
}

/// A running backend.
pub(super) struct FaultyBackend {
    counts: watch::Receiver<RequestCounts>,
    _server: Server,
}

impl FaultyBackend {
    /// Does these steps for each request for a reply; answers health checks or leaves them without an answer.
    pub(super) fn start(socket: &Path, kind: Kind, steps: &'static [Step], healthy: bool) -> Self {
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let (counted, counts) = watch::channel(RequestCounts::default());
        let server = Server::unix(socket, move |stream| {
            let script = Script { kind, steps, healthy, counted: counted.clone() };
            // Whoever leaves early breaks the script, as it should.
            async move { drop(script.run(stream).await) }
        });
        Self { counts, _server: server }
    }

    /// What happened so far.
    pub(super) fn counts(&self) -> RequestCounts {
        *self.counts.borrow()
    }

    /// Waits until this holds of what happened.
    pub(super) async fn until(&self, most: Duration, holds: impl Fn(&RequestCounts) -> bool) {
        let mut counts = self.counts.clone();
        let waited = timeout(most, counts.wait_for(holds)).await.map(|found| *found.unwrap());
        assert!(waited.is_ok(), "{:?} after {most:?}", self.counts.borrow());
    }
}

struct Script {
    kind: Kind,
    steps: &'static [Step],
    healthy: bool,
    counted: watch::Sender<RequestCounts>,
}

impl Script {
    async fn run(self, mut stream: UnixStream) -> io::Result<()> {
        let asked = read_request(&mut stream).await?;
        if asked.line().starts_with("GET ") {
            self.counted.send_modify(|counts| counts.checks += 1);
            if self.healthy {
                return answer(&mut stream, "200 OK", &json!({"version": "1"})).await;
            }
            return until_left(&mut stream).await;
        }
        self.counted.send_modify(|counts| counts.asked += 1);
        for step in self.steps {
            self.step(*step, &mut stream).await?;
        }
        Ok(())
    }

    async fn step(&self, step: Step, stream: &mut UnixStream) -> io::Result<()> {
        let kind = self.kind;
        match step {
            Step::Status(status) => answer(stream, status, &kind.error()).await,
            Step::Unsupported => {
                let words = "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj";
                let error =
                    json!({"error": {"code": 500, "message": words, "type": "server_error"}});
                answer(stream, "500 Internal Server Error", &error).await
            }
            Step::Code(code) => {
                let error = json!({"error": {"message": "no", "code": code, "param": null}});
                answer(stream, "400 Bad Request", &error).await
            }
            Step::Page => stream.write_all(response("200 OK", "text/html", "hi").as_bytes()).await,
            Step::Head => stream.write_all(chunked("200 OK", kind.content_type()).as_bytes()).await,
            Step::Text => send(stream, kind.text().as_bytes()).await,
            Step::End => {
                send(stream, kind.end().as_bytes()).await?;
                send(stream, b"").await
            }
            Step::Error => send(stream, kind.event(&kind.error()).as_bytes()).await,
            Step::Garbage => send(stream, kind.event(&json!("?")).as_bytes()).await,
            Step::NotHttp => stream.write_all(b"\x16\x03\x01\x00\x02no\r\n\r\n").await,
            Step::EndlessLine => {
                set_socket_send_buffer_size(&*stream, ON_THE_WAY / 4)?;
                loop {
                    send(stream, &[b'x'; PIECE]).await?;
                    self.counted.send_modify(|counts| counts.endless += PIECE);
                }
            }
            Step::Comments => loop {
                send(stream, kind.comment().as_bytes()).await?;
                sleep(Duration::from_millis(20)).await;
            },
            Step::Pause(milliseconds) => {
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(())
            }
            Step::Hang => {
                self.counted.send_modify(|counts| counts.hung += 1);
                let left = until_left(stream).await;
                self.counted.send_modify(|counts| counts.left += 1);
                left
            }
        }
    }
}

async fn until_left(stream: &mut UnixStream) -> io::Result<()> {
    stream.read_to_end(&mut Vec::new()).await.map(|_| ())
}

/// Sends one chunk of a chunked body.
async fn send(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(&chunk(bytes)).await
}

async fn answer(stream: &mut UnixStream, status: &str, body: &Value) -> io::Result<()> {
    let status = format!("{status}\r\nlocation: /elsewhere");
    let whole = response(&status, "application/json", &body.to_string());
    stream.write_all(whole.as_bytes()).await
}
