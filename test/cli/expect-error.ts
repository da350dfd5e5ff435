import { expect } from "bun:test";
import { type CliOptions, type CliResult, runCli } from "./run-cli.ts";

const stackTrace = /\bat .*\(.*:\d+|\.ts:\d|\.js:\d|\/\$bunfs\//;

/** Takes out what differs from run to run: directories and ports. */
export function normalise(text: string, ...paths: string[]): string {
  const named = paths.reduce((result, path) => result.replaceAll(path, "DIR"), text);
  return named.replace(/127\.0\.0\.1:\d{2,5}/g, "127.0.0.1:PORT");
}

/**
 * The two lines of an error as a person sees them, with the exit code before. Checks that there is nothing else: nothing on
 * stdout, no other line, no stack trace.
 */
export function errorText(result: CliResult, ...paths: string[]): string {
  expect(result.stdout).toBe("");
  expect(result.stderr).not.toMatch(stackTrace);
  expect(result.stderr).toMatch(/^error: [^\n]+ \[[A-Z0-9_]+\]\n {2}hint: [^\n]+\n$/);
  const [message, hint] = normalise(result.stderr, ...paths).split("\n");
  return `${result.code} ${message!.slice("error: ".length)} | ${hint!.slice("  hint: ".length)}`;
}

/** The same from `--json`: one document on stdout and nothing on stderr. */
export function jsonErrorText(result: CliResult, ...paths: string[]): string {
  expect(result.stderr).toBe("");
  expect(result.stdout).toMatch(/^\{[^\n]*\}\n$/);
  const document = JSON.parse(result.stdout) as { ok: boolean; error: { code: string; message: string; hint: string } };
  expect(Object.keys(document)).toEqual(["ok", "error"]);
  expect(Object.keys(document.error)).toEqual(["code", "message", "hint"]);
  expect(document.ok).toBe(false);
  const { code, message, hint } = document.error;
  return normalise(`${result.code} ${message} [${code}] | ${hint}`, ...paths);
}

/** Runs a command that fails, with and without `--json`, and gives what both say. */
export async function failure(args: string[], options: CliOptions, ...paths: string[]): Promise<string> {
  const [plain, json] = await Promise.all([runCli(args, options), runCli([...args, "--json"], options)]);
  const text = errorText(plain, ...paths);
  expect(jsonErrorText(json, ...paths)).toBe(text);
  return text;
}
