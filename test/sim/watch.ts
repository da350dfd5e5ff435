import type { JobKey } from "../../src/node/journal/job-record.ts";
import { finishedStates } from "../../src/node/journal/states.ts";
import { doppelgangerWaitMs } from "./context.ts";
import type { SimRequest } from "./coordinator.ts";
import type { SimNode } from "./node.ts";
import type { World } from "./world.ts";

/** Slack for a message that is on its way when a deadline passes, in milliseconds. */
const slackMs = 1500;

/** So long after its clock jumped a node knows of it, in milliseconds. */
const noticeMs = 20_000;

/** So long after it learned how wrong its clock is a node may go on by the old time: deadlines are looked at every 5 s (src/lib/deadline.ts). */
const lookMs = 6000;

/** So long after its deadline a job has ended in the journal, in milliseconds. */
const graceMs = 15_000;

/** From the start of one heartbeat to the next: a minute, or both attempts of one that nobody answers. */
const heartbeatMs = { calm: 61_000, worst: 125_000 };

/** So long after it was last seen itself a node takes what was heard of it for its own, with what its clock may be wrong, in milliseconds. */
const ownTraceMs = 95_000;

/** Judges each request of a node at the moment when it leaves, by what lies on the node's disk at that moment. */
export function createWatch(world: World) {
  const { time, facts, plan } = world;
  const sent = new Map<string, string>();
  const beats = new Map<string, number>();
  /** When a run last asked for the active nodes before it was seen itself, and when an installation was last seen. */
  const looks = new Map<string, number>();
  const acts = new Map<string, { run: number | undefined; at: number }>();

  /** When a node first heard from the coordinator after its clock had jumped. */
  const firstHeard = new Map<string, { jumpedAt: number; at: number }>();

  /** After its clock jumped a node cannot know how wrong it is before it hears from the coordinator. */
  const slackFor = (node: SimNode): number => {
    const heardAt = facts.heardAt.get(node.address) ?? 0;
    const jumpedAt = node.jumpedAt();
    const heard = firstHeard.get(node.address);
    if (heardAt >= jumpedAt && heard?.jumpedAt !== jumpedAt) firstHeard.set(node.address, { jumpedAt, at: heardAt });
    const sinceHeard = time.now() - (firstHeard.get(node.address)?.at ?? 0);
    const isUnaware = heardAt < jumpedAt || time.now() - jumpedAt < noticeMs || sinceHeard < lookMs;
    return slackMs + (isUnaware ? Math.abs(node.clockOffset()) : 0);
  };

  const claim = (node: SimNode, taskId: string): void => {
    const journal = node.disk.inspect();
    const records = (["leader", "verifier"] as const).flatMap((role) => journal.find({ taskId, role }) ?? []);
    const [record] = records;
    if (!record) {
      facts.violations.push(`${node.name} claims ${taskId.slice(0, 8)} before it is written down`);
      return;
    }
    if (finishedStates.includes(record.state))
      facts.violations.push(`${node.name} claims ${taskId.slice(0, 8)}, which has ended as ${record.state}`);
    const late = time.now() - (record.claimDeadline ?? Number.POSITIVE_INFINITY) * 1000;
    if (late > slackFor(node))
      facts.violations.push(`${node.name} claims ${taskId.slice(0, 8)} again ${late} ms after its deadline`);
  };

  const submit = (node: SimNode, role: "leader" | "verifier", body: Record<string, unknown>): void => {
    const taskId = String(body["jobId"]);
    const value = String(body["commitment_hash"]);
    const key = `${node.address} ${role} ${taskId}`;
    const what = `${node.name} submits ${role} ${taskId.slice(0, 8)}`;
    const earlier = sent.get(key);
    if (earlier !== undefined && earlier !== value) facts.violations.push(`${what} with a second commitment`);
    sent.set(key, value);
    const journal = node.disk.inspect();
    const promised = journal.commitments().find((entry) => entry.taskId === taskId && entry.role === role);
    if (promised?.commitment !== value) facts.violations.push(`${what} a commitment that it has not written down`);
    const record = journal.find({ taskId, role });
    if (!record || finishedStates.includes(record.state)) facts.violations.push(`${what}, which is ${record?.state}`);
    const late = time.now() - (record?.claimDeadline ?? 0) * 1000;
    if (late > slackFor(node)) facts.violations.push(`${what} ${late} ms after its deadline`);
  };

  const heartbeat = (node: SimNode): void => {
    const run = node.run();
    const key = `${node.address} ${run?.number}`;
    const before = beats.get(key) ?? looks.get(key) ?? time.now();
    const gap = time.now() - before;
    const isCalm = before > world.begin + plan.quietAt + heartbeatMs.worst;
    if (gap > (isCalm ? heartbeatMs.calm : heartbeatMs.worst))
      facts.violations.push(`${node.name} sent no heartbeat for ${gap} ms`);
    beats.set(key, time.now());
  };

  /** Whether what happened to a claim can be read in the journal soon after its deadline, if the node could write at all. */
  const expectEnd = (node: SimNode, key: JobKey, deadline: number): void => {
    time.after(deadline * 1000 + graceMs - time.now(), () => {
      const run = node.run();
      if (!run?.node || run.since > deadline * 1000 || node.wasFull(2 * graceMs)) return;
      // It waits for its doppelganger, or for somebody who knows of none.
      if (!beats.has(`${node.address} ${run.number}`)) return;
      const record = node.disk.inspect().find(key);
      if (record && !finishedStates.includes(record.state) && (record.claimDeadline ?? 0) <= deadline)
        facts.violations.push(`${node.name} has not written down how ${key.role} ${key.taskId.slice(0, 8)} ended`);
    });
  };

  /** The first thing that a run shows of itself comes only when no other installation was heard of for long enough, as far as it could know. */
  const act = (node: SimNode): void => {
    const run = node.run();
    const before = acts.get(node.address);
    acts.set(node.address, { run: run?.number, at: time.now() });
    const foreign = facts.foreignHeard.get(node.address);
    const looked = looks.get(`${node.address} ${run?.number}`) ?? 0;
    if (foreign === undefined || before?.run === run?.number || run?.isBlind || foreign >= looked) return;
    if (foreign > (before?.at ?? 0) + ownTraceMs && time.now() - foreign < doppelgangerWaitMs - slackFor(node))
      facts.violations.push(`${node.name} starts ${time.now() - foreign} ms after its doppelganger was heard of`);
  };

  const request = (node: SimNode, { method, path, body }: SimRequest): void => {
    const key = `${node.address} ${node.run()?.number}`;
    if (path === "/v1/nodes/active" && !beats.has(key)) looks.set(key, time.now());
    if (/\/(heartbeat|attestation\/verify|claim)$/.test(path)) act(node);
    if (method !== "POST") return;
    const fields = JSON.parse(body) as Record<string, unknown>;
    if (path.endsWith("/heartbeat")) heartbeat(node);
    else if (path.endsWith("/task/claim")) claim(node, String(fields["jobId"]));
    else if (path.endsWith("/task/result")) submit(node, "leader", fields);
    else if (path.endsWith("/task/verify")) submit(node, "verifier", fields);
  };

  return { request, expectEnd };
}
