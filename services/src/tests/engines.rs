//! What the engines get of what was chosen.

use super::*;
use crate::INFERENCE_2_SERVICE;

#[test]
fn an_engine_gets_the_options_that_were_chosen_and_memory_for_its_conversations() {
    let chosen = EngineOptions {
        threads: 3,
        cache_type: Some("q8_0"),
        cache_mib: Some(2048),
        cache_seconds: Some(60),
        has_spare_model: false,
    };
    let arguments =
        run(&INFERENCE_SERVICE, &Settings { engine: Some(chosen.clone()), ..settings() });
    let behind = arguments.iter().position(|it| it == "--threads").unwrap();
    let options = "3 --cache-type q8_0 --cache-mib 2048 --cache-seconds 60";
    assert_eq!(arguments[behind + 1..].join(" "), options);
    assert!(arguments.contains(&"--memory=4196m".to_owned()), "{arguments:?}");

    for (has_spare_model, load) in [(false, "room"), (true, "asked")] {
        let engine = Some(EngineOptions { has_spare_model, ..chosen.clone() });
        let spare = run(&INFERENCE_2_SERVICE, &Settings { engine, ..settings() });
        let behind = spare.iter().position(|it| it == "--load").unwrap();
        assert_eq!(spare[behind + 1], load);
    }

    let text = quadlet::variables(&INFERENCE_SERVICE, "m.gguf", 100 << 20, &chosen);
    let options = options.trim_start_matches("3 ");
    let expected = "MARU_MODEL=m.gguf\nMARU_THREADS=3\nMARU_MEMORY_MIB=4196\nMARU_OPTIONS=";
    assert_eq!(text, format!("{expected}{options}\n"));
}
