import type { Assignment } from "../../../src/icl/wire.ts";
import type { JobState } from "../../../src/node/journal/states.ts";

export const allStates: JobState[] = [
  "assigned",
  "claimed",
  "generated",
  "uploaded",
  "key-stored",
  "committed",
  "submitted",
  "settled",
  "failed",
];

/**
 * Where a job may go from each state, written down from DESIGN.md section 3: `assigned → claimed → generated → uploaded → key stored →
 * committed → submitted → settled | failed(code)`. A verifier uploads and stores nothing, so it commits after it generated, and what was
 * generated but not yet safe is generated again after a restart.
 */
export const legal: Record<JobState, JobState[]> = {
  assigned: ["claimed", "failed"],
  claimed: ["generated", "failed"],
  generated: ["generated", "uploaded", "committed", "failed"],
  uploaded: ["key-stored", "failed"],
  "key-stored": ["committed", "failed"],
  committed: ["submitted", "failed"],
  submitted: ["settled", "failed"],
  settled: [],
  failed: [],
};

/** A way to each state from the beginning. */
export const pathTo: Record<JobState, JobState[]> = {
  assigned: [],
  claimed: ["claimed"],
  generated: ["claimed", "generated"],
  uploaded: ["claimed", "generated", "uploaded"],
  "key-stored": ["claimed", "generated", "uploaded", "key-stored"],
  committed: ["claimed", "generated", "committed"],
  submitted: ["claimed", "generated", "committed", "submitted"],
  settled: ["claimed", "generated", "committed", "submitted", "settled"],
  failed: ["failed"],
};

export const commitmentA = "26a34ec75e765ab81595c667378ae344044ace41d726a5aa3bedd7cbc946d75b";
export const commitmentB = "c985acfd9c156a1d5a0f2b18a4f020453d49f7d895f6803e560c31bcb2c47dbd";

export function assignment(jobId: string, role: Assignment["role"] = "leader"): Assignment {
  return {
    jobId,
    role,
    modelId: "mock-model",
    promptCid: "bafkreiprompt",
    userAddress: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
  };
}
