import { describe, expect, test } from "vitest";
import { makeSelfSigned } from "../../support/certificates.ts";
import { startForwardProxy } from "../../support/forward-proxy.ts";
import { cutAt } from "../../support/raw-answers.ts";
import { startRawRangeServer } from "../../support/raw-range-server.ts";
import { content } from "./stage.ts";
import type { HttpRangeSuite } from "./suite.ts";

/** A host that only the proxy can reach. */
const host = "registry.example.com:5000";
const spans = [0, 1, 2].map((at) => ({ offset: at * 10_000, length: 10_000 }));

/** Proxies that the environment names. */
export function describeProxies(suite: HttpRangeSuite): void {
  describe("a proxy", () => {
    test("for plain HTTP is gone through", async () => {
      await using server = await startRawRangeServer({ content });
      await using proxy = await startForwardProxy(server.host);
      const environment = { HTTP_PROXY: proxy.url };
      await using stage = await suite.open({ setup: { host, plainHttp: true, environment } });
      server.answers.push(cutAt((head, body) => head + Math.floor(body / 2), "fin"));
      for (const span of spans) await stage.read(span);
      expect(proxy.seen.length).toBeGreaterThan(0);
      expect(proxy.seen.every((line) => line.includes(host))).toBe(true);
      expect(server.requests.every(({ headers }) => headers.get("host") === host)).toBe(true);
    });

    test("for TLS is gone through, and the certificate is the registry's", async () => {
      const tls = await makeSelfSigned(suite.folder, "named", ["DNS:registry.example.com"]);
      await using server = await startRawRangeServer({ content, tls });
      await using proxy = await startForwardProxy(server.host);
      const setup = { host, environment: { HTTPS_PROXY: proxy.url }, plainHttp: false };
      await using stage = await suite.open({ setup: { ...setup, ca: tls.certificate } });
      for (const span of spans) await stage.read(span);
      expect(new Set(proxy.seen)).toEqual(new Set([`CONNECT ${host}`]));
      await using distrusting = await suite.open({ setup });
      expect(await distrusting.refused()).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryable: false,
      });
    });

    test.each([403, 407, 502])("that refuses with %d is an error", async (status) => {
      await using proxy = await startForwardProxy("127.0.0.1:1");
      proxy.refuseWith = status;
      const environment = { HTTPS_PROXY: proxy.url };
      await using stage = await suite.open({ setup: { host, plainHttp: false, environment } });
      expect((await stage.refused()).code).toBe("REGISTRY_UNAVAILABLE");
    });

    test("is left out where NO_PROXY names the host, and for loopback", async () => {
      await using proxy = await startForwardProxy("127.0.0.1:1");
      const environment = { HTTP_PROXY: proxy.url, NO_PROXY: "other.example.com,.invalid" };
      await using stage = await suite.open({ setup: { environment } });
      await stage.read();
      const setup = { host: "registry.invalid", plainHttp: true, environment };
      await using direct = await suite.open({ setup });
      expect((await direct.refused()).code).toBe("REGISTRY_UNAVAILABLE");
      expect(proxy.seen).toHaveLength(0);
    });
  });
}
