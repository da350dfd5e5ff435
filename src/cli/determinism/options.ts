import { BlfError, exitCodes } from "../../lib/errors.ts";

export type Options = {
  model?: string;
  backend?: string;
  prompt?: string;
  runs: string;
  tokens: string;
  batch?: string;
  flashAttention?: string;
  threads?: string;
  cpu?: string;
  export?: string;
  against?: string;
  json?: boolean;
};

/** Settings in place of the node's own, for auditors. */
export type Overrides = {
  batchSize?: number;
  flashAttention?: boolean;
  threads?: number;
  cpu?: string;
};

export type Parsed = { runs: number; tokens: number; overrides: Overrides };

/** @throws BlfError `USAGE_INVALID_OPTION` */
export function parseOptions(options: Options): Parsed {
  const { batch, flashAttention, threads, cpu } = options;
  if (flashAttention !== undefined && flashAttention !== "on" && flashAttention !== "off")
    throw invalid("--flash-attention must be on or off");
  return {
    runs: numberOf("--runs", options.runs, 2, 100_000),
    tokens: numberOf("--tokens", options.tokens, 8, 512),
    overrides: {
      ...(batch === undefined ? {} : { batchSize: numberOf("--batch", batch, 1, 4096) }),
      ...(flashAttention === undefined ? {} : { flashAttention: flashAttention === "on" }),
      ...(threads === undefined ? {} : { threads: numberOf("--threads", threads, 1, 512) }),
      ...(cpu === undefined ? {} : { cpu }),
    },
  };
}

function numberOf(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw invalid(`${option} must be a number from ${least} to ${most}`);
}

export function invalid(message: string): BlfError {
  return new BlfError({
    code: "USAGE_INVALID_OPTION",
    message,
    hint: "Run `blindference test-determinism --help`.",
    exitCode: exitCodes.usage,
  });
}
