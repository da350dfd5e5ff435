import { describe, expect, test } from "bun:test";
import type { IclClient } from "../../src/icl/client.ts";
import { errorCode } from "../../src/lib/errors.ts";
import type { Fetch } from "../../src/lib/http.ts";
import { expectCode } from "../crypto/expect-code.ts";
import { calls, client, jobId } from "./coordinator.ts";

/** A coordinator that is away until it is told to be there. */
function coordinator() {
  const state = { isAway: true, status: 200, headers: {} as Record<string, string>, asked: 0 };
  const answers = new Map(calls.map(([, , method, path, , answer]) => [`${method} ${path}`, answer]));
  const fetch: Fetch = async (url, init) => {
    state.asked++;
    if (state.isAway) throw new TypeError("Unable to connect");
    const answer = answers.get(`${init?.method} ${new URL(url).pathname}`);
    return Response.json(state.status === 200 ? answer : {}, { status: state.status, headers: state.headers });
  };
  return { ...client("https://icl.example", { fetch }), state };
}

const fail = async (icl: IclClient, times: number) => {
  for (let count = 0; count < times; count++) await icl.assignments().catch(() => {});
};

describe("a coordinator that does not answer", () => {
  test("is not asked for assignments and states of jobs, until a trial some seconds later", async () => {
    const { icl, clock, state } = coordinator();
    await fail(icl, 3);
    const { asked } = state;
    const error = await expectCode(() => icl.assignments(), "ICL_RESTING");
    expect([error.retryable, error.exitCode, state.asked]).toEqual([true, 75, asked]);
    await expectCode(() => icl.jobStatus(jobId), "ICL_RESTING");
    state.isAway = false;
    await clock.sleep(5000);
    expect(await icl.assignments()).toEqual([]);
    expect((await icl.jobStatus(jobId)).status).toBe("QUEUED");
  });

  const urgent = calls.filter(([name]) => name !== "assignments" && name !== "jobStatus");
  test.each(
    urgent.map(([name, call]) => [name, call] as const),
  )("is asked all the same for what cannot wait: %s", async (_name, call) => {
    const { icl, state } = coordinator();
    await fail(icl, 6);
    const { asked } = state;
    expect(await call(icl).catch(errorCode)).toBe("ICL_UNREACHABLE");
    expect(state.asked).toBe(asked + 2);
    state.isAway = false;
    await call(icl);
    // Whatever gets through shows that it is back.
    expect(await icl.assignments()).toEqual([]);
  });

  test("is tried every few seconds, however long it was away", async () => {
    const { icl, clock, state } = coordinator();
    const begin = clock.now();
    let trials = 0;
    while (clock.now() - begin < 300_000) {
      const { asked } = state;
      await icl.jobStatus(jobId).catch(() => {});
      if (state.asked > asked) trials++;
      await clock.sleep(1000);
    }
    expect(trials).toBeGreaterThan(300 / 8);
    expect(trials).toBeLessThan(100);
  });
});

describe("a coordinator that asks for a pause", () => {
  test("gets one of at most ten seconds", async () => {
    for (const [header, seconds] of [
      ["3", 3],
      ["3600", 10],
    ] as const) {
      const { icl, clock, state } = coordinator();
      Object.assign(state, { isAway: false, status: 429, headers: { "Retry-After": header } });
      await expectCode(() => icl.assignments(), "ICL_FAILED");
      state.status = 200;
      await clock.sleep(seconds * 1000 - 1);
      await expectCode(() => icl.assignments(), "ICL_RESTING");
      await icl.claim(jobId);
      expect(await icl.assignments()).toEqual([]);
    }
  });

  test.each([400, 401, 403, 404, 409])("one that refuses with %d works", async (status) => {
    const { icl, state } = coordinator();
    Object.assign(state, { isAway: false, status });
    for (let count = 0; count < 20; count++) await icl.assignments().catch(() => {});
    expect(state.asked).toBe(20);
  });
});
