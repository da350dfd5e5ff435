import { writeSync } from "node:fs";
import { runCli } from "../../src/cli/program.ts";

// Runs a command line per line of standard input, an array as JSON, and says on standard error when it is done.
for await (const line of console) {
  process.exitCode = 0;
  const code = await runCli(JSON.parse(line) as string[]);
  writeSync(2, `\n#done ${code}\n`);
}
