import { BlfError } from "../../lib/errors.ts";
import type { EngineModel, EngineOptions } from "./engine.ts";

/** How the engine is set up; the first message that its process gets. */
export type EngineSetup = Pick<EngineOptions, "threads" | "sequences" | "gpu" | "idleUnloadMs">;

/** What the engine's process is told to do. */
export type EngineOrder =
  | { op: "load"; model: EngineModel }
  | { op: "generate"; model: EngineModel; prompt: string; stream: boolean }
  | { op: "verify"; model: EngineModel; prompt: string; output: string };

/** llama.cpp or its binding failed in a way that nobody foresaw. */
export function internalError(code: string, cause?: unknown): BlfError {
  return new BlfError({
    code: "ENGINE_FAILED",
    message: `llama.cpp failed (${code})`,
    hint: "Try again; if it happens again, run with debug logging and report it.",
    cause,
  });
}
