import * as z from "zod/mini";

const time = z.nullable(z.iso.datetime());
const wei = z.string().check(z.regex(/^\d+$/));
const count = z.int().check(z.gte(0));

/** What `status --json` prints, whichever way it was found. What could not be found out is null, and `unanswered` says why. */
export const statusSchema = z.strictObject({
  ok: z.literal(true),
  /** Whether the report is the running daemon's own. */
  live: z.boolean(),
  /** `unreported`: a daemon holds the data directory but its status server cannot be asked. */
  state: z.enum(["ready", "not ready", "unreported", "not running"]),
  version: z.string(),
  address: z.string(),
  network: z.string(),
  chainId: z.int(),
  tier: z.int(),
  ready: z.boolean(),
  startedAt: time,
  /** What keeps a running node from earning. */
  problems: z.array(z.string()),
  /** What its operator should do, the most urgent first. */
  toDo: z.array(z.string()),
  certificate: z.strictObject({ hash: z.string(), expiresAt: time }),
  models: z.array(
    z.strictObject({
      id: z.string(),
      backend: z.nullable(z.string()),
      health: z.nullable(z.strictObject({ status: z.string(), detail: z.string() })),
      determinismClass: z.nullable(z.string()),
      /** SHA-256 of it, hex. */
      determinismClassHash: z.nullable(z.string()),
    }),
  ),
  /** Whether this node can lead jobs: it has an upload service and a key store. Null when only the daemon would know. */
  canLead: z.nullable(z.boolean()),
  inFlight: z.array(
    z.strictObject({ taskId: z.string(), role: z.string(), modelId: z.string(), since: z.iso.datetime() }),
  ),
  /** How many jobs of the journal are in each state. */
  jobs: z.record(z.string(), count),
  heartbeats: z.strictObject({ coordinator: time, onChain: time }),
  registered: z.nullable(z.boolean()),
  stake: z.nullable(
    z.strictObject({
      stakedWei: wei,
      unbondingWei: wei,
      withdrawableAt: time,
      active: z.boolean(),
      minStakeWei: wei,
      consecutiveFailures: count,
      maxConsecutiveFailures: count,
    }),
  ),
  balance: z.nullable(z.strictObject({ blindWei: wei, etherWei: wei })),
  earnings: z.nullable(z.strictObject({ earnedWei: wei, jobs: count, succeeded: count, failed: count })),
  reputation: z.nullable(
    z.strictObject({ score: z.number(), active: z.boolean(), completed: count, accepted: count, rejected: count }),
  ),
  /** Services that were asked and did not answer, or not in time. */
  unanswered: z.array(
    z.strictObject({
      service: z.enum(["chain", "coordinator", "payment service"]),
      code: z.string(),
      message: z.string(),
    }),
  ),
});

export type StatusDocument = z.output<typeof statusSchema>;
