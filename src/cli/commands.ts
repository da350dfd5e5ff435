import type { Command } from "commander";

export type CommandModule = {
  /** Adds the command with its options and its action. */
  register(program: Command): void;
};

export type CommandEntry = { summary: string; load(): Promise<CommandModule> };

/** Every command of the program, in the order of the help. A command's code is loaded only when it is called. */
export const commands: Record<string, CommandEntry> = {
  init: { summary: "create or import the node's wallet and write its configuration", load: () => import("./init.ts") },
  attest: {
    summary: "get a certificate from the coordinator, and register on chain",
    load: () => import("./attest.ts"),
  },
  staking: { summary: "stake BLIND and see the stake", load: () => import("./staking.ts") },
  run: { summary: "run the node", load: () => import("./run.ts") },
  status: { summary: "show what the node is doing and what it needs", load: () => import("./status.ts") },
  infer: {
    summary: "send an encrypted prompt to the network and decrypt its answer",
    load: () => import("./infer.ts"),
  },
  devnet: { summary: "run the whole network on this machine, offline", load: () => import("./devnet.ts") },
  demo: { summary: "show one confidential job from prompt to answer, offline", load: () => import("./demo.ts") },
};
