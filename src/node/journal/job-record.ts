import type { Address, Hex } from "viem";
import type { Role, Verdict } from "../../icl/wire.ts";
import type { JobState } from "./states.ts";

export type JobKey = { taskId: string; role: Role };

/** What the journal knows of one job. Times are milliseconds since the epoch. */
export type JobRecord = JobKey & {
  state: JobState;
  modelId: string;
  promptCid: string;
  userAddress: Address;
  /** Unix seconds; undefined before the claim. */
  claimDeadline: number | undefined;
  outputCid: string | undefined;
  commitment: string | undefined;
  verdict: Verdict | undefined;
  determinismClass: string | undefined;
  /** The output key, sealed with a key derived from the wallet. */
  sealedOutputKey: Uint8Array | undefined;
  /** The CoFHE ciphertexts of that key, sealed likewise. */
  sealedEncryptedKey: Uint8Array | undefined;
  outputKeyTx: Hex | undefined;
  failureCode: string | undefined;
  engineCrashes: number;
  /** Duration of each step, in milliseconds. */
  timings: Record<string, number>;
  createdAt: number;
  updatedAt: number;
};

export type JobChange = Partial<
  Pick<
    JobRecord,
    | "claimDeadline"
    | "outputCid"
    | "commitment"
    | "verdict"
    | "determinismClass"
    | "sealedOutputKey"
    | "sealedEncryptedKey"
    | "outputKeyTx"
    | "failureCode"
    | "engineCrashes"
    | "timings"
  >
>;

/** A row of the table, as SQLite gives it. */
export type Row = Record<string, string | number | Uint8Array | null>;

/** Names of the columns that may change. */
export const columns: Record<keyof JobChange, string> = {
  claimDeadline: "claim_deadline",
  outputCid: "output_cid",
  commitment: "commitment",
  verdict: "verdict",
  determinismClass: "determinism_class",
  sealedOutputKey: "sealed_output_key",
  sealedEncryptedKey: "sealed_encrypted_key",
  outputKeyTx: "output_key_tx",
  failureCode: "failure_code",
  engineCrashes: "engine_crashes",
  timings: "timings",
};

/** A job out of its row. */
export function fromRow(row: Row): JobRecord {
  const text = (name: string) => (row[name] === null ? undefined : String(row[name]));
  const bytes = (name: string) => (row[name] === null ? undefined : (row[name] as Uint8Array));
  return {
    taskId: String(row["task_id"]),
    role: row["role"] as Role,
    state: row["state"] as JobState,
    modelId: String(row["model_id"]),
    promptCid: String(row["prompt_cid"]),
    userAddress: row["user_address"] as Address,
    claimDeadline: row["claim_deadline"] === null ? undefined : Number(row["claim_deadline"]),
    outputCid: text("output_cid"),
    commitment: text("commitment"),
    verdict: text("verdict") as Verdict | undefined,
    determinismClass: text("determinism_class"),
    sealedOutputKey: bytes("sealed_output_key"),
    sealedEncryptedKey: bytes("sealed_encrypted_key"),
    outputKeyTx: text("output_key_tx") as Hex | undefined,
    failureCode: text("failure_code"),
    engineCrashes: Number(row["engine_crashes"]),
    timings: JSON.parse(String(row["timings"])) as Record<string, number>,
    createdAt: Number(row["created_at"]),
    updatedAt: Number(row["updated_at"]),
  };
}
