import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outputs } from "../../src/cli/models.ts";
import { nodeDirectory } from "./node-directory.ts";
import { type CliOptions, runCli } from "./run-cli.ts";

/** Nodes for the commands of `models`, which share a cache until the tests of the file are over. */
export function useModelNodes() {
  const world = { scratch: "" };
  beforeAll(() => {
    world.scratch = mkdtempSync(join(tmpdir(), "blf-models-"));
  });
  afterAll(() => rmSync(world.scratch, { recursive: true, force: true }));

  const node = (config: Record<string, unknown> = {}) => {
    const directory = nodeDirectory(config);
    const env = { ...directory.env, XDG_CACHE_HOME: join(world.scratch, "cache") };
    const run = (args: string[], options: CliOptions = {}) =>
      runCli(args, { ...options, env: { ...env, ...options.env } });
    return {
      ...directory,
      env,
      run,
      /** The document of a command that succeeds, checked against its schema. */
      json: async (args: string[], options: CliOptions = {}) => {
        const result = await run([...args, "--json"], options);
        expect([result.stderr, result.code]).toEqual(["", 0]);
        return outputs[args.slice(0, 2).join(" ")]!.parse(JSON.parse(result.stdout)) as Record<string, unknown>;
      },
      config: () => JSON.parse(readFileSync(join(directory.dir, "config.json"), "utf8")) as Record<string, unknown>,
      models: join(directory.dir, "models"),
    };
  };
  return { world, node };
}
