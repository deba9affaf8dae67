use std::path::Path;

use proptest::prelude::*;

use super::Instance;

const PAGE: &str = include_str!("../../../docs/protocols/local-api.md");

#[test]
fn the_documented_instances_have_their_names() {
    for root in ["/", "/tmp/maru-demo"] {
        let instance = Instance::of(Path::new(root));
        let (interface, table) = (instance.interface(), instance.table());
        let row = format!("| `{interface}` | `{table}` | `{}` |", instance.container("gateway"));
        assert!(PAGE.contains(&row), "{row}");
    }
}

#[test]
fn spellings_of_one_root_are_one_instance() {
    let instance = Instance::of(Path::new("/srv/maru"));
    for root in ["/srv/maru/", "/srv/./maru", "/srv/other/../maru", "//srv//maru"] {
        assert_eq!(Instance::of(Path::new(root)), instance, "{root}");
    }
    assert_ne!(Instance::of(Path::new("/srv/maru2")), instance);
    assert_eq!(Instance::of(Path::new("/..")), Instance::of(Path::new("/")));
}

proptest! {
    #[test]
    fn an_interface_name_fits_the_kernel(root in any::<String>()) {
        let instance = Instance::of(Path::new(&root));
        prop_assert!(instance.interface().len() <= 15);
        prop_assert!(instance.table().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    }
}
