import { expect, test } from "bun:test";
import { compareFingerprints } from "../../../src/inference/determinism/compare-fingerprints.ts";
import {
  createFingerprint,
  type Fingerprint,
  hashOfText,
  hashOfTokens,
  type Proof,
  parseFingerprint,
} from "../../../src/inference/determinism/fingerprint.ts";
import { failureOf } from "../fixture.ts";

const determinismClass =
  "gguf:0123456789ab/llama.cpp:v1/cpu:haswell@linux-x64/ctx2048/b32/no-fa/kv-f16/greedy/max512/raw";
const sha256 = hashOfText("a file");

function tokenProof(changes: Partial<Extract<Proof, { level: "tokens" }>> = {}): Proof {
  return {
    level: "tokens",
    name: "31 tokens",
    promptSha256: hashOfTokens([1, 2, 3] as never),
    promptTokens: 31,
    outputTokens: 4,
    tokensSha256: hashOfTokens([5, 6, 7, 8] as never),
    firstTokens: [5, 6, 7, 8],
    logits: [
      { position: 0, sha256: hashOfText("first") },
      { position: 7, sha256: hashOfText("eighth") },
    ],
    ...changes,
  };
}

function fingerprint(changes: Partial<Fingerprint> = {}, proofs = [tokenProof()]): Fingerprint {
  const about = {
    model: "m",
    class: determinismClass,
    modelSha256: sha256,
    device: "cpu:haswell@linux-x64",
    threads: 1,
  };
  return createFingerprint({ ...about, ...changes }, proofs);
}

const details = (theirs: Fingerprint, ours: Fingerprint) =>
  compareFingerprints(theirs, ours).differences.map(({ kind, detail }) => `${kind}: ${detail}`);

test("equal fingerprints agree, whatever the number of threads and the model's name", () => {
  expect(compareFingerprints(fingerprint(), fingerprint({ threads: 7, model: "other" }))).toEqual({
    agrees: true,
    answersEqual: true,
    compared: 1,
    differences: [],
  });
});

test.each([
  ["cpu:haswell@linux-x64", "cpu:x64@linux-x64", "CPU variant"],
  ["gguf:0123456789ab", "gguf:ffff456789ab", "model file"],
  ["llama.cpp:v1", "llama.cpp:v2", "release of llama.cpp"],
  ["ctx2048", "ctx4096", "context"],
  ["/b32/", "/b64/", "batch"],
  ["no-fa", "fa", "flash attention"],
  ["max512", "max64", "longest answer"],
  ["/raw", "/chat:01234567", "chat template"],
])("of classes that differ the part is named: %s and %s", (mine, other, name) => {
  const theirs = fingerprint({ class: determinismClass.replace(mine, other) });
  const agreement = compareFingerprints(theirs, fingerprint());
  const trimmed = (text: string) => text.replaceAll("/", "");
  expect(agreement.agrees).toBe(false);
  expect(agreement.answersEqual).toBe(true);
  expect(agreement.differences).toEqual([
    { kind: "class", detail: `${name}: ${trimmed(other)} there, ${trimmed(mine)} here` },
  ]);
});

const service = "vllm:org/m@0.8.0/greedy/seed42/max512/raw";

