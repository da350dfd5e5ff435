import { describe, expect, test } from "bun:test";
import { redirectTarget } from "../../src/ipfs/redirect.ts";
import { expectCode } from "../crypto/expect-code.ts";

const gateway = "https://gateway.example/ipfs/bafy?format=raw";
const loopback = "http://127.0.0.1:8080/ipfs/bafy";
describe("redirectTarget", () => {
  test.each([
    [gateway, "https://files.example/x?y", "https://files.example/x?y"],
    [gateway, "https://93.184.216.34/x", "https://93.184.216.34/x"],
    [loopback, "/ipfs/other", "http://127.0.0.1:8080/ipfs/other"],
    [loopback, "http://localhost:9090/", "http://localhost:9090/"],
    [loopback, "https://files.example/", "https://files.example/"],
  ])("from %s to %s", (from, location, target) => {
    expect(redirectTarget(from, location)).toBe(target);
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
    [gateway, "https://168.63.129.16/metadata"],
    [gateway, "https://[64:ff9b::7f00:1]/"],
    [gateway, "https://[2002:7f00:1::]/"],
    [gateway, "https://[fd00:ec2::254]/"],
    [gateway, "https://127.0.0.1.:443/"],
    [gateway, "https://user:password@files.example/"],
    [gateway, "file:///etc/passwd"],
    [gateway, "data:text/plain,x"],
    [gateway, "https://"],
    [loopback, "http://192.168.0.1/"],
    [loopback, "http://169.254.169.254/"],
    [loopback, "https://10.0.0.1/"],
    [loopback, "ftp://127.0.0.1/"],
  ])("never from %s to %s", async (from, location) => {
    await expectCode(async () => redirectTarget(from, location), "IPFS_REDIRECT_REFUSED");
  });
});
