import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { determinismClass, determinismClassHash } from "../../../src/inference/llama/determinism-class.ts";
import { modelSha256 } from "../../../src/inference/llama/hash.ts";
import { failureOf, temporaryDirectory } from "../fixture.ts";

describe("hash of a model", () => {
  let directory: ReturnType<typeof temporaryDirectory>;
  beforeAll(() => {
    directory = temporaryDirectory();
  });
  afterAll(() => directory.remove());
  const cache = (name: string) => ({ cacheFile: join(directory.path, name, "hashes.json") });
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

  test("is the SHA-256 of its bytes, and is remembered", async () => {
    const path = directory.file("a.gguf", "abc");
    expect(await modelSha256(path, cache("one"))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    expect(existsSync(cache("one").cacheFile)).toBe(true);
    // What is remembered is used: a remembered value that is wrong comes back.
    const wrong = readFileSync(cache("one").cacheFile, "utf8").replace(/"ba78[0-9a-f]+"/, `"${"0".repeat(64)}"`);
    writeFileSync(cache("one").cacheFile, wrong);
    expect(await modelSha256(path, cache("one"))).toBe("0".repeat(64));
  });

  test("is made anew when the file changes", async () => {
    const path = directory.file("b.gguf", "old");
    expect(await modelSha256(path, cache("two"))).toBe(sha256("old"));
    const { atime, mtime } = statSync(path);
    writeFileSync(path, "new");
    utimesSync(path, atime, new Date(mtime.getTime() + 1000));
    expect(await modelSha256(path, cache("two"))).toBe(sha256("new"));
  });

  test("does not need its cache", async () => {
    const path = directory.file("c.gguf", "text");
    const blocked = directory.file("blocked", "a file");
    expect(await modelSha256(path, { cacheFile: join(blocked, "hashes.json") })).toBe(sha256("text"));
    const damaged = directory.file("damaged.json", "{not json");
    expect(await modelSha256(path, { cacheFile: damaged })).toBe(sha256("text"));
    const odd = directory.file("odd.json", JSON.stringify({ [path]: null }));
    expect(await modelSha256(path, { cacheFile: odd })).toBe(sha256("text"));
  });

  test("of no file is MODEL_UNREADABLE", async () => {
    const path = join(directory.path, "none.gguf");
    expect((await failureOf(() => modelSha256(path, cache("three")))).code).toBe("MODEL_UNREADABLE");
  });

  test("ends when aborted", async () => {
    const path = directory.file("d.gguf", "x".repeat(1000));
    const reason = new Error("stop");
    const hashing = modelSha256(path, { ...cache("four"), signal: AbortSignal.abort(reason) });
    await expect(hashing).rejects.toBe(reason);
  });
});

describe("determinism class", () => {
  const inputs = {
    ggufSha256: "0123456789abcdef".repeat(4),
    release: "v0.4.0",
    device: "cpu:haswell@linux-x64",
    contextSize: 2048,
    batchSize: 32,
    flashAttention: false,
    kvType: "f16",
    maxTokens: 512,
  } as const;

  test("is short and can be read", () => {
    expect(determinismClass(inputs)).toBe(
      "gguf:0123456789ab/llama.cpp:v0.4.0/cpu:haswell@linux-x64/ctx2048/b32/no-fa/kv-f16/greedy/max512/raw",
    );
    expect(determinismClass({ ...inputs, flashAttention: true })).toEndWith("/b32/fa/kv-f16/greedy/max512/raw");
  });

  test("names template, system text and stops by their hashes", () => {
    const hash = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 8);
    const chat = { ...inputs, chatTemplate: "{{ messages }}", system: "Be brief.", stop: ["\n\n", "END"] };
    expect(determinismClass(chat)).toEndWith(
      `/chat:${hash("{{ messages }}")}/system:${hash("Be brief.")}/stop:${hash('["\\n\\n","END"]')}`,
    );
    expect(determinismClass({ ...chat, stop: ["END", "\n\n"] })).toBe(determinismClass(chat));
    expect(determinismClass({ ...chat, stop: [] })).toEndWith(`/system:${hash("Be brief.")}`);
  });

  test("has a hash", () => {
    const text = determinismClass(inputs);
    expect(determinismClassHash(text)).toBe(new Bun.CryptoHasher("sha256").update(text).digest("hex"));
  });
});
