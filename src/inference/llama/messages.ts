import { BlfError, type ExitCode, errorCode } from "../../lib/errors.ts";
import type { Generation } from "../backend.ts";
import type { EngineModel, LoadedModel } from "./engine.ts";

/** How the engine is set up; the first message that its process gets. */
export type EngineSetup = { threads: number; sequences: number; gpu: boolean };

/** From the supervisor to the engine's process. Both are the same program, so the messages are not checked again. */
export type ToEngine =
  | ({ op: "open" } & EngineSetup)
  | { op: "load"; id: number; model: EngineModel }
  | { op: "generate"; id: number; model: EngineModel; prompt: string; stream: boolean }
  | { op: "abort"; id: number };

/** From the engine's process to the supervisor. */
export type FromEngine =
  | { event: "ready" }
  | { event: "text"; id: number; text: string }
  | { event: "done"; id: number; result: LoadedModel | Generation }
  | { event: "failed"; id: number; error: PlainError };

/** A BlfError without its cause, which may hold what must not travel. */
export type PlainError = { code: string; message: string; hint: string; retryable: boolean; exitCode: ExitCode };

/** Makes an error fit to be sent. Errors that are not ours keep their code only: their text may quote the prompt. */
export function toPlainError(error: unknown): PlainError {
  const known = error instanceof BlfError ? error : internalError(errorCode(error));
  const { code, message, hint, retryable, exitCode } = known;
  return { code, message, hint, retryable, exitCode };
}

/** The error that a message stands for. */
export function fromPlainError(error: PlainError): BlfError {
  return new BlfError(error);
}

/** llama.cpp or its binding failed in a way that nobody foresaw. */
export function internalError(code: string, cause?: unknown): BlfError {
  return new BlfError({
    code: "ENGINE_FAILED",
    message: `llama.cpp failed (${code})`,
    hint: "Try again; if it happens again, run with debug logging and report it.",
    cause,
  });
}
