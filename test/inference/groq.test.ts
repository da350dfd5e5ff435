import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createGroqBackend } from "../../src/inference/groq.ts";
import { version } from "../../src/lib/version.ts";
import { until } from "../helpers/until.ts";
import { failureOf, never } from "./fixture.ts";
import { expectFault, faults, json, key, output, prompt, type StandIn, stage } from "./stand-ins/faults.ts";

setDefaultTimeout(30_000);

const modelId = "groq:llama-3.3-70b-versatile";
const name = "llama-3.3-70b-versatile";
const choice = (content: unknown, finish_reason: unknown = "stop") => ({
  index: 0,
  message: { role: "assistant", content },
  logprobs: null,
  finish_reason,
});
const answer = (text: string, change: object = {}) => ({
  id: "chatcmpl-1",
  object: "chat.completion",
  created: 1_750_000_000,
  model: name,
  choices: [choice(text)],
  usage: { prompt_tokens: 61, completion_tokens: 9, total_tokens: 70 },
  system_fingerprint: "fp_1",
  ...change,
});

const groq: StandIn = {
  prefix: "GROQ",
  modelId,
  path: "/openai/v1/chat/completions",
  create: (parts) => createGroqBackend({ ...parts, models: [modelId] }),
  answer,
  answerOther: () => json({ object: "list", data: [{ id: "another" }, { id: name }] }),
  wrongTypes: [
    answer("x", { choices: "none" }),
    answer("x", { choices: [{ message: "x", finish_reason: "stop" }] }),
    answer("x", { choices: [choice({ text: "x" })] }),
    answer("x", { usage: { prompt_tokens: -1, completion_tokens: 1 } }),
    answer("x", { choices: [choice("a"), choice("b")] }),
  ],
  empty: [answer("x", { choices: [] }), answer(""), answer("x", { choices: [choice(null)] })],
  otherModel: answer("x", { model: "llama-3.1-8b-instant" }),
};

const good = json(answer(output));

describe("a request", () => {
  test("is what PROTOCOL.md 2.8 says, field by field", async () => {
    using server = stage(groq, [good]);
    const { ms, ...generation } = await server.generate();
    expect(server.player.requests).toHaveLength(1);
    const [request] = server.player.requests;
    expect([request!.method, request!.path]).toEqual(["POST", "/openai/v1/chat/completions"]);
    expect(JSON.parse(request!.body)).toEqual({
      model: name,
      messages: [
        {
          role: "system",
          content: "You are a helpful assistant. Answer the user's question directly and accurately. Be concise.",
        },
        // sha256("groq:llama-3.3-70b-versatile:<prompt>"), reckoned with coreutils.
        { role: "user", content: `[seed_anchor:2a05709cf9bb6f5a]\n\n${prompt}` },
      ],
      temperature: 0,
      max_completion_tokens: 512,
      seed: 42,
    });
    const { host, connection, "content-length": length, "accept-encoding": encoding, ...headers } = request!.headers;
    expect(headers).toEqual({
      authorization: `Bearer ${key}`,
      accept: "application/json",
      "content-type": "application/json",
      "user-agent": `blindference/${version}`,
    });
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(generation).toEqual({
      text: output,
      promptTokens: 61,
      outputTokens: 9,
      finishReason: "stop",
      determinismClass: "groq:llama-3.3-70b-versatile/cloud/temperature0/seed42/max512/anchor",
    });
    expect(server.backend.determinismClass(modelId)).toBe(generation.determinismClass);
  });

  test("takes nothing from the library's own variables", async () => {
    const variables = {
      GROQ_BASE_URL: "http://127.0.0.1:1",
      GROQ_API_KEY: "another-key",
      GROQ_LOG: "debug",
      GROQ_CUSTOM_HEADERS: "x-stray: yes",
    };
    const before = Object.keys(variables).map((variable) => [variable, process.env[variable]] as const);
    Object.assign(process.env, variables);
    try {
      using server = stage(groq, [good]);
      expect((await server.generate()).text).toBe(output);
      const [request] = server.asked();
      expect(request!.headers["authorization"]).toBe(`Bearer ${key}`);
      expect(request!.headers).not.toContainKey("x-stray");
    } finally {
      for (const [variable, value] of before) {
        if (value === undefined) delete process.env[variable];
        else process.env[variable] = value;
      }
    }
  });

  test("that is cancelled closes its connection", async () => {
    using server = stage(groq, [{ kind: "hang" }], 600_000);
    const controller = new AbortController();
    const reason = new Error("no longer wanted");
    const generating = server.generate(controller.signal);
    generating.catch(() => {});
    await until("the request has arrived", () => server.asked().length === 1);
    controller.abort(reason);
    expect(await generating.catch((error: unknown) => error)).toBe(reason);
    await until("the connection is closed", () => server.player.open() === 0);
  });

  test("for a model that is not configured is not sent", async () => {
    using server = stage(groq, [good]);
    const request = { modelId: "groq:llama-3.1-8b-instant", prompt };
    expect((await failureOf(() => server.backend.generate(request, { signal: never }))).code).toBe("MODEL_UNKNOWN");
    expect(server.player.requests).toEqual([]);
  });
});

