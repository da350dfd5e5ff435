/** Where an operator's shell says which GPUs to use and where their libraries are: the CUDA runtime, the drivers of Vulkan. */
const gpuVariables = [
  "LD_LIBRARY_PATH",
  "CUDA_VISIBLE_DEVICES",
  "CUDA_DEVICE_ORDER",
  "CUDA_CACHE_PATH",
  "VK_DRIVER_FILES",
  "VK_ADD_DRIVER_FILES",
  "VK_ICD_FILENAMES",
  "GGML_VK_VISIBLE_DEVICES",
];

/** What the process that computes on a GPU gets of this one's environment, besides what every child does. */
export function gpuEnvironment(environment: Record<string, string | undefined> = process.env): Record<string, string> {
  return Object.fromEntries(
    gpuVariables.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
