//! The endpoints of the gateway, and those under which telmeet relays sealed chat.
//!
//! Bodies that are [`Raw`] are those of other APIs (OpenAI's, Ollama's; `docs/protocols` specifies them), and plain text.

use endpoint::{Callers, Events, Raw};

use crate::{
    apps::{AddApp, AddedApp, App},
    config::ConfigReport,
    people::Forgotten,
    providers::ProviderNode,
    rooms,
    sealed::{BindDevice, Device, Devices, KeyDocument, Request, path},
    usage::Report,
};

endpoint::declare! {
    /// Sealed chat.
    SEALED for Member;

    /// Opens a sealed request and answers under the seal.
    CHAT: POST {path::CHAT} (Request) => Events, callers(Callers::Sealed);
    /// Returns the signed key document.
    KEYS: GET {path::KEYS} => KeyDocument;
}

endpoint::declare! {
    /// Sealed chat by its other names, on `chat.<network>` only.
    ALIASES for Member;

    /// Opens a sealed request and answers under the seal.
    CHAT_ALIAS: POST {path::CHAT_ALIAS} (Request) => Events, callers(Callers::Sealed);
    /// Returns the signed key document.
    KEYS_ALIAS: GET {path::KEYS_ALIAS} => KeyDocument;
}

endpoint::declare! {
    /// The keys of a node's apps.
    DEVICES for Member;

    /// Lists the device keys of the calling node.
    LIST_DEVICES: GET {path::DEVICES} => Devices;
    /// Binds a device key to the calling node.
    BIND_DEVICE: POST {path::DEVICES} (BindDevice) => Device;
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

    /// Answers as a running Ollama does; for a member who asks for it, opens OpenClaw's WebSocket.
    OLLAMA_RUNS: GET "/" => Raw;
    /// Returns the version of Ollama whose API this is.
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
    /// Embeds a text, in the older form.
    OLLAMA_EMBEDDINGS: POST "/api/embeddings" (Raw) => Raw;
}

endpoint::declare! {
    /// Ollama's calls that change models. They are refused.
    OLLAMA_MANAGE for App;

    /// Refuses to fetch a model.
    OLLAMA_PULL: ANY "/api/pull" (Raw) => Raw;
    /// Refuses to publish a model.
    OLLAMA_PUSH: ANY "/api/push" (Raw) => Raw;
    /// Refuses to create a model.
    OLLAMA_CREATE: ANY "/api/create" (Raw) => Raw;
    /// Refuses to copy a model.
    OLLAMA_COPY: ANY "/api/copy" (Raw) => Raw;
    /// Refuses to remove a model.
    OLLAMA_DELETE: ANY "/api/delete" (Raw) => Raw;
    /// Refuses a part of a model.
    OLLAMA_BLOB: ANY "/api/blobs/{digest}" (Raw) => Raw;
}

endpoint::declare! {
    /// Health, without content.
    HEALTH for Member;

    /// Answers as long as the daemon runs.
    HEALTHZ: GET "/healthz" => Raw;
    /// Reports whether a model can answer.
    READYZ: GET "/readyz" => Raw;
}

endpoint::declare! {
    /// Rooms.
    ROOMS for Participant;

    /// Returns which messages are answered.
    ROOM_SETTINGS: GET {rooms::path::SETTINGS} => rooms::Settings;
    /// Answers a message of a room.
    ROOM_MESSAGES: POST {rooms::path::MESSAGES} (rooms::RoomMessage) => Events;
}

endpoint::declare! {
    /// Endpoints of the superuser's socket.
    ADMIN for Root;

    /// Returns the counters in Prometheus' text format.
    METRICS: GET "/metrics" => Raw;
    /// Returns usage by person and day.
    USAGE: GET "/maru/v1/usage" => Report;
    /// Lists the apps, without their keys.
    LIST_APPS: GET "/maru/v1/apps" => [App];
    /// Adds an app, whose key is shown once.
    ADD_APP: POST "/maru/v1/apps" (AddApp) => AddedApp;
    /// Removes an app; its key is refused from then on.
    REMOVE_APP: DELETE "/maru/v1/apps/{name}" => App;
    /// Deletes all that the gateway keeps of a person, such as `user:7`.
    FORGET_PERSON: DELETE "/maru/v1/people/{person}" => Forgotten;
    /// Checks every server behind the models and lists the results.
    LIST_PROVIDERS: GET "/maru/v1/providers" => [ProviderNode];
    /// Says how the settings of models and agents, and the database of conversations, stand.
    CONFIG: GET "/maru/v1/config" => ConfigReport;
}
