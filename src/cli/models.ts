import type { Command } from "commander";
import type { AddOptions } from "./models/add.ts";
import type { PullCliOptions } from "./models/pull.ts";
import type { RemoveOptions } from "./models/remove.ts";
import type { TestOptions } from "./models/test.ts";
import type { VerifyOptions } from "./models/verify.ts";

export { outputs } from "./models/output.ts";

const json = ["--json", "print one JSON document"] as const;

export function register(program: Command): void {
  const models = program.command("models").description("List, try, download and check models, and add backends.");
  models
    .command("list")
    .description("List the models of every backend: whether they are available, and their determinism class.")
    .option(...json)
    .action(async (options: { json?: boolean }) => (await import("./models/list.ts")).runList(options));
  models
    .command("test [id] [prompt]")
    .description("Send one prompt through a model as a job would, and show the answer, its speed and its class.")
    .option("--model <id>", "the model")
    .option("--backend <name>", "a model of this backend: llama, vllm, groq, gemini, mock, or a custom one")
    .option("--prompt <text>", "what to ask")
    .option(...json)
    .action(async (id: string | undefined, prompt: string | undefined, options: TestOptions) =>
      (await import("./models/test.ts")).runTest(id, prompt, options),
    );
  models
    .command("add <id=path.gguf|module>")
    .description("Add a local GGUF, or a backend in TypeScript or JavaScript: a path, or a package of this directory.")
    .option("--timeout <seconds>", "longest time for the trial answer of a backend", "10")
    .option(...json)
    .action(async (what: string, options: AddOptions) => (await import("./models/add.ts")).runAdd(what, options));
  models
    .command("remove <id|path>")
    .description("Take a model or a backend out of config.json.")
    .option("--delete-file", "also delete the model's file, if it lies in model_cache_dir")
    .option("--yes", "do not ask")
    .option(...json)
    .action(async (what: string, options: RemoveOptions) =>
      (await import("./models/remove.ts")).runRemove(what, options),
    );
  models
    .command("pull <url|owner/repo[:file.gguf]>")
    .description(
      "Download a GGUF over several connections, check it, and offer it. Run it again to go on after a stop.",
    )
    .option("--id <id>", "what the network calls the model; the file's name by default")
    .option("--sha256 <hex>", "the SHA-256 that the file must have; a hub tells it by itself")
    .option("--manifest <file|url>", "hashes of the file's chunks, as `models verify --write-manifest` writes them")
    .option("--connections <count>", "parts that are fetched side by side", "4")
    .option(...json)
    .action(async (what: string, options: PullCliOptions) => (await import("./models/pull.ts")).runPull(what, options));
  models
    .command("verify [id]")
    .description("Hash model files again and compare with the SHA-256 of the day they were added.")
    .option("--write-manifest <file>", "also write the hashes of the model's chunks, for `models pull --manifest`")
    .option(...json)
    .action(async (id: string | undefined, options: VerifyOptions) =>
      (await import("./models/verify.ts")).runVerify(id, options),
    );
  models
    .command("sdk")
    .description("Print the types of a custom backend: `models sdk > backend.d.ts`.")
    .option(...json)
    .action(async (options: { json?: boolean }) => (await import("./models/sdk.ts")).runSdk(options));
  registerEngine(models);
}

function registerEngine(models: Command): void {
  const engine = models.command("engine").description("Install what llama.cpp needs to compute on a GPU.");
  engine
    .command("install <cuda|vulkan>")
    .description("Download llama.cpp's libraries for a GPU from the npm registry, check them, and install them.")
    .option(...json)
    .action(async (name: string, options: { json?: boolean }) =>
      (await import("./models/engine-install.ts")).runEngineInstall(name, options),
    );
  engine
    .command("list")
    .description("List the engines that this program can compute with, and those that could be installed.")
    .option(...json)
    .action(async (options: { json?: boolean }) => (await import("./models/engine-list.ts")).runEngineList(options));
  engine
    .command("remove <cuda|vulkan>")
    .description("Delete an installed engine.")
    .option(...json)
    .action(async (name: string, options: { json?: boolean }) =>
      (await import("./models/engine-remove.ts")).runEngineRemove(name, options),
    );
}
