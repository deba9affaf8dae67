//! The keys that OpenClaw 2026.9.6 and earlier versions have, and which of them have an effect here.

use common::nearest::nearest;
use serde_json::{Map, Value};

use super::{api::Api, error::OpenClawError};

/// The APIs of providers that OpenClaw supports.
pub(super) const APIS: [&str; 12] = [
    "openai-completions",
    "openai-responses",
    "openai-chatgpt-responses",
    "openai-codex-responses",
    "anthropic-messages",
    "google-generative-ai",
    "google-vertex",
    "github-copilot",
    "bedrock-converse-stream",
    "azure-openai-responses",
    "pi-messages",
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
    used: &["$schema", "agents", "channels", "env", "gateway", "models", "session", "ui"],
    other: &[
        "$include",
        "accessGroups",
        "acp",
        "approvals",
        "attachments",
        "audio",
        "auth",
        "bindings",
        "broadcast",
        "browser",
        "canvasHost",
        "cli",
        "cloudWorkers",
        "commands",
        "cron",
        "desktop",
        "diagnostics",
        "discovery",
        "hooks",
        "logging",
        "mcp",
        "media",
        "memory",
        "messages",
        "meta",
        "nodeHost",
        "plugins",
        "proxy",
        "secrets",
        "security",
        "skills",
        "surfaces",
        "talk",
        "telemetry",
        "tools",
        "transcripts",
        "tts",
        "update",
        "vault",
        "web",
        "wizard",
        "worktreeAcceleration",
        "worktreeRoot",
    ],
};

const GATEWAY: Keys = Keys {
    used: &["reload"],
    other: &[
        "allowRealIpFallback",
        "auth",
        "bind",
        "channelHealthCheckMinutes",
        "channelMaxRestartsPerHour",
        "channelStaleEventThresholdMinutes",
        "cliAgents",
        "controlUi",
        "customBindHost",
        "handshakeTimeoutMs",
        "http",
        "mode",
        "nodes",
        "port",
        "portals",
        "publicOrigin",
        "push",
        "remote",
        "roles",
        "tailscale",
        "terminal",
        "tls",
        "tools",
        "trustedProxies",
        "webchat",
    ],
};

const RELOAD: Keys = Keys { used: &["mode"], other: &["debounceMs", "deferralTimeoutMs"] };

const ENV: [&str; 1] = ["vars"];

const MODELS: Keys = Keys {
    used: &["mode", "providers"],
    other: &["bedrockDiscovery", "catalogRefresh", "pricing", "proxy"],
};

