import { describe, expect, test } from "vitest";
import { redirect } from "../../support/raw-answers.ts";
import { startRawRangeServer } from "../../support/raw-range-server.ts";
import { content, signature } from "./stage.ts";
import type { HttpRangeSuite } from "./suite.ts";

/** Registries that send their clients to where a guard does not let them go. */
export function describeGuards(suite: HttpRangeSuite): void {
  describe("a registry whose redirects are guarded", () => {
    test("is itself reached wherever it is", async () => {
      await using stage = await suite.open({ setup: { guard: { refuse: ["0.0.0.0/0"] } } });
      await stage.read();
      stage.server.otherwise = redirect(`${stage.server.url}/elsewhere`);
      expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
    });

    test.each([
      ["a loopback address", "127.0.0.2", "127.0.0.2", "loopback"],
      ["that address as one number", "127.0.0.2", "2130706434", "loopback"],
      ["that address in IPv6", "127.0.0.2", "[::ffff:127.0.0.2]", "loopback"],
      ["a name that means loopback", "127.0.0.1", "localhost", "loopback"],
      ["another port of its own host", "127.0.0.1", "127.0.0.1", "loopback"],
      ["the unspecified address", "0.0.0.0", "0.0.0.0", "unspecified"],
    ])("to %s is refused, and nothing is sent there", async (_, address, host, addressClass) => {
      await using storage = await startRawRangeServer({ content, address });
      await using stage = await suite.open({ setup: { guard: {} } });
      const { port } = new URL(storage.url);
      stage.server.otherwise = redirect(`http://${host}:${port}/x?sig=${signature}`);
      const failure = await stage.refused();
      expect(failure).toMatchObject({ code: "FORBIDDEN", retryable: false });
      expect(failure.message).toContain(`${stage.server.host} redirects to `);
      expect(failure.message).toContain(`(${addressClass})`);
      expect(failure.hint).toMatch(new RegExp(`:${port} in network\\.allow$`));
      expect(storage.connections).toBe(0);
      expect(stage.server.requests.length).toBeLessThanOrEqual(2);
    });

    test.each(["127.0.0.2", "127.0.0.0/30", "127.0.0.2:PORT"])(
      "to what is allowed (%s) is followed",
      async (allowed) => {
        await using storage = await startRawRangeServer({ content, address: "127.0.0.2" });
        const allow = [allowed.replace("PORT", new URL(storage.url).port)];
        await using stage = await suite.open({ setup: { guard: { allow } } });
        stage.server.otherwise = redirect(`${storage.url}/x`);
        await stage.read();
        await stage.read();
        expect(storage.requests.length).toBeGreaterThanOrEqual(2);
      },
    );

    test("to a name that is allowed is followed, wherever that leads", async () => {
      await using storage = await startRawRangeServer({ content });
      await using stage = await suite.open({ setup: { guard: { allow: ["localhost"] } } });
      stage.server.otherwise = redirect(`http://localhost:${new URL(storage.url).port}/x`);
      await stage.read();
      expect(storage.requests.length).toBeGreaterThanOrEqual(1);
    });

    test("to what is allowed, and from there to what is not, is refused", async () => {
      await using inner = await startRawRangeServer({ content, address: "127.0.0.3" });
      await using storage = await startRawRangeServer({ content, address: "127.0.0.2" });
      await using stage = await suite.open({ setup: { guard: { allow: ["127.0.0.2"] } } });
      stage.server.otherwise = redirect(`${storage.url}/x`);
      storage.otherwise = redirect(`${inner.url}/x`);
      expect((await stage.refused()).code).toBe("FORBIDDEN");
      expect(inner.connections).toBe(0);
    });
  });
}
