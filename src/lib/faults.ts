declare const BLF_TEST_BUILD: boolean | undefined;

/**
 * A fault that a test asked this process to have, through `BLF_FAULT`. Only the test build knows faults: in the product
 * this is constant and the code behind it is dropped by the compiler.
 */
export function hasFault(name: "wrong-answer"): boolean {
  return typeof BLF_TEST_BUILD === "boolean" && BLF_TEST_BUILD && process.env["BLF_FAULT"] === name;
}
