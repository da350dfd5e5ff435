import { join } from "node:path";
import { until } from "../e2e/network.ts";
import type { Bench } from "./bench.ts";
import { startBenchNetwork } from "./network.ts";
import { childrenOf, residentMegabytes } from "./node.ts";
import { measured, type Row, unmeasured } from "./report.ts";

const samples = 30;

/** Memory of a node that has nothing to do and no model loaded, its output keys made. */
export async function measureIdle({ executable, directory }: Bench): Promise<Row[]> {
  const name = "idle node: resident memory";
  if (process.platform !== "linux") return [unmeasured(name, "skipped", "read from /proc, which only Linux has")];
  const network = await startBenchNetwork({
    executable,
    directory: join(directory, "idle"),
    nodes: [{ BLF_MOCK_MODEL_IDS: "mock-bench" }],
  });
  try {
    const node = network.nodes[0]!;
    const { pid } = node.process;
    await until("output keys are made", async () => (await node.metric("blindference_output_key_pool_size")) > 4);
    const [all, own, files]: [number[], number[], number[]] = [[], [], []];
    for (let sample = 0; sample < samples; sample++) {
      await Bun.sleep(500);
      all.push(residentMegabytes(pid));
      own.push(residentMegabytes(pid, "RssAnon"));
      files.push(residentMegabytes(pid, "RssFile"));
    }
    const children = childrenOf(pid).map((child) => residentMegabytes(child));
    return [
      measured({
        name,
        unit: "MB",
        values: all,
        limit: 110,
        note: `${samples / 2} s from readiness; ${children.length} engine processes`,
      }),
      measured({ name: "  of it heap and stacks", unit: "MB", values: own }),
      measured({ name: "  of it pages of files", unit: "MB", values: files }),
      ...children.map((value) => measured({ name: "  beside it: engine process", unit: "MB", values: [value] })),
    ];
  } finally {
    await network.stop();
  }
}
