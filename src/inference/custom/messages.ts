import type { GenerateRequest } from "../backend.ts";

export type BackendSetup = {
  /** Absolute path of the module. */
  path: string;
  /** Whether errors of the module are quoted. Only for prompts of our own: a module's error may quote the prompt. */
  quoteErrors: boolean;
};

export type BackendOrder = { op: "load" } | { op: "probe" } | ({ op: "generate"; stream: boolean } & GenerateRequest);

/** What a module says of itself. */
export type BackendDescription = {
  name: string;
  /** Exact model ids that it answers for. */
  models: string[];
};

export type LoadedBackend = BackendDescription & { determinismClass: string };

/** An answer of the module, with what it left out filled in. */
export type BackendAnswer = {
  text: string;
  promptTokens: number;
  outputTokens: number;
  finishReason: "stop" | "length";
  determinismClass: string;
  ms: number;
};

export type BackendResult = LoadedBackend | BackendAnswer | null;
