// OpenAI's SDK for TypeScript and JavaScript.

import OpenAI from "openai";

import { expect, forever, main, png, real, refused, same, scripted, slowly, url } from "./cases.mjs";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "mesh", maxRetries: 0 });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = { type: "function", function: { name: "weather", parameters } };
const question = (content) => [{ role: "user", content }];
const ask = (content, model, more) =>
  client.chat.completions.create({ model, messages: question(content), ...more });

await main({
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    expect(ids[0] === real && ids.includes(scripted), ids);
  },

  async chat() {
    const reply = await ask("Say hello.", real, { max_tokens: 8, temperature: 0 });
    expect(reply.choices[0].message.content && reply.usage.completion_tokens > 0, reply);
    expect(["stop", "length"].includes(reply.choices[0].finish_reason), reply);
  },

  async stream() {
    const options = { stream: true, stream_options: { include_usage: true } };
    const stream = await ask("Count.", real, { max_tokens: 12, temperature: 0, ...options });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.filter((it) => it.choices[0]?.delta.content).length >= 2, chunks);
    expect(chunks.at(-1).usage.completion_tokens > 0, chunks.at(-1));
  },

  async tools() {
    const seen = [];
    const run = { ...tool.function, parse: JSON.parse, function: ({ city }) => (seen.push(city), "7 degrees") };
    const body = { model: scripted, messages: question("What is the weather?") };
    for (const stream of [false, true]) {
      const tools = [{ type: "function", function: run }];
      const runner = client.chat.completions.runTools({ ...body, stream, tools });
      same(await runner.finalContent(), "The tool said 7 degrees.");
    }
    same(seen, ["Seoul", "Seoul"]);
  },

  async structured() {
    const schema = { type: "object", properties: { city: { type: "string" }, number: { type: "integer" } } };
    const format = { type: "json_schema", json_schema: { name: "place", schema, strict: true } };
    const messages = question("Which city?");
    const reply = await client.chat.completions.parse({ model: scripted, messages, response_format: format });
    same(reply.choices[0].message.parsed, { city: "Seoul", number: 7 });
  },

  async image() {
    const image_url = { url: `data:image/png;base64,${png.toString("base64")}` };
    const reply = await ask([{ type: "text", text: "What is it?" }, { type: "image_url", image_url }], scripted);
    same(reply.choices[0].message.content, `1 image of ${png.length} bytes`);
  },

  async embeddings() {
    const made = await client.embeddings.create({ model: scripted, input: ["a", "abc"] });
    same(made.data.map((it) => it.embedding), [[1, -0.5, 0.25], [3, -0.5, 0.25]]);
  },

  async completion() {
    const made = await client.completions.create({ model: scripted, prompt: "Once", suffix: "time" });
    same(made.choices[0].text, "[Once|time]");
  },

  async unknown_model() {
    const error = await refused(OpenAI.NotFoundError, ask("hi", "gpt-4"));
    same([error.status, error.code], [404, "model_not_found"]);
  },

  async unsupported() {
    const error = await refused(OpenAI.BadRequestError, ask("hi", real, { tools: [tool] }));
    same(error.code, "unsupported_parameter");
  },

  async cancel() {
    const stream = await ask(forever, scripted, { stream: true });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    stream.controller.abort();
  },

  async waits() {
    let text = "";
    for await (const chunk of await ask(slowly, scripted, { stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
    }
    same(text, "one two three");
  },

  async any_key() {
    const other = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-something-else", maxRetries: 0 });
    same((await other.models.list()).data.length, (await client.models.list()).data.length);
  },
});
