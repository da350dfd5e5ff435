import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Address, getAddress, parseEther } from "viem";
import { buildTinyModel } from "../../../native/tiny-model.ts";
import { systemRandom } from "../../crypto/random.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { allOrAbort } from "../../lib/concurrent.ts";
import type { Logger } from "../../lib/log.ts";
import type { RequesterContext } from "../../requester/context.ts";
import { type InferResult, infer } from "../../requester/infer.ts";
import type { JobSnapshot } from "../coordinator/views.ts";
import { type Devnet, startDevnet } from "../devnet.ts";
import { openDevnetRequester } from "../requester.ts";
import { createNodeProcess, type NodeProcess } from "./node-process.ts";
import type { DemoReport } from "./report.ts";
import { waitForSettlement } from "./settlement.ts";

export type DemoOptions = {
  prompt: string;
  /** A GGUF of the user's; a tiny one with random weights is made otherwise. */
  modelPath?: string;
  /** 3 to 6. */
  nodes: number;
  log: Logger;
  signal: AbortSignal;
  /** Told as each stage ends. */
  onStage(stage: string, detail: string, ms: number): void;
};

/** Short enough to see it pass by, long enough to be an answer. */
const maxTokens = 48;
const stake = "1000";
const credits = parseEther("10");

/**
 * One confidential job from prompt to decrypted answer on a network of its own: real node processes, real llama.cpp, a real
 * EVM. Everything is stopped and removed at the end, however it ends.
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const { signal } = options;
  const directory = mkdtempSync(join(tmpdir(), "blindference-demo-"));
  const timings: Record<string, number> = {};
  const stage = async <T>(name: string, action: () => Promise<T>, detail: (result: T) => string): Promise<T> => {
    signal.throwIfAborted();
    const started = performance.now();
    const result = await action();
    timings[name] = Math.round(performance.now() - started);
    options.onStage(name, detail(result), timings[name]);
    return result;
  };
  let devnet: Devnet | undefined;
  const nodes: NodeProcess[] = [];
  try {
    const network = await stage(
      "devnet",
      () => startDevnet({ portBase: 0, clock, log: options.log }),
      ({ endpoints }) => `chain, coordinator, payment and blob store up on ${new URL(endpoints.rpc).hostname}`,
    );
    devnet = network;
    const model = prepareModel(directory, options.modelPath);
    const variables = { ...network.variables, ...model.variables, BLF_STATUS_PORT: "0", BLF_ENGINE_THREADS: "1" };
    const password = Buffer.from(systemRandom(18)).toString("base64url");
    for (let index = 1; index <= options.nodes; index++)
      nodes.push(createNodeProcess({ directory, name: `node-${index}`, password, variables, signal }));

    const onAll = (action: (node: NodeProcess) => Promise<unknown>) =>
      allOrAbort(
        nodes.map((node) => () => action(node)),
        signal,
      );
    await stage(
      "init",
      () => onAll((node) => node.command(["init"])),
      () => `${nodes.length} wallets made and encrypted`,
    );
    await stage(
      "fund",
      () => onAll((node) => network.fund(getAddress(node.address))),
      () => "each node has ETH and BLIND",
    );
    await stage(
      "attest",
      () => onAll((node) => node.command(["attest", "--mock", "--register"])),
      () => "attested and registered on chain",
    );
    await stage(
      "stake",
      () => onAll((node) => node.command(["staking", "stake", stake])),
      () => `${stake} BLIND staked by each`,
    );
    await stage(
      "run",
      () => onAll((node) => node.run()),
      () => `${nodes.length} daemons ready`,
    );

    const requester = await stage(
      "credits",
      () => openDevnetRequester({ devnet: network, credits, log: options.log, signal }),
      () => "the requester has bought credits",
    );
    try {
      const stopNarrating = narrate(network, options);
      const result = await stage(
        "job",
        () => ask(requester, options, model.id),
        ({ outputCid }) => `answer ${outputCid.slice(0, 16)}… decrypted, commitment checked`,
      );
      const job = await stage(
        "rewards",
        () => waitForSettlement(network.coordinator, result.taskId, signal),
        (settled) => `${Object.keys(settled.rewards).length} nodes paid`,
      );
      stopNarrating();
      return report({ options, model: model.id, result, job, nodes, timings });
    } finally {
      await requester.cofhe.close();
    }
  } finally {
    await Promise.allSettled(nodes.map((node) => node.stop()));
    await devnet?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The model's id, and the variables that make the nodes serve it. */
function prepareModel(directory: string, given: string | undefined) {
  const path = given ?? join(directory, "tiny.gguf");
  if (!given) {
    mkdirSync(directory, { recursive: true });
    writeFileSync(path, buildTinyModel({ seed: 1 }), { mode: 0o600 });
  }
  const id = given ? basename(given).replace(/\.gguf$/i, "") : "demo-tiny";
  const models = { [id]: { path, max_tokens: maxTokens } };
  return { id, variables: { BLF_MODELS: JSON.stringify(models), BLF_SUPPORTED_MODEL_IDS: "" } };
}

function ask(requester: RequesterContext, options: DemoOptions, modelId: string): Promise<InferResult> {
  const { prompt, signal, nodes } = options;
  return infer(requester, {
    prompt,
    modelId,
    verifierCount: nodes - 1,
    currency: "blind",
    signal,
    onStage: (name, ms) => options.onStage(`  ${name}`, "", ms),
  });
}

/** One line for each thing that a node does, as the coordinator sees it. */
function narrate({ coordinator }: Devnet, options: DemoOptions): () => void {
  const started = performance.now();
  const words: Partial<Record<string, string>> = {
    claimed: "claims the job",
    leaderResult: "publishes the encrypted answer",
    verdict: "verifies it",
    accepted: "the quorum agrees",
    rejected: "the quorum disagrees",
  };
  return coordinator.events.subscribe((event) => {
    const action = words[event.stage];
    if (!action) return;
    const who = event.address ? `${event.role ?? "node"} ${short(event.address)} ` : "";
    const commitment = event.commitment ? ` (commitment ${event.commitment.slice(0, 16)}…)` : "";
    options.onStage(`  ${event.stage}`, `${who}${action}${commitment}`, Math.round(performance.now() - started));
  });
}

function short(address: Address): string {
  return `${address.slice(0, 8)}…${address.slice(-4)}`;
}

type ReportParts = {
  options: DemoOptions;
  model: string;
  result: InferResult;
  job: JobSnapshot;
  nodes: NodeProcess[];
  timings: Record<string, number>;
};

function report({ options, model, result, job, nodes, timings }: ReportParts): DemoReport {
  const agreed = job.nodes.every((node) => node.agreed && node.commitment === result.commitment);
  return {
    ok: agreed && job.status === "ACCEPTED",
    prompt: options.prompt,
    answer: result.answer,
    model,
    outputCid: result.outputCid,
    commitment: result.commitment,
    nodes: job.nodes.map((node) => ({
      address: node.address,
      role: node.role,
      commitment: node.commitment ?? null,
      determinismClass: nodes.find(({ address }) => address === node.address)?.determinismClass() ?? null,
      agreed: node.agreed,
    })),
    rewards: Object.fromEntries(Object.entries(job.rewards).map(([address, wei]) => [address, wei.toString()])),
    timings,
  };
}
