//! `ollama-rs-client`: a client of Maru with the crate `ollama-rs`.
//!
//! `MARU_ADDRESS` is Maru's address (not a name: static binaries resolve no names). It prints a line for each case:
//! `ok NAME`, or `not ok NAME: why`.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use ollama_rs::{
    Ollama,
    error::OllamaError,
    generation::{
        chat::{ChatMessage, ChatMessageResponse, request::ChatMessageRequest},
        completion::request::GenerationRequest,
        embeddings::request::GenerateEmbeddingsRequest,
        images::Image,
        parameters::{FormatType, JsonStructure},
        tools::ToolInfo,
    },
    models::ModelOptions,
};
use serde_json::json;
use tokio_stream::StreamExt as _;

/// A real model, and a scripted one behind each kind of provider.
const REAL: &str = "maru";
const SCRIPTED: [&str; 2] = ["scripted/all", "home/all"];
/// A picture of one dot, of 67 bytes.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";

type Result = anyhow::Result<()>;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(client) = client() else {
        println!("not ok models: MARU_ADDRESS is not a URL");
        return ExitCode::FAILURE;
    };
    let outcomes = [
        ("models", models(&client).await),
        ("chat", chat(&client).await),
        ("stream", stream(&client).await),
        ("tools", tools(&client).await),
        ("structured", structured(&client).await),
        ("image", image(&client).await),
        ("embeddings", embeddings(&client).await),
        ("generate", generate(&client).await),
        ("unknown_model", unknown_model(&client).await),
        ("cancel", cancel(&client).await),
    ];
    let mut status = ExitCode::SUCCESS;
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                println!("not ok {name}: {}", format!("{error:#}").replace('\n', " "));
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

fn client() -> Option<Ollama> {
    Ollama::try_new(std::env::var("MARU_ADDRESS").ok()?.as_str()).ok()
}

fn question(model: &str, text: &str) -> ChatMessageRequest {
    ChatMessageRequest::new(model.to_owned(), vec![ChatMessage::user(text.to_owned())])
}

fn few() -> ModelOptions {
    ModelOptions::default().num_predict(12).temperature(0.0)
}

async fn ask(client: &Ollama, request: ChatMessageRequest) -> anyhow::Result<ChatMessageResponse> {
    // `Display` of the error does not contain the server's message.
    client.send_chat_messages(request).await.map_err(|error| anyhow::anyhow!("{error:?}"))
}

async fn models(client: &Ollama) -> Result {
    let names: Vec<_> = client.list_local_models().await?.into_iter().map(|it| it.name).collect();
    ensure!(names.first().is_some_and(|name| name == "maru:latest"), "{names:?}");
    let shown = client.show_model_info("home/all".to_owned()).await?;
    ensure!(shown.capabilities.iter().any(|word| word == "tools"), "{:?}", shown.capabilities);
    Ok(())
}

async fn chat(client: &Ollama) -> Result {
    let reply = ask(client, question(REAL, "Say hello.").options(few())).await?;
    ensure!(reply.done && !reply.message.content.is_empty(), "{reply:?}");
    ensure!(reply.final_data.is_some_and(|it| it.eval_count > 0), "nothing was counted");
    Ok(())
}

async fn stream(client: &Ollama) -> Result {
    let request = question(REAL, "Count.").options(few());
    let mut parts = client.send_chat_messages_stream(request).await?;
    let (mut said, mut done) = (0, false);
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| anyhow::anyhow!("a line of the stream cannot be read"))?;
        said += usize::from(!part.message.content.is_empty());
        done = part.done;
    }
    ensure!(said >= 2 && done, "{said} parts, done {done}");
    Ok(())
}

async fn tools(client: &Ollama) -> Result {
    let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "weather", "description": "Tells it.", "parameters": parameters});
    let tool: ToolInfo = serde_json::from_value(json!({"type": "function", "function": function}))?;
    for model in SCRIPTED {
        let mut request = question(model, "What is the weather?").tools(vec![tool.clone()]);
        let reply = ask(client, request.clone()).await?.message;
        let call = &reply.tool_calls.first().context("no call")?.function;
        ensure!(call.name == "weather" && call.arguments == json!({"city": "Seoul"}), "{call:?}");
        request.messages.extend([reply, ChatMessage::tool("7 degrees".to_owned())]);
        let said = ask(client, request).await?.message.content;
        ensure!(said == "The tool said 7 degrees.", "{said}");
    }
    Ok(())
}

async fn structured(client: &Ollama) -> Result {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let schema = JsonStructure::new_for_schema(schema.try_into()?);
    for model in SCRIPTED {
        let format = FormatType::StructuredJson(Box::new(schema.clone()));
        let reply = ask(client, question(model, "Which city?").format(format)).await?;
        let said: serde_json::Value = serde_json::from_str(&reply.message.content)?;
        ensure!(said == json!({"city": "Seoul", "number": 7}), "{said}");
    }
    Ok(())
}

async fn image(client: &Ollama) -> Result {
    for model in SCRIPTED {
        let message = ChatMessage::user("What is it?".to_owned());
        let message = message.add_image(Image::from_base64(PNG));
        let request = ChatMessageRequest::new(model.to_owned(), vec![message]);
        let said = ask(client, request).await?.message.content;
        ensure!(said == "1 image of 67 bytes", "{said}");
    }
    Ok(())
}

async fn embeddings(client: &Ollama) -> Result {
    for model in SCRIPTED {
        let request = GenerateEmbeddingsRequest::new(model.to_owned(), vec!["a", "abc"].into());
        let made = client.generate_embeddings(request).await?.embeddings;
        ensure!(made == [[1.0, -0.5, 0.25], [3.0, -0.5, 0.25]], "{made:?}");
    }
    Ok(())
}

async fn generate(client: &Ollama) -> Result {
    for model in SCRIPTED {
        let raw = GenerationRequest::new(model.to_owned(), "Once").raw(true);
        let said = client.generate(raw).await?.response;
        ensure!(said == "[Once|]", "{said}");
        let gap = GenerationRequest::new(model.to_owned(), "Once").suffix("time");
        let said = client.generate(gap).await?.response;
        ensure!(said == "[Once|time]", "{said}");
    }
    Ok(())
}

async fn unknown_model(client: &Ollama) -> Result {
    let error = client.send_chat_messages(question("llama9", "hi")).await.err();
    let told = matches!(&error, Some(OllamaError::Other(text)) if text.contains("llama9"));
    ensure!(told, "{error:?}");
    Ok(())
}

async fn cancel(client: &Ollama) -> Result {
    let mut parts = client.send_chat_messages_stream(question(SCRIPTED[0], "forever")).await?;
    let first = parts.next().await.context("no part came")?;
    ensure!(first.is_ok_and(|part| !part.message.content.is_empty()), "a first word");
    Ok(())
}
