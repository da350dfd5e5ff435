import { expect } from "bun:test";
import { inspect } from "node:util";
import type { ProbedBackend } from "../../../src/inference/http/probed-backend.ts";
import type { Clock } from "../../../src/lib/clock.ts";
import type { BlfError } from "../../../src/lib/errors.ts";
import type { Logger } from "../../../src/lib/log.ts";
import { Secret } from "../../../src/lib/secret.ts";
import { captureLog } from "../../helpers/capture-log.ts";
import { failureOf, never } from "../fixture.ts";
import { type FaultPlayer, type Play, type PlayedRequest, startFaultPlayer } from "./fault-player.ts";
import { swiftClock } from "./swift-clock.ts";

export const key = "sk-canary-key-8d1f";
export const prompt = 'canary prompt: où est la bibliothèque?\n\t"</s>';
export const output = "canary output 🙂 der Antwort";
/** What an unkind service repeats in its errors. */
const gossip = `Incorrect API key provided: ${key}. Prompt was: ${prompt}`;

export type StandIn = {
  prefix: "VLLM" | "GROQ" | "GEMINI";
  modelId: string;
  /** The path that prompts are sent to. */
  path: string;
  create(parts: {
    baseUrl: string;
    apiKey: Secret<string>;
    fetch: typeof globalThis.fetch;
    clock: Clock;
    log: Logger;
    timeoutMs: number;
  }): ProbedBackend;
  /** The body of a good answer with this text, changed by `change`. */
  answer(text: string, change?: object): unknown;
  /** What it answers to questions that are no prompts. */
  answerOther(request: PlayedRequest): Play | Promise<Play>;
  /** Bodies with wrong types, no results, and another model. */
  wrongTypes: unknown[];
  empty: unknown[];
  otherModel: unknown;
};

export const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Play => ({
  kind: "answer",
  status,
  headers,
  body: JSON.stringify(value),
});

/** A service that plays `plays` one after the other to prompts, the last one for ever. */
export function stage(standIn: StandIn, plays: Play[], timeoutMs = 20_000) {
  let index = 0;
  const player = startFaultPlayer((request) => {
    if (request.path !== standIn.path) return standIn.answerOther(request);
    return plays[Math.min(index++, plays.length - 1)]!;
  });
  const clock = swiftClock();
  const log = captureLog(clock);
  const backend = standIn.create({
    baseUrl: player.url,
    apiKey: new Secret(key),
    fetch: globalThis.fetch,
    clock,
    log: log.log,
    timeoutMs,
  });
  return {
    player,
    backend,
    log,
    clock,
    asked: () => player.requests.filter(({ path }) => path === standIn.path),
    generate: (signal = never) => backend.generate({ modelId: standIn.modelId, prompt }, { signal }),
    [Symbol.dispose]: () => player.stop(),
  };
}

export type Fault = {
  name: string;
  plays: (standIn: StandIn, elsewhere: FaultPlayer) => Play[][];
  /** The end of the error's code; a whole code when it has another prefix; undefined when the answer comes after all. */
  code: string | undefined;
  /** How often the service is asked in all. */
  requests: number;
  timeoutMs?: number;
};

const bytes = (text: string | Uint8Array): Play => ({ kind: "bytes", bytes: text });
const good = (standIn: StandIn) => json(standIn.answer(output));

