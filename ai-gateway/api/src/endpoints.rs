//! The endpoints of the gateway, and those under which telmeet relays sealed chat.
//!
//! Bodies that are [`Raw`] are specified in `docs/protocols`: sealed chat, OpenAI's API, Ollama's.

use endpoint::{Callers, Events, Raw};

use crate::{
    apps::{AddApp, AddedApp, App},
    providers::ProviderNode,
    sealed::path,
    usage::Report,
};

endpoint::declare! {
    /// Sealed chat.
    SEALED for Member;

    /// Opens a sealed request and answers under the seal.
    CHAT: POST {path::CHAT} (Raw) => Events, callers(Callers::Sealed);
    /// Tells the signed key document.
    KEYS: GET {path::KEYS} => Raw;
}

endpoint::declare! {
    /// Sealed chat by its other names, on `chat.<network>` only.
    ALIASES for Member;

    /// Opens a sealed request and answers under the seal.
    CHAT_ALIAS: POST {path::CHAT_ALIAS} (Raw) => Events, callers(Callers::Sealed);
    /// Tells the signed key document.
    KEYS_ALIAS: GET {path::KEYS_ALIAS} => Raw;
}

endpoint::declare! {
    /// The keys of a node's apps.
    DEVICES for Member;

    /// Lists the device keys of the calling node.
    LIST_DEVICES: GET {path::DEVICES} => Raw;
    /// Binds a device key to the calling node.
    BIND_DEVICE: POST {path::DEVICES} (Raw) => Raw;
    /// Revokes a device key of the calling node.
    REVOKE_DEVICE: DELETE {path::DEVICE};
}

endpoint::declare! {
    /// OpenAI's API.
    OPENAI for App, below "/v1";

    /// Continues a conversation.
    CHAT_COMPLETIONS: POST "/chat/completions" (Raw) => Raw;
    /// Continues a text.
    COMPLETIONS: POST "/completions" (Raw) => Raw;
    /// Embeds texts.
    EMBEDDINGS: POST "/embeddings" (Raw) => Raw;
    /// Lists the models.
    LIST_MODELS: GET "/models" => Raw;
    /// Shows a model.
    SHOW_MODEL: GET "/models/{*model}" => Raw;
}

endpoint::declare! {
    /// Ollama's API.
    OLLAMA for App;

    /// Says that an Ollama runs here.
    OLLAMA_RUNS: GET "/" => Raw;
    /// Tells the version whose API this is.
    OLLAMA_VERSION: GET "/api/version" => Raw;
    /// Lists the models.
    OLLAMA_TAGS: GET "/api/tags" => Raw;
    /// Lists the models that are loaded.
    OLLAMA_PS: GET "/api/ps" => Raw;
    /// Shows a model.
    OLLAMA_SHOW: POST "/api/show" (Raw) => Raw;
    /// Continues a conversation.
    OLLAMA_CHAT: POST "/api/chat" (Raw) => Raw;
    /// Continues a text.
    OLLAMA_GENERATE: POST "/api/generate" (Raw) => Raw;
    /// Embeds texts.
    OLLAMA_EMBED: POST "/api/embed" (Raw) => Raw;
    /// Embeds a text, as older clients ask for it.
    OLLAMA_EMBEDDINGS: POST "/api/embeddings" (Raw) => Raw;
}

endpoint::declare! {
    /// Ollama's calls that change models; they are refused.
    OLLAMA_MANAGE for App;

    /// Would fetch a model.
    OLLAMA_PULL: ANY "/api/pull" (Raw) => Raw;
    /// Would publish a model.
    OLLAMA_PUSH: ANY "/api/push" (Raw) => Raw;
    /// Would make a model.
    OLLAMA_CREATE: ANY "/api/create" (Raw) => Raw;
    /// Would copy a model.
    OLLAMA_COPY: ANY "/api/copy" (Raw) => Raw;
    /// Would remove a model.
    OLLAMA_DELETE: ANY "/api/delete" (Raw) => Raw;
    /// Would take a part of a model.
    OLLAMA_BLOB: ANY "/api/blobs/{digest}" (Raw) => Raw;
}

endpoint::declare! {
    /// Health, without content.
    HEALTH for Member;

    /// Says that the daemon runs.
    HEALTHZ: GET "/healthz" => Raw;
    /// Says whether some model answers.
    READYZ: GET "/readyz" => Raw;
}

endpoint::declare! {
    /// Those of the superuser's socket.
    ADMIN for Root;

    /// Tells the counters, in Prometheus' text format.
    METRICS: GET "/metrics" => Raw;
    /// Tells how much people used, by day.
    USAGE: GET "/maru/v1/usage" => Report;
    /// Lists the apps, without their keys.
    LIST_APPS: GET "/maru/v1/apps" => [App];
    /// Adds an app, whose key is shown once.
    ADD_APP: POST "/maru/v1/apps" (AddApp) => AddedApp;
    /// Removes an app; its key is refused from then on.
    REMOVE_APP: DELETE "/maru/v1/apps/{name}" => App;
    /// Asks every server behind the models how it is, and lists them.
    LIST_PROVIDERS: GET "/maru/v1/providers" => [ProviderNode];
}
