import { BlfError, exitCodes } from "../../../lib/errors.ts";

export function engineUnknown(engine: string, known: readonly string[]): BlfError {
  return new BlfError({
    code: "ENGINE_PACK_UNKNOWN",
    message: `There is no engine ${engine}`,
    hint: `Choose one of ${known.join(", ")}.`,
    exitCode: exitCodes.usage,
  });
}

export function engineUnsupported(engine: string, target: string): BlfError {
  const isMac = target.startsWith("darwin");
  return new BlfError({
    code: "ENGINE_PACK_UNSUPPORTED",
    message: `llama.cpp has no ${engine} engine for ${target}`,
    hint: isMac
      ? "On a Mac with an Apple chip Metal is built in: set gpu_layers of the model."
      : "Serve the model with vLLM on the GPU, and point vllm.base_url at it.",
  });
}

/** Whatever was downloaded is not what this program was made with, however often it is fetched. */
export function integrityMismatch(name: string): BlfError {
  return new BlfError({
    code: "ENGINE_PACK_INTEGRITY",
    message: `The package ${name} does not have the SHA-512 that is pinned in this program`,
    hint: "Nothing was installed. Check npm_registry_url: it must serve the packages of the npm registry unchanged.",
  });
}

export function packInvalid(name: string, what: string): BlfError {
  return new BlfError({
    code: "ENGINE_PACK_INVALID",
    message: `The package ${name} ${what}`,
    hint: "Nothing was installed. Check npm_registry_url, and that this program is the one that was published.",
  });
}

export function packNotInstalled(engine: string): BlfError {
  return new BlfError({
    code: "ENGINE_PACK_NOT_INSTALLED",
    message: `The engine ${engine} is not installed`,
    hint: "Run `blindference models engine list` to see what is.",
    exitCode: exitCodes.usage,
  });
}

export function packDamaged(engine: string, directory: string): BlfError {
  return new BlfError({
    code: "ENGINE_PACK_DAMAGED",
    message: `The ${engine} engine in ${directory} is damaged`,
    hint: `Run \`blindference models engine install ${engine}\` to put it right.`,
  });
}

export function installRunning(): BlfError {
  return new BlfError({
    code: "ENGINE_PACK_RUNNING",
    message: "Another process installs this engine right now",
    hint: "Wait for it, and run `blindference models engine list`.",
    retryable: true,
  });
}
