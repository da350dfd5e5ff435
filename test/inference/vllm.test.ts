import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemRandom } from "../../src/crypto/random.ts";
import { createVllmBackend } from "../../src/inference/vllm.ts";
import { version } from "../../src/lib/version.ts";
import { until } from "../helpers/until.ts";
import { failureOf, never } from "./fixture.ts";
import type { Play, PlayedRequest } from "./stand-ins/fault-player.ts";
import { expectFault, faults, json, key, output, prompt, type StandIn, stage } from "./stand-ins/faults.ts";

setDefaultTimeout(30_000);

const name = "facebook/opt-125m";
const choice = (text: unknown, finish_reason: unknown = "stop") => ({ index: 0, text, finish_reason });
const answer = (text: string, change: object = {}) => ({
  id: "cmpl-1",
  object: "text_completion",
  model: name,
  choices: [choice(text)],
  usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
  ...change,
});

const vllm: StandIn = {
  prefix: "VLLM",
  modelId: "opt",
  path: "/v1/completions",
  create: (parts) =>
    createVllmBackend({
      ...parts,
      models: { opt: name },
      maxTokens: 2048,
      maxConcurrent: 4,
      sendTopK: true,
      random: systemRandom,
    }),
  answer,
  answerOther: ({ path }): Play =>
    path === "/version" ? json({ version: "0.11.2" }) : json({ object: "list", data: [{ id: name }] }),
  wrongTypes: [
    answer("x", { choices: "none" }),
    answer("x", { choices: [{ text: 7, finish_reason: "stop" }] }),
    answer("x", { usage: { prompt_tokens: "many" } }),
    answer("x", { model: 7 }),
    answer("x", { choices: [choice("a"), choice("b")] }),
  ],
  empty: [answer("x", { choices: [] })],
  otherModel: answer("x", { model: "another/model" }),
};

const good = json(answer(output));

/** Cold, warm, and twice amid six others. */
const requestsOfOneLook = 10;

describe("a request", () => {
  test("is what PROTOCOL.md 2.8 says, field by field, with the prompt as it is", async () => {
    using server = stage(vllm, [good]);
    const generation = await server.generate();
    const [request, ...others] = server.asked();
    expect(others).toEqual([]);
    expect(request!.method).toBe("POST");
    expect(JSON.parse(request!.body)).toEqual({
      model: name,
      prompt,
      max_tokens: 2048,
      temperature: 0,
      top_p: 1,
      top_k: -1,
      seed: 42,
    });
    const { host, connection, "content-length": length, "accept-encoding": encoding, ...headers } = request!.headers;
    expect(headers).toEqual({
      authorization: `Bearer ${key}`,
      accept: "application/json",
      "content-type": "application/json",
      "user-agent": `blindference/${version}`,
    });
    const { ms, ...rest } = generation;
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(rest).toEqual({
      text: output,
      promptTokens: 11,
      outputTokens: 5,
      finishReason: "stop",
      determinismClass: "vllm:facebook/opt-125m@0.11.2/greedy/seed42/max2048/raw",
    });
    expect(server.backend.determinismClass("opt")).toBe(rest.determinismClass);
  });

  test("goes without a key, without top_k, and to a server that tells no version", async () => {
    const silent: StandIn = {
      ...vllm,
      create: ({ apiKey: _none, ...parts }) =>
        createVllmBackend({
          ...parts,
          models: { opt: name },
          maxTokens: 7,
          maxConcurrent: 1,
          sendTopK: false,
          random: systemRandom,
        }),
      answerOther: (request) =>
        request.path === "/version" ? json({ version: "\u001b[31m" }) : vllm.answerOther(request),
    };
    using server = stage(silent, [json(answer(output, { choices: [choice(output, "length")], usage: null }))]);
    const generation = await server.generate();
    expect(generation).toMatchObject({ finishReason: "length", promptTokens: 0, outputTokens: 0 });
    expect(generation.determinismClass).toBe("vllm:facebook/opt-125m/greedy/seed42/max7/raw");
    const [request] = server.asked();
    expect(request!.headers).not.toContainKey("authorization");
    expect(JSON.parse(request!.body)).not.toContainKey("top_k");
  });

  test("shows the whole text at its end to who wants to see it grow", async () => {
    using server = stage(vllm, [good]);
    const pieces: string[] = [];
    const onToken = (text: string) => void pieces.push(text);
    await server.backend.generate({ modelId: "opt", prompt }, { signal: never, onToken });
    expect(pieces).toEqual([output]);
  });

  test.each([
    ["", "MODEL_PROMPT_EMPTY"],
    ["half of a \ud83d character", "MODEL_PROMPT_INVALID"],
  ])("with the prompt %j is not sent", async (bad, code) => {
    using server = stage(vllm, [good]);
    const failure = await failureOf(() => server.backend.generate({ modelId: "opt", prompt: bad }, { signal: never }));
    expect(failure.code).toBe(code);
    expect(server.player.requests).toEqual([]);
  });

  test("uses one connection for one after the other", async () => {
    using server = stage(vllm, [good]);
    await server.generate();
    const before = server.player.open();
    for (let i = 0; i < 5; i++) await server.generate();
    expect(server.player.open()).toBeLessThanOrEqual(before);
  });

  test("that is cancelled closes its connection, also while it waits for its turn", async () => {
    for (const play of [{ kind: "hang" }, json({}, 429, { "Retry-After": "50" })] as Play[]) {
      using server = stage(vllm, [play], 600_000);
      const controller = new AbortController();
      const reason = new Error("no longer wanted");
      const generating = server.generate(controller.signal);
      generating.catch(() => {});
      await until("the request has arrived", () => server.asked().length === 1);
      controller.abort(reason);
      expect(await generating.catch((error: unknown) => error)).toBe(reason);
      if (play.kind === "hang") await until("the connection is closed", () => server.player.open() < 3);
    }
  });
});

