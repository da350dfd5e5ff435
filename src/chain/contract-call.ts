import type { Abi, Address, ContractFunctionArgs, ContractFunctionName } from "viem";

type Write = "nonpayable" | "payable";

/** A call that changes the chain, ready to be estimated, signed and sent. */
export type ContractCall = {
  address: Address;
  abi: Abi;
  functionName: string;
  args: readonly unknown[];
  value?: bigint;
};

/** Checks name and arguments against the ABI when it is compiled, and forgets the types afterwards. */
export function contractCall<const abi extends Abi, name extends ContractFunctionName<abi, Write>>(call: {
  address: Address;
  abi: abi;
  functionName: name;
  args: ContractFunctionArgs<abi, Write, name>;
  value?: bigint;
}): ContractCall {
  return call as unknown as ContractCall;
}
