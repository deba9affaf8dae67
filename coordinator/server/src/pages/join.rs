//! `/join`: the page behind an invitation. The keys are in the fragment, which no browser sends; a script of the page
//! reads it and shows what there is to copy.

use axum::{
    extract::{Extension, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::html::{self, Page, Script, Text};
use crate::{app::App, limits::Caller};

const SOURCE: &str = include_str!("join.js");

static SCRIPT: Script = Script::new(SOURCE, || html::hash(SOURCE));

const STEPS: Text =
    Text { english: include_str!("join.en.html"), korean: include_str!("join.ko.html") };

/// Where the page was asked for over plain HTTP: whoever is on the way could change the page, so it reads nothing.
const PLAIN: Text = Text {
    english: "<h1>Maru</h1>\n<p>An invitation to this network is a text that begins with <code>maru://</code>. On the \
              device that should join, install Maru and run:</p>\n<pre>sudo maru join -</pre>\n\
              <p>Then paste the invitation there. Whoever has it can join: do not pass it on.</p>\n",
    korean: "<h1>Maru</h1>\n<p>이 네트워크의 초대장은 <code>maru://</code>로 시작하는 글입니다. 연결할 기기에 Maru를 \
             설치하고 다음을 실행하세요.</p>\n<pre>sudo maru join -</pre>\n\
             <p>그런 다음 그곳에 초대장을 붙여 넣으세요. 초대장을 가진 사람은 누구나 참여할 수 있으니 다른 사람에게 보내지 \
             마세요.</p>\n",
};

/// Shows how each kind of device joins.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let address = app.config.settings.server_url();
    let is_plain = app.is_plain(&caller);
    let page = Page {
        status: StatusCode::OK,
        text: if is_plain { PLAIN } else { STEPS },
        address: &address,
        code: "",
        script: (!is_plain).then_some(&SCRIPT),
        has_form: false,
    };
    page.response(&headers)
}
