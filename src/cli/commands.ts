import type { Command } from "commander";

export type CommandModule = {
  /** Adds the command with its options and its action. */
  register(program: Command): void;
};

export type CommandEntry = {
  summary: string;
  /** Reads files and prints: it must start at once, so it writes through ui/streams.ts and loads nothing that it does not need. */
  light?: true;
  load(): Promise<CommandModule>;
};

/** Every command of the program, in the order of the help. A command's code is loaded only when it is called. */
export const commands: Record<string, CommandEntry> = {
  init: { summary: "create or import the node's wallet and write its configuration", load: () => import("./init.ts") },
  attest: {
    summary: "get a certificate from the coordinator, and register on chain",
    load: () => import("./attest.ts"),
  },
  staking: { summary: "stake BLIND, take it out again, and see the stake", load: () => import("./staking.ts") },
  rewards: { summary: "see and claim what this node earned per cycle", load: () => import("./rewards.ts") },
  withdraw: { summary: "the same as `rewards claim`", load: () => import("./withdraw.ts") },
  balance: { summary: "show the wallet's BLIND and ETH", load: () => import("./balance.ts") },
  jobs: { light: true, summary: "see the jobs of this node and what they earned", load: () => import("./jobs.ts") },
  journal: {
    summary: "take what this node has committed to along to another machine",
    load: () => import("./journal.ts"),
  },
  run: { summary: "run the node", load: () => import("./run.ts") },
  drain: { summary: "let the running node finish its jobs and end", load: () => import("./drain.ts") },
  status: { light: true, summary: "show what the node is doing and what it needs", load: () => import("./status.ts") },
  doctor: {
    summary: "look for everything that keeps the node from earning, and say what to do",
    load: () => import("./doctor.ts"),
  },
  models: { summary: "list, try, download and check models, and add backends", load: () => import("./models.ts") },
  "test-determinism": {
    summary: "prove that a model gives equal answers to equal prompts",
    load: () => import("./test-determinism.ts"),
  },
  "verify-output": {
    summary: "tell whether a model answers a prompt with exactly this text",
    load: () => import("./verify-output.ts"),
  },
  config: { light: true, summary: "read and change the configuration", load: () => import("./config.ts") },
  keys: { summary: "show the address, export the key, change the password", load: () => import("./keys.ts") },
  service: { summary: "run the node under systemd or launchd", load: () => import("./service.ts") },
  infer: {
    summary: "send an encrypted prompt to the network and decrypt its answer",
    load: () => import("./infer.ts"),
  },
  devnet: { summary: "run the whole network on this machine, offline", load: () => import("./devnet.ts") },
  demo: { summary: "show one confidential job from prompt to answer, offline", load: () => import("./demo.ts") },
  completions: {
    light: true,
    summary: "print a script that completes commands in bash, zsh or fish",
    load: () => import("./completions.ts"),
  },
  licenses: {
    light: true,
    summary: "list the licences of all that is in this file",
    load: () => import("./licenses.ts"),
  },
  help: {
    light: true,
    summary: "show the help of a command, the variables, the exit codes",
    load: () => import("./help.ts"),
  },
};
