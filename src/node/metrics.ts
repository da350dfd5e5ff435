import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { strayErrorCount } from "../lib/stray-errors.ts";

/** What the node counts, under Prometheus' conventions: base units, `_total` for counters, prefix `blindference_`. */
export type Metrics = ReturnType<typeof createMetrics>;

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

export function createMetrics() {
  const registry = new Registry();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const registers = [registry];
  return {
    registry,
    jobs: new Counter({
      name: "blindference_jobs_total",
      help: "Jobs that ended, by role and outcome.",
      labelNames: ["role", "outcome", "code"] as const,
      registers,
    }),
    running: new Gauge({ name: "blindference_jobs_running", help: "Jobs in flight.", registers }),
    steps: new Histogram({
      name: "blindference_job_step_duration_seconds",
      help: "Time spent in each step of a job.",
      labelNames: ["role", "step"] as const,
      buckets: seconds,
      registers,
    }),
    tokens: new Counter({
      name: "blindference_output_tokens_total",
      help: "Tokens generated.",
      labelNames: ["model"] as const,
      registers,
    }),
    loops: new Counter({
      name: "blindference_loop_runs_total",
      help: "Runs of the node's loops, by outcome.",
      labelNames: ["loop", "outcome"] as const,
      registers,
    }),
    lastSuccess: new Gauge({
      name: "blindference_loop_last_success_timestamp_seconds",
      help: "When each loop last succeeded, Unix time.",
      labelNames: ["loop"] as const,
      registers,
    }),
    keyPool: new Gauge({
      name: "blindference_output_key_pool_size",
      help: "Output keys that are encrypted and waiting.",
      registers,
    }),
    dependencyUp: new Gauge({
      name: "blindference_dependency_up",
      help: "1 while a service that the node depends on answers, 0 after it failed several times in a row.",
      labelNames: ["dependency"] as const,
      registers,
    }),
    strayErrors: new Counter({
      name: "blindference_stray_errors_total",
      help: "Errors that nothing in the program waited for: defects that the node outlived.",
      registers,
      collect() {
        this.reset();
        this.inc(strayErrorCount());
      },
    }),
    eventLoopStall: new Gauge({
      name: "blindference_event_loop_stall_max_seconds",
      help: "Longest time that the daemon's event loop stood still since the last scrape.",
      registers,
      collect() {
        this.set(delay.max / 1e9);
        delay.reset();
      },
    }),
    certificateExpiry: new Gauge({
      name: "blindference_certificate_expiry_timestamp_seconds",
      help: "When the attestation certificate expires, Unix time.",
      registers,
    }),
  };
}
