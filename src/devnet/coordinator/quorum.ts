import type { Address } from "viem";
import { parseEther } from "viem";
import type { RandomBytes } from "../../crypto/random.ts";
import { type Context, now } from "./context.ts";
import { RequestError } from "./http.ts";
import type { NodeRecord } from "./state.ts";

/** What the network asks a node to stake, in wei of BLIND. */
export const minimumStake = parseEther("1000");
/** BlindferenceStaking takes the stake at this count. */
const maximumFailures = 3;

export type Criteria = { modelId: string | undefined; minTier: number; zdrRequired: boolean };
export type Quorum = { leader: Address; verifiers: Address[] };

/** Whether the coordinator would list this node as active: attested, and heard from within the grace. */
export function isActive(ctx: Context, node: NodeRecord): boolean {
  const time = now(ctx);
  return node.attestedUntil > time && node.lastHeartbeat + ctx.limits.heartbeatGrace >= time;
}

/**
 * Nodes that may be in a quorum, best first (PROTOCOL.md 11). Stricter than the original: the heartbeat must be fresh even
 * while the attestation is valid, the node must list the model, be in the NodeRegistry and have 1000 BLIND at stake.
 */
export async function eligibleNodes(ctx: Context, criteria: Criteria): Promise<NodeRecord[]> {
  const known = [...ctx.state.nodes.values()].filter((node) => isActive(ctx, node) && matches(node, criteria));
  const checked = await Promise.all(known.map(async (node) => ((await isBacked(ctx, node.address)) ? [node] : [])));
  return checked.flat().sort(byStanding);
}

/**
 * A quorum chosen at random among the best nodes.
 * @throws RequestError 400 when there are not enough
 */
export async function chooseQuorum(
  ctx: Context,
  criteria: Criteria,
  verifierCount: number,
): Promise<Quorum & { candidates: Address[] }> {
  const needed = verifierCount + 1;
  const anyModel = await eligibleNodes(ctx, { ...criteria, modelId: undefined });
  if (anyModel.length < needed)
    throw new RequestError(400, "not enough active nodes available for the requested quorum");
  const eligible = anyModel.filter((node) => matches(node, criteria));
  if (eligible.length < needed)
    throw new RequestError(400, `not enough active nodes support model '${criteria.modelId}' for the requested quorum`);
  const candidates = shuffle(eligible.slice(0, 2 * needed), ctx.random).map((node) => node.address);
  return { leader: candidates[0]!, verifiers: candidates.slice(1, needed), candidates };
}

/**
 * Makes sure that every one of these nodes may be in a quorum.
 * @throws RequestError 400 that names those which may not
 */
export async function requireEligible(ctx: Context, criteria: Criteria, nodes: Address[]): Promise<void> {
  const eligible = new Set((await eligibleNodes(ctx, criteria)).map((node) => node.address));
  const missing = nodes.filter((node) => !eligible.has(node));
  if (missing.length > 0)
    throw new RequestError(400, `requested quorum contains inactive or unavailable nodes: ${missing.join(", ")}`);
}

/** One node for a seat that became free, or undefined when there is none. */
export async function chooseReplacement(
  ctx: Context,
  criteria: Criteria,
  not: Address[],
): Promise<Address | undefined> {
  const free = (await eligibleNodes(ctx, criteria)).filter((node) => !not.includes(node.address));
  return shuffle(free.slice(0, 2), ctx.random)[0]?.address;
}

/** PROTOCOL.md 6, as the original computes it without an on-chain reputation. */
export function reputation(node: NodeRecord): number {
  return Math.max(node.tasksAccepted, 1);
}

function matches(node: NodeRecord, { modelId, minTier, zdrRequired }: Criteria): boolean {
  // Zero data retention cannot be proven to this coordinator, so that no node counts as compliant.
  if (zdrRequired) return false;
  return node.tier >= minTier && (modelId === undefined || node.models.includes(modelId));
}

async function isBacked(ctx: Context, address: Address): Promise<boolean> {
  const [registered, stake] = await Promise.all([ctx.chain.isRegistered(address), ctx.chain.getStake(address)]);
  return registered && stake.active && stake.staked >= minimumStake && stake.consecutiveFailures < maximumFailures;
}

function byStanding(a: NodeRecord, b: NodeRecord): number {
  return (
    reputation(b) - reputation(a) ||
    b.tasksAccepted - a.tasksAccepted ||
    a.tasksRejected - b.tasksRejected ||
    (a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1)
  );
}

/** Fisher and Yates, with 48 random bits per step: the bias is below 2^-40. */
function shuffle<T>(items: T[], random: RandomBytes): T[] {
  const shuffled = [...items];
  for (let last = shuffled.length - 1; last > 0; last--) {
    const other = Buffer.from(random(6)).readUIntBE(0, 6) % (last + 1);
    [shuffled[last], shuffled[other]] = [shuffled[other]!, shuffled[last]!];
  }
  return shuffled;
}
