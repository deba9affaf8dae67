//! The keys that OpenClaw has, and which of them have an effect here.

use serde_json::{Map, Value};

use super::error::OpenClawError;

/// The APIs of providers that OpenClaw supports.
pub(super) const APIS: [&str; 9] = [
    "openai-completions",
    "openai-responses",
    "openai-codex-responses",
    "anthropic-messages",
    "google-generative-ai",
    "github-copilot",
    "bedrock-converse-stream",
    "azure-openai-responses",
    "ollama",
];

/// The keys that OpenClaw has in one kind of JSON object.
struct Keys {
    /// Keys that have an effect here, or whose value is an object with such keys.
    used: &'static [&'static str],
    /// Keys that have no effect here; they are accepted with a warning, so that OpenClaw's own file can be used.
    other: &'static [&'static str],
}

const TOP: Keys = Keys {
    used: &["$schema", "agents", "channels", "models", "ui"],
    other: &[
        "$include",
        "accessGroups",
        "acp",
        "approvals",
        "audio",
        "auth",
        "bindings",
        "broadcast",
        "browser",
        "canvasHost",
        "cli",
        "commands",
        "cron",
        "diagnostics",
        "discovery",
        "env",
        "gateway",
        "hooks",
        "logging",
        "mcp",
        "media",
        "memory",
        "messages",
        "meta",
        "nodeHost",
        "plugins",
        "secrets",
        "session",
        "skills",
        "talk",
        "telemetry",
        "tools",
        "update",
        "vault",
        "web",
        "wizard",
    ],
};

const MODELS: Keys =
    Keys { used: &["mode", "providers"], other: &["bedrockDiscovery", "pricing", "proxy"] };

/// `nodes`, `relays`, `timeouts` and `uid` are Maru's own.
const PROVIDER: Keys = Keys {
    used: &["api", "apiKey", "baseUrl", "models", "nodes", "relays", "request", "timeouts", "uid"],
    other: &[
        "auth",
        "authHeader",
        "headers",
        "injectNumCtxForOpenAICompat",
        "name",
        "timeoutSeconds",
    ],
};

const NODE: Keys =
    Keys { used: &["apiKey", "baseUrl", "draining", "request", "slots", "uid"], other: &[] };

const TIMEOUTS: Keys = Keys {
    used: &["connectSeconds", "firstSeconds", "healthSeconds", "idleSeconds", "replySeconds"],
    other: &[],
};

const SECRET: Keys = Keys { used: &["id", "path", "source"], other: &["provider"] };

const REQUEST: Keys =
    Keys { used: &["tls"], other: &["allowPrivateNetwork", "auth", "headers", "proxy"] };

const TLS: Keys = Keys {
    used: &["ca", "cert", "key", "serverName"],
    other: &["insecureSkipVerify", "passphrase"],
};

const MODEL: Keys = Keys {
    used: &["compat", "contextWindow", "id", "input", "maxTokens", "name", "reasoning"],
    other: &["api", "contextTokens", "cost", "headers"],
};

const AGENTS: Keys = Keys { used: &["defaults"], other: &["entries", "list"] };

const DEFAULTS: Keys = Keys {
    used: &["bootstrapMaxChars", "bootstrapTotalMaxChars", "model", "timeoutSeconds", "workspace"],
    other: &[
        "additionalSystemPrompt",
        "blockStreamingBreak",
        "blockStreamingChunk",
        "blockStreamingCoalesce",
        "blockStreamingDefault",
        "bootstrapPromptTruncationWarning",
        "cliBackends",
        "compaction",
        "contextInjection",
        "contextPruning",
        "contextTokens",
        "elevatedDefault",
        "embeddedPi",
        "envelopeElapsed",
        "envelopeTimestamp",
        "envelopeTimezone",
        "heartbeat",
        "humanDelay",
        "imageGenerationModel",
        "imageMaxDimensionPx",
        "imageModel",
        "maxConcurrent",
        "mediaMaxMb",
        "memorySearch",
        "models",
        "params",
        "pdfMaxBytesMb",
        "pdfMaxPages",
        "pdfModel",
        "repoRoot",
        "sandbox",
        "skills",
        "skipBootstrap",
        "subagents",
        "thinkingDefault",
        "timeFormat",
        "typingIntervalSeconds",
        "typingMode",
        "userTimezone",
        "utilityModel",
        "verboseDefault",
    ],
};

const UI: Keys = Keys { used: &["assistant"], other: &["seamColor"] };

const ASSISTANT: Keys = Keys { used: &["name"], other: &["avatar"] };

const CHOICE: Keys = Keys { used: &["fallbacks", "primary"], other: &[] };

/// Keys of `other` that OpenClaw's own examples contain and that would change nothing here: no warning.
const SILENT: [&str; 2] = ["cost", "meta"];

/// Keys of a model's `compat` that have an effect. OpenClaw adds others often, so no other is an error.
const COMPAT: [&str; 2] = ["supportsInsert", "supportsTools"];

/// The same of `channels`, of its `matrix`, and of one of that one's `groups`.
const CHANNELS: [&str; 1] = ["matrix"];
const MATRIX: [&str; 6] =
    ["allowFrom", "dmPolicy", "enabled", "groupAllowFrom", "groupPolicy", "groups"];
const GROUP: [&str; 1] = ["requireMention"];