describe("faults", () => {
  test("are at least fifteen", () => expect(faults.length).toBeGreaterThanOrEqual(15));
  test.each(faults)("$name → $code", async (fault) => expectFault(vllm, fault));

  test.each(["abort", "content_filter", null, "tool_calls"])("finish_reason %p is no answer", async (reason) => {
    using server = stage(vllm, [json(answer("x", { choices: [choice("x", reason)] }))]);
    expect((await failureOf(() => server.generate())).code).toBe("VLLM_ANSWER_INCOMPLETE");
  });

  test.each(["flood", "drip"] as const)("the connection of a %s is closed", async (kind) => {
    using server = stage(vllm, [{ kind }], 5000);
    await failureOf(() => server.generate());
    // Two stay for the next request: those of the questions that were answered properly.
    await until("the connection is closed", () => server.player.open() <= 2);
  });

  test("a server that is not there is found out before it gets a prompt", async () => {
    using server = stage(vllm, [good]);
    server.player.stop();
    expect((await failureOf(() => server.generate())).code).toBe("VLLM_UNREACHABLE");
    expect(server.player.requests).toEqual([]);
  });

  test("a limit is told as health, for as long as it lasts", async () => {
    const plays = [...Array<Play>(requestsOfOneLook).fill(good), json({}, 429, { "Retry-After": "3600" })];
    using server = stage(vllm, plays);
    const { backend } = server;
    await backend.probe("opt", never);
    expect(server.asked()).toHaveLength(requestsOfOneLook);
    expect([backend.isOffered("opt"), backend.isOpen("opt")]).toEqual([true, true]);
    await failureOf(() => server.generate());
    expect(backend.health().status).toBe("degraded");
    expect(backend.modelHealth("opt").detail).toMatch(/^The model server allows no request for another 3[56]\d\d s$/);
    expect([backend.isOffered("opt"), backend.isOpen("opt")]).toEqual([true, false]);
  });
});

