//! A browser that does what a person would: the DevTools protocol over a pipe, a JSON text at a time, each ended by a zero.

use std::{net::SocketAddr, process::Stdio};

use serde_json::{Value, json};
use testkit::eventually_within;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{ARGUMENTS, BROWSER};

/// How a browser answers for a page that it leaves: <https://www.jsonrpc.org/specification#error_object>, a server's own.
const LEFT: i64 = -32_000;

/// A browser with one page.
pub(super) struct BrowserDriver {
    _child: Child,
    _profile: tempfile::TempDir,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    calls: u64,
    session: Option<String>,
}

impl BrowserDriver {
    /// Starts one that asks everybody through a proxy.
    pub(super) async fn start(proxy: SocketAddr) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It reads from descriptor 3 and writes to 4.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec /usr/bin/chromium \"$@\" 3<&0 4>&1 >/dev/null 2>&1", "chromium"])
            .args(ARGUMENTS)
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--proxy-server=http://{proxy}"))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let from = BufReader::new(from);
        let mut browser =
            Self { _child: child, _profile: profile, to, from, calls: 0, session: None };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let to_page = json!({ "targetId": page["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", to_page).await;
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    async fn answer(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{call}\0").as_bytes()).await.unwrap();
        let answer = async {
            loop {
                let mut text = Vec::new();
                self.from.read_until(0, &mut text).await.unwrap();
                assert_eq!(text.pop(), Some(0), "the browser ended");
                let answer: Value = serde_json::from_slice(&text).unwrap();
                if answer["id"] == self.calls {
                    return answer;
                }
            }
        };
        timeout(BROWSER, answer).await.expect("the browser answers")
    }

    /// Opens an address.
    pub(super) async fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address })).await;
    }

    /// What a script in the page gives, as a text: nothing where the browser leaves that page meanwhile.
    async fn script(&mut self, script: &str) -> String {
        let answer = self.answer("Runtime.evaluate", json!({ "expression": script })).await;
        let error = &answer["error"];
        assert!(error.is_null() || error["code"] == LEFT, "{script}: {answer}");
        answer["result"]["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Puts the cursor into what a selector names, and types.
    pub(super) async fn types(&mut self, selector: &str, text: &str) {
        self.script(&format!("document.querySelector({selector:?}).focus()")).await;
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses what a selector names.
    pub(super) async fn presses(&mut self, selector: &str) {
        self.script(&format!("document.querySelector({selector:?}).click()")).await;
    }

    /// Waits until the page says this; all that it then says.
    pub(super) async fn reads(&mut self, words: &str) -> String {
        let shown =
            "document.readyState === 'complete' && document.body ? document.body.innerText : ''";
        eventually_within(BROWSER, &format!("it says {words:?}"), async || {
            Some(self.script(shown).await).filter(|text| text.contains(words))
        })
        .await
    }
}
