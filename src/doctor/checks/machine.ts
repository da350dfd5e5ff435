import { statSync } from "node:fs";
import type { ModelConfig } from "../../config/schema.ts";
import { memoryNeeded } from "../../hardware/model-sizes.ts";
import { engineCommand } from "../../inference/llama/packs/engine-command.ts";
import { autoGpuLayers } from "../../inference/llama/plan.ts";
import { localModels, offeredModels } from "../../node/models.ts";
import { type Check, failed, info, ok, warning } from "../check.ts";
import type { DoctorContext } from "../context.ts";

const gibibyte = 2 ** 30;

export const coresCheck: Check = {
  id: "cores",
  title: "processor cores",
  needs: "config",
  async run(ctx) {
    const { cpu } = await ctx.hardware();
    const { threads } = ctx.config.engine;
    const cores = `${cpu.cores} usable core${cpu.cores === 1 ? "" : "s"}`;
    if (threads > cpu.cores)
      return [
        warning(
          this,
          `engine.threads is ${threads}, with ${cores}: the engine would use ${cpu.cores}`,
          "Run `blindference config set engine.threads 0`.",
        ),
      ];
    return [ok(this, `${cores}, ${threads === 0 ? Math.max(1, cpu.cores - 1) : threads} for the engine`)];
  },
};

export const memoryCheck: Check = {
  id: "memory",
  title: "memory",
  needs: "config",
  async run(ctx) {
    const { memory, gpus } = await ctx.hardware();
    const free = `${size(memory.available)} of ${size(memory.total)} free`;
    const isOnCpu = (layers: number) => layers === 0 || (layers === autoGpuLayers && gpus.length === 0);
    const onCpu = offeredLocalModels(ctx).filter(([, model]) => isOnCpu(model.gpu_layers));
    // Models wait for each other in memory: the largest one decides.
    const largest = onCpu
      .map(([id, model]) => ({ id, bytes: memoryNeeded({ gigabytes: fileSize(model.path) / 1e9 }) }))
      .sort((a, b) => b.bytes - a.bytes)[0];
    if (!largest) return [ok(this, free)];
    const needed = `${largest.id} needs ${size(largest.bytes)}`;
    const remedy = "Serve a smaller model or a smaller quantization, or free some memory.";
    if (largest.bytes > memory.total)
      return [failed(this, `${needed}, and the machine has ${size(memory.total)}`, remedy)];
    const { running } = await ctx.node();
    if (!running && largest.bytes > memory.available) return [warning(this, `${needed}, and only ${free}`, remedy)];
    return [ok(this, `${free}; ${needed}`)];
  },
};

export const diskCheck: Check = {
  id: "disk",
  title: "disk",
  needs: "node",
  async run({ system, config }) {
    const free = system.freeDisk(config.dir);
    const detail = `${size(free)} free at ${config.dir}`;
    const remedy = "Free some space: a node that cannot write its journal stops taking jobs.";
    if (free < 0.1 * gibibyte) return [failed(this, detail, remedy)];
    if (free < gibibyte) return [warning(this, detail, remedy)];
    return [ok(this, detail)];
  },
};

export const gpuCheck: Check = {
  id: "gpu",
  title: "GPU and driver",
  needs: "config",
  timeoutMs: 8000,
  async run(ctx) {
    const { gpus } = await ctx.hardware();
    const onGpu = offeredLocalModels(ctx).filter(([, model]) => model.gpu_layers > 0);
    const names = gpus.map(({ name, kind, driver }) => `${name} (${kind}${driver ? `, driver ${driver}` : ""})`);
    if (gpus.length > 0) {
      const command = engineCommand(gpus.map(({ kind }) => kind));
      if (!command) return [ok(this, names.join(", "))];
      const detail = `${names.join(", ")}; llama.cpp has no engine for it`;
      if (onGpu.length > 0) return [failed(this, detail, `Run \`${command}\`.`)];
      return [info(this, `${detail}: \`${command}\` installs one`)];
    }
    const devices = ctx.system.files.list("/dev").filter((name) => /^nvidia\d+$/.test(name));
    if (devices.length > 0)
      return [
        warning(
          this,
          `there is /dev/${devices[0]}, but nvidia-smi does not answer`,
          "Install the tools of the NVIDIA driver, or mend the driver: nvidia-smi must list the GPU.",
        ),
      ];
    if (onGpu.length > 0) {
      const detail = `${onGpu[0]![0]} has gpu_layers ${onGpu[0]![1].gpu_layers}, but no GPU was found`;
      return [failed(this, detail, "Install the GPU's driver, or set gpu_layers of the model to 0.")];
    }
    return [info(this, "none found; models run on the processor")];
  },
};

export function offeredLocalModels({ config }: Pick<DoctorContext, "config">): [string, ModelConfig][] {
  const offered = offeredModels(config);
  return Object.entries(localModels(config)).filter(([id]) => offered.includes(id));
}

/** Bytes of a file; 0 when it is not there, which is another check's matter. */
function fileSize(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function size(bytes: number): string {
  return bytes < gibibyte ? `${Math.round(bytes / 2 ** 20)} MiB` : `${(bytes / gibibyte).toFixed(1)} GiB`;
}
