import type { ProbeCommand } from "../../src/hardware/probe-command.ts";
import type { SystemFiles } from "../../src/hardware/system-files.ts";

/** A machine on which only these tools are installed; each prints one text, whatever it is called for. */
export function tools(outputs: Record<string, string>): { run: ProbeCommand; calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    run: async (command, arguments_) => {
      const line = [command, ...arguments_].join(" ");
      calls.push(line);
      return outputs[line];
    },
  };
}

/** A /proc and /sys that hold these files. */
export function files(content: Record<string, string>): SystemFiles {
  return {
    readText: (path) => content[path],
    list: (path) => [
      ...new Set(
        Object.keys(content)
          .filter((name) => name.startsWith(`${path}/`))
          .map((name) => name.slice(path.length + 1).split("/")[0]!),
      ),
    ],
  };
}
