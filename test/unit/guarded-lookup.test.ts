import type { LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";
import { describe, expect, test } from "vitest";
import {
  AddressRefused,
  guardedLookup,
  literalRefusal,
} from "../../src/core/network/guarded-lookup.ts";
import { readNetworkGuard } from "../../src/core/network/network-guard.ts";

const judge = readNetworkGuard({ refuse: ["10.42.0.0/16"] });
const publicOnes: LookupAddress[] = [
  { address: "203.0.113.7", family: 4 },
  { address: "2001:db8::7", family: 6 },
];
const loopback: LookupAddress = { address: "127.0.0.1", family: 4 };

/** What a socket is told; a family where it asked for one address. */
function ask(
  answer: readonly LookupAddress[] | Error,
  all: boolean,
): Promise<string | LookupAddress[]> {
  const lookup: LookupFunction = (_, options, callback) => {
    expect(options.all).toBe(true);
    if (answer instanceof Error) callback(answer, []);
    else callback(null, [...answer]);
  };
  const { promise, resolve, reject } = Promise.withResolvers<string | LookupAddress[]>();
  guardedLookup(judge, lookup)("storage.example.com", { all }, (error, found, family) => {
    if (error !== null) reject(error);
    else resolve(typeof found === "string" ? `${found} ${family}` : found);
  });
  return promise;
}

describe("a guarded lookup", () => {
  test("gives the addresses that are not refused", async () => {
    expect(await ask([loopback, ...publicOnes], true)).toEqual(publicOnes);
    expect(await ask([loopback, ...publicOnes], false)).toBe("203.0.113.7 4");
  });

  test.each([
    ["loopback", loopback],
    ["link-local", { address: "fe80::1%eth0", family: 6 }],
    ["loopback", { address: "::ffff:127.0.0.1", family: 6 }],
    ["refused range", { address: "10.42.0.9", family: 4 }],
  ])("fails when all are refused (%s, %o)", async (addressClass, address) => {
    for (const all of [true, false]) {
      const asking = ask([address], all);
      await expect(asking).rejects.toThrow(AddressRefused);
      await expect(asking).rejects.toMatchObject({ addressClass });
    }
  });

  test("fails when there is no address at all", async () => {
    await expect(ask([], true)).rejects.toMatchObject({ addressClass: "no address" });
  });

  test("fails as the lookup does", async () => {
    const error = Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
    await expect(ask(error, true)).rejects.toBe(error);
  });
});

test.each([
  ["http://127.0.0.1/", "loopback"],
  ["http://2130706433/", "loopback"],
  ["http://0x7f.1/", "loopback"],
  ["http://[::ffff:127.0.0.1]/", "loopback"],
  ["http://0/", "unspecified"],
  ["http://10.42.0.1:8080/", "refused range"],
  ["http://203.0.113.7/", undefined],
  ["http://localhost/", undefined],
])("of the host of %s it says %s without a lookup", (url, expected) => {
  expect(literalRefusal(judge, new URL(url))).toBe(expected);
});
