import { existsSync } from "node:fs";
import { basename } from "node:path";
import * as clack from "@clack/prompts";
import type { Config } from "../../config/load.ts";
import { expandPath } from "../../config/load.ts";
import { networks } from "../../config/networks.ts";
import { readGgufFile } from "../../inference/llama/gguf.ts";
import { BlfError } from "../../lib/errors.ts";
import { Secret } from "../../lib/secret.ts";
import { createPrivateKey, parsePrivateKey } from "../../wallet/private-key.ts";
import { cancelled, minimumPasswordLength } from "../ui/password.ts";
import { tableLines } from "../ui/table.ts";
import { gigabytes, type Machine, machineRows } from "./machine.ts";
import { type ChosenModels, findModelFiles, idOfFile } from "./models.ts";
import { type ProbeResult, probeModel, probeText } from "./probe.ts";

export type WizardQuestions = {
  config: Config;
  machine: Promise<Machine>;
  /** What is already decided by an option or a variable is not asked. */
  privateKey?: Secret<`0x${string}`> | undefined;
  password?: Secret<string> | undefined;
  importKey: boolean;
  network?: string | undefined;
  models: ChosenModels;
};

export type WizardAnswers = {
  privateKey: Secret<`0x${string}`>;
  password: Secret<string>;
  network: string;
  models: ChosenModels;
};

/** The conversation on a terminal. Nothing is written before it has ended. @throws BlfError `CANCELLED` */
export async function askQuestions(questions: WizardQuestions): Promise<WizardAnswers> {
  clack.intro("A node of the Blindference network");
  const machine = await questions.machine;
  // The note's frame takes six columns.
  const width = Math.max(40, (process.stdout.columns ?? 80) - 6);
  clack.note(tableLines(machineRows(machine), { width }).join("\n"), "This machine", { format: (line) => line });
  const privateKey = questions.privateKey ?? (await askKey(questions.importKey));
  const password = questions.password ?? (await askPassword());
  const network = questions.network ?? (await askNetwork(questions.config.network));
  const chosen =
    Object.keys(questions.models).length > 0 ? questions.models : await askModel(questions.config, machine);
  return { privateKey, password, network, models: chosen };
}

/** The end of the conversation, when everything is written. */
export function sayWritten(): void {
  clack.outro("The node has its wallet and its configuration");
}

/** Tries each model while the terminal shows that something happens. */
export async function probeOnTerminal(config: Config, models: ChosenModels, log: ProbeLog): Promise<ProbeResult[]> {
  const results: ProbeResult[] = [];
  for (const [model, { path, gpu_layers }] of Object.entries(models)) {
    const spinner = clack.spinner();
    spinner.start(`Asking ${model} the same question twice`);
    const result = await probeModel({
      model,
      config: { path, contextSize: 2048, ...(gpu_layers ? { gpuLayers: gpu_layers } : {}) },
      threads: config.engine.threads,
      log,
    });
    if (result.repeats) spinner.stop(probeText(result));
    else spinner.error(probeText(result));
    results.push(result);
  }
  return results;
}

type ProbeLog = Parameters<typeof probeModel>[0]["log"];

async function askKey(importKey: boolean): Promise<Secret<`0x${string}`>> {
  const choice = importKey
    ? "import"
    : answer(
        await clack.select({
          message: "The node needs a wallet of its own",
          options: [
            { value: "create", label: "Create a new key" },
            { value: "import", label: "Import a private key" },
          ],
        }),
      );
  if (choice === "create") return createPrivateKey();
  const text = answer(
    await clack.password({
      message: "Private key (64 hex digits)",
      validate: (value) => complaint(() => parsePrivateKey(value ?? "")),
    }),
  );
  return parsePrivateKey(text);
}

async function askPassword(): Promise<Secret<string>> {
  const first = answer(
    await clack.password({
      message: "A password for the keystore: it is all that protects the key on this disk",
      validate: (value) =>
        (value ?? "").length < minimumPasswordLength ? `At least ${minimumPasswordLength} characters` : undefined,
    }),
  );
  answer(
    await clack.password({
      message: "The same password again",
      validate: (value) => (value === first ? undefined : "It differs from the first one"),
    }),
  );
  return new Secret(first);
}

async function askNetwork(current: string): Promise<string> {
  const labels: Record<string, string> = {
    arbitrum_sepolia: "the public network on Arbitrum Sepolia",
    devnet: "a network of your own: blindference devnet",
  };
  const names = Object.keys(networks).filter((name) => name in labels || name === current);
  return answer(
    await clack.select({
      message: "Which network?",
      initialValue: current,
      options: names.map((name) => ({ value: name, label: name, ...(labels[name] ? { hint: labels[name] } : {}) })),
    }),
  );
}

async function askModel(config: Config, machine: Machine): Promise<ChosenModels> {
  const files = findModelFiles(config.model_cache_dir);
  const choice = answer(
    await clack.select({
      message: "Which model does this node serve?",
      options: [
        ...files.map(({ path, name, bytes }) => ({ value: path, label: name, hint: gigabytes(bytes) })),
        { value: "path", label: "A GGUF file on this machine", hint: "you will be asked for its path" },
        { value: "none", label: "None yet", hint: "a node without a model gets no jobs" },
      ],
    }),
  );
  if (choice === "none") return {};
  const given =
    choice === "path"
      ? answer(
          await clack.text({
            message: "Path of the GGUF file",
            validate: (value) => complaint(() => readGgufFile(expandPath(value ?? ""))),
          }),
        )
      : choice;
  const path = expandPath(given);
  const id = answer(
    await clack.text({
      message: "Its id in the network: same id, same file, same settings on every node",
      initialValue: idOfFile(basename(path)),
      validate: (value) => (value?.trim() ? undefined : "It needs a name"),
    }),
  ).trim();
  return { [id]: { path, ...(await askGpu(path, machine)) } };
}

async function askGpu(path: string, { usesGpu, hardware }: Machine): Promise<{ gpu_layers?: number }> {
  if (!usesGpu || !existsSync(path)) return {};
  const [gpu] = hardware.gpus;
  const onGpu = answer(await clack.confirm({ message: `Compute on the GPU (${gpu?.name})?` }));
  if (!onGpu) return {};
  const { metadata, architecture } = readGgufFile(path);
  // One more than the model's own layers: the output is a layer too.
  return { gpu_layers: Number(metadata.get(`${architecture}.block_count`)) + 1 };
}

/** What is wrong with an input, in words, or undefined. */
function complaint(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof BlfError ? error.message : "That cannot be used";
  }
}

function answer<T>(value: T): Exclude<T, symbol> {
  if (clack.isCancel(value)) throw cancelled();
  return value as Exclude<T, symbol>;
}
