import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { buildTinyModel } from "../../native/tiny-model.ts";
import { storyJson } from "../../src/cli/jobs-output.ts";
import { parseBlind } from "../../src/cli/ui/amount.ts";
import { loadConfig } from "../../src/config/load.ts";
import { openBlob, sealBlob } from "../../src/crypto/blob.ts";
import { writeCar } from "../../src/devnet/blob-store/car.ts";
import { compareFingerprints } from "../../src/inference/determinism/compare-fingerprints.ts";
import { createFingerprint, parseFingerprint } from "../../src/inference/determinism/fingerprint.ts";
import { readGguf } from "../../src/inference/llama/gguf.ts";
import { readFileFromCar } from "../../src/ipfs/car.ts";
import { bytesMatch, parseCid } from "../../src/ipfs/cid.ts";
import { type Block, buildFile, layoutV1 } from "../../src/ipfs/unixfs.ts";
import { Secret } from "../../src/lib/secret.ts";
import { exportJournal, parseJournalDocument } from "../../src/node/journal/export.ts";
import { millisecondsFact } from "../../src/node/journal/facts.ts";
import { importJournal } from "../../src/node/journal/import.ts";
import { fromRow, type Row } from "../../src/node/journal/job-record.ts";
import { openJournal } from "../../src/node/journal/journal.ts";
import { migrate } from "../../src/node/journal/migrate.ts";
import { openDatabase } from "../../src/node/journal/open-database.ts";
import { createTransactionTable } from "../../src/node/journal/transactions.ts";
import { decryptKeystore, encryptKeystore } from "../../src/wallet/keystore.ts";
import { calls, client } from "../icl/coordinator.ts";
import { jumpingClock } from "../lib/jumping-clock.ts";
import { assignment, commitmentA } from "../node/journal/fixtures.ts";
import { commandLine, startCli } from "./cli.ts";
import { hostileText, mutatedBytes, mutatedJson } from "./mutate.ts";
import { serviceTargets } from "./services.ts";
import { type Target, target } from "./target.ts";

/** Every target by its name. The directory is theirs until they are done. */
export async function makeTargets(): Promise<{ targets: Record<string, Target>; close(): void }> {
  const directory = mkdtempSync(join(tmpdir(), "blindference-fuzz-"));
  const cli = startCli(directory);
  const targets = {
    cli: target({ input: commandLine, read: cli.run, share: 0.25 }),
    icl: iclTarget(),
    config: configTarget(directory),
    environment: environmentTarget(directory),
    keystore: await keystoreTarget(),
    journal: journalTarget(directory),
    gguf: ggufTarget(),
    car: await carTarget(),
    cid: target({ input: fc.oneof(hostileText, fc.string({ maxLength: 80 })), read: parseCid }),
    blob: await blobTarget(),
    fingerprint: fingerprintTarget(),
    ...serviceTargets(directory),
    amount: target({
      input: fc.oneof(hostileText, fc.string({ unit: fc.constantFrom(..."0123456789.,-+ewix ") })),
      read: parseBlind,
    }),
  };
  const close = () => {
    cli.stop();
    rmSync(directory, { recursive: true, force: true });
  };
  return { targets, close };
}

function iclTarget(): Target {
  const input = fc
    .nat(calls.length - 1)
    .chain((index) =>
      fc.tuple(
        fc.constant(index),
        mutatedJson([calls[index]![5]]),
        fc.constantFrom(200, 200, 200, 400, 401, 404, 422, 500),
      ),
    );
  const read = async ([index, body, status]: [number, string, number]) => {
    const { icl } = client("http://127.0.0.1:1", { fetch: async () => new Response(body, { status }) });
    return calls[index]![1](icl);
  };
  return target({ input, read });
}

const validConfig = {
  node_address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  supported_model_ids: ["a", "b/c"],
  models: { a: { path: "/models/a.gguf", context_size: 2048, max_tokens: 64, gpu_layers: 0 } },
  engine: { isolation: "process", threads: 2 },
  network: "devnet",
  icl_endpoint: "https://icl.example",
  stake_amount_wei: "1000",
  max_fee_gwei: 1.5,
  attestation_expiry: 1_700_000_000,
  status_port: 9464,
  ipfs_gateways: ["https://gateway.example"],
};

function configTarget(directory: string): Target {
  const read = (text: string) => {
    writeFileSync(join(directory, "config.json"), text);
    return loadConfig({ env: { BLF_CONFIG_DIR: directory } });
  };
  return target({ input: mutatedJson([validConfig]), read });
}

function environmentTarget(directory: string): Target {
  const empty = mkdtempSync(join(directory, "empty-"));
  const names = [
    "BLF_MODELS",
    "BLF_TIER",
    "BLF_STATUS_PORT",
    "BLF_RPC_URL",
    "BLF_ENGINE_THREADS",
    "BLF_NODE_ADDRESS",
    "BLF_STAKE_AMOUNT_WEI",
    "BLF_MOCK_MODEL_IDS",
    "BLF_UNKNOWN",
  ];
  const text = fc.oneof(hostileText, mutatedJson([validConfig.models]));
  const input = fc.dictionary(fc.constantFrom(...names), text, { maxKeys: 3 });
  return target({ input, read: (env) => loadConfig({ env: { ...env, BLF_CONFIG_DIR: empty } }) });
}

