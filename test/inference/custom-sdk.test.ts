import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sdkDeclarations } from "../../src/inference/custom/sdk.ts";
import { createCustomBackend } from "../../src/inference/custom.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { version } from "../../src/lib/version.ts";
import { runCli } from "../cli/run-cli.ts";
import { tempDirectory } from "../helpers/temp-directory.ts";
import { exampleBackend } from "./custom-example.ts";
import { failureOf, never, recordingLogger } from "./fixture.ts";

setDefaultTimeout(60_000);

const compiler = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));

/** What TypeScript says of files that are written against the published types: its complaints, by file. */
async function check(directory: string, sources: Record<string, string>): Promise<Record<string, string[]>> {
  writeFileSync(join(directory, "backend.d.ts"), await sdkDeclarations(version));
  for (const [name, source] of Object.entries(sources)) writeFileSync(join(directory, name), source);
  const flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "es2022"];
  const child = Bun.spawn([process.execPath, compiler, ...flags, "backend.d.ts", ...Object.keys(sources)], {
    cwd: directory,
    stdout: "pipe",
    stderr: "pipe",
  });
  const lines = (await child.stdout.text()).split("\n").filter((line) => line.includes("error TS"));
  return Object.fromEntries(
    [...Object.keys(sources), "backend.d.ts"].map((name) => [name, lines.filter((line) => line.startsWith(name))]),
  );
}

describe("the types of a custom backend", () => {
  let directory: ReturnType<typeof tempDirectory>;
  beforeAll(() => {
    directory = tempDirectory();
  });
  afterAll(() => directory[Symbol.dispose]());

  test("are what `models sdk` prints, in both of its forms", async () => {
    const declarations = await sdkDeclarations(version);
    const [plain, json] = await Promise.all([runCli(["models", "sdk"]), runCli(["models", "sdk", "--json"])]);
    expect([plain.code, plain.stdout]).toEqual([0, declarations]);
    expect(JSON.parse(json.stdout)).toEqual({ ok: true, version, declarations });
    expect(declarations).toContain('declare module "blindference" {');
  });

  test("accept an example, and refuse what the host would", async () => {
    const bad: Record<string, [from: string, to: string]> = {
      "models.ts": ['models: ["parrot-1"],', ""],
      "answer.ts": ['text: words.join(" ")', "text: words.length"],
      "options.ts": ["{ signal, onToken }", "{ signal, onToken, temperature }"],
      "piece.ts": ["onToken(index === 0 ? word : ", "onToken(index === 0 ? index : "],
    };
    const sources = Object.entries(bad).map(([name, [from, to]]) => {
      expect(exampleBackend).toContain(from);
      return [name, exampleBackend.replace(from, to)];
    });
    const complaints = await check(directory.path, { "good.ts": exampleBackend, ...Object.fromEntries(sources) });
    expect(complaints["good.ts"]).toEqual([]);
    expect(complaints["backend.d.ts"]).toEqual([]);
    expect(complaints["models.ts"]).toEqual([expect.stringContaining("models")]);
    expect(complaints["answer.ts"]).toEqual([expect.stringContaining("'number' is not assignable")]);
    expect(complaints["options.ts"]).toEqual([expect.stringContaining("'temperature' does not exist")]);
    expect(complaints["piece.ts"]).toEqual([expect.stringContaining("not assignable to parameter of type 'string'")]);
  });
});

describe("a backend that is written with them", () => {
  let directory: ReturnType<typeof tempDirectory>;
  let backend: ReturnType<typeof createCustomBackend>;
  const { log, entries } = recordingLogger();
  beforeAll(() => {
    directory = tempDirectory();
    const path = join(directory.path, "parrot.ts");
    writeFileSync(path, exampleBackend);
    const description = { name: "parrot", models: ["parrot-1"] };
    backend = createCustomBackend({ path, description, clock: systemClock, log });
  });
  afterAll(async () => {
    await backend.close();
    directory[Symbol.dispose]();
  });

  const ask = (prompt: string, signal = never, onToken?: (text: string) => void) =>
    backend.generate({ modelId: "parrot-1", prompt }, { signal, ...(onToken ? { onToken } : {}) });

  test("streams its answer piece by piece to the one who asks for it", async () => {
    await backend.warm("parrot-1", never);
    const pieces: string[] = [];
    const { text, outputTokens } = await ask("hello", never, (piece) => pieces.push(piece));
    expect([text, outputTokens]).toEqual(["good day", 2]);
    expect(pieces).toEqual(["good", " day"]);
    expect((await ask("again")).text).toBe("parrot-1 says again");
  });

  test("costs its own job when it throws or ends its process, and says nothing of the prompt", async () => {
    const thrown = await failureOf(() => ask("throw"));
    expect(thrown.code).toBe("BACKEND_FAILED");
    expect(thrown.message).not.toContain("told to");
    expect((await failureOf(() => ask("exit"))).code).toBe("BACKEND_CRASHED");
    expect((await ask("hello")).text).toBe("good day");
  });

  test("hears of an abort, and is killed when it does not listen", async () => {
    await ask("hello");
    const stopped = async (prompt: string) => {
      const controller = new AbortController();
      const answer = ask(prompt, controller.signal);
      controller.abort(new Error("deadline"));
      await expect(answer).rejects.toThrow("deadline");
    };
    const killed = () => entries.filter(({ reason }) => reason === "signal SIGKILL").length;
    await stopped("wait");
    expect((await ask("hello")).text).toBe("good day");
    expect(killed()).toBe(0);
    const controller = new AbortController();
    const hanging = ask("hang", controller.signal);
    setTimeout(() => controller.abort(new Error("deadline")), 200);
    await expect(hanging).rejects.toThrow("deadline");
    expect((await ask("hello")).text).toBe("good day");
    expect(killed()).toBe(1);
  });
});