test.each([
  [`${determinismClass}/chat:1`, `${determinismClass}/chat:2`, "chat template: raw/chat:2 there, raw/chat:1 here"],
  ["chat:1/stop:a", "chat:2/stop:a", "chat template: chat:2 there, chat:1 here"],
  ["chat:1/system:a/stop:a", "chat:1/system:b/stop:a", "system text: system:b there, system:a here"],
  ["chat:1/stop:a", "chat:1/system:b/stop:a", "system text: system:b there, none here"],
  ["chat:1/stop:a", "chat:1/stop:b", "stop texts: stop:b there, stop:a here"],
  ["vllm:m@0.8.0/raw", "vllm:m@0.9.1/raw", "service: vllm:m@0.9.1 there, vllm:m@0.8.0 here"],
  [service, service.replace("0.8.0", "0.9.1"), "service: vllm:org/m@0.9.1 there, vllm:org/m@0.8.0 here"],
  [service, service.replace("seed42", "seed7"), "seed: seed7 there, seed42 here"],
  [
    "custom:mine/module:01",
    "custom:mine/module:02",
    "service: custom:mine/module:02 there, custom:mine/module:01 here",
  ],
  ["mock/sha256", "mock/sha512", "service: mock/sha512 there, mock/sha256 here"],
  ["max512/new:1/raw", "max512/new:2/raw", "class: new:2 there, new:1 here"],
  ["raw/max512", "max512/raw", "class: max512/raw there, raw/max512 here"],
])("classes that differ never agree: %s and %s", (mine, other, detail) => {
  const agreement = compareFingerprints(fingerprint({ class: other }), fingerprint({ class: mine }));
  expect(agreement).toMatchObject({ agrees: false, answersEqual: true, differences: [{ kind: "class", detail }] });
  expect(agreement.differences).toHaveLength(1);
});

test("what was computed is compared to the token and to the bit", () => {
  const other = hashOfText("other");
  const ours = fingerprint();
  expect(details(fingerprint({}, [tokenProof({ tokensSha256: other, firstTokens: [5, 6, 9, 8] })]), ours)).toEqual([
    "tokens: 31 tokens: the tokens differ from token 2 on: 9 there, 7 here",
  ]);
  expect(details(fingerprint({}, [tokenProof({ tokensSha256: other })]), ours)).toEqual([
    "tokens: 31 tokens: the tokens differ after the first 4",
  ]);
  const logits = [
    { position: 0, sha256: hashOfText("first") },
    { position: 7, sha256: other },
  ];
  expect(details(fingerprint({}, [tokenProof({ logits })]), ours)).toEqual([
    "logits: 31 tokens: the tokens are equal, but the numbers behind them differ at token 7",
  ]);
  expect(details(fingerprint({}, [tokenProof({ promptSha256: other })]), ours)[0]).toStartWith("prompt: 31 tokens:");
  expect(details(fingerprint({ modelSha256: other }), ours)).toEqual([
    `class: model file: ${other} there, ${sha256} here`,
  ]);
});

test("prompts that only one has, and those that nobody shares, are no agreement", () => {
  const two = fingerprint({}, [tokenProof(), tokenProof({ name: "32 tokens" })]);
  expect(details(two, fingerprint())).toEqual(["prompt: 1 prompts were answered by one of the two only"]);
  const text: Proof = { level: "text", name: "short", promptSha256: sha256, textSha256: sha256 };
  const none = compareFingerprints(fingerprint({}, [text]), fingerprint());
  expect([none.agrees, none.answersEqual, none.compared]).toEqual([false, false, 0]);
  const otherText: Proof = { ...text, textSha256: hashOfText("other") };
  expect(details(fingerprint({}, [text]), fingerprint({}, [otherText]))).toEqual(["text: short: the texts differ"]);
});

test("files that are no fingerprints are refused, and say why", async () => {
  const good = fingerprint();
  expect(parseFingerprint(JSON.stringify(good))).toEqual(good);
  const bad: [string, string][] = [
    ["", "it is not JSON"],
    ["{", "it is not JSON"],
    ["null", "it is something else"],
    ["[1]", "it is something else"],
    [JSON.stringify({ ...good, version: 2 }), "its version is not 1"],
    [JSON.stringify({ ...good, proofs: [] }), "proofs is not as it must be"],
    [JSON.stringify({ ...good, proofs: [tokenProof({ tokensSha256: "x" })] }), "proofs.0.tokensSha256 is not"],
    [JSON.stringify({ ...good, extra: 1 }), "it is not as it must be"],
    [JSON.stringify({ ...good, class: "another" }), "its class and the hash of it"],
  ];
  for (const [text, why] of bad) {
    const error = await failureOf(() => parseFingerprint(text));
    expect([error.code, error.message]).toEqual(["FINGERPRINT_INVALID", expect.stringContaining(why)]);
  }
});