/** What every service can do to a client, and how that ends. */
export const faults: Fault[] = [
  {
    name: "HTML",
    plays: () => [[{ kind: "answer", headers: { "Content-Type": "text/html" }, body: `<html>${gossip}</html>` }]],
    code: "NOT_JSON",
    requests: 1,
  },
  {
    name: "half a JSON",
    plays: (standIn) => [[{ kind: "answer", body: JSON.stringify(standIn.answer(output)).slice(0, -20) }]],
    code: "NOT_JSON",
    requests: 1,
  },
  {
    name: "bytes that are no UTF-8",
    plays: () => [[{ kind: "answer", body: new Uint8Array([0x22, 0xff, 0xfe, 0x22]) }]],
    code: "NOT_JSON",
    requests: 1,
  },
  {
    name: "HTTP 200 with an error",
    plays: () => [[json({ error: { message: gossip, code: 400 } })], [json({ object: "error", message: gossip })]],
    code: "ERROR_ANSWER",
    requests: 1,
  },
  { name: "no answer at all", plays: () => [[{ kind: "hang" }]], code: "TIMEOUT", requests: 1, timeoutMs: 5000 },
  {
    name: "a connection that ends in the middle of a body",
    plays: () => [
      [bytes(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"model":"${gossip.slice(0, 20)}`)],
      [bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{  \r\n")],
    ],
    code: "CONNECTION_LOST",
    requests: 4,
  },
  { name: "a connection that ends at once", plays: () => [[bytes("")]], code: "UNREACHABLE", requests: 4 },
  {
    name: "garbage",
    plays: () => [[bytes(`\u0000\u0001garbage ${gossip}\r\n\r\n`)], [bytes(new Uint8Array(512).fill(0xee))]],
    code: "UNREACHABLE",
    requests: 4,
  },
  {
    name: "a redirect to another host",
    plays: (_standIn, elsewhere) =>
      [301, 302, 307, 308].map((status) => [json({}, status, { Location: `${elsewhere.url}/stolen` })]),
    code: "REDIRECTED",
    requests: 1,
  },
  { name: "HTTP 401", plays: () => [[json({ error: { message: gossip } }, 401)]], code: "KEY_REFUSED", requests: 1 },
  { name: "HTTP 403", plays: () => [[json({ error: { message: gossip } }, 403)]], code: "KEY_REFUSED", requests: 1 },
  { name: "HTTP 404", plays: () => [[json({ error: { message: gossip } }, 404)]], code: "MODEL_UNKNOWN", requests: 1 },
  {
    name: "HTTP 400",
    plays: () => [[json({ error: { message: gossip } }, 400)], [json({ detail: [gossip] }, 422)]],
    code: "PROMPT_REJECTED",
    requests: 1,
  },
  {
    name: "HTTP 400 for a prompt that is too long",
    plays: () => [
      [json({ error: { message: `This model's maximum context length is 2048 tokens. ${gossip}` } }, 400)],
      [json({ error: { type: "exceed_context_size_error", message: gossip } }, 400)],
      [json({ error: { message: `The input token count (9) exceeds the maximum. ${gossip}` } }, 400)],
    ],
    code: "MODEL_PROMPT_TOO_LONG",
    requests: 1,
  },
  {
    name: "HTTP 429 with Retry-After, then an answer",
    plays: (standIn) => [[json({ error: { message: gossip } }, 429, { "Retry-After": "3" }), good(standIn)]],
    code: undefined,
    requests: 2,
  },
  {
    name: "HTTP 429 for ever",
    plays: () => [[json({ error: { message: gossip } }, 429)]],
    code: "RATE_LIMITED",
    requests: 4,
  },
  {
    name: "HTTP 429 for an hour",
    plays: () => [
      [json({ error: { message: gossip } }, 429, { "Retry-After": "3600" })],
      [json({ error: { details: [{ retryDelay: "3600s" }] } }, 429)],
    ],
    code: "RATE_LIMITED",
    requests: 1,
  },
  {
    name: "HTTP 503, then an answer",
    plays: (standIn) => [[json({ error: { message: gossip } }, 503), good(standIn)]],
    code: undefined,
    requests: 2,
  },
  { name: "HTTP 503 for ever", plays: () => [[json({ error: gossip }, 503)]], code: "UNAVAILABLE", requests: 4 },
  { name: "HTTP 500 for ever", plays: () => [[json({ error: gossip }, 500)]], code: "SERVER_ERROR", requests: 4 },
  { name: "HTTP 206", plays: () => [[json("", 206)]], code: "UNEXPECTED_ANSWER", requests: 1 },
  {
    name: "wrong types",
    plays: (standIn) => [null, [], "text", 7, ...standIn.wrongTypes].map((value) => [json(value)]),
    code: "UNEXPECTED_ANSWER",
    requests: 1,
  },
  {
    name: "no result",
    plays: (standIn) => standIn.empty.map((value) => [json(value)]),
    code: "ANSWER_EMPTY",
    requests: 1,
  },
  { name: "a huge body", plays: () => [[{ kind: "flood" }]], code: "BODY_TOO_LARGE", requests: 1 },
  { name: "a body byte by byte", plays: () => [[{ kind: "drip" }]], code: "TIMEOUT", requests: 1, timeoutMs: 5000 },
  {
    name: "another model's name",
    plays: (standIn) => [[json(standIn.otherModel)]],
    code: "MODEL_MISMATCH",
    requests: 1,
  },
];

/** Plays a fault, in all its forms, and looks at what the backend makes of it. */
export async function expectFault(standIn: StandIn, fault: Fault): Promise<void> {
  using elsewhere = disposable(startFaultPlayer(() => json(standIn.answer(output))));
  for (const plays of fault.plays(standIn, elsewhere)) {
    using stageOf = stage(standIn, plays, fault.timeoutMs);
    const said = listenToConsole();
    try {
      if (fault.code === undefined) expect((await stageOf.generate()).text).toBe(output);
      else {
        const error = await failureOf(() => stageOf.generate());
        expect(error.code).toBe(fault.code.startsWith("MODEL_PROMPT") ? fault.code : `${standIn.prefix}_${fault.code}`);
        expectNoSecret(error, stageOf.log.text());
      }
    } finally {
      said.stop();
    }
    expect(said.text()).toBe("");
    expect(stageOf.asked()).toHaveLength(fault.requests);
  }
  expect(elsewhere.requests).toEqual([]);
}

/** An error is one line with one line of advice, and neither it nor its causes nor the log hold what must stay here. */
export function expectNoSecret(error: BlfError, log: string): void {
  expect(error.message).toMatch(/^[^\n]+$/);
  expect(error.hint).toMatch(/^[^\n]+$/);
  const shown = `${inspect(error, { depth: 20, showHidden: true })}${JSON.stringify(error)}${error.stack}${log}`;
  for (const secret of [key, "canary"]) expect(shown).not.toContain(secret);
}

function listenToConsole() {
  const lines: string[] = [];
  const names = ["debug", "error", "info", "log", "warn"] as const;
  const originals = names.map((name) => console[name]);
  for (const name of names) console[name] = (...values: unknown[]) => void lines.push(inspect(values, { depth: 20 }));
  return {
    text: () => lines.join("\n"),
    stop: () => {
      for (const [index, name] of names.entries()) console[name] = originals[index]!;
    },
  };
}

function disposable(player: FaultPlayer) {
  return { ...player, [Symbol.dispose]: () => player.stop() };
}
