import { expect } from "bun:test";
import { type CliOptions, runCli } from "./run-cli.ts";

type Schema = { parse(value: unknown): unknown };

/** Runs a command with `--json` and gives its one document, checked against the schema that the command's file promises. */
export async function document<T>(
  args: string[],
  options: CliOptions,
  outputs: Record<string, Schema>,
  name: string,
): Promise<T> {
  const { code, stdout, stderr } = await runCli([...args, "--json"], options);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const schema = outputs[name];
  if (!schema) throw new Error(`there is no schema for ${name}`);
  return schema.parse(JSON.parse(stdout)) as T;
}