/// `nodes`, `relays`, `timeouts` and `uid` are Maru's own.
const PROVIDER: Keys = Keys {
    used: &["api", "apiKey", "baseUrl", "models", "nodes", "relays", "request", "timeouts", "uid"],
    other: &[
        "agentRuntime",
        "auth",
        "authHeader",
        "contextWindow",
        "headers",
        "injectNumCtxForOpenAICompat",
        "localService",
        "maxTokens",
        "name",
        "params",
        "region",
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
    other: &[
        "agentRuntime",
        "api",
        "baseUrl",
        "contextTokens",
        "cost",
        "headers",
        "mediaInput",
        "metadataSource",
        "params",
        "thinkingLevelMap",
    ],
};

const AGENTS: Keys = Keys { used: &["defaults"], other: &["entries", "list", "ownership"] };

const DEFAULTS: Keys = Keys {
    used: &["bootstrapMaxChars", "bootstrapTotalMaxChars", "model", "timeoutSeconds", "workspace"],
    other: &[
        "additionalSystemPrompt",
        "authInheritance",
        "blockStreamingBreak",
        "blockStreamingChunk",
        "blockStreamingCoalesce",
        "blockStreamingDefault",
        "bootstrapPromptTruncationWarning",
        "cliBackends",
        "compaction",
        "contextInjection",
        "contextLimits",
        "contextPruning",
        "contextTokens",
        "cwd",
        "decisionModel",
        "elevatedDefault",
        "embeddedAgent",
        "embeddedPi",
        "envelopeElapsed",
        "envelopeTimestamp",
        "envelopeTimezone",
        "experimental",
        "fastModeDefault",
        "heartbeat",
        "humanDelay",
        "imageGenerationModel",
        "imageMaxDimensionPx",
        "imageModel",
        "imageQuality",
        "maxConcurrent",
        "mediaMaxMb",
        "mediaModels",
        "memorySearch",
        "modelPolicy",
        "modelSelectionScope",
        "models",
        "params",
        "pdfMaxBytesMb",
        "pdfMaxMb",
        "pdfMaxPages",
        "pdfModel",
        "reasoningDefault",
        "repoRoot",
        "sandbox",
        "sessionStore",
        "silentReply",
        "skills",
        "skipBootstrap",
        "skipOptionalBootstrapFiles",
        "startupContext",
        "subagents",
        "systemAgent",
        "thinkingDefault",
        "timeFormat",
        "toolProgressDetail",
        "typingIntervalSeconds",
        "typingMode",
        "userTimezone",
        "utilityModel",
        "verboseDefault",
        "voiceModel",
    ],
};

const UI: Keys = Keys { used: &["assistant"], other: &["prefs", "seamColor"] };

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

/// The same of `session`, and of its `maintenance`.
const SESSION: [&str; 1] = ["maintenance"];
const MAINTENANCE: [&str; 4] = ["maxDiskBytes", "maxEntries", "mode", "pruneAfter"];

/// The keys of a file that have no effect, with their parents.
#[derive(Default)]
pub(super) struct Ignored {
    /// Those that a warning names.
    named: Vec<String>,
    /// The others: nobody misses them, or another warning names them.
    silent: Vec<String>,
}

impl Ignored {
    /// Whether the value at this place has no effect.
    pub(super) fn contains(&self, at: &str) -> bool {
        self.named.iter().chain(&self.silent).any(|ignored| {
            at.strip_prefix(ignored.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// A warning for each that is named.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.named.iter().map(|path| format!("`{path}` has no effect in Maru")).collect()
    }
}

/// Checks all keys; returns those without effect.
pub(super) fn check(root: &Value) -> Result<Ignored, OpenClawError> {
    let mut checker = KeyChecker { ignored: Ignored::default() };
    let Some(top) = checker.object(root, "", &TOP)? else {
        return Ok(checker.ignored);
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
    if let Some(gateway) = top.get("gateway") {
        let reload = checker.object(gateway, "gateway", &GATEWAY)?.and_then(|it| it.get("reload"));
        reload.map(|it| checker.object(it, "gateway.reload", &RELOAD)).transpose()?;
    }
    if let Some(env) = top.get("env") {
        checker.others(env, "env", &ENV);
    }
    if let Some(session) = top.get("session") {
        checker.others(session, "session", &SESSION);
        let maintenance = session.get("maintenance");
        maintenance.inspect(|it| checker.others(it, "session.maintenance", &MAINTENANCE));
    }
    if let Some(ui) = top.get("ui") {
        let assistant = checker.object(ui, "ui", &UI)?.and_then(|ui| ui.get("assistant"));
        assistant.map(|it| checker.object(it, "ui.assistant", &ASSISTANT)).transpose()?;
    }
    Ok(checker.ignored)
}

struct KeyChecker {
    ignored: Ignored,
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
                let known = keys.used.iter().chain(keys.other).copied();
                return Err(OpenClawError::Unknown { at: path, nearest: nearest(key, known) });
            }
            if SILENT.contains(&key.as_str()) {
                self.ignored.silent.push(path);
            } else {
                self.ignored.named.push(path);
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
            let api = provider.get("api").and_then(Value::as_str).unwrap_or_default();
            if Api::parse(api).is_none() && APIS.contains(&api) {
                // It is ignored as a whole, with a warning of its own.
                self.ignored.silent.push(at);
                continue;
            }
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
        self.ignored.named.extend(others.map(|key| format!("{at}.{key}")));
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
