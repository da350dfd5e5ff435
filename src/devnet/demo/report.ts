import { formatEther } from "viem";

/** The JSON document of `demo --json`. */
export type DemoReport = {
  ok: boolean;
  prompt: string;
  answer: string;
  model: string;
  outputCid: string;
  commitment: string;
  nodes: {
    address: string;
    role: string;
    commitment: string | null;
    determinismClass: string | null;
    agreed: boolean;
  }[];
  /** Wei of BLIND by address, as decimal strings. */
  rewards: Record<string, string>;
  /** Milliseconds by stage. */
  timings: Record<string, number>;
};

/** The report for people. */
export function demoText(report: DemoReport, isNoise: boolean): string {
  const lines = [
    "",
    `prompt      ${report.prompt}`,
    `answer      ${report.answer.trim()}`,
    ...(isNoise
      ? ["            (the demo's model has random weights: its answer is noise by design, and equal on every node)"]
      : []),
    `model       ${report.model}`,
    `output      ${report.outputCid}`,
    `commitment  ${report.commitment}`,
    "",
  ];
  for (const node of report.nodes) {
    const reward = formatEther(BigInt(report.rewards[node.address] ?? "0"));
    const verdict = node.agreed ? "same commitment" : "DIFFERENT commitment";
    lines.push(
      `${node.role.padEnd(9)} ${node.address}  ${node.commitment?.slice(0, 16) ?? "none"}…  ${verdict}  earned ${reward} BLIND`,
    );
  }
  const classes = [...new Set(report.nodes.map((node) => node.determinismClass))];
  lines.push("", `determinism class  ${classes.join(" | ")}`);
  return lines.join("\n");
}
