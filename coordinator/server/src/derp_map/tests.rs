use serde_json::{Value, json};

use super::*;

fn region(id: RegionId, inside: RegionId, host: &str) -> Value {
    json!({ "RegionID": inside, "RegionCode": "x", "RegionName": "X",
        "Nodes": [{ "Name": "a", "RegionID": inside, "HostName": host, "DERPPort": id }] })
}

fn own_region() -> DerpRegion {
    DerpRegion { region_id: OWN_REGION, ..DerpRegion::default() }
}

fn read_with(own: Option<&DerpRegion>, content: &str) -> Result<DerpMap, DerpMapError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    read(file.path(), own)
}

fn regions(map: &DerpMap) -> Vec<RegionId> {
    map.regions.keys().copied().collect()
}

#[test]
fn the_regions_of_a_file_are_added_to_ours_or_replace_it() {
    let text =
        json!({ "Regions": { "7": region(7, 7, "a"), "900": region(900, 900, "b") } }).to_string();

    let both = read_with(Some(&own_region()), &text).unwrap();
    let alone = read_with(None, &text).unwrap();

    assert_eq!(regions(&both), [1, 7, 900]);
    assert!(both.omit_default_regions);
    assert_eq!(regions(&alone), [7, 900]);
    assert!(!alone.omit_default_regions, "as it stands");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_what_to_do() {
    let own = own_region();
    for (regions, word) in [
        (json!({ "1": region(1, 1, "a") }), "the number of our own relay's region"),
        (json!({ "7": region(7, 8, "a") }), "another RegionID inside"),
        (json!({ "0": region(0, 0, "a") }), "from 1 to 65535"),
        (json!({ "65536": region(1, 65536, "a") }), "from 1 to 65535"),
        (json!({ "7": { "RegionID": 7 } }), "has no relay"),
        (json!({ "7": null }), "another RegionID inside"),
        (json!({ "7": region(7, 7, "") }), "without HostName"),
        (json!({}), "at least one region"),
    ] {
        let error = read_with(Some(&own), &json!({ "Regions": regions }).to_string()).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
    for text in ["", "[]", "not a map", r#"{ "Regions": null }"#] {
        let error = read_with(None, text).unwrap_err();
        assert!(error.to_string().contains("at least one region"), "{error}");
    }
    let missing = read(Path::new("/nonexistent/derp.json"), None).unwrap_err();
    assert!(missing.to_string().contains("derp_map_file"), "{missing}");
}
