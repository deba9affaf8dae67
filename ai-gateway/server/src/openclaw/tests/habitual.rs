//! Files that were written for OpenClaw.

use super::*;

/// What a user of OpenClaw has, with its sections, its providers and its channels.
const HABITUAL: &str = r#"{
  env: {vars: {GROQ_API_KEY: "x"}, shellEnv: {enabled: true}},
  auth: {profiles: {"anthropic:me": {provider: "anthropic", mode: "api_key"}}},
  logging: {level: "debug"},
  messages: {responsePrefix: "-"},
  session: {scope: "per-sender", reset: {mode: "daily", atHour: 3}, maintenance: {pruneAfter: "9d"}},
  channels: {telegram: {enabled: true, botToken: "${TELEGRAM}"}, whatsapp: {allowFrom: ["+1555"]}},
  agents: {
    defaults: {
      workspace: "~/.openclaw/workspace",
      model: {primary: "anthropic/claude-x", fallbacks: ["openai/gpt-x"]},
      models: {"anthropic/claude-x": {alias: "c"}},
      heartbeat: {every: "1h"}, sandbox: {mode: "off"}, toolProgressDetail: "explain", reasoningDefault: "off",
    },
    entries: {main: {default: true, identity: {name: "Lobster"}}},
  },
  tools: {deny: ["browser"]}, cron: {enabled: true}, hooks: {enabled: true, token: "${HOOKS}"}, skills: {},
  gateway: {port: 18789, auth: {mode: "token", token: "${OPENCLAW_GATEWAY_TOKEN}"}},
}"#;

#[test]
fn a_habitual_file_of_openclaw_loads_and_each_thing_that_is_left_out_is_named() {
    let loaded = OpenClaw::parse(HABITUAL).unwrap();
    assert_eq!(loaded.primary.to_string(), "llamacpp/smollm2", "the embedded engine");
    assert_eq!(loaded.fallbacks, ["spare/smollm2".parse().unwrap()]);
    assert_eq!(loaded.workspace, None);
    let warnings = loaded.warnings.join("\n");
    for named in [
        "`env.shellEnv`",
        "`auth`",
        "`logging`",
        "`messages`",
        "`channels.telegram`",
        "`channels.whatsapp`",
        "`agents.defaults.workspace`",
        "`agents.defaults.models`",
        "`agents.defaults.heartbeat`",
        "`agents.defaults.sandbox`",
        "`agents.entries`",
        "`tools`",
        "`cron`",
        "`hooks`",
        "`skills`",
        "`gateway.port`",
        "`gateway.auth`",
        "`models.providers`",
        "anthropic/claude-x is left out",
        "openai/gpt-x is left out",
    ] {
        assert!(warnings.contains(named), "{named} in {warnings}");
    }
}

#[test]
fn a_model_of_a_provider_that_is_not_described_is_left_out() {
    let with = |choice: &str, more: &str| {
        format!(
            "{{models: {{providers: {{gpu: {{baseUrl: 'unix:///s', models: [{{id: 'm'}}]}}{more}}}}}, agents: {{defaults: {{model: {choice}}}}}}}"
        )
    };
    let primary = |text: &str| OpenClaw::parse(text).unwrap().primary.to_string();
    assert_eq!(primary(&with("{primary: 'anthropic/x', fallbacks: ['gpu/m']}", "")), "gpu/m");
    assert_eq!(primary(&with("'anthropic/x'", "")), "gpu/m");
    let cloud = ", anthropic: {api: 'anthropic-messages', models: [{id: 'x'}]}";
    assert_eq!(primary(&with("'anthropic/x'", cloud)), "gpu/m");
    for slip in ["'gpj/m'", "'gpu/n'", "'confidential/gpu'"] {
        assert!(failure(&with(slip, "")).contains("not among models.providers"), "{slip}");
    }
}