async function keystoreTarget(): Promise<Target> {
  const password = new Secret("password");
  const text = await encryptKeystore(new Secret(`0x${"11".repeat(32)}` as const), password, { scryptN: 2 });
  const sample = JSON.parse(text) as { crypto: { kdfparams: object } };
  const pbkdf2 = {
    ...sample,
    crypto: { ...sample.crypto, kdf: "pbkdf2", kdfparams: { c: 1, prf: "hmac-sha256", dklen: 32, salt: "aa" } },
  };
  return target({ input: mutatedJson([sample, pbkdf2]), read: (file) => decryptKeystore(file, password), share: 0.1 });
}

function journalTarget(directory: string): Target {
  const path = join(directory, "journal.db");
  const journal = openJournal(path, jumpingClock());
  journal.begin(assignment("job-1"));
  journal.commit({ taskId: "job-1", role: "leader" }, commitmentA);
  journal.transactions.save({ purpose: "p", nonce: 1, hashes: ["0x1"], raw: "0x2", status: "pending", sentAt: 1 });
  journal.setFact("last-on-chain-heartbeat", "1700000000000");
  journal.close();
  const db = openDatabase(path);
  const sample = exportJournal(db, validConfig.node_address, new Date(0));
  db.close();
  const read = (text: string) => {
    const document = parseJournalDocument(text);
    const fresh = new Database(":memory:", { strict: true });
    try {
      migrate(fresh, ":memory:");
      importJournal(fresh, document, validConfig.node_address);
      // What was let in can be read by everything that reads it later.
      exportJournal(fresh, validConfig.node_address, new Date(0));
      createTransactionTable(fresh, (action) => action()).pending();
      for (const { name, value } of document.facts)
        new Date(millisecondsFact({ fact: () => value }, name)).toISOString();
      for (const row of fresh.query("SELECT * FROM jobs").all() as Row[])
        storyJson(
          { record: fromRow(row), paid: undefined },
          { committedAt: document.commitments[0]?.created_at, explorer: undefined },
        );
    } finally {
      fresh.close();
    }
  };
  return target({ input: mutatedJson([sample]), read, share: 0.3 });
}

function ggufTarget(): Target {
  const model = buildTinyModel({ layers: 1, dim: 32, ff: 32 });
  const read = (bytes: Uint8Array) =>
    readGguf({
      size: bytes.length,
      read: (into, offset) => {
        const part = bytes.subarray(offset, offset + into.length);
        into.set(part);
        return part.length;
      },
    });
  return target({ input: mutatedBytes([model]), read, share: 0.2 });
}

/** Whatever a gateway sends, a file that is accepted is the one that was asked for. */
async function carTarget(): Promise<Target> {
  const content = new TextEncoder().encode("a confidential file ".repeat(60));
  const blocks: Block[] = [];
  const root = await buildFile(content, { ...layoutV1, chunkBytes: 256 }, (block) => blocks.push(block));
  const car = writeCar(root, blocks);
  const id = parseCid(root.toString());
  const read = async (bytes: Uint8Array) => {
    const file = await readFileFromCar(id, bytes, 1 << 20);
    if (!Buffer.from(file).equals(content)) throw new Error("a gateway's forgery was accepted");
  };
  const plain = parseCid((await buildFile(content, layoutV1)).toString());
  const both = async (bytes: Uint8Array) => {
    if ((await bytesMatch(plain, bytes)) && !Buffer.from(bytes).equals(content))
      throw new Error("other bytes were accepted");
    await read(bytes);
  };
  return target({ input: mutatedBytes([car, content]), read: both, share: 0.2 });
}

async function blobTarget(): Promise<Target> {
  const key = new Uint8Array(32).fill(7);
  const text = new TextEncoder().encode("the prompt");
  const blob = await sealBlob(key, text);
  const read = async (bytes: Uint8Array) => {
    const opened = await openBlob(key, bytes);
    if (!Buffer.from(opened).equals(text)) throw new Error("a forged blob was opened");
  };
  return target({ input: mutatedBytes([blob]), read });
}

/** What another machine says that it computed. */
function fingerprintTarget(): Target {
  const digest = "ab".repeat(32);
  const about = {
    model: "m",
    class: "gguf:0123456789ab/llama.cpp:v0/cpu:x@linux-x64/raw",
    modelSha256: digest,
    device: "cpu",
    threads: 2,
  };
  const fingerprint = createFingerprint(about, [
    {
      level: "tokens",
      name: "short",
      promptSha256: digest,
      promptTokens: 3,
      outputTokens: 2,
      tokensSha256: digest,
      firstTokens: [1, 2],
      logits: [{ position: 0, sha256: digest }],
    },
    { level: "text", name: "text", promptSha256: digest, textSha256: digest },
  ]);
  const read = (text: string) => {
    const theirs = parseFingerprint(text);
    compareFingerprints(theirs, fingerprint);
    compareFingerprints(fingerprint, theirs);
  };
  return target({ input: mutatedJson([fingerprint]), read });
}
