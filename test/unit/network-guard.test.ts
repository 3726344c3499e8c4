import { describe, expect, test } from "vitest";
import { isModelError } from "../../src/core/errors.ts";
import { type NetworkGuard, readNetworkGuard } from "../../src/core/network/network-guard.ts";

const judge = (address: string, guard: NetworkGuard = {}) =>
  readNetworkGuard(guard).refusal(address);

describe("a guard refuses by itself", () => {
  test.each([
    ["127.0.0.0", "loopback"],
    ["127.0.0.1", "loopback"],
    ["127.255.255.255", "loopback"],
    ["::1", "loopback"],
    ["0:0:0:0:0:0:0:1", "loopback"],
    ["[::1]", "loopback"],
    ["169.254.0.0", "link-local"],
    ["169.254.169.254", "link-local"],
    ["169.254.255.255", "link-local"],
    ["fe80::1", "link-local"],
    ["fe80::1%eth0", "link-local"],
    ["FE80::1%25", "link-local"],
    ["febf:ffff::", "link-local"],
    ["0.0.0.0", "unspecified"],
    ["0.255.255.255", "unspecified"],
    ["::", "unspecified"],
    ["224.0.0.1", "multicast"],
    ["239.255.255.255", "multicast"],
    ["255.255.255.255", "multicast"],
    ["ff02::1", "multicast"],
    ["100.100.100.200", "cloud metadata"],
    ["fd00:ec2::254", "cloud metadata"],
    ["::ffff:127.0.0.1", "loopback"],
    ["::ffff:7f00:1", "loopback"],
    ["0:0:0:0:0:FFFF:127.0.0.1", "loopback"],
    ["::ffff:169.254.169.254", "link-local"],
    ["::ffff:0.0.0.0", "unspecified"],
    ["::ffff:224.0.0.1", "multicast"],
    ["::127.0.0.1", "unspecified"],
    ["::ffff:0:127.0.0.1", "loopback"],
    ["64:ff9b::127.0.0.1", "loopback"],
    ["64:ff9b::a9fe:a9fe", "link-local"],
    ["64:ff9b::1", "unspecified"],
    ["2002:7f00:1::", "loopback"],
    ["2002:a9fe:a9fe:1::1", "link-local"],
    ["", "no address"],
    ["localhost", "no address"],
    ["127.1", "no address"],
    ["1.2.3.4:80", "no address"],
    ["::1::", "no address"],
  ])("%s: %s", (address, expected) => {
    expect(judge(address)).toBe(expected);
  });

  test.each([
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "1.0.0.0",
    "223.255.255.255",
    "240.0.0.1",
    "10.0.0.1",
    "192.168.1.1",
    "203.0.113.7",
    "::ffff:203.0.113.7",
    "64:ff9b::203.0.113.7",
    "2002:cb00:7107::",
    "fe7f:ffff::1",
    "fec0::1",
    "feff::1",
    "fd00::1",
    "2001:db8::1",
    "2001:db8::127.0.0.1",
  ])("nothing at %s", (address) => {
    expect(judge(address)).toBeUndefined();
  });
});

describe("a guard refuses the ranges it is given", () => {
  test.each([
    ["10.42.0.0/16", "10.42.0.0", true],
    ["10.42.0.0/16", "10.42.255.255", true],
    ["10.42.0.0/16", "10.41.255.255", false],
    ["10.42.0.0/16", "10.43.0.0", false],
    ["10.42.7.9/16", "10.42.0.1", true],
    ["10.42.0.0/16", "::ffff:10.42.1.1", true],
    ["10.42.0.0/16", "64:ff9b::10.42.1.1", true],
    ["192.0.2.128/25", "192.0.2.127", false],
    ["192.0.2.128/25", "192.0.2.128", true],
    ["192.0.2.5", "192.0.2.5", true],
    ["192.0.2.5/32", "192.0.2.6", false],
    ["0.0.0.0/0", "203.0.113.7", true],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["fd12::/16", "fd12:ffff::1", true],
    ["fd12::/16", "fd13::1", false],
    ["2001:db8::5", "2001:db8:0::5", true],
    ["2001:db8::5/128", "2001:db8::6", false],
    ["::/0", "2001:db8::1", true],
    ["::/0", "203.0.113.7", false],
    ["::/0", "::ffff:203.0.113.7", false],
  ])("%s, %s: %s", (range, address, isRefused) => {
    expect(judge(address, { refuse: [range] })).toBe(isRefused ? "refused range" : undefined);
  });
});

