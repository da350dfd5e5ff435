import { expect, test } from "bun:test";
import { mnemonicToAccount } from "viem/accounts";
import { devnetAccounts } from "../../src/devnet/accounts.ts";

test("the accounts are the first ten of the public test mnemonic", () => {
  const { deployer, nodes, developers, icl, treasury, funder } = devnetAccounts();
  const all = [deployer, ...nodes, ...developers, icl, treasury, funder];
  const words = "test test test test test test test test test test test junk";
  const expected = all.map((_, addressIndex) => mnemonicToAccount(words, { addressIndex }).address);
  expect(all.map(({ address }) => address)).toEqual(expected);
  expect(deployer.address).toBe("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
});
