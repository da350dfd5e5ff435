import { commitment, outputKeyJobId } from "../../src/crypto/commitment.ts";
import type { Role } from "../../src/icl/wire.ts";
import { mockOutput } from "../../src/inference/mock.ts";
import type { Played } from "./crew.ts";
import { nameOf, type Point } from "./points.ts";
import { type FaultWorld, modelIds } from "./world.ts";

/** What may never happen, with the reason for each time that it did. */
export type Verdict = { lost: string[]; conflicting: string[]; duplicates: string[]; odd: string[] };

/** One kill, and what came of it. */
export type Judged = { point: Point; seed: number; taskId: string; verdict: Verdict };

export function isBad({ verdict }: Judged): boolean {
  return Object.values(verdict).some((reasons) => reasons.length > 0);
}

/** Judges every kill by what others saw: the coordinator, the gate, the chain and the buyer; and by the journals. */
export async function judge(world: FaultWorld, rounds: Played[]): Promise<Judged[]> {
  const stored = await world.storedKeys();
  return rounds.flatMap((played) =>
    (["leader", "verifier"] as const).flatMap((role) => {
      const point = played.round[role]?.point;
      if (!point) return [];
      const verdict = judgeOne(world, played, role, stored);
      return [{ point, seed: played.round.seed, taskId: played.taskId, verdict }];
    }),
  );
}

function judgeOne(world: FaultWorld, played: Played, role: Role, stored: Map<string, number>): Verdict {
  const { taskId, ending, oddities } = played;
  const node = played[role];
  const sent = world.gate.submissions.filter((one) => one.taskId === taskId && one.node === node.name);
  const said = new Set(sent.map((one) => `${one.commitment} ${one.outputCid ?? ""}`));
  const key = `WHERE task_id = '${taskId}' AND role = '${role}'`;
  const [job] = node.read<{ state: string; commitment: string }>(`SELECT state, commitment FROM jobs ${key}`);
  const promised = node.read<{ commitment: string }>(`SELECT commitment FROM commitments ${key}`);
  const transactions = stored.get(outputKeyJobId(taskId)) ?? 0;
  const lost = [
    ...(ending === "accepted" ? [] : [`the job ended as ${ending}`]),
    ...(job?.state === "submitted" || job?.state === "settled" ? [] : [`the journal says ${job?.state ?? "nothing"}`]),
    ...(ending === "accepted" ? wrongAnswer(world, played) : []),
  ];
  const conflicting = [
    ...(said.size > 1 ? [`${said.size} different submissions`] : []),
    ...(promised.length === 1 && sent.every((one) => one.commitment === promised[0]!.commitment)
      ? []
      : ["another commitment than the journal's"]),
  ];
  const isLeader = role === "leader";
  const duplicates = isLeader && transactions !== 1 ? [`${transactions} transactions store the output key`] : [];
  return { lost, conflicting: sent.length > 0 ? conflicting : [], duplicates, odd: oddities };
}

/** The buyer must have the text that the quorum committed to, and the mock's text is known. */
function wrongAnswer(world: FaultWorld, { taskId, answer, model, round }: Played): string[] {
  const { outputCid, commitment: agreed } = world.snapshot(taskId);
  if (answer === undefined || outputCid === undefined) return ["its buyer cannot read the answer"];
  const isRight = model === "llama" || answer === mockOutput(modelIds.mock, round.prompt);
  return isRight && commitment(outputCid, answer) === agreed ? [] : ["its buyer reads something else"];
}

export type Row = {
  role: Role;
  point: string;
  rounds: number;
  lost: number;
  conflicting: number;
  duplicates: number;
  odd: number;
};

/** One row for each point and role, in the order in which a job passes them. */
export function tabulate(judged: Judged[], points: Point[]): Row[] {
  return points.flatMap(({ role, act, moment }) => {
    const point = nameOf({ role, act, moment });
    const mine = judged.filter((one) => one.point.role === role && nameOf(one.point) === point);
    const count = (kind: keyof Verdict) => mine.filter(({ verdict }) => verdict[kind].length > 0).length;
    if (mine.length === 0) return [];
    const counts = { lost: count("lost"), conflicting: count("conflicting"), duplicates: count("duplicates") };
    return [{ role, point, rounds: mine.length, ...counts, odd: count("odd") }];
  });
}
