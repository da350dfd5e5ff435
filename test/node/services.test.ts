import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { AttestationRequest } from "../../src/icl/client.ts";
import { createMockBackend } from "../../src/inference/mock.ts";
import { createBackendRegistry } from "../../src/inference/registry.ts";
import { BlfError } from "../../src/lib/errors.ts";
import { createCertificateKeeper, newsWaitMs } from "../../src/node/certificate.ts";
import { createInference } from "../../src/node/inference.ts";
import { firstLookMs, lookAtModels, startModelProbeLoop, warmModels } from "../../src/node/loops/model-probe.ts";
import { captureLog } from "../helpers/capture-log.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { until } from "../helpers/until.ts";
import { failureOf } from "../inference/fixture.ts";
import { type FaultPlayer, type Play, startFaultPlayer } from "../inference/stand-ins/fault-player.ts";
import { json } from "../inference/stand-ins/faults.ts";
import { swiftClock } from "../inference/stand-ins/swift-clock.ts";
import { stubContext } from "./stub-context.ts";

setDefaultTimeout(30_000);

const { signal } = new AbortController();

/** A model server whose answers to prompts can be changed. */
function modelServer(): FaultPlayer & { play?: Play | undefined; [Symbol.dispose](): void } {
  const server: ReturnType<typeof modelServer> = Object.assign(
    startFaultPlayer(({ path }) => {
      if (path === "/version") return json({ version: "1" });
      if (path === "/v1/models") return json({ data: [{ id: "served" }] });
      return server.play ?? json({ model: "served", choices: [{ text: "the answer", finish_reason: "stop" }] });
    }),
    { [Symbol.dispose]: () => server.stop() },
  );
  return server;
}

/** A node with a mock and a model of the server, and a coordinator that notes what it is told. */
async function nodeWith(server: FaultPlayer) {
  const dir = tempDirectory();
  const clock = swiftClock();
  const told: string[][] = [];
  const log = captureLog(clock);
  const config = { vllm: { base_url: server.url, models: { served: "served" } } };
  const { ctx } = await stubContext({
    directory: dir.path,
    config,
    icl: {
      challenge: async () => ({ challengeId: "c", nonce: `0x${"11".repeat(32)}`, expiresAt: 0 }),
      verifyAttestation: async ({ supportedModelIds }: AttestationRequest) => {
        told.push(supportedModelIds);
        return { certHash: "0x01", expiry: Math.floor(clock.now() / 1000) + 86_400, tier: 0 };
      },
    },
    overrides: { clock, log: log.log },
  });
  const node = { ...ctx, inference: createInference(ctx.config, log.log, clock) };
  return { ctx: node, told, log, clock, [Symbol.dispose]: () => dir[Symbol.dispose]() };
}

const ask = { modelId: "served", prompt: "p" };

describe("a node with a model server", () => {
  test("names its model in the first attestation, drops it when the server is lost, and names it again", async () => {
    using server = modelServer();
    using node = await nodeWith(server);
    const { ctx, told, clock } = node;
    const { inference } = ctx;
    const keeper = createCertificateKeeper(ctx);
    await lookAtModels(ctx, signal);
    await keeper.ensure(signal);
    expect(told).toEqual([["mock-model", "served"]]);
    expect((await inference.generate(ask, { signal })).text).toBe("the answer");

    server.play = { kind: "bytes", bytes: "" };
    for (let i = 0; i < 2; i++)
      expect((await failureOf(() => inference.generate(ask, { signal }))).code).toBe("VLLM_UNREACHABLE");
    expect(inference.canServe("served")).toBe(false);

    const stopping = new AbortController();
    const loop = startModelProbeLoop(ctx, keeper, stopping.signal);
    await until("the server was looked at", () => loop.state().lastError === "VLLM_UNREACHABLE");
    expect(told).toHaveLength(1);
    clock.skip(newsWaitMs);
    await until("the coordinator is told", () => told.length === 2);
    expect(told[1]).toEqual(["mock-model"]);
    expect(inference.describe().find(({ id }) => id === "served")?.health.status).toBe("unhealthy");

    server.play = undefined;
    await until("the model is back", () => inference.canServe("served"));
    expect(told).toHaveLength(2);
    clock.skip(newsWaitMs);
    await until("the coordinator is told again", () => told.length === 3);
    expect(told[2]).toEqual(["mock-model", "served"]);
    expect(inference.canServe("served")).toBe(true);
    stopping.abort(new DOMException("over", "AbortError"));
    await loop.finished;
  });

  test("starts without a server that is away, and attests the rest", async () => {
    using server = modelServer();
    using node = await nodeWith(server);
    server.stop();
    const { ctx, told, log } = node;
    await lookAtModels(ctx, signal);
    await createCertificateKeeper(ctx).ensure(signal);
    await warmModels(ctx, signal);
    expect(told).toEqual([["mock-model"]]);
    expect(log.lines({ code: "VLLM_UNREACHABLE", level: "warn" }).length).toBeGreaterThan(0);
  });

  test("does not wait for ever for a server that says nothing", async () => {
    using server = modelServer();
    using node = await nodeWith(server);
    server.play = { kind: "hang" };
    const { ctx, clock } = node;
    const started = clock.now();
    await lookAtModels(ctx, signal);
    expect(clock.now() - started).toBeGreaterThanOrEqual(firstLookMs * 0.9);
    expect(ctx.inference.advertised()).toEqual(["mock-model"]);
  });

  test("waits for nothing when there is nothing to look at", async () => {
    const { ctx, clock } = await stubContext();
    await lookAtModels(ctx, signal);
    expect(clock.sleeping()).toEqual([]);
  });

  test("loads each model of its own once, the first one last, and does not offer one that cannot be loaded", async () => {
    const { ctx, log } = await stubContext();
    const loaded: string[] = [];
    const inner = createMockBackend({ models: ["mock-a", "mock-b", "mock-c"], clock: ctx.clock });
    const warm = async (modelId: string) => {
      loaded.push(modelId);
      if (modelId === "mock-b") throw new BlfError({ code: "ENGINE_CRASHED", message: "no", hint: "look there" });
    };
    const registry = createBackendRegistry([{ ...inner, warm }]);
    await warmModels({ ...ctx, inference: { ...ctx.inference, ...registry } }, signal);
    expect(loaded).toEqual(["mock-b", "mock-c", "mock-a"]);
    expect(registry.advertised()).toEqual(["mock-a", "mock-c"]);
    expect(log.lines({ level: "error", code: "ENGINE_CRASHED", hint: "look there" })).toHaveLength(1);
  });

  test("goes on with its start when the first model is only away for now, and ends it when it cannot be loaded", async () => {
    const { ctx, log } = await stubContext();
    const warming = (code: string, retryable: boolean) => ({
      ...ctx,
      inference: {
        ...ctx.inference,
        warm: () => Promise.reject(new BlfError({ code, message: "no", hint: "none", retryable })),
      },
    });
    await warmModels(warming("VLLM_UNAVAILABLE", true), signal);
    expect(log.lines({ code: "VLLM_UNAVAILABLE" })).toHaveLength(1);
    const fatal = await failureOf(() => warmModels(warming("MODEL_FILE_MISSING", false), signal));
    expect(fatal.code).toBe("MODEL_FILE_MISSING");
  });
});
