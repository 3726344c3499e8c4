import { expect, test } from "vitest";
import { toRefusal } from "../../src/agent/mirror/refusals.ts";
import { ModelError } from "../../src/core/errors.ts";
import { Challenged } from "../../src/registry/client/auth/forwarded.ts";
import { RequestFailure } from "../../src/registry/client/http/request-failure.ts";
import type { ProtocolError } from "../../src/registry/server/errors.ts";

const asked = { host: "registry.example.com", kind: "blobs" } as const;
const told = "manifest sha256:0 of registry.example.com/team/model";

test.each([
  [new ModelError("FORBIDDEN", told), 403, "DENIED", {}],
  [new ModelError("NOT_FOUND", told), 404, "BLOB_UNKNOWN", {}],
  [new ModelError("UNAUTHORIZED", told), 401, "UNAUTHORIZED", {}],
  [new ModelError("REGISTRY_UNAVAILABLE", told), 503, "UNKNOWN", { "Retry-After": "10" }],
  [new ModelError("REGISTRY_PROTOCOL", told), 502, "UNKNOWN", {}],
  [new ModelError("DIGEST_MISMATCH", told), 502, "UNKNOWN", {}],
  [new ModelError("AGENT_UNAVAILABLE", told), 503, "UNKNOWN", {}],
  [
    new RequestFailure("RATE_LIMITED", told, { temporary: true, retryAfterMs: 2500 }),
    429,
    "TOOMANYREQUESTS",
    { "Retry-After": "3" },
  ],
])(
  "%s is told as %d %s, and nothing of what was asked upstream",
  (error, status, code, headers) => {
    const refusal = toRefusal(error, asked) as ProtocolError;
    expect(refusal).toMatchObject({ status, faults: [{ code }], headers });
    expect(refusal.message).not.toContain("sha256");
  },
);

test("several challenges come back as several", () => {
  const challenges = ['Bearer realm="https://tokens.example.com"', 'Basic realm="x, y"'];
  const error = new Challenged(asked.host, { authorization: undefined }, {
    headers: { "www-authenticate": challenges },
  } as never);
  expect(toRefusal(error, asked)).toMatchObject({
    status: 401,
    headers: { "WWW-Authenticate": challenges },
  });
});

test("a failure of our own is left to the log", () => {
  const error = new ModelError("STORE_IO", "a file ends too early");
  expect(toRefusal(error, asked)).toBe(error);
});
