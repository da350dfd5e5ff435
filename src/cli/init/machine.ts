import type { Secrets } from "../../config/secrets.ts";
import { detectHardware, type Hardware } from "../../hardware/hardware.ts";
import { type ModelProposal, modelsThatFit } from "../../hardware/model-sizes.ts";
import { engineCommand, engineHasGpu } from "../../inference/llama/packs/engine-command.ts";
import type { Row } from "../ui/table.ts";

export type CloudService = "groq" | "gemini";

/** What `init` finds on this machine, and what could run on it. */
export type Machine = {
  hardware: Hardware;
  /** Whether this build computes on the GPUs that were found. */
  usesGpu: boolean;
  /** Cloud services whose key is in the environment. */
  cloudKeys: CloudService[];
  /** The largest first. */
  fits: ModelProposal[];
};

export async function lookAtMachine(secrets: Secrets): Promise<Machine> {
  const hardware = await detectHardware();
  const hasKernels = engineHasGpu();
  const usesGpu = hasKernels && hardware.gpus.length > 0;
  const cloudKeys: CloudService[] = [];
  if (secrets.groqApiKey) cloudKeys.push("groq");
  if (secrets.googleApiKey) cloudKeys.push("gemini");
  return { hardware, usesGpu, cloudKeys, fits: modelsThatFit(hardware, usesGpu) };
}

export function machineRows({ hardware, usesGpu, cloudKeys, fits }: Machine): Row[] {
  const { cpu, memory, gpus } = hardware;
  const rows: Row[] = [
    ["processor", `${cpu.model}, ${cpu.cores} ${cpu.cores === 1 ? "core" : "cores"} to use`],
    ["memory", `${gigabytes(memory.available)} free of ${gigabytes(memory.total)}`],
  ];
  for (const gpu of gpus) {
    const room =
      gpu.memoryTotal === null
        ? "memory unknown"
        : `${gigabytes(gpu.memoryFree ?? gpu.memoryTotal)} free of ${gigabytes(gpu.memoryTotal)}`;
    const command = engineCommand([gpu.kind]);
    const idle = command ? `; \`${command}\` lets llama.cpp use it` : "; llama.cpp in this file computes on the CPU";
    const use = usesGpu ? "; it computes the models whose gpu_layers is set" : idle;
    rows.push(["GPU", `${gpu.name} (${gpu.kind}), ${room}${use}`]);
  }
  if (gpus.length === 0) rows.push(["GPU", "none found"]);
  rows.push(["cloud keys", cloudKeys.join(", ") || "none in the environment"]);
  const largest = fits.slice(0, 3).map((model) => `${model.id} (${model.quantization}, ${model.gigabytes} GB)`);
  rows.push(["would fit", largest.join(", ") || "no model of the list: free some memory"]);
  return rows;
}

export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
