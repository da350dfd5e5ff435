import type { Command } from "commander";
import { defineClaim } from "./rewards-claim.ts";
import { outputs as rewardsOutputs } from "./rewards-output.ts";

export const outputs = { withdraw: rewardsOutputs["rewards claim"]! };

/** The original's name for `rewards claim`. */
export function register(program: Command): void {
  defineClaim(program.command("withdraw"));
}
