import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { getPriority } from "node:os";
import { createProver, type Prover, type ProverOptions } from "../../src/cofhe/prover.ts";
import type { ProofRequest } from "../../src/cofhe/prover-messages.ts";

setDefaultTimeout(60_000);

const request: ProofRequest = { publicKey: "0x00", crs: "0x00", values: [1n, 2n], metadata: new Uint8Array(53) };
const soon = () => AbortSignal.timeout(20_000);
const open: Prover[] = [];

afterEach(async () => {
  for (const prover of open.splice(0)) await prover.close();
});

function prover(worker: string | undefined, options: ProverOptions = {}): Prover {
  const url = worker ? { url: new URL(`./${worker}.ts`, import.meta.url).href } : {};
  const made = createProver({ ...url, ...options });
  open.push(made);
  return made;
}

const told = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes));
const codeOf = (call: Promise<unknown>) => call.then(String, (error: { code?: string }) => error.code);

describe("createProver", () => {
  test("keeps its Worker from one proof to the next, and tells it nothing of our environment", async () => {
    process.env["BLF_TEST_CANARY"] = "seen";
    const echo = prover("worker-echoes");
    const [first, second] = await Promise.all([echo.prove(request, soon()), echo.prove(request, soon())]);
    expect([told(first).asked, told(second).asked]).toEqual([1, 2]);
    expect(told(first).environment).not.toContain("BLF_TEST_CANARY");
    delete process.env["BLF_TEST_CANARY"];
  });

  test("ends an idle Worker and starts another when it is needed", async () => {
    const echo = prover("worker-echoes", { idleMs: 0 });
    const asked = async () => told(await echo.prove(request, soon())).asked;
    expect(await asked()).toBe(1);
    do await new Promise((resolve) => setTimeout(resolve, 1));
    while ((await asked()) !== 1);
  });

  test("says that the public key or CRS cannot be read, and slows down only itself", async () => {
    const real = prover(undefined);
    const priority = getPriority();
    expect(await codeOf(real.prove(request, soon()))).toBe("COFHE_KEYS_INVALID");
    expect(await codeOf(real.prove({ ...request, publicKey: "not hex" }, soon()))).toBe("COFHE_KEYS_INVALID");
    expect(getPriority()).toBe(priority);
  });

  test.each([
    "worker-exits",
    "worker-throws",
    "worker-fails",
    "worker-that-is-not-there",
  ])("%s: rejects instead of waiting", async (worker) => {
    expect(await codeOf(prover(worker).prove(request, soon()))).toBe("COFHE_PROVER_FAILED");
  });

  test("an abort ends a proof at once, without blocking this thread", async () => {
    const channel = new BroadcastChannel("worker-spins");
    const began = new Promise((resolve) => {
      channel.onmessage = resolve;
    });
    const spinning = prover("worker-spins");
    const stop = new AbortController();
    const call = spinning.prove(request, stop.signal);
    const waiting = spinning.prove(request, stop.signal);
    await began;
    const started = performance.now();
    stop.abort(new Error("deadline"));
    for (const each of [call, waiting]) expect(await each.catch((error: Error) => error.message)).toBe("deadline");
    expect(performance.now() - started).toBeLessThan(1000);
    channel.close();
  });

  test("has a limit of time, and ends what is under way when closed", async () => {
    expect(await codeOf(prover("worker-spins", { limitMs: 50 }).prove(request, soon()))).toBe("COFHE_TIMEOUT");
    const closed = prover("worker-spins");
    const call = codeOf(closed.prove(request, soon()));
    await closed.close();
    expect(await call).toBe("COFHE_CLOSED");
    expect(await codeOf(closed.prove(request, soon()))).toBe("COFHE_CLOSED");
  });
});
