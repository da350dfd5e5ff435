import { describe, expect, test } from "bun:test";
import { detectGpus } from "../../src/hardware/gpu.ts";
import { files, tools } from "./machine.ts";

const memory = { total: 32e9, available: 24e9 };
const mebibyte = 2 ** 20;

const nvidiaQuery = "nvidia-smi --query-gpu=name,memory.total,memory.free,driver_version --format=csv,noheader,nounits";

const vulkanSummary = `==========
VULKANINFO
==========

Vulkan Instance Version: 1.3.280

Devices:
========
GPU0:
	apiVersion         = 1.3.274
	driverVersion      = 24.0.9
	vendorID           = 0x1002
	deviceID           = 0x744c
	deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName         = AMD Radeon RX 7900 XTX (RADV NAVI31)
	driverInfo         = Mesa 24.0.9
	deviceUUID         = 00000000-0300-0000-0000-000000000000
GPU1:
	vendorID           = 0x10de
	deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName         = NVIDIA GeForce RTX 4090
	driverInfo         = 550.90.07
	deviceUUID         = 11111111-0300-0000-0000-000000000000
GPU2:
	vendorID           = 0x10005
	deviceType         = PHYSICAL_DEVICE_TYPE_CPU
	deviceName         = llvmpipe (LLVM 17.0.6, 256 bits)
	deviceUUID         = 22222222-0300-0000-0000-000000000000
`;

describe("NVIDIA", () => {
  test("every GPU with its memory; a field that the driver does not know is null", async () => {
    const { run, calls } = tools({
      [nvidiaQuery]: "NVIDIA H200, 143771, 143167, 570.86.15\nNVIDIA Tesla X, [N/A], [Not Supported], 570.86.15\n",
    });
    expect(await detectGpus({ run, files: files({}), platform: "linux", memory })).toEqual([
      {
        kind: "cuda",
        name: "NVIDIA H200",
        memoryTotal: 143_771 * mebibyte,
        memoryFree: 143_167 * mebibyte,
        driver: "570.86.15",
      },
      { kind: "cuda", name: "NVIDIA Tesla X", memoryTotal: null, memoryFree: null, driver: "570.86.15" },
    ]);
    expect(calls).toContain(nvidiaQuery);
  });

  test("a driver that only complains is no GPU", async () => {
    for (const text of ["No devices were found\n", "", "NVIDIA-SMI has failed because it couldn't communicate, with\n"])
      expect(
        await detectGpus({ run: tools({ [nvidiaQuery]: text }).run, files: files({}), platform: "linux", memory }),
      ).toEqual([]);
  });

  test("is not counted a second time when Vulkan sees it too", async () => {
    const { run } = tools({
      [nvidiaQuery]: "NVIDIA GeForce RTX 4090, 24564, 24000, 550.90.07\n",
      "vulkaninfo --summary": vulkanSummary,
    });
    const found = await detectGpus({ run, files: files({}), platform: "linux", memory });
    expect(found.map(({ kind, name }) => [kind, name])).toEqual([
      ["cuda", "NVIDIA GeForce RTX 4090"],
      ["vulkan", "AMD Radeon RX 7900 XTX (RADV NAVI31)"],
    ]);
  });
});

describe("Vulkan", () => {
  test("devices that are a program on the CPU are left out, and amdgpu says how much memory its card has", async () => {
    const { run } = tools({ "vulkaninfo --summary": vulkanSummary });
    const sysfs = files({
      "/sys/class/drm/card1/device/mem_info_vram_total": "25753026560\n",
      "/sys/class/drm/card1/device/mem_info_vram_used": "1073741824\n",
      "/sys/class/drm/card1-DP-1/status": "connected\n",
    });
    const found = await detectGpus({ run, files: sysfs, platform: "linux", memory });
    expect(found).toEqual([
      {
        kind: "vulkan",
        name: "AMD Radeon RX 7900 XTX (RADV NAVI31)",
        memoryTotal: 25_753_026_560,
        memoryFree: 25_753_026_560 - 1_073_741_824,
        driver: "Mesa 24.0.9",
      },
      { kind: "vulkan", name: "NVIDIA GeForce RTX 4090", memoryTotal: null, memoryFree: null, driver: "550.90.07" },
    ]);
  });

  test("with two cards nobody can say which memory belongs to which", async () => {
    const { run } = tools({ "vulkaninfo --summary": vulkanSummary });
    const sysfs = files({
      "/sys/class/drm/card0/device/mem_info_vram_total": "1000\n",
      "/sys/class/drm/card0/device/mem_info_vram_used": "0\n",
      "/sys/class/drm/card1/device/mem_info_vram_total": "2000\n",
      "/sys/class/drm/card1/device/mem_info_vram_used": "0\n",
    });
    const [amd] = await detectGpus({ run, files: sysfs, platform: "linux", memory });
    expect(amd).toMatchObject({ memoryTotal: null, memoryFree: null });
  });
});

describe("Metal", () => {
  const report = (display: object) => JSON.stringify({ SPDisplaysDataType: [display] });
  const query = "system_profiler SPDisplaysDataType -json";

  test("an Apple chip shares the machine's memory, three quarters at most", async () => {
    const { run } = tools({
      [query]: report({ sppci_model: "Apple M2 Pro", spdisplays_mtlgpufamilysupport: "spdisplays_metal3" }),
    });
    expect(await detectGpus({ run, platform: "darwin", memory })).toEqual([
      { kind: "metal", name: "Apple M2 Pro", memoryTotal: 24e9, memoryFree: 24e9, driver: null },
    ]);
    const [busy] = await detectGpus({ run, platform: "darwin", memory: { total: 32e9, available: 5e9 } });
    expect(busy?.memoryFree).toBe(5e9);
  });

  test("a card without Metal, and a report that cannot be read, are none", async () => {
    for (const text of [report({ sppci_model: "Intel HD 3000" }), "not JSON", "[]", '{"SPDisplaysDataType":5}'])
      expect(await detectGpus({ run: tools({ [query]: text }).run, platform: "darwin", memory })).toEqual([]);
  });
});
