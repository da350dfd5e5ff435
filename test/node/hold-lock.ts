import { lockDataDirectory } from "../../src/node/lock.ts";

// Takes the lock of the directory named on the command line and keeps it until the process ends.
try {
  lockDataDirectory(process.argv[2]!);
  console.log("locked");
  setInterval(() => {}, 60_000);
} catch (error) {
  console.log((error as { code?: string }).code);
}
