import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientAddress } from "../../src/registry/server/bounds/client-address.ts";
import { MinuteQuota } from "../../src/registry/server/bounds/minute-quota.ts";
import { TokenBuckets } from "../../src/registry/server/bounds/token-buckets.ts";

describe("token buckets", () => {
  test("give what they hold at once, then at their rate, each key its own", () => {
    let now = 0;
    const buckets = new TokenBuckets(2, 3, () => now);
    const take = () => buckets.take("a");
    expect([take(), take(), take(), take()]).toEqual([0, 0, 0, 0.5]);
    expect(buckets.take("b")).toBe(0);
    now += 500;
    expect([take(), take()]).toEqual([0, 0.5]);
  });

  test("never give more than the rate and one full bucket, whatever the times", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { maxLength: 200 }), (pauses) => {
        let now = 0;
        const buckets = new TokenBuckets(5, 10, () => now);
        let given = 0;
        for (const pause of pauses) {
          now += pause;
          if (buckets.take("") === 0) given += 1;
        }
        expect(given).toBeLessThanOrEqual(10 + (now / 1000) * 5 + 1e-6);
      }),
    );
  });

  test("forget who rested longest, not who came last, when there are too many", () => {
    const buckets = new TokenBuckets(1, 1, () => 0);
    for (let at = 0; at < 10_001; at += 1) buckets.take(`${at}`);
    expect([buckets.take("0"), buckets.take("10000")]).toEqual([0, 1]);
  });
});

test("a quota is there again a minute after its first use", () => {
  let now = 0;
  const quota = new MinuteQuota(2, () => now);
  expect([quota.take("a"), quota.take("a"), quota.take("a"), quota.take("b")]).toEqual([
    0, 0, 60, 0,
  ]);
  now = 59_000;
  expect(quota.take("a")).toBe(1);
  now = 60_000;
  expect(quota.take("a")).toBe(0);
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  [undefined, ""],
])("a client at %s is counted as %s", (address, key) => {
  expect(clientAddress(address)).toBe(key);
});
