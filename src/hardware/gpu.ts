import type { ProbeCommand } from "./probe-command.ts";
import { type SystemFiles, systemFiles } from "./system-files.ts";

/** How a GPU is programmed: NVIDIA's driver, Apple's Metal, or Vulkan for everything else. */
export type GpuKind = "cuda" | "metal" | "vulkan";

export type Gpu = {
  kind: GpuKind;
  name: string;
  /** Bytes; null when the system does not say. Metal's is the part of the machine's memory that it may use. */
  memoryTotal: number | null;
  memoryFree: number | null;
  driver: string | null;
};

export type GpuOptions = {
  run: ProbeCommand;
  files?: SystemFiles;
  platform?: NodeJS.Platform;
  /** Bytes that programs may still take, which is what Metal takes from. */
  memory: { total: number; available: number };
};

const mebibyte = 2 ** 20;
const nvidiaVendor = "10de";
const amdVendor = "1002";

/** The GPUs of this machine, each once. An empty list means that none was found, not that there is none. */
export async function detectGpus(options: GpuOptions): Promise<Gpu[]> {
  const { run, files = systemFiles, platform = process.platform, memory } = options;
  if (platform === "darwin") return parseMetal(await run("system_profiler", ["SPDisplaysDataType", "-json"]), memory);
  const [nvidia, vulkan] = await Promise.all([
    run("nvidia-smi", ["--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits"]),
    run("vulkaninfo", ["--summary"]),
  ]);
  const cuda = parseNvidia(nvidia);
  const others = parseVulkan(vulkan).filter(({ vendor }) => cuda.length === 0 || vendor !== nvidiaVendor);
  const amd = amdMemory(files);
  const ofAmd = others.filter(({ vendor }) => vendor === amdVendor).length;
  return [
    ...cuda,
    ...others.map(({ vendor, gpu }): Gpu => {
      // sysfs and Vulkan count devices in their own order: only a single one is certainly the same.
      const [only] = amd;
      return vendor === amdVendor && ofAmd === 1 && amd.length === 1 && only ? { ...gpu, ...only } : gpu;
    }),
  ];
}

/** Lines of `NVIDIA H200, 143771, 143167, 570.86.15`, sizes in MiB. */
export function parseNvidia(text: string | undefined): Gpu[] {
  return (text ?? "").split("\n").flatMap((line): Gpu[] => {
    const fields = line.split(",").map((field) => field.trim());
    const [name, total, free, driver] = fields;
    if (fields.length !== 4 || !name) return [];
    return [
      {
        kind: "cuda",
        name,
        memoryTotal: fromMebibytes(total),
        memoryFree: fromMebibytes(free),
        driver: driver || null,
      },
    ];
  });
}

/** The devices of `vulkaninfo --summary`, without those that are a program on the CPU. */
export function parseVulkan(text: string | undefined): { vendor: string; gpu: Gpu }[] {
  const blocks = (text ?? "").split(/^GPU\d+:\s*$/m).slice(1);
  const seen = new Set<string>();
  return blocks.flatMap((block) => {
    const field = (name: string) => new RegExp(`^\\s*${name}\\s*=\\s*(.+?)\\s*$`, "m").exec(block)?.[1];
    const name = field("deviceName");
    const id = field("deviceUUID") ?? `${name}-${seen.size}`;
    if (name === undefined || /CPU|OTHER/.test(field("deviceType") ?? "CPU") || seen.has(id)) return [];
    seen.add(id);
    const vendor = (field("vendorID") ?? "").replace(/^0x/, "").toLowerCase();
    const driver = field("driverInfo") ?? null;
    return [{ vendor, gpu: { kind: "vulkan", name, memoryTotal: null, memoryFree: null, driver } satisfies Gpu }];
  });
}

/** macOS' own report. Apple's chips share the machine's memory, of which Metal takes three quarters at most. */
export function parseMetal(text: string | undefined, memory: { total: number; available: number }): Gpu[] {
  let displays: unknown;
  try {
    displays = (JSON.parse(text ?? "{}") as { SPDisplaysDataType?: unknown }).SPDisplaysDataType;
  } catch {
    return [];
  }
  if (!Array.isArray(displays)) return [];
  return displays.flatMap((display: Record<string, unknown>): Gpu[] => {
    const name = display["sppci_model"];
    const metal = Object.keys(display).some((key) => /^spdisplays_(mtlgpufamilysupport|metal)/.test(key));
    if (typeof name !== "string" || !metal) return [];
    const shared = name.startsWith("Apple");
    return [
      {
        kind: "metal",
        name,
        memoryTotal: shared ? Math.floor(memory.total * 0.75) : null,
        memoryFree: shared ? Math.floor(Math.min(memory.available, memory.total * 0.75)) : null,
        driver: null,
      },
    ];
  });
}

/** What Linux' amdgpu driver says of its cards, in bytes. */
function amdMemory({ list, readText }: SystemFiles): { memoryTotal: number; memoryFree: number }[] {
  const cards = list("/sys/class/drm").filter((name) => /^card\d+$/.test(name));
  return cards.flatMap((card) => {
    const read = (name: string) => Number(readText(`/sys/class/drm/${card}/device/${name}`)?.trim() || Number.NaN);
    const total = read("mem_info_vram_total");
    const used = read("mem_info_vram_used");
    return total > 0 && used >= 0 ? [{ memoryTotal: total, memoryFree: total - used }] : [];
  });
}

function fromMebibytes(text: string | undefined): number | null {
  return /^\d+$/.test(text ?? "") ? Number(text) * mebibyte : null;
}
