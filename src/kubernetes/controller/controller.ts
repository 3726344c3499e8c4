import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { ListenAddress } from "../../core/listen-address.ts";
import { createLog, describeFault } from "../../core/log.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { electLeader } from "../api/leases.ts";
import { controllerName } from "../names.ts";
import { serveRole } from "../role-server.ts";
import { createContact } from "./contact.ts";
import type { Duty } from "./duty.ts";
import { createControllerMetrics } from "./metrics.ts";
import { provisionVolumes } from "./provisioner.ts";
import { clearStaleNodes } from "./stale-reporters.ts";

export interface ControllerOptions {
  readonly api: ClusterApi;
  /** Where the Leases are: its own and those of the reporters. */
  readonly namespace: string;
  /** Where `/healthz`, `/readyz` and `/metrics` are served. */
  readonly listen: ListenAddress;
  /** For how long a reporter may be silent, beside the duration that its Lease states. */
  readonly staleSeconds: number;
  /** Takes lines of the log. */
  readonly write: (line: string) => void;
}

/** Disposing ends its work, gives the lead to another and closes its connections. */
export interface Controller extends AsyncDisposable {
  readonly port: number;
}

const leaseSeconds = 15;

/**
 * Starts a replica of the controller: of all replicas one leads and works, the others wait to take over.
 * Rejects where it cannot listen. The cluster may be out of reach then and at any time.
 */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { namespace, listen, staleSeconds, write } = options;
  const log = createLog(write);
  const metrics = createControllerMetrics();
  const stop = new AbortController();
  const contact = createContact(options.api);
  const { api } = contact;
  const outages = new Map<string, unknown>();

  function onOutage(what: string, error: unknown): void {
    if (error === undefined) {
      outages.delete(what);
      log("cluster answers", { what });
    } else {
      outages.set(what, error);
      metrics.countFailure(what);
      log("cluster does not answer", { what, ...describeFault(error) });
    }
  }

  async function lead(signal: AbortSignal): Promise<void> {
    log("controller leads");
    metrics.setLeading(true);
    // What is left of the work does not outlive a defect in the rest.
    const broken = new AbortController();
    const both = AbortSignal.any([signal, broken.signal]);
    const duty: Duty = { api, log, metrics, signal: both, onOutage };
    const staleMs = staleSeconds * 1000;
    const duties = [clearStaleNodes({ ...duty, namespace, staleMs }), provisionVolumes(duty)];
    try {
      await Promise.all(duties);
    } finally {
      broken.abort();
      await Promise.allSettled(duties);
      metrics.setLeading(false);
      metrics.setStaleNodes(0);
      outages.clear();
      log("controller leads no more");
    }
  }

  function whyNotReady(): string | undefined {
    const [outage] = outages;
    if (outage !== undefined) return `${outage[0]} cannot be followed: ${String(outage[1])}`;
    return contact.problem();
  }

  const server = await serveRole({ listen, whyNotReady, metrics: metrics.describe });
  log("controller serves", { port: server.port, namespace, server: api.server });
  const holder = `${hostname()}_${randomUUID()}`;
  const ended = electLeader(
    api,
    { namespace, name: controllerName, holder, seconds: leaseSeconds },
    {
      lead,
      signal: stop.signal,
      onFailure: (error) => {
        metrics.countFailure("election");
        log("election waits", describeFault(error));
      },
    },
  );
  return {
    port: server.port,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
      await server[Symbol.asyncDispose]();
    },
  };
}
