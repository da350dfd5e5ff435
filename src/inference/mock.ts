import { createHash } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import { BlfError } from "../lib/errors.ts";
import type { Backend } from "./backend.ts";

export type MockBackendOptions = {
  /** Model ids to answer for. */
  models: string[];
  /** The ids among them that the operator lets it answer for although their names do not begin with `mock`. */
  optedIn?: string[];
  clock: Clock;
};

/** The mock's text: `MOCK_OUTPUT_` and the SHA-256 of `<model id>:<prompt>` as hex (PROTOCOL.md 2.8). */
export function mockOutput(modelId: string, prompt: string): string {
  return `MOCK_OUTPUT_${createHash("sha256").update(`${modelId}:${prompt}`).digest("hex")}`;
}

/**
 * Answers without a model. It answers only for models whose names say so, or that the operator named: a node that answers mock text
 * for a real model cheats its users.
 * @throws BlfError `MOCK_NOT_ALLOWED`
 */
export function createMockBackend(options: MockBackendOptions): Backend {
  const { clock } = options;
  const refused = options.models.find((modelId) => !modelId.startsWith("mock") && !options.optedIn?.includes(modelId));
  if (refused !== undefined) throw notAllowed(refused);
  const models = new Set(options.models);
  const check = (modelId: string) => {
    if (!models.has(modelId)) throw notAllowed(modelId);
  };
  return {
    name: "mock",
    models: () => [...models],
    slots: 16,
    determinismClass: () => "mock/sha256",
    warm: async (modelId) => check(modelId),
    generate: async ({ modelId, prompt }, { signal, onToken }) => {
      signal.throwIfAborted();
      check(modelId);
      const started = clock.now();
      const text = mockOutput(modelId, prompt);
      onToken?.(text);
      return {
        text,
        promptTokens: countWords(prompt),
        outputTokens: 1,
        finishReason: "stop",
        determinismClass: "mock/sha256",
        ms: clock.now() - started,
      };
    },
    health: () => ({ status: "healthy", detail: "" }),
    close: async () => {},
  };
}

/** The mock has no tokens; words are the nearest thing to count. */
function countWords(text: string): number {
  return text.split(/\s+/).filter(Boolean).length;
}

function notAllowed(modelId: string): BlfError {
  return new BlfError({
    code: "MOCK_NOT_ALLOWED",
    message: `The mock may not answer for the model ${modelId}`,
    hint: "Name a model that begins with `mock`, or opt in to mock answers for this model in the configuration.",
  });
}