describe("what a guard allows goes before what it refuses", () => {
  test.each([
    ["127.0.0.2", "127.0.0.2", true],
    ["127.0.0.2", "127.0.0.1", false],
    ["127.0.0.2", "::ffff:127.0.0.2", true],
    ["127.0.0.2/31", "127.0.0.3", true],
    ["127.0.0.0/8", "127.9.9.9", true],
    ["::1", "::1", true],
    ["[::1]", "::1", true],
    ["::1", "127.0.0.1", false],
    ["10.42.0.0/24", "10.42.0.9", true],
    ["10.42.0.0/24", "10.42.1.9", false],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "127.0.0.1", false],
    ["::/0", "::ffff:127.0.0.1", false],
    ["fe80::/10", "fe80::1%eth0", true],
  ])("%s, %s: %s", (range, address, isAllowed) => {
    const refusal = judge(address, { refuse: ["10.42.0.0/16"], allow: [range] });
    expect(refusal === undefined).toBe(isAllowed);
  });

  test.each([
    ["storage.example.com", "https://storage.example.com/x", true],
    ["storage.example.com", "http://STORAGE.example.com:9000/x", true],
    ["Storage.Example.com:9000", "http://storage.example.com:9000/x", true],
    ["storage.example.com:9000", "http://storage.example.com:9001/x", false],
    ["storage.example.com:443", "https://storage.example.com/x", true],
    ["storage.example.com:443", "http://storage.example.com/x", false],
    ["storage.example.com:80", "http://storage.example.com/x", true],
    ["storage.example.com", "https://evil.storage.example.com/x", false],
    ["storage.example.com", "https://storage.example.com.evil.example/x", false],
    ["storage.example.com", "https://storage.example.com@evil.example/x", false],
    ["127.0.0.1:5000", "http://127.0.0.1:5000/x", true],
    ["127.0.0.1:5000", "http://127.0.0.1:5001/x", false],
    ["[::1]:5000", "http://[0:0::1]:5000/x", true],
    ["[::1]:5000", "http://[::1]/x", false],
  ])("%s vouches for %s: %s", (host, url, isVouched) => {
    expect(readNetworkGuard({ allow: [host] }).vouchesFor(new URL(url))).toBe(isVouched);
  });
});

describe("a guard names the entry that it cannot read", () => {
  test.each([
    ["refuse", "storage.example.com"],
    ["refuse", "10.0.0.0/33"],
    ["refuse", "10.0.0.0/-1"],
    ["refuse", "10.0.0.0/"],
    ["refuse", "10.0.0/8"],
    ["refuse", "fd00::/129"],
    ["refuse", "::ffff:10.0.0.0/104"],
    ["refuse", "fe80::%eth0/64"],
    ["refuse", ""],
    ["allow", ""],
    ["allow", ":80"],
    ["allow", "https://storage.example.com"],
    ["allow", "storage.example.com/path"],
    ["allow", "user@storage.example.com"],
    ["allow", "storage.example.com:99999"],
    ["allow", "storage example"],
    ["allow", "[::1"],
    ["allow", "10.0.0.0/99"],
    ["allow", "*.example.com"],
  ] as const)("%s %j", (list, entry) => {
    try {
      readNetworkGuard({ [list]: ["10.0.0.0/8", entry] });
    } catch (error) {
      if (!isModelError(error, "INVALID_ARGUMENT")) throw error;
      expect(error.message).toContain(`network.${list}: ${JSON.stringify(entry)}`);
      return;
    }
    throw new Error("it was read");
  });
});
