// Ollama's library for JavaScript.

import { Ollama } from "ollama";

import { expect, forever, main, png, real, refused, same, scripted, scriptedOllama, slowly, url } from "./cases.mjs";

const client = new Ollama({ host: url });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", description: "Tells it.", parameters } }];
const question = (content, more) => [{ role: "user", content, ...more }];
const both = async (run) => {
  for (const model of [scripted, scriptedOllama]) await run(model);
};

await main({
  async models() {
    const { models } = await client.list();
    same(models[0].name, `${real}:latest`);
    const shown = await client.show({ model: scriptedOllama });
    expect(shown.capabilities.includes("tools"), shown);
    const running = (await client.ps()).models.map((it) => it.name);
    expect(running.includes(`${scriptedOllama}:latest`), running);
    same((await client.version()).version, "0.17.4");
  },

  async chat() {
    const options = { num_predict: 8, temperature: 0 };
    const reply = await client.chat({ model: real, messages: question("Say hello."), options });
    expect(reply.message.content && reply.done && reply.eval_count > 0, reply);
  },

  async stream() {
    const options = { num_predict: 12, temperature: 0 };
    const parts = [];
    const asked = { model: real, messages: question("Count."), stream: true, options };
    for await (const part of await client.chat(asked)) parts.push(part);
    expect(parts.filter((it) => it.message.content).length >= 2, parts);
    expect(parts.at(-1).done && parts.at(-1).eval_count > 0, parts.at(-1));
  },

  async tools() {
    await both(async (model) => {
      const messages = question("What is the weather?");
      const { message } = await client.chat({ model, messages, tools });
      same(message.tool_calls[0].function.arguments, { city: "Seoul" });
      messages.push(message, { role: "tool", tool_name: "weather", content: "7 degrees" });
      const reply = await client.chat({ model, messages, tools });
      same(reply.message.content, "The tool said 7 degrees.");
    });
  },

  async structured() {
    const format = { type: "object", properties: { city: { type: "string" } } };
    await both(async (model) => {
      const reply = await client.chat({ model, messages: question("Which city?"), format });
      same(JSON.parse(reply.message.content), { city: "Seoul", number: 7 });
    });
  },

  async image() {
    await both(async (model) => {
      const messages = question("What is it?", { images: [new Uint8Array(png)] });
      same((await client.chat({ model, messages })).message.content, `1 image of ${png.length} bytes`);
    });
  },

  async embeddings() {
    await both(async (model) => {
      const made = await client.embed({ model, input: ["a", "abc"] });
      same(made.embeddings, [[1, -0.5, 0.25], [3, -0.5, 0.25]]);
    });
  },

  async generate() {
    await both(async (model) => {
      same((await client.generate({ model, prompt: "Once", raw: true })).response, "[Once|]");
      same((await client.generate({ model, prompt: "Once", suffix: "time" })).response, "[Once|time]");
    });
  },

  async unknown_model() {
    const error = await refused(Error, client.chat({ model: "llama9", messages: question("hi") }));
    same([error.name, error.status_code], ["ResponseError", 404]);
  },

  async changes_nothing() {
    const error = await refused(Error, client.pull({ model: "llama3.2" }));
    expect(error.status_code === 403 && error.message.includes("maru model pull"), error.message);
  },

  async cancel() {
    await both(async (model) => {
      const stream = await client.chat({ model, messages: question(forever), stream: true });
      for await (const part of stream) if (part.message.content) break;
      stream.abort();
    });
  },

  async waits() {
    let text = "";
    const asked = { model: scripted, messages: question(slowly), stream: true };
    for await (const part of await client.chat(asked)) text += part.message.content;
    same(text, "one two three");
  },

  async any_key() {
    const other = new Ollama({ host: url, headers: { Authorization: "Bearer something-else" } });
    same((await other.list()).models.length, (await client.list()).models.length);
  },
});
