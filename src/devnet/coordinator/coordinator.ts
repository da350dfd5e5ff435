import { Hono } from "hono";
import type { RandomBytes } from "../../crypto/random.ts";
import type { Clock } from "../../lib/clock.ts";
import { errorCode } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { signatureMiddleware } from "./auth.ts";
import type { BlobSink, Context } from "./context.ts";
import type { CoordinatorChain } from "./coordinator-chain.ts";
import { enforceDeadlines } from "./deadlines.ts";
import { createEvents, type Events } from "./events.ts";
import { answer, answerError, type Env } from "./http.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { attestationRoutes } from "./routes/attestation.ts";
import { creditRoutes } from "./routes/credits.ts";
import { inferenceRoutes } from "./routes/inference.ts";
import { networkRoutes } from "./routes/network.ts";
import { paymentJobRoutes } from "./routes/payment-jobs.ts";
import { statisticsRoutes } from "./routes/statistics.ts";
import { taskRoutes } from "./routes/tasks.ts";
import { createState, type State } from "./state.ts";
import { type JobSnapshot, jobSnapshot } from "./views.ts";

export type CoordinatorOptions = {
  chain: CoordinatorChain;
  blobs: BlobSink;
  clock: Clock;
  log: Logger;
  random: RandomBytes;
  limits?: Partial<Limits>;
  /** Proves that a caller of the payment service's `/complete` is one of our own services. */
  serviceSecret: string;
  /** What an earlier run remembered, to go on with it. It is changed in place. */
  state?: State;
};

/** The devnet's ICL and payment service over one state. Both apps answer `fetch`; nobody listens until they are served. */
export type Coordinator = {
  icl: Hono<Env>;
  payment: Hono<Env>;
  /** Enforces deadlines and sends what is owed; call it every second or so. Calls while one runs share that one. */
  tick(): Promise<void>;
  /** `events.subscribe(listener)` tells each step of each job and returns the function that ends it. */
  events: Pick<Events, "subscribe">;
  /** All jobs, oldest first. */
  jobs(): JobSnapshot[];
};

/** Wire-compatible with PROTOCOL.md 4, 5, 6 and 8, and strict where its section 18 says how. */
export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { log } = options;
  const ctx: Context = {
    ...options,
    state: options.state ?? createState(),
    limits: { ...defaultLimits, ...options.limits },
    events: createEvents((error) => log.error("a listener of the coordinator failed", { code: errorCode(error) })),
  };
  const icl = createApp(ctx);
  icl.use("/internal/*", signatureMiddleware(ctx));
  for (const routes of [attestationRoutes, taskRoutes, networkRoutes, inferenceRoutes]) icl.route("/", routes(ctx));
  const payment = createApp(ctx);
  for (const routes of [creditRoutes, paymentJobRoutes, statisticsRoutes]) payment.route("/", routes(ctx));

  let ticking: Promise<void> | undefined;
  return {
    icl,
    payment,
    tick: () => {
      ticking ??= enforceDeadlines(ctx).finally(() => {
        ticking = undefined;
      });
      return ticking;
    },
    events: { subscribe: ctx.events.subscribe },
    jobs: () => [...ctx.state.jobs.values()].map(jobSnapshot),
  };
}

function createApp(ctx: Context): Hono<Env> {
  const app = new Hono<Env>();
  app.onError((error, c) => answerError(c, ctx.log, error));
  app.notFound((c) => answer(c, { detail: "Not Found" }, 404));
  return app;
}
