#!/usr/bin/env bun
import { version } from "./lib/version.ts";

const argv = process.argv.slice(2);

if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
  console.log(`blindference ${version}`);
} else {
  (await import("./lib/protect-memory.ts")).protectMemory();
  // The daemon's child that holds llama.cpp; not a command for people.
  if (argv[0] === "__engine") await (await import("./inference/llama/host.ts")).runEngineHost();
  // A child that runs somebody's backend module; not a command for people either.
  if (argv[0] === "__backend") await (await import("./inference/custom/host.ts")).runBackendHost();
  process.exitCode = await (await import("./cli/program.ts")).runCli(argv);
}
