import { expect, test } from "bun:test";
import fc from "fast-check";
import { BlfError } from "../../../src/lib/errors.ts";
import { type Journal, openJournal } from "../../../src/node/journal/journal.ts";
import type { JobState } from "../../../src/node/journal/states.ts";
import { manualClock } from "../../helpers/manual-clock.ts";
import { allStates, assignment, commitmentA, commitmentB, legal } from "./fixtures.ts";

type Role = "leader" | "verifier";
/** What a journal must remember, in the plainest form. */
type Model = {
  jobs: Map<string, { state: JobState; outputCid: string | undefined }>;
  commitments: Map<string, string>;
  facts: Map<string, string>;
  nonces: Map<string, number>;
};
/** Does the same to both and compares what they say. */
type Step = (model: Model, journal: Journal) => void;

const key = fc.record({
  taskId: fc.constantFrom("0x01", "0x02", "0x03"),
  role: fc.constantFrom<Role>("leader", "verifier"),
});
const idOf = ({ taskId, role }: { taskId: string; role: Role }) => `${role}:${taskId}`;

function codeOf(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof BlfError) return error.code;
    throw error;
  }
}

const begin = key.map(
  (k): Step =>
    (model, journal) => {
      // A job that was forgotten is known by what was promised.
      const isNew = !model.jobs.has(idOf(k)) && !model.commitments.has(idOf(k));
      if (isNew) model.jobs.set(idOf(k), { state: "assigned", outputCid: undefined });
      expect(journal.begin(assignment(k.taskId, k.role))).toBe(isNew);
    },
);

const advance = fc
  .tuple(
    key,
    fc.constantFrom(...allStates),
    fc.option(fc.constantFrom("bafya", "bafyb"), { nil: undefined }),
    fc.boolean(),
  )
  .map(
    ([k, to, outputCid, durable]): Step =>
      (model, journal) => {
        const job = model.jobs.get(idOf(k));
        const expected = !job
          ? "JOURNAL_UNKNOWN_JOB"
          : legal[job.state].includes(to)
            ? undefined
            : "JOURNAL_ILLEGAL_TRANSITION";
        expect(codeOf(() => journal.advance(k, to, outputCid ? { outputCid } : {}, { durable }))).toBe(expected!);
        if (job && !expected) model.jobs.set(idOf(k), { state: to, outputCid: outputCid ?? job.outputCid });
      },
  );

const commit = fc.tuple(key, fc.constantFrom(commitmentA, commitmentB)).map(
  ([k, commitment]): Step =>
    (model, journal) => {
      const earlier = model.commitments.get(idOf(k));
      const expected = earlier && earlier !== commitment ? "COMMITMENT_CONFLICT" : undefined;
      expect(codeOf(() => journal.commit(k, commitment))).toBe(expected!);
      if (!earlier) model.commitments.set(idOf(k), commitment);
    },
);

const fact = fc.tuple(fc.constantFrom("a", "b"), fc.string()).map(
  ([name, value]): Step =>
    (model, journal) => {
      journal.setFact(name, value);
      model.facts.set(name, value);
    },
);

const save = fc.tuple(fc.constantFrom("p", "q"), fc.nat()).map(
  ([purpose, nonce]): Step =>
    (model, journal) => {
      journal.transactions.save({ purpose, nonce, hashes: [], raw: "0x", status: "pending", sentAt: 0 });
      model.nonces.set(purpose, nonce);
    },
);

test("a journal says what a plain model of it says, whatever is done in whatever order", () => {
  const steps = fc.array(fc.oneof(begin, { arbitrary: advance, weight: 5 }, commit, fact, save), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (sequence) => {
      const journal = openJournal(":memory:", manualClock());
      const model: Model = { jobs: new Map(), commitments: new Map(), facts: new Map(), nonces: new Map() };
      for (const step of sequence) step(model, journal);
      const jobs = new Map(
        journal.recent(100).map((job) => [idOf(job), { state: job.state, outputCid: job.outputCid }]),
      );
      expect(jobs).toEqual(model.jobs);
      const open = [...model.jobs].filter(([, { state }]) => !["submitted", "settled", "failed"].includes(state));
      expect(new Set(journal.unfinished().map(idOf))).toEqual(new Set(open.map(([id]) => id)));
      expect(new Map(journal.commitments().map((entry) => [idOf(entry), entry.commitment]))).toEqual(model.commitments);
      for (const name of ["a", "b"]) expect(journal.fact(name)).toBe(model.facts.get(name)!);
      for (const name of ["p", "q"]) expect(journal.transactions.find(name)?.nonce).toBe(model.nonces.get(name)!);
      journal.close();
    }),
    { numRuns: 60 },
  );
});
