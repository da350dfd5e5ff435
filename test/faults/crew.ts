import { outputKeyJobId } from "../../src/crypto/commitment.ts";
import { errorCode } from "../../src/lib/errors.ts";
import { until } from "../helpers/until.ts";
import type { Act } from "./gate.ts";
import type { Life, Victim } from "./node.ts";
import type { Kill, Round } from "./plan.ts";
import { faultOf, nameOf } from "./points.ts";
import type { BoughtJob, Ending, FaultWorld, Model } from "./world.ts";

/** A round that was played. */
export type Played = {
  round: Round;
  taskId: string;
  model: Model;
  leader: Victim;
  verifier: Victim;
  ending: Ending;
  /** What its buyer read. */
  answer: string | undefined;
  /** From the purchase to the end, in milliseconds. */
  ms: number;
  /** What was seen besides: a point that was not reached, a daemon that ended by itself. */
  oddities: string[];
};

type Turn = { played: Played; over: Promise<void> };

/** A point that was not reached so long after the job's end never will be, in milliseconds. */
const missedAfterMs = 15_000;
/** For what is left to do at the end, in milliseconds. */
const finishWithinMs = 60_000;

/**
 * Two nodes play rounds until there are no more, each leading every other job. Each life of a daemon first finishes the job that the life
 * before was killed in, and is killed in a later one.
 */
export async function playRounds(
  world: FaultWorld,
  model: Model,
  nextRound: () => Round | undefined,
): Promise<Played[]> {
  const pair = await world.pair(model);
  const turns: Promise<Turn | undefined>[] = [];
  const turn = (index: number): Promise<Turn | undefined> => {
    // A node takes jobs in the order in which they were bought, so they must be bought in this one.
    turns[index] ??= (index === 0 ? Promise.resolve() : turn(index - 1).then(() => {})).then(() => {
      const round = nextRound();
      const [leader, verifier] = index % 2 === 0 ? pair : [pair[1], pair[0]];
      return round && startRound(world, { round, model, leader, verifier });
    });
    return turns[index];
  };
  await Promise.all(pair.map((node) => liveAndDie(world, node, turn)));
  const played = (await Promise.all(turns)).flatMap((one) => one ?? []);
  await Promise.all(played.map(({ over }) => over));
  return played.map((one) => one.played);
}

type Start = Pick<Played, "round" | "model" | "leader" | "verifier">;

async function startRound(world: FaultWorld, start: Start): Promise<Turn> {
  const { round, model, leader, verifier } = start;
  const started = performance.now();
  const job = await world.buy({ quorum: [leader, verifier], model, prompt: round.prompt });
  const played: Played = { ...start, taskId: job.taskId, ending: "late", answer: undefined, ms: 0, oddities: [] };
  return { played, over: follow(world, job, played, started) };
}

async function follow(world: FaultWorld, job: BoughtJob, played: Played, started: number): Promise<void> {
  played.ending = await job.over;
  played.ms = performance.now() - started;
  if (played.ending !== "accepted") return;
  played.answer = await world.readAnswer(job.taskId).catch((error: unknown) => {
    played.oddities.push(`the answer cannot be read: ${errorCode(error)}`);
    return undefined;
  });
}

/** All lives of one node. */
async function liveAndDie(
  world: FaultWorld,
  node: Victim,
  turn: (index: number) => Promise<Turn | undefined>,
): Promise<void> {
  const killOf = ({ leader, round }: Played) => (leader === node ? round.leader : round.verifier);
  let last: Turn | undefined;
  for (let index = 0; ; index++) {
    const next = await turn(index);
    if (!next) break;
    last = next;
    const kill = killOf(next.played);
    if (!kill) continue;
    const life = node.live(faultOf(kill.point, next.played.taskId));
    watch(world, node, life, kill, next.played.taskId);
    const missed = next.over.then(() => Bun.sleep(missedAfterMs)).then(() => undefined);
    const wasKilled = await Promise.race([life.ended, missed]);
    if (wasKilled === undefined) next.played.oddities.push(`${node.name} never came to ${nameOf(kill.point)}`);
    if (wasKilled === false) next.played.oddities.push(`${node.name} ended by itself`);
    life.kill();
    await life.ended;
    if (node.strayErrors() > 0) next.played.oddities.push(`${node.name} failed where nothing waited for it`);
    // The next life is another one.
    world.gate.watch(node.name, () => false);
    await Bun.sleep(kill.pauseMs);
  }
  const life = node.live(undefined);
  await last?.over;
  const left = `SELECT count(*) AS count FROM jobs WHERE state NOT IN ('submitted', 'settled', 'failed')`;
  await until("nothing is left to do", () => node.read<{ count: number }>(left)[0]?.count === 0, {
    timeoutMs: finishWithinMs,
    tick: () => Bun.sleep(100),
  }).catch(() => last?.played.oddities.push(`${node.name} has not finished what it began`));
  life.kill("SIGTERM");
  await life.ended;
  if (node.strayErrors() > 0) last?.played.oddities.push(`${node.name} failed where nothing waited for it`);
}

/** Kills the node from outside where that is the round's point. */
function watch(world: FaultWorld, node: Victim, life: Life, { point, afterClaimMs }: Kill, taskId: string): void {
  const id = { claim: taskId, broadcast: outputKeyJobId(taskId), submit: taskId };
  const isMine = (act: Act) => act.id === id[act.kind];
  world.gate.watch(node.name, (moment, act) => {
    if (!isMine(act)) return false;
    if (point.act === "random" && act.kind === "claim" && moment === "after") setTimeout(life.kill, afterClaimMs);
    // Left alive, it would begin with the next job, in which a later life is to be killed.
    if (point.act === "random" && act.kind === "submit" && moment === "after") {
      life.kill();
      return true;
    }
    if (point.act !== "broadcast" || act.kind !== "broadcast" || moment !== point.moment) return false;
    life.kill();
    return true;
  });
}
