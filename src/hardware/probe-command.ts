/** Runs a tool of the system and gives what it printed, or undefined when it is not there, fails or takes too long. */
export type ProbeCommand = (command: string, arguments_: string[]) => Promise<string | undefined>;

export type ProbeCommandOptions = {
  /** Where tools are looked for, as in PATH. */
  path?: string;
  /** In milliseconds; a GPU that is asleep takes a second or two to answer. */
  timeoutMs?: number;
};

const largestOutput = 1_000_000;

/** Tools get PATH and nothing else of our environment, and no standard input. */
export function createProbeCommand(options: ProbeCommandOptions = {}): ProbeCommand {
  const path = options.path ?? process.env["PATH"] ?? "/usr/bin:/bin:/usr/sbin";
  return async (command, arguments_) => {
    const file = Bun.which(command, { PATH: path });
    if (file === null) return undefined;
    try {
      const child = Bun.spawn([file, ...arguments_], {
        env: { PATH: path, LC_ALL: "C" },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "ignore",
        timeout: options.timeoutMs ?? 5000,
        killSignal: "SIGKILL",
        maxBuffer: largestOutput,
      });
      const [text, code] = await Promise.all([child.stdout.text(), child.exited]);
      return code === 0 ? text : undefined;
    } catch {
      return undefined;
    }
  };
}
