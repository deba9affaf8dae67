//! An error and its causes as text.

use std::error::Error;

use common::foreign;

/// An error and its causes, each once, on one line without control characters.
pub(crate) fn line(error: &(dyn Error + 'static)) -> String {
    let shown = |error: &dyn Error| foreign::line(&error.to_string().trim().replace('\n', " "));
    let mut all = shown(error);
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = shown(cause);
        // Some libraries include the cause in their own text.
        if !all.ends_with(&cause) {
            all = format!("{all}: {cause}");
        }
    }
    all
}
