import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { createGeminiBackend } from "../../src/inference/gemini.ts";
import { version } from "../../src/lib/version.ts";
import { until } from "../helpers/until.ts";
import { failureOf, never } from "./fixture.ts";
import type { FaultPlayer, PlayedRequest } from "./stand-ins/fault-player.ts";
import { expectFault, faults, json, key, output, prompt, type StandIn, stage } from "./stand-ins/faults.ts";

setDefaultTimeout(30_000);

const modelId = "gemini:gemini-2.5-flash";
const name = "gemini-2.5-flash";
const candidate = (parts: unknown, finishReason: unknown = "STOP") => ({
  content: { role: "model", parts },
  finishReason,
  index: 0,
});
const answer = (text: string, change: object = {}) => ({
  candidates: [candidate([{ text }])],
  usageMetadata: { promptTokenCount: 31, candidatesTokenCount: 8, totalTokenCount: 39 },
  modelVersion: name,
  ...change,
});

const gemini: StandIn = {
  prefix: "GEMINI",
  modelId,
  path: `/v1beta/models/${name}:generateContent`,
  create: (parts) => createGeminiBackend({ ...parts, models: [modelId] }),
  answer,
  answerOther: () => json({ name: `models/${name}`, displayName: "Gemini 2.5 Flash" }),
  wrongTypes: [
    answer("x", { candidates: "none" }),
    answer("x", { candidates: [candidate("text")] }),
    answer("x", { candidates: [candidate([{ text: 7 }])] }),
    answer("x", { usageMetadata: { promptTokenCount: "many" } }),
    answer("x", { candidates: [candidate([{ text: "a" }]), candidate([{ text: "b" }])] }),
    answer("x", { candidates: [candidate([{ text: "a" }, { text: "b" }])] }),
  ],
  empty: [
    answer("x", { candidates: [] }),
    { usageMetadata: {} },
    {},
    answer(""),
    answer("x", { candidates: [candidate([])] }),
    answer("x", { candidates: [{ finishReason: "STOP" }] }),
  ],
  otherModel: answer("x", { modelVersion: "gemini-1.5-pro" }),
};

const good = json(answer(output));

describe("a request", () => {
  test("is what PROTOCOL.md 2.8 says, field by field, with the key in a header", async () => {
    using server = stage(gemini, [good]);
    const { ms, ...generation } = await server.generate();
    expect(server.player.requests).toHaveLength(1);
    const [request] = server.player.requests;
    expect([request!.method, request!.path]).toEqual(["POST", "/v1beta/models/gemini-2.5-flash:generateContent"]);
    expect(JSON.parse(request!.body)).toEqual({
      contents: [
        {
          role: "user",
          // sha256("gemini:gemini-2.5-flash:<prompt>"), reckoned with coreutils.
          parts: [{ text: `[seed_anchor:7bd8f969aa2056d7]\n\n${prompt}` }],
        },
      ],
      generationConfig: { temperature: 0, maxOutputTokens: 512 },
    });
    const { host, connection, "content-length": length, "accept-encoding": encoding, ...headers } = request!.headers;
    expect(headers).toEqual({
      "x-goog-api-key": key,
      accept: "application/json",
      "content-type": "application/json",
      "user-agent": `blindference/${version}`,
    });
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(generation).toEqual({
      text: output,
      promptTokens: 31,
      outputTokens: 8,
      finishReason: "stop",
      determinismClass: "gemini:gemini-2.5-flash/cloud/temperature0/max512/anchor",
    });
  });

  test("never has its key in an address", async () => {
    using server = stage(gemini, [good]);
    await server.backend.probe(modelId, never);
    await server.generate();
    expect(server.player.requests.map(({ path }) => path).join(" ")).not.toContain(key);
  });

  test("leaves the program's own fetch as it was, also for what runs meanwhile", async () => {
    const before = globalThis.fetch;
    using server = stage(gemini, [good]);
    const generating = server.generate();
    const seen: boolean[] = [];
    for (let i = 0; i < 50; i++) {
      seen.push(globalThis.fetch === before);
      await Promise.resolve();
    }
    await generating;
    expect(seen).not.toContain(false);
    expect(globalThis.fetch).toBe(before);
  });

  test("that is cancelled closes its connection", async () => {
    using server = stage(gemini, [{ kind: "hang" }], 600_000);
    const controller = new AbortController();
    const reason = new Error("no longer wanted");
    const generating = server.generate(controller.signal);
    generating.catch(() => {});
    await until("the request has arrived", () => server.asked().length === 1);
    controller.abort(reason);
    expect(await generating.catch((error: unknown) => error)).toBe(reason);
    await until("the connection is closed", () => server.player.open() === 0);
  });
});