describe("faults", () => {
  test.each(faults)("$name → $code", async (fault) => expectFault(groq, fault));

  test.each([
    ["length", "GROQ_ANSWER_TRUNCATED"],
    ["content_filter", "GROQ_ANSWER_BLOCKED"],
    ["tool_calls", "GROQ_ANSWER_INCOMPLETE"],
    [null, "GROQ_ANSWER_INCOMPLETE"],
  ])("finish_reason %p is no answer but %s", async (reason, code) => {
    using server = stage(groq, [json(answer("x", { choices: [choice("cut off", reason)] }))]);
    expect((await failureOf(() => server.generate())).code).toBe(code);
  });

  test.each([
    [{ error: { code: "model_decommissioned" } }, "GROQ_MODEL_UNKNOWN"],
    [{ error: { code: "invalid_api_key" } }, "GROQ_KEY_REFUSED"],
  ])("HTTP 400 with %j is %s", async (body, code) => {
    using server = stage(groq, [json(body, 400)]);
    expect((await failureOf(() => server.generate())).code).toBe(code);
  });
});

describe("the look at a model", () => {
  test("offers one that Groq lists, without asking it anything", async () => {
    using server = stage(groq, [good]);
    expect(server.backend.isOffered(modelId)).toBe(false);
    await server.backend.probe(modelId, never);
    expect([server.backend.isOffered(modelId), server.backend.isOpen(modelId)]).toEqual([true, true]);
    const [request, ...others] = server.player.requests;
    expect([request!.method, request!.path, request!.body]).toEqual(["GET", "/openai/v1/models", ""]);
    expect(request!.headers["authorization"]).toBe(`Bearer ${key}`);
    expect(others).toEqual([]);
  });

  test("does not offer one that Groq does not list, and says so", async () => {
    using server = stage({ ...groq, answerOther: () => json({ data: [{ id: "another" }] }) }, []);
    expect((await failureOf(() => server.backend.probe(modelId, never))).code).toBe("GROQ_MODEL_UNKNOWN");
    expect(server.backend.isOffered(modelId)).toBe(false);
    expect(server.backend.modelHealth(modelId).status).toBe("unhealthy");
  });

  test("finds out that there is no key without asking anybody", async () => {
    using server = stage(
      {
        ...groq,
        create: ({ apiKey: _none, ...parts }) => createGroqBackend({ ...parts, apiKey: undefined, models: [modelId] }),
      },
      [good],
    );
    expect((await failureOf(() => server.backend.probe(modelId, never))).code).toBe("GROQ_KEY_MISSING");
    expect((await failureOf(() => server.generate())).code).toBe("GROQ_KEY_MISSING");
    expect(server.backend.health()).toEqual({
      status: "unhealthy",
      detail: "Groq needs a key, and GROQ_API_KEY is not set",
    });
    expect(server.player.requests).toEqual([]);
  });

  test("is in doubt as soon as a request says that the key is no longer good", async () => {
    using server = stage(groq, [json({}, 401), good]);
    await server.backend.probe(modelId, never);
    expect((await failureOf(() => server.generate())).code).toBe("GROQ_KEY_REFUSED");
    expect(server.backend.isOffered(modelId)).toBe(false);
    await server.backend.probe(modelId, never);
    expect(server.backend.isOffered(modelId)).toBe(true);
  });
});
