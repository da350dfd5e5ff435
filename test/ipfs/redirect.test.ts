import { describe, expect, test } from "bun:test";
import { isPublicAddress, redirectTarget } from "../../src/ipfs/redirect.ts";
import { expectCode } from "../crypto/expect-code.ts";

const gateway = "https://gateway.example/ipfs/bafy?format=raw";
const loopback = "http://127.0.0.1:8080/ipfs/bafy";
const names: Record<string, string[]> = {
  "files.example": ["93.184.216.34", "2606:2800:220:1::1"],
  "inside.example": ["93.184.216.34", "10.0.0.1"],
};
const resolve = async (name: string) => {
  const addresses = names[name];
  if (!addresses) throw new Error("ENOTFOUND");
  return addresses;
};

describe("isPublicAddress", () => {
  test.each([
    "8.8.8.8",
    "1.1.1.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
  ])("%s is", (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  test.each([
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::10.0.0.1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "ff02::1",
    "2002:7f00:1::",
    "not an address",
    "",
  ])("%s is not", (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});

describe("redirectTarget", () => {
  test.each([
    [gateway, "https://files.example/x?y", "https://files.example/x?y"],
    [gateway, "https://93.184.216.34/x", "https://93.184.216.34/x"],
    [loopback, "/ipfs/other", "http://127.0.0.1:8080/ipfs/other"],
    [loopback, "http://localhost:9090/", "http://localhost:9090/"],
    [loopback, "https://files.example/", "https://files.example/"],
  ])("from %s to %s", async (from, location, target) => {
    expect(await redirectTarget(from, location, resolve)).toBe(target);
  });

  test.each([
    [gateway, null],
    [gateway, "http://files.example/"],
    [gateway, "http://127.0.0.1/"],
    [gateway, "https://127.0.0.1/"],
    [gateway, "https://localhost/"],
    [gateway, "https://[::1]/"],
    [gateway, "https://[::ffff:127.0.0.1]/"],
    [gateway, "https://0x7f000001/"],
    [gateway, "https://2130706433/"],
    [gateway, "https://169.254.169.254/latest/meta-data"],
    [gateway, "https://10.0.0.1/"],
    [gateway, "https://inside.example/"],
    [gateway, "https://unknown.example/"],
    [gateway, "https://user:password@files.example/"],
    [gateway, "file:///etc/passwd"],
    [gateway, "data:text/plain,x"],
    [gateway, "https://"],
    [loopback, "http://192.168.0.1/"],
    [loopback, "http://169.254.169.254/"],
    [loopback, "https://10.0.0.1/"],
    [loopback, "ftp://127.0.0.1/"],
  ])("never from %s to %s", async (from, location) => {
    await expectCode(() => redirectTarget(from, location, resolve), "IPFS_REDIRECT_REFUSED");
  });
});
