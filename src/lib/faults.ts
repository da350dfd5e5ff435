declare const BLF_TEST_BUILD: boolean | undefined;

/**
 * A fault that a test asked this process to have, through `BLF_FAULT`. Only the test build knows faults: in the product
 * this is constant and the code behind it is dropped by the compiler.
 */
export function hasFault(name: "wrong-answer"): boolean {
  return typeof BLF_TEST_BUILD === "boolean" && BLF_TEST_BUILD && process.env["BLF_FAULT"] === name;
}

/**
 * A rejection that nothing waits for and an exception out of a timer, of a text that nobody may read, for a node with
 * `BLF_FAULT=stray-errors`. In the product the body is empty.
 */
export function leaveStrayErrors(): void {
  if (typeof BLF_TEST_BUILD !== "boolean" || !BLF_TEST_BUILD) return;
  if (process.env["BLF_FAULT"] !== "stray-errors") return;
  void Promise.reject(new Error("the text of a stray rejection"));
  setTimeout(() => {
    throw new Error("the text of a stray exception");
  });
}

export type Moment = "before" | "after";

/**
 * A point at which a test may have this process killed as `kill -9` does, with `BLF_FAULT=kill:<moment>:<point>:<subject>`. Nothing runs
 * after it. In the product the body is empty.
 * @param point what is about to be done or was just done, such as "committed" or "submit"
 * @param subject for what: `<role>:<task id>` or the purpose of a transaction
 */
export function failpoint(moment: Moment, point: string, subject: string): void {
  if (typeof BLF_TEST_BUILD !== "boolean" || !BLF_TEST_BUILD) return;
  if (process.env["BLF_FAULT"] === `kill:${moment}:${point}:${subject}`) process.kill(process.pid, "SIGKILL");
}
