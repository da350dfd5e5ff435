import { describe, expect, test } from "bun:test";
import { isLanAddress, isPublicAddress } from "../../src/lib/public-address.ts";

describe("isPublicAddress", () => {
  test.each([
    "8.8.8.8",
    "1.1.1.1",
    "172.15.0.1",
    "172.32.0.1",
    "168.63.129.17",
    "2606:4700:4700::1111",
    "2a00:1450:4001:830::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
  ])("%s is", (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  test.each([
    ["this network", "0.0.0.0 0.1.2.3 ::"],
    ["loopback", "127.0.0.1 127.255.255.254 ::1 0:0:0:0:0:0:0:1"],
    ["private", "10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 fc00::1 fd12:3456::1 fec0::1"],
    ["of a carrier", "100.64.0.1 100.127.255.255"],
    ["link-local", "169.254.0.1 fe80::1 fe80::1%eth0"],
    ["metadata of clouds", "169.254.169.254 100.100.100.200 168.63.129.16 fd00:ec2::254 192.0.0.192"],
    ["multicast and broadcast", "224.0.0.1 239.1.1.1 255.255.255.255 ff02::1"],
    [
      "reserved",
      "192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.9 240.0.0.1 2001:db8::1 3fff::1 100::1 5f00::1",
    ],
    ["IPv4 within IPv6", "::ffff:127.0.0.1 ::ffff:a9fe:a9fe ::ffff:10.0.0.1 ::ffff:0:0 ::127.0.0.1 ::ffff:0:127.0.0.1"],
    ["IPv4 behind NAT64", "64:ff9b::10.0.0.1 64:ff9b::7f00:1 64:ff9b::1 64:ff9b:: 64:ff9b:1::10.0.0.1 64:ff9b:2::1"],
    ["IPv4 behind 6to4 and Teredo", "2002:7f00:1:: 2002:a9fe:a9fe::1 2002:808:808::1 2001:0:a00:1::1"],
    ["no address", "localhost example.org 0x7f.0.0.1 2130706433 127.1 1.2.3.4.5 :: ::g [::1]"],
  ])("%s is not: %s", (_name, addresses) => {
    for (const address of addresses.split(" ")) expect([address, isPublicAddress(address)]).toEqual([address, false]);
    expect(isPublicAddress("")).toBe(false);
  });
});

describe("isLanAddress", () => {
  test.each([
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "100.64.0.1",
    "fd12:3456::1",
    "::ffff:192.168.1.1",
  ])("%s is", (address) => {
    expect(isLanAddress(address)).toBe(true);
  });

  test.each([
    "8.8.8.8",
    "127.0.0.1",
    "::1",
    "0.0.0.0",
    "169.254.169.254",
    "fe80::1",
    "100.100.100.200",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "2606:4700:4700::1111",
    "example.org",
    "",
  ])("%p is not", (address) => {
    expect(isLanAddress(address)).toBe(false);
  });
});
