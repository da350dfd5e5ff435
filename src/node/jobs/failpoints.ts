import { failpoint } from "../../lib/faults.ts";
import type { NodeContext } from "../context.ts";
import { subjectOf } from "../journal/failpoints.ts";
import type { JobKey } from "../journal/job-record.ts";

/** The context of one job, with failpoints around its claim and its submission. Only the test build uses it. */
export function withFailpoints(ctx: NodeContext, key: JobKey): NodeContext {
  const { icl } = ctx;
  const between = async <T>(point: string, request: () => Promise<T>): Promise<T> => {
    failpoint("before", point, subjectOf(key));
    const answer = await request();
    failpoint("after", point, subjectOf(key));
    return answer;
  };
  return {
    ...ctx,
    icl: {
      ...icl,
      claim: (jobId, signal) => between("claim", () => icl.claim(jobId, signal)),
      submitResult: (result, signal) => between("submit", () => icl.submitResult(result, signal)),
      submitVerdict: (verdict, signal) => between("submit", () => icl.submitVerdict(verdict, signal)),
    },
  };
}
