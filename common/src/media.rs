//! Media types that no browser displays as a page or executes.

const NO_PAGES: [&str; 6] = [
    "application/json",
    "application/octet-stream",
    "application/problem+json",
    "application/x-ndjson",
    "text/event-stream",
    "text/plain",
];

/// Whether this value of `Content-Type` is such a type. A list is not, of which browsers use the last (Fetch, section 3.4).
#[must_use]
pub fn is_no_page(content_type: &[u8]) -> bool {
    let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    !content_type.contains(&b',')
        && NO_PAGES.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(essence.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::is_no_page;

    #[test]
    fn what_is_listed_is_no_page_and_all_else_may_be() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "text/event-stream ;a=b",
            "text/plain;charset=utf-8",
        ] {
            assert!(is_no_page(good.as_bytes()), "{good}");
        }
        for page in [
            "text/html",
            "TEXT/HTML; charset=utf-8",
            "application/xhtml+xml",
            "image/svg+xml",
            "application/xml",
            "text/xml",
            "application/pdf",
            "text/javascript",
            "application/json, text/html",
            "text/plain;a=\",text/html",
            "multipart/x-mixed-replace; boundary=a",
            "application/json\u{a0}",
            "application/jsonx",
            "*/*",
            "",
        ] {
            assert!(!is_no_page(page.as_bytes()), "{page}");
        }
    }
}
