//! Databases of each version of the tables that was ever on `main`, in `tests/versions`.
//!
//! Fails if a migration is changed, if one has no dump of its version, or if anything is lost on the way.

use std::path::Path;

use super::{MACHINE, assert_whole, fill, open};

#[tokio::test]
async fn each_version_is_migrated_whole() {
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions");
    let open_current = async |file: &Path| open(file, MACHINE).await.unwrap().close().await;
    for database in store_testkit::migrated(&dumps, fill, open_current).await {
        assert_whole(&open(database.path(), MACHINE).await.unwrap()).await;
    }
}