/// Checks all keys; returns a warning for each that has no effect.
pub(super) fn check(root: &Value) -> Result<Vec<String>, OpenClawError> {
    let mut checker = KeyChecker { warnings: Vec::new() };
    let Some(top) = checker.object(root, "", &TOP)? else {
        return Ok(checker.warnings);
    };
    if let Some(models) = top.get("models") {
        checker.models(models)?;
    }
    if let Some(agents) = top.get("agents") {
        checker.agents(agents)?;
    }
    if let Some(channels) = top.get("channels") {
        checker.channels(channels);
    }
    if let Some(ui) = top.get("ui") {
        let assistant = checker.object(ui, "ui", &UI)?.and_then(|ui| ui.get("assistant"));
        assistant.map(|it| checker.object(it, "ui.assistant", &ASSISTANT)).transpose()?;
    }
    Ok(checker.warnings)
}

struct KeyChecker {
    warnings: Vec<String>,
}

impl KeyChecker {
    /// Checks the keys of one object. If the value is not an object, the decoder reports it.
    fn object<'a>(
        &mut self,
        value: &'a Value,
        at: &str,
        keys: &Keys,
    ) -> Result<Option<&'a Map<String, Value>>, OpenClawError> {
        let Some(object) = value.as_object() else {
            return Ok(None);
        };
        for key in object.keys() {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            if keys.used.contains(&key.as_str()) {
                continue;
            }
            if !keys.other.contains(&key.as_str()) {
                return Err(OpenClawError::Unknown(path));
            }
            if !SILENT.contains(&key.as_str()) {
                self.warnings.push(format!("`{path}` has no effect in Maru"));
            }
        }
        Ok(Some(object))
    }

    fn models(&mut self, value: &Value) -> Result<(), OpenClawError> {
        let Some(models) = self.object(value, "models", &MODELS)? else {
            return Ok(());
        };
        for (name, provider) in
            models.get("providers").and_then(Value::as_object).into_iter().flatten()
        {
            let at = format!("models.providers.{name}");
            let Some(provider) = self.object(provider, &at, &PROVIDER)? else {
                continue;
            };
            self.access(provider, &at)?;
            self.nodes(provider, &at)?;
            let list = provider.get("models").and_then(Value::as_array).into_iter().flatten();
            for (index, model) in list.enumerate() {
                let at = format!("{at}.models[{index}]");
                let model = self.object(model, &at, &MODEL)?;
                if let Some(compat) = model.and_then(|model| model.get("compat")) {
                    self.others(compat, &format!("{at}.compat"), &COMPAT);
                }
            }
        }
        Ok(())
    }

    /// A provider's nodes and timeouts.
    fn nodes(&mut self, provider: &Map<String, Value>, at: &str) -> Result<(), OpenClawError> {
        for kind in ["nodes", "relays"] {
            let list = provider.get(kind).and_then(Value::as_array).into_iter().flatten();
            for (index, node) in list.enumerate() {
                let at = format!("{at}.{kind}[{index}]");
                if let Some(node) = self.object(node, &at, &NODE)? {
                    self.access(node, &at)?;
                }
            }
        }
        if let Some(timeouts) = provider.get("timeouts") {
            self.object(timeouts, &format!("{at}.timeouts"), &TIMEOUTS)?;
        }
        Ok(())
    }

    /// The key and certificates of a provider or a node.
    fn access(&mut self, provider: &Map<String, Value>, at: &str) -> Result<(), OpenClawError> {
        if let Some(key) = provider.get("apiKey") {
            self.object(key, &format!("{at}.apiKey"), &SECRET)?;
        }
        let Some(request) = provider.get("request") else {
            return Ok(());
        };
        let request = self.object(request, &format!("{at}.request"), &REQUEST)?;
        let Some(tls) = request.and_then(|request| request.get("tls")) else {
            return Ok(());
        };
        let at = format!("{at}.request.tls");
        for (name, file) in self.object(tls, &at, &TLS)?.into_iter().flatten() {
            self.object(file, &format!("{at}.{name}"), &SECRET)?;
        }
        Ok(())
    }

    /// Warns of all keys but these.
    fn others(&mut self, value: &Value, at: &str, used: &[&str]) {
        let keys = value.as_object().into_iter().flat_map(Map::keys);
        let others = keys.filter(|key| !used.contains(&key.as_str()));
        self.warnings.extend(others.map(|key| format!("`{at}.{key}` has no effect in Maru")));
    }

    fn channels(&mut self, value: &Value) {
        self.others(value, "channels", &CHANNELS);
        let Some(matrix) = value.get("matrix") else {
            return;
        };
        let groups = matrix.get("groups").and_then(Value::as_object).into_iter().flatten();
        for (name, group) in groups {
            self.others(group, &format!("channels.matrix.groups.{name}"), &GROUP);
        }
        self.others(matrix, "channels.matrix", &MATRIX);
    }

    fn agents(&mut self, value: &Value) -> Result<(), OpenClawError> {
        let Some(agents) = self.object(value, "agents", &AGENTS)? else {
            return Ok(());
        };
        let Some(defaults) = agents.get("defaults") else {
            return Ok(());
        };
        let defaults = self.object(defaults, "agents.defaults", &DEFAULTS)?;
        if let Some(choice) = defaults.and_then(|defaults| defaults.get("model")) {
            self.object(choice, "agents.defaults.model", &CHOICE)?;
        }
        Ok(())
    }
}
