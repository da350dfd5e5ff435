import { systemClock } from "../../../src/lib/clock.ts";
import { openJournal } from "../../../src/node/journal/journal.ts";

// Opens the journal of the first argument, waits for a line on stdin, commits the job of the second argument to the third, and says how that
// went. With a fourth argument it stays, with the journal open.
const [path, taskId, commitment, stay] = process.argv.slice(2);
const journal = openJournal(path!, systemClock);
console.log("ready");
for await (const _line of console) break;
try {
  journal.commit({ taskId: taskId!, role: "leader" }, commitment!);
  console.log("ok");
} catch (error) {
  console.log((error as { code?: string }).code);
}
if (stay) setInterval(() => {}, 60_000);
else journal.close();
