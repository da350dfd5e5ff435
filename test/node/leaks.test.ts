import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { OutputKey } from "../../src/cofhe/key-pool.ts";
import { splitKey } from "../../src/crypto/key-halves.ts";
import { mockOutput } from "../../src/inference/mock.ts";
import { BlfError } from "../../src/lib/errors.ts";
import type { NodeContext } from "../../src/node/context.ts";
import { createScheduler } from "../../src/node/scheduler.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { modelId, startWorld, type World } from "./world.ts";

setDefaultTimeout(30_000);

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());

/** Every way in which bytes may have been written down. */
function spellings(secret: Uint8Array | string): string[] {
  const bytes = Buffer.from(secret);
  const forms = [
    bytes.toString("hex"),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    bytes.toString("latin1"),
  ];
  if (typeof secret === "string") return [...forms, secret, JSON.stringify(secret).slice(1, -1)];
  const { high, low } = splitKey(new Uint8Array(bytes));
  return [...forms, high.toString(), low.toString(), high.toString(16), low.toString(16)];
}

test("nothing that a node logs, counts or writes holds a prompt, an output or a key", async () => {
  using dir = tempDirectory();
  const path = join(dir.path, "journal.db");
  const leader = await world.node({ journalPath: path });
  const verifier = await world.node();
  const secrets: (Uint8Array | string)[] = [];
  const ctx = leader.context();
  const take = async (signal: AbortSignal): Promise<OutputKey> => {
    const outputKey = await ctx.keyPool.take(signal);
    secrets.push(Uint8Array.from(outputKey.key));
    return outputKey;
  };
  const decryptKey: NodeContext["cofhe"]["decryptKey"] = async (handles, signal) => {
    const { high, low } = await ctx.cofhe.decryptKey(handles, signal);
    secrets.push(high.toString(), low.toString());
    return { high, low };
  };
  const watched = { ...ctx, keyPool: { ...ctx.keyPool, take }, cofhe: { ...ctx.cofhe, decryptKey } };
  const boom = (detail: string) => () => Promise.reject(new Error(detail));

  for (const [index, change] of (
    [
      () => ({}),
      // Errors of libraries like to quote what they were given.
      (prompt: string) => ({ inference: { ...ctx.inference, generate: boom(`cannot tokenise ${prompt}`) } }),
      (prompt: string) => ({ uploader: { upload: boom(`cannot send ${mockOutput(modelId, prompt)}`) } }),
      (prompt: string) => ({
        sender: {
          send: () =>
            Promise.reject(new BlfError({ code: "CHAIN_REVERTED", message: "no", hint: "none", cause: prompt })),
        },
      }),
    ] as ((prompt: string) => Partial<NodeContext>)[]
  ).entries()) {
    const prompt = `CANARY-${index} the quick brown ${crypto.randomUUID()} jumps “höher”`;
    secrets.push(prompt, mockOutput(modelId, prompt));
    const job = await world.job([leader, verifier], { prompt });
    const scheduler = createScheduler(
      { ...watched, ...change(prompt) },
      { onRoom: () => {} },
      new AbortController().signal,
    );
    scheduler.offer([await job.assignment(leader)]);
    await scheduler.drain();
    if (index > 0) continue;
    const verifying = createScheduler(verifier.context(), { onRoom: () => {} }, new AbortController().signal);
    verifying.offer([await job.assignment(verifier)]);
    await verifying.drain();
  }
  expect(leader.journal.countByState()).toEqual({ submitted: 1, failed: 3 });
  expect(verifier.journal.countByState()).toEqual({ submitted: 1 });
  // Four jobs, each with two halves, a prompt, an output and an output key.
  expect(secrets).toHaveLength(4 * 5);

  const metrics = await ctx.metrics.registry.metrics();
  const files = ["journal.db", "journal.db-wal"].map((name) => readFileSync(join(dir.path, name)).toString("latin1"));
  const written = [leader.log.text(), verifier.log.text(), metrics, ...files];
  expect(written.join().length).toBeGreaterThan(10_000);
  for (const secret of secrets)
    for (const text of spellings(secret)) for (const place of written) expect(place.includes(text)).toBe(false);
});