describe("faults", () => {
  test.each(faults)("$name → $code", async (fault) => expectFault(gemini, fault));

  test.each([
    ["MAX_TOKENS", "GEMINI_ANSWER_TRUNCATED"],
    ["SAFETY", "GEMINI_ANSWER_BLOCKED"],
    ["RECITATION", "GEMINI_ANSWER_BLOCKED"],
    ["PROHIBITED_CONTENT", "GEMINI_ANSWER_BLOCKED"],
    ["OTHER", "GEMINI_ANSWER_INCOMPLETE"],
    ["MALFORMED_FUNCTION_CALL", "GEMINI_ANSWER_INCOMPLETE"],
    [undefined, "GEMINI_ANSWER_INCOMPLETE"],
  ])("finishReason %p is no answer but %s", async (reason, code) => {
    const body = answer("x", { candidates: [{ ...candidate([{ text: "cut off" }]), finishReason: reason }] });
    using server = stage(gemini, [json(body)]);
    expect((await failureOf(() => server.generate())).code).toBe(code);
  });

  test.each([
    ["SAFETY", "SAFETY"],
    ["canary words", "OTHER"],
  ])("a prompt that is blocked for %s is an error that says %s", async (blockReason, said) => {
    using server = stage(gemini, [json({ promptFeedback: { blockReason, blockReasonMessage: "canary" } })]);
    const failure = await failureOf(() => server.generate());
    expect(failure.code).toBe("GEMINI_ANSWER_BLOCKED");
    expect(failure.message).toBe(`Gemini withheld its answer (${said})`);
  });

  test("a key that Google does not know is refused with HTTP 400", async () => {
    const body = { error: { status: "INVALID_ARGUMENT", details: [{ reason: "API_KEY_INVALID" }] } };
    using server = stage(gemini, [json(body, 400)]);
    expect((await failureOf(() => server.generate())).code).toBe("GEMINI_KEY_REFUSED");
  });

  test("a quota that is used up says in its body for how long", async () => {
    const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "4.5s" }];
    using server = stage(gemini, [json({ error: { status: "RESOURCE_EXHAUSTED", details } }, 429), good]);
    const started = server.clock.now();
    expect((await server.generate()).text).toBe(output);
    expect(server.clock.now() - started).toBeGreaterThanOrEqual(4400);
  });
});

describe("the look at a model", () => {
  const look = ({ requests }: FaultPlayer): Partial<PlayedRequest>[] =>
    requests.map(({ method, path, body }) => ({ method, path, body }));

  test("offers one that Google knows, without asking it anything", async () => {
    using server = stage(gemini, [good]);
    await server.backend.probe(modelId, never);
    expect([server.backend.isOffered(modelId), server.backend.isOpen(modelId)]).toEqual([true, true]);
    expect(look(server.player)).toEqual([{ method: "GET", path: "/v1beta/models/gemini-2.5-flash", body: "" }]);
    expect(server.player.requests[0]!.headers["x-goog-api-key"]).toBe(key);
  });

  test("does not offer one that Google does not know", async () => {
    using server = stage({ ...gemini, answerOther: () => json({ error: { code: 404 } }, 404) }, []);
    expect((await failureOf(() => server.backend.probe(modelId, never))).code).toBe("GEMINI_MODEL_UNKNOWN");
    expect(server.backend.isOffered(modelId)).toBe(false);
  });
});
