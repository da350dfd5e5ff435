import { Database } from "bun:sqlite";

// Is in the middle of the first write to the database of the first argument until a line comes on stdin.
const db = new Database(process.argv[2]!);
db.run("BEGIN IMMEDIATE");
console.log("writing");
for await (const _line of console) break;
db.run("COMMIT");
db.close();
