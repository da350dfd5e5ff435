import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { CofheError, CofheErrorCode } from "@cofhe/sdk";
import { type CofheErrorName, cofheError, cofheErrors } from "../../src/cofhe/errors.ts";
import { fromSdk } from "../../src/cofhe/sdk-errors.ts";

describe("cofheErrors", () => {
  test("every text is one line and says what to do", () => {
    for (const code of Object.keys(cofheErrors) as CofheErrorName[]) {
      const { message, hint } = cofheError(code);
      expect(`${message}${hint}`).toMatch(/^[\x20-\x7e]+$/);
      expect(hint).toEndWith(".");
    }
  });

  test("the texts stay as they are", () => {
    expect(cofheErrors).toMatchSnapshot();
  });
});

describe("fromSdk", () => {
  test("lets nothing of an SDK error through, whatever its code", () => {
    const canary = "deadbeefcafe";
    const cause = new Error(canary);
    for (const code of Object.values(CofheErrorCode)) {
      for (const inner of [{}, { cause }, { context: { body: canary, response: canary } }]) {
        const error = fromSdk(
          new CofheError({ code, message: canary, hint: canary, ...inner }),
          "COFHE_ANSWER_INVALID",
        );
        expect(Object.keys(cofheErrors)).toContain(error.code);
        expect(inspect(error, { showHidden: true, depth: null })).not.toContain(canary);
      }
    }
  });

  test("keeps our own errors, and gives a name to what has none", () => {
    const ours = cofheError("COFHE_PROVER_FAILED");
    expect(fromSdk(ours, "COFHE_ANSWER_INVALID")).toBe(ours);
    for (const thrown of [undefined, null, "text", 7, new Error("x"), { code: 42 }])
      expect(fromSdk(thrown, "COFHE_PERMIT_FAILED").code).toBe("COFHE_PERMIT_FAILED");
  });

  test("tells a contract that refuses from an RPC that fails", () => {
    const named = (name: string, cause?: Error) => Object.assign(new Error("x", { cause }), { name });
    const rpc = named("ContractFunctionExecutionError", named("RpcRequestError"));
    expect(fromSdk(rpc, "COFHE_VERIFIER_FAILED").code).toBe("COFHE_RPC_UNREACHABLE");
    const revert = named(
      "ContractFunctionExecutionError",
      named("ContractFunctionRevertedError", named("RpcRequestError")),
    );
    expect(fromSdk(revert, "COFHE_VERIFIER_FAILED").code).toBe("COFHE_VERIFIER_FAILED");
  });
});