describe("the look at a model", () => {
  type Ask = { prompt: string; nth: number; amid: number };

  /** A server that answers prompts as `text` says, which knows how often a prompt came and how many are worked on. */
  function serving(text: (ask: Ask) => string, other = vllm.answerOther) {
    const seen = new Map<string, number>();
    let [working, most] = [0, 0];
    const standIn: StandIn = { ...vllm, path: "/never", answerOther: () => json({}) };
    const played: PlayedRequest[] = [];
    const server = stage(
      {
        ...standIn,
        answerOther: (request: PlayedRequest) => {
          if (request.path !== vllm.path) return other(request);
          played.push(request);
          const { prompt: asked } = JSON.parse(request.body) as { prompt: string };
          const nth = (seen.get(asked) ?? 0) + 1;
          seen.set(asked, nth);
          working++;
          return new Promise<Play>((resolve) => {
            const speak = () => {
              most = Math.max(most, working);
              // Cold and warm it is asked alone, then amid others: the first of those are waited for.
              if (nth > 2 && most < 2) return setImmediate(speak);
              const said = text({ prompt: asked, nth, amid: nth > 2 ? most : 1 });
              setImmediate(() => {
                working--;
                resolve(json(answer(said)));
              });
            };
            setImmediate(speak);
          });
        },
      },
      [],
    );
    return { ...server, played, [Symbol.dispose]: () => server.player.stop() };
  }

  test("offers a model that answers the same cold, warm and amid load, and each time with another prompt", async () => {
    using server = serving(({ prompt: asked }) => `about ${asked.slice(0, 30)}`);
    const { backend, played, log } = server;
    expect(backend.isOffered("opt")).toBe(false);
    expect(backend.modelHealth("opt").status).toBe("degraded");
    await backend.probe("opt", never);
    expect([backend.isOffered("opt"), backend.isOpen("opt")]).toEqual([true, true]);
    expect(backend.modelHealth("opt")).toEqual({ status: "healthy", detail: "" });
    expect(log.lines({ message: "model is offered", model: "opt" })).toHaveLength(1);
    const bodies = played.map(({ body }) => JSON.parse(body) as { prompt: string; max_tokens: number });
    expect(bodies).toHaveLength(requestsOfOneLook);
    expect(bodies.filter((body) => body.prompt === bodies[0]!.prompt)).toHaveLength(4);
    expect(new Set(bodies.map((body) => body.max_tokens))).toEqual(new Set([64]));
    await backend.probe("opt", never);
    expect((JSON.parse(played[requestsOfOneLook]!.body) as { prompt: string }).prompt).not.toBe(bodies[0]!.prompt);
  });

  test("refuses one whose second answer is another, and names the flag", async () => {
    using server = serving(({ prompt: asked, nth }) => `${asked.length} ${Math.min(nth, 2)}`);
    await server.backend.probe("opt", never);
    expect(server.backend.isOffered("opt")).toBe(false);
    const { status, detail } = server.backend.modelHealth("opt");
    expect(status).toBe("unhealthy");
    expect(detail).toContain("--no-enable-prefix-caching");
    expect(server.log.lines({ message: "model is not offered", reason: detail })).toHaveLength(1);
    expect(server.played).toHaveLength(2);
    await server.backend.probe("opt", never);
    expect(server.played).toHaveLength(2);
  });

  test("refuses one whose answers depend on what else the server does, and names the flag", async () => {
    using server = serving(({ prompt: asked, amid }) => `${asked.length} ${amid > 1}`);
    await server.backend.probe("opt", never);
    expect(server.backend.isOffered("opt")).toBe(false);
    expect(server.backend.modelHealth("opt").detail).toContain("VLLM_BATCH_INVARIANT=1");
  });

  test("of a server without the model says so", async () => {
    using server = serving(
      () => "x",
      () => json({ data: [{ id: "another" }] }),
    );
    expect((await failureOf(() => server.backend.probe("opt", never))).code).toBe("VLLM_MODEL_UNKNOWN");
    expect(server.backend.modelHealth("opt")).toEqual({
      status: "unhealthy",
      detail: expect.stringContaining("has no model facebook/opt-125m"),
    });
    expect(server.played).toEqual([]);
  });

  test("is done again when the server comes back with another version", async () => {
    let running = "1";
    using server = serving(
      () => "same",
      (request) => (request.path === "/version" ? json({ version: running }) : vllm.answerOther(request)),
    );
    await server.backend.probe("opt", never);
    expect(server.backend.isOffered("opt")).toBe(true);
    running = "2";
    await server.backend.warm("opt", never);
    expect(server.backend.isOffered("opt")).toBe(false);
    await server.backend.probe("opt", never);
    expect(server.backend.isOffered("opt")).toBe(true);
    expect(server.backend.determinismClass("opt")).toContain("@2/");
  });

  test("ends with its signal, and leaves the model untested", async () => {
    using server = stage(vllm, [{ kind: "hang" }], 600_000);
    const controller = new AbortController();
    const probing = server.backend.probe("opt", controller.signal);
    probing.catch(() => {});
    await until("a prompt has arrived", () => server.asked().length === 1);
    controller.abort(new Error("enough"));
    expect(((await probing.catch((error: unknown) => error)) as Error).message).toBe("enough");
    expect(server.backend.modelHealth("opt").status).toBe("degraded");
  });
});
