import { describe, expect, test } from "bun:test";
import { format, inspect } from "node:util";
import { stringifyJson } from "../../src/lib/json.ts";
import { Secret, wipe } from "../../src/lib/secret.ts";

const canary = "canary-5f2c9d";
const secret = new Secret(canary);
const nested = { name: "x", list: [secret], map: new Map([["key", { secret }]]), deep: { a: { b: { c: secret } } } };

/** Runs a script of its own, so that the real console is what is read. */
async function outputOf(script: string): Promise<string> {
  const child = Bun.spawn([process.execPath, "-e", script], {
    cwd: import.meta.dir,
    env: {},
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return stdout + stderr;
}

describe("a secret", () => {
  test("gives its value only to who asks for it", () => {
    expect(secret.reveal()).toBe(canary);
  });

  test.each<[string, () => string]>([
    ["String()", () => String(secret)],
    ["a template", () => `${secret}`],
    ["concatenation", () => "password: ".concat(String(secret))],
    ["JSON.stringify", () => JSON.stringify(nested)],
    ["our JSON", () => stringifyJson({ nested, wei: 1n })],
    ["inspect", () => inspect(nested, { depth: null, showHidden: true, getters: true })],
    ["inspect without custom functions", () => inspect(secret, { customInspect: false, showHidden: true })],
    ["Bun.inspect", () => Bun.inspect(nested, { depth: 20 })],
    ["format %s", () => format("%s %o %O %j", secret, nested, nested, nested)],
    ["an error's message and cause", () => inspect(new Error(`failed with ${secret}`, { cause: nested }))],
    ["its own keys", () => JSON.stringify([Object.entries(secret), { ...secret }, Object.getOwnPropertyNames(secret)])],
    ["a list joined", () => [secret, secret].join()],
    ["structuredClone", () => inspect(structuredClone(secret), { customInspect: false })],
  ])("stays hidden in %s", (_name, print) => {
    expect(print()).not.toContain(canary);
  });

  test("says that there is something hidden", () => {
    expect(`${secret} ${JSON.stringify([secret])} ${inspect(secret)}`).toBe('[redacted] ["[redacted]"] [redacted]');
  });

  test("stays hidden from console.log, console.error, console.table and an uncaught error", async () => {
    const output = await outputOf(`
      const { Secret } = await import("../../src/lib/secret.ts");
      const canary = Buffer.from("${Buffer.from(canary).toString("base64")}", "base64").toString();
      const secret = new Secret(canary);
      const nested = { list: [secret], map: new Map([["key", { secret }]]), deep: { a: { b: secret } } };
      console.log(secret, nested, "%s", secret);
      console.error(nested, [secret], new Set([secret]));
      console.table([{ secret }]);
      console.dir(nested, { depth: 10 });
      console.log("printed to the end");
      throw Object.assign(new Error("failed"), { secret, nested });
    `);
    expect(output).toContain("printed to the end");
    expect(output).toContain("[redacted]");
    expect(output).toContain("failed");
    expect(output).not.toContain(canary);
  });
});

test("wipe overwrites every buffer it is given", () => {
  const [a, b] = [Uint8Array.of(1, 2, 3), Buffer.from("key")];
  wipe(a, undefined, b);
  expect([...a, ...b]).toEqual([0, 0, 0, 0, 0, 0]);
});
