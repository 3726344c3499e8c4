import { describe, expect, test } from "vitest";
import { partial, type RawReply, whole } from "../../support/raw-answers.ts";
import { mostRequests } from "./stage.ts";
import type { HttpRangeSuite } from "./suite.ts";

const mebi = 1_048_576;
/** More than a reader and the kernel's buffers take together, less than a machine's memory. */
const mostBytes = 32 * mebi;
const quick = { attempts: 2, baseDelayMs: 1 };

/** Sends `piece` until nobody takes it any more; resolves to the bytes that were taken. */
async function pour(reply: RawReply, piece: Buffer): Promise<number> {
  let sent = 0;
  while (sent < 8 * mostBytes && (await reply.send(piece))) sent += piece.byteLength;
  return sent;
}

/** Servers without measure. */
export function describeLimits(suite: HttpRangeSuite): void {
  describe("a head without measure", () => {
    test.each([
      ["of many fields", Buffer.from(`X-Field: ${"v".repeat(1000)}\r\n`.repeat(64))],
      ["of one line", Buffer.alloc(65_536, "v")],
      ["of one name", Buffer.from(`X${"-Name".repeat(13_000)}`)],
      [
        "of interim answers",
        Buffer.from("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n".repeat(1000)),
      ],
    ])("%s is refused, and not read on and on", async (kind, piece) => {
      await using stage = await suite.open({ setup: { retry: quick } });
      const poured: Promise<number>[] = [];
      const start = /interim/.test(kind) ? "" : "HTTP/1.1 206 Partial Content\r\nX: ";
      stage.server.otherwise = async (reply) => {
        await reply.send(start);
        poured.push(pour(reply, piece));
      };
      expect((await stage.refused()).code).toMatch(/^REGISTRY_(UNAVAILABLE|PROTOCOL)$/);
      for (const bytes of await Promise.all(poured)) expect(bytes).toBeLessThan(mostBytes);
      expect(poured.length).toBeLessThanOrEqual(mostRequests);
    });

    test("but just long is read", async () => {
      await using stage = await suite.open();
      stage.server.otherwise = partial({ lines: [`X-Long: ${"v".repeat(12_000)}`] });
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(2);
    });

    test("and too long is refused", async () => {
      await using stage = await suite.open({ setup: { retry: quick } });
      stage.server.otherwise = partial({ lines: [`X-Long: ${"v".repeat(70_000)}`] });
      expect(await stage.refused()).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        message: expect.stringContaining("head"),
        retryable: false,
      });
      expect(stage.server.requests.length).toBeLessThanOrEqual(2);
    });
  });

  test("a body without measure is read to the end of the range and no further", async () => {
    await using stage = await suite.open();
    const poured: Promise<number>[] = [];
    stage.server.otherwise = async (reply, request) => {
      await whole({ length: 64 * mostBytes })(reply, request);
      poured.push(pour(reply, Buffer.alloc(65_536)));
    };
    await stage.read();
    for (const bytes of await Promise.all(poured)) expect(bytes).toBeLessThan(mostBytes);
  });
}
