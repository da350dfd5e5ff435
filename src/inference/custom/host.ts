import * as z from "zod/mini";
import { BlfError, errorCode } from "../../lib/errors.ts";
import type { GenerateRequest } from "../backend.ts";
import { runHost } from "../process/host.ts";
import type { BackendAnswer, BackendOrder, BackendResult, BackendSetup, LoadedBackend } from "./messages.ts";
import { customDeterminismClass, describeForeign, importBackend, shapeInvalid } from "./module.ts";
import { offerSdk } from "./sdk.ts";
import type { BackendAnswer as Answer, Backend } from "./sdk-types.ts";

/** What JavaScript may give where the types ask for an answer. */
type LooseAnswer = { [Key in keyof Answer]: Answer[Key] | undefined } & Pick<Answer, "text">;

const count = z.optional(z.int().check(z.nonnegative()));

const answerSchema: z.ZodMiniType<string | LooseAnswer> = z.union([
  z.string(),
  z.object({
    text: z.string(),
    promptTokens: count,
    outputTokens: count,
    finishReason: z.optional(z.enum(["stop", "length"])),
  }),
]);

type Loaded = { module: Backend; determinismClass: string };

/** The process of one custom backend: runs a module that nobody here has written, so that its mistakes stay in it. */
export async function runBackendHost(): Promise<never> {
  let setup: BackendSetup | undefined;
  let loading: Promise<Loaded> | undefined;
  offerSdk();

  const load = (): Promise<Loaded> => {
    if (!setup) throw new Error("the backend was not opened");
    loading ??= loadModule(setup.path);
    return loading;
  };

  return runHost<BackendSetup, BackendOrder, BackendResult>({
    open: (given) => {
      setup = given;
    },
    work: async (order, signal, onText) => {
      const loaded = await load();
      if (order.op === "load") return describe(loaded);
      if (order.op === "generate") {
        // A piece that is no text would end the stream of the one who waits for it.
        const onToken = (text: unknown) => {
          if (order.stream && typeof text === "string" && !signal.aborted) onText(text);
        };
        return generate(loaded, order, setup!.path, { signal, onToken });
      }
      if ((await loaded.module.probe?.({ signal })) === false) throw probeFailed();
      return null;
    },
    unknownError: (error) => (setup?.quoteErrors ? failedQuoted(error) : failed(error)),
  });
}

async function loadModule(path: string): Promise<Loaded> {
  const module = await importBackend(path);
  return { module, determinismClass: customDeterminismClass(module.name, path) };
}

function describe({ module, determinismClass }: Loaded): LoadedBackend {
  return { name: module.name, models: [...new Set(module.models)], determinismClass };
}

async function generate(
  { module, determinismClass }: Loaded,
  { modelId, prompt }: GenerateRequest,
  path: string,
  options: { signal: AbortSignal; onToken(text: unknown): void },
): Promise<BackendAnswer> {
  if (!module.models.includes(modelId)) throw shapeInvalid(path, `it no longer answers for ${modelId}`);
  const started = performance.now();
  const result = answerSchema.safeParse(await module.generate({ modelId, prompt }, options));
  if (!result.success) throw shapeInvalid(path, "`generate` gave neither a text nor { text }");
  const answer = typeof result.data === "string" ? { text: result.data } : result.data;
  const text = answer.text.toWellFormed();
  return {
    text,
    promptTokens: answer.promptTokens ?? countWords(prompt),
    outputTokens: answer.outputTokens ?? countWords(text),
    finishReason: answer.finishReason ?? "stop",
    determinismClass,
    ms: performance.now() - started,
  };
}

/** A module need not know its tokens; words are the nearest thing to count. */
function countWords(text: string): number {
  return text.split(/\s+/).filter(Boolean).length;
}

function probeFailed(): BlfError {
  return new BlfError({
    code: "BACKEND_UNAVAILABLE",
    message: "The custom backend says that it cannot answer now",
    hint: "See to what its `probe` looks for.",
    retryable: true,
  });
}

function failed(error: unknown): BlfError {
  // The module may have made up its error's code, of the prompt even: only those of the system are told.
  const code = errorCode(error);
  return new BlfError({
    code: "BACKEND_FAILED",
    message: `The custom backend failed (${/^(E[A-Z0-9]+|ERR_[A-Z0-9_]+)$/.test(code) ? code : "INTERNAL"})`,
    hint: "What a module's error says is not shown, since it may quote the prompt. See its own records.",
  });
}

function failedQuoted(error: unknown): BlfError {
  return new BlfError({
    code: "BACKEND_FAILED",
    message: `The custom backend failed: ${describeForeign(error)}`,
    hint: "Correct the module's `generate` or `probe`.",
  });
}
