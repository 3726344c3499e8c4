import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { dirname } from "node:path";
import { json } from "node:stream/consumers";
import * as v from "valibot";
import type { ModelDocument, StatusDocument } from "../../src/agent/api/documents.ts";
import { withdrawalSchema } from "../../src/agent/api/documents.ts";
import { routes, socketPath } from "../../src/agent/api/routes.ts";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { closeServer } from "./close-server.ts";

/** What an agent says of its models, and nothing else: as it is told. */
export interface FakeStatusAgent extends AsyncDisposable {
  /** Folder of the socket, as `--run`. */
  readonly run: string;
  /** Says this to all who watch, from now on. */
  show(models: readonly ModelDocument[]): void;
  /** Whether it says that it is ready, says that it is not, or says nothing more at all. */
  behave(as: "ready" | "starting" | "hanging"): void;
  /** Digests that were withdrawn, with `performance.now()` of each. */
  readonly withdrawn: { readonly digest: Digest; readonly at: number }[];
  /** Queries of those who watch now. */
  watchers(): string[];
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A model of a terabyte that is whole; `name` decides its digest. */
export function shownModel(name: string, more: Partial<ModelDocument> = {}): ModelDocument {
  const digest = more.digest ?? digestOf(name);
  return {
    name: `registry.example.com/${name}@${digest}`,
    digest,
    tags: [],
    state: "ready",
    whole: true,
    leaving: false,
    bytes: 1e12,
    exclusiveBytes: 1e12,
    pinned: false,
    lastUsed: "2026-01-01T00:00:00.000Z",
    progress: null,
    error: null,
    mounts: [],
    ...more,
  };
}

/** Starts it below `run`, with no models. */
export async function startFakeStatusAgent(run: string): Promise<FakeStatusAgent> {
  const path = socketPath(run, "locality");
  await mkdir(dirname(path), { recursive: true });
  const watching = new Map<ServerResponse, string>();
  const withdrawn: FakeStatusAgent["withdrawn"] = [];
  let behaviour: "ready" | "starting" | "hanging" = "ready";
  let models: readonly ModelDocument[] = [];

  const tell = (response: ServerResponse) => {
    if (behaviour !== "hanging")
      response.write(`event: status\ndata: ${JSON.stringify(describe(models))}\n\n`);
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://agent");
    if (behaviour === "hanging") return;
    if (url.pathname === routes.status) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      watching.set(response, url.search);
      response.once("close", () => watching.delete(response));
      tell(response);
    } else if (url.pathname === routes.readiness) {
      const error = { code: "AGENT_UNAVAILABLE", message: "the agent is starting", hint: null };
      if (behaviour === "ready") response.end("{}");
      else response.writeHead(503).end(JSON.stringify({ error }));
    } else if (url.pathname === routes.withdrawals) {
      const { digests } = v.parse(withdrawalSchema, await json(request));
      withdrawn.push(...digests.map((digest) => ({ digest, at: performance.now() })));
      response.writeHead(204).end();
    } else if (url.pathname === routes.metrics)
      response.end("# TYPE ballast_models gauge\nballast_models 1\n# EOF\n");
    else response.writeHead(404).end("{}");
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  const start = async () => {
    await rm(path, { force: true });
    server.listen(path);
    await once(server, "listening");
  };
  const stop = () => closeServer(server);
  await start();
  return {
    run,
    withdrawn,
    show: (next) => {
      models = next;
      for (const response of watching.keys()) tell(response);
    },
    behave: (as) => {
      behaviour = as;
    },
    watchers: () => [...watching.values()],
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}

function describe(models: readonly ModelDocument[]): StatusDocument {
  const bytes = models.reduce((sum, model) => sum + model.bytes, 0);
  const watermarks = { highBytes: null, lowBytes: null, lowFreeBytes: null, highFreeBytes: null };
  const store = { root: "/store", bytes, freeBytes: 1e15, totalBytes: 2e15, watermarks };
  return { version: "1.2.3", startedAt: "2026-01-01T00:00:00.000Z", store, models: [...models] };
}
