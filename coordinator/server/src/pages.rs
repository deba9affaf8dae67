//! The two pages for people, in English and Korean. They say what to do and change nothing.

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use chassis::endpoint::{Endpoint, get};

use crate::app::App;

/// The pages.
pub(crate) fn endpoints() -> [Endpoint<App>; 2] {
    [get("/join", join), get("/register/{ticket}", register)]
}

/// The page behind an invitation. The key is in the fragment, which no browser sends.
async fn join() -> Response {
    page(
        StatusCode::OK,
        "Maru",
        "<p>This link invites a device to a private network. On the device that should join, install Maru and run:</p>\
         <pre>sudo maru join -</pre>\
         <p>Then paste the whole address of this page. Whoever has it can join: do not pass it on.</p>\
         <p lang=\"ko\">기기를 사설 네트워크에 초대하는 링크입니다. 연결할 기기에 Maru를 설치하고 위 명령을 실행한 다음, \
         이 페이지의 주소 전체를 붙여 넣으세요. 링크를 가진 사람은 누구나 참여할 수 있으니 다른 사람에게 보내지 마세요.</p>",
    )
}

/// The page behind an `AuthURL`.
async fn register(State(app): State<App>, Path(ticket): Path<String>) -> Response {
    let snapshot = app.hub.snapshot();
    match snapshot.loaded.pending.iter().find(|pending| pending.ticket == ticket) {
        Some(pending) => {
            let id = pending.id;
            let body = format!(
                "<p>This device waits for approval. Ask the admin of the network to run:</p>\
                 <pre>maru device approve {id}</pre>\
                 <p lang=\"ko\">이 기기는 승인을 기다리고 있습니다. 네트워크 관리자에게 위 명령을 실행해 달라고 하세요.</p>"
            );
            page(StatusCode::OK, "Maru", &body)
        }
        None => page(
            StatusCode::NOT_FOUND,
            "Maru",
            "<p>No device waits here: it was approved or rejected, or waited too long. Look at the device.</p>\
             <p lang=\"ko\">여기서 기다리는 기기가 없습니다. 이미 승인되었거나 거절되었거나 시간이 지났습니다. 기기를 확인하세요.</p>",
        ),
    }
}

/// A page of fixed text; nothing that a device says of itself is shown.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:3em auto;padding:0 1em}}\
         pre{{padding:.7em;background:#eee;overflow:auto}}</style><h1>{title}</h1>{body}</html>\n"
    );
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(html)).into_response()
}
