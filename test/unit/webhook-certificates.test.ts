import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import {
  endOf,
  formatKept,
  type KeptCertificate,
  parseKept,
  trustedAuthorities,
} from "../../src/kubernetes/webhook/certificates/kept-certificate.ts";
import { renew } from "../../src/kubernetes/webhook/certificates/renew.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const lives = { authorityMs: 365 * dayMs, servingMs: 90 * dayMs };
const names = ["ballast-webhook.ballast-system.svc", "localhost", "127.0.0.1"];
const start = new Date();

function after(days: number): Date {
  return new Date(start.getTime() + days * dayMs);
}

/** Throws where nothing was due. */
async function renewed(kept: KeptCertificate | undefined, now: Date): Promise<KeptCertificate> {
  const next = await renew(kept, { now, names, lives });
  if (next === undefined) throw new Error("nothing was due");
  return next;
}

describe("the certificate of the webhook", () => {
  let first: KeptCertificate;

  beforeAll(async () => {
    first = await renewed(undefined, start);
  });

  test("is one for all its names, of an authority of its own", () => {
    const served = new X509Certificate(first.serving.certificate);
    const authority = new X509Certificate(first.authority.certificate);
    expect(served.checkIssued(authority)).toBe(true);
    expect(served.verify(authority.publicKey)).toBe(true);
    expect(served.ca).toBe(false);
    expect(authority.ca).toBe(true);
    expect(served.publicKey.asymmetricKeyDetails).toMatchObject({ namedCurve: "prime256v1" });
    expect(served.checkHost("ballast-webhook.ballast-system.svc")).toBeDefined();
    expect(served.checkIP("127.0.0.1")).toBeDefined();
    expect(served.checkHost("registry.example.com")).toBeUndefined();
    // Who looks at it may have a clock that is behind.
    expect(served.validFromDate.getTime()).toBeLessThan(start.getTime() - hourMs / 2);
  });

  test("is taken by a client that trusts the authority, for its names alone", async () => {
    const { certificate: cert, key } = first.serving;
    const server = createServer({ cert, key }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const ca = trustedAuthorities(first, start);
    const shake = async (servername: string) => {
      const socket = connect({ host: "127.0.0.1", port, ca, servername });
      await once(socket, "secureConnect").finally(() => socket.destroy());
      return true;
    };
    try {
      expect(await shake("localhost")).toBe(true);
      await expect(shake("registry.example.com")).rejects.toThrow(/altnames/);
    } finally {
      server.close();
      await once(server, "close");
    }
  });

  test("is left alone for two thirds of its life, then made anew of the same authority", async () => {
    expect(await renew(first, { now: after(59), names, lives })).toBeUndefined();
    const next = await renewed(first, after(61));
    expect(next.authority).toEqual(first.authority);
    expect(endOf(next.serving)).toEqual(new Date(Math.floor(after(151).getTime() / 1000) * 1000));
  });

  test("an authority is made anew at two thirds, and the old one trusted until it ends", async () => {
    const second = await renewed(first, after(245));
    expect(second.authority.certificate).not.toBe(first.authority.certificate);
    const both = trustedAuthorities(second, after(246));
    const prints = both.map((each) => new X509Certificate(each).fingerprint256);
    const old = new X509Certificate(first.authority.certificate).fingerprint256;
    expect(prints).toHaveLength(2);
    expect(prints).toContain(old);
    // Kept for replicas and later ones to read.
    const read = parseKept(formatKept(second));
    expect(read && trustedAuthorities(read, after(246))).toEqual(both);
    expect(read && trustedAuthorities(read, after(366))).toEqual([both[0]]);
  });

  test("ends no later than its authority", async () => {
    const late = { authorityMs: 30 * dayMs, servingMs: 90 * dayMs };
    const next = await renew(undefined, { now: start, names, lives: late });
    if (next === undefined) throw new Error("nothing was made");
    expect(endOf(next.serving)).toEqual(endOf(next.authority));
  });

  test("is made anew at once for a name that it lacks", async () => {
    const more = [...names, "webhook.example.com"];
    const next = await renew(first, { now: start, names: more, lives });
    expect(next?.authority).toEqual(first.authority);
    const served = new X509Certificate(next?.serving.certificate ?? "");
    expect(served.checkHost("webhook.example.com")).toBeDefined();
  });

  test("is made anew where the clock that made it was far ahead", async () => {
    expect(await renew(first, { now: after(-2), names, lives })).toBeDefined();
  });

  test("is read back as it was kept", () => {
    expect(parseKept(formatKept(first))).toEqual({
      ...first,
      trusted: trustedAuthorities(first, start),
    });
  });

  test.each([
    ["nothing", async () => undefined],
    ["an empty Secret", async () => ({})],
    ["no key", async () => without("tls.key")],
    ["no key of the authority", async () => without("ca.key")],
    ["what is no certificate", async () => ({ ...formatKept(first), "tls.crt": encode("text") })],
    ["what is no base64", async () => ({ ...formatKept(first), "ca.crt": "%%%" })],
    [
      "the key of another",
      async () => ({
        ...formatKept(first),
        "tls.key": encode((await renewed(undefined, start)).serving.key),
      }),
    ],
    [
      "another authority",
      async () => {
        const { authority } = await renewed(undefined, start);
        return formatKept({ ...first, authority });
      },
    ],
  ])("is not taken from %s", async (_, data) => {
    expect(parseKept(await data())).toBeUndefined();
  });

  function without(key: string): Record<string, string> {
    return Object.fromEntries(Object.entries(formatKept(first)).filter(([name]) => name !== key));
  }

  function encode(text: string): string {
    return Buffer.from(text).toString("base64");
  }
});
