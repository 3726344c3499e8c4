import { ModelError } from "../../core/errors.ts";
import type { ListenAddress } from "../../core/listen-address.ts";
import { createLog } from "../../core/log.ts";
import type { ConnectionOptions } from "../../model/connection.ts";
import { openReach } from "../../model/reach.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { serveRole } from "../role-server.ts";
import {
  type CertificateKeeperOptions,
  keepCertificate,
} from "./certificates/certificate-keeper.ts";
import type { KeyedCertificate } from "./certificates/issue.ts";
import { createWebhookMetrics } from "./metrics.ts";
import { claimReference } from "./resolve/claim-reference.ts";
import { createModelResolver } from "./resolve/model-resolver.ts";
import { openPins } from "./resolve/pins.ts";
import { readPodCredential } from "./resolve/pod-credential.ts";
import { type AdmissionServer, serveAdmission } from "./server/admission-server.ts";
import { createReviewPaths } from "./server/review-paths.ts";
import { createReviewer } from "./server/reviewer.ts";
import { readWebhookConfig } from "./webhook-config.ts";

export interface WebhookOptions {
  readonly api: ClusterApi;
  /** Of the webhook itself: its Secret, its ConfigMap, its Service. */
  readonly namespace: string;
  readonly service: string;
  /** Reviews, over HTTPS. */
  readonly listen: ListenAddress;
  /** Health and metrics. */
  readonly healthListen: ListenAddress;
  /** A YAML file: what an operator decides about registries. */
  readonly config?: string | undefined;
  readonly affinityMinBytes: number;
  /** Reads with a pod's own credential, too. Only where the configuration names registries. */
  readonly readPodSecrets: boolean;
  /** Our own credentials, and proxies. */
  readonly environment: ConnectionOptions["environment"];
  /** Takes lines of the log. */
  readonly write: (line: string) => void;
  readonly certificate?: Pick<CertificateKeeperOptions, "lives" | "now" | "checkMs" | "settleMs">;
}

/** Disposing answers what has come in, then ends. */
export interface Webhook extends AsyncDisposable {
  readonly port: number;
  readonly healthPort: number;
}

const claimMs = 1_500;

/**
 * Starts the admission webhook; resolves when it serves, with a certificate that API servers are told to
 * trust. Until then it is healthy, not ready. Rejects with INVALID_ARGUMENT for a configuration that
 * cannot be read, or that sends pods' secrets to any registry, where it cannot listen, and when `signal`
 * ends first.
 */
export async function startWebhook(options: WebhookOptions, signal: AbortSignal): Promise<Webhook> {
  const { api, namespace, service, affinityMinBytes, readPodSecrets, environment } = options;
  const log = createLog(options.write);
  const config = await readWebhookConfig(options.config);
  if (readPodSecrets && config.registries.allow === undefined) throw secretsForAnybody();
  const reach = await openReach(config, environment);
  const metrics = createWebhookMetrics();
  await using resources = new AsyncDisposableStack();
  const onFailure = () => metrics.countPinFailure();
  const pins = resources.use(openPins({ api, namespace, log, onFailure }));
  const served: { by?: AdmissionServer; identity?: KeyedCertificate } = {};
  const paths = createReviewPaths();
  const health = resources.use(
    await serveRole({
      listen: options.healthListen,
      whyNotReady: () => (served.by === undefined ? "there is no certificate yet" : undefined),
      metrics: () => metrics.describe(pins.size),
    }),
  );
  const bounded = () => ({ signal: AbortSignal.timeout(claimMs) });
  const review = createReviewer({
    parse: (text) => reach.parse(text),
    resolver: createModelResolver({
      // Pods are subjects: our own credentials are for those that an operator says.
      connectionFor: (reference, credential) =>
        reach.connectionFor({ reference, subject: "pod", credential }),
    }),
    pins,
    claimReference: (claim, abortable) => claimReference(api, claim, abortable),
    secretCredential: readPodSecrets
      ? (secret) => readPodCredential(api, secret, bounded())
      : undefined,
    affinityMinBytes,
    metrics,
    log,
  });
  const keeper = resources.use(
    keepCertificate({
      ...options.certificate,
      api,
      namespace,
      service,
      log,
      admit: (path) => paths.admit(path),
      serve: (identity, end) => {
        metrics.setCertificateEnd(end);
        served.identity = identity;
        served.by?.setIdentity(identity);
      },
    }),
  );
  const stop = Promise.withResolvers<never>();
  const abort = () => stop.reject(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  resources.defer(() => signal.removeEventListener("abort", abort));
  if (signal.aborted) abort();
  await Promise.race([keeper.served, stop.promise]);
  // The latest, which may be another by the time it listens.
  const { identity } = served;
  if (identity === undefined) throw new Error("a certificate is served that is not there");
  const { listen } = options;
  const isAdmitted = (path: string) => paths.has(path);
  const server = resources.use(await serveAdmission({ listen, identity, review, isAdmitted }));
  server.setIdentity(served.identity ?? identity);
  served.by = server;
  const { port } = server;
  if (config.registries.allow === undefined)
    log("any registry may be read", { hint: "registries.allow in the configuration names some" });
  log("webhook serves", { namespace, service, port, healthPort: health.port });
  const owned = resources.move();
  return {
    port,
    healthPort: health.port,
    [Symbol.asyncDispose]: async () => {
      log("webhook stops");
      await owned.disposeAsync();
    },
  };
}

/** Who asks is not known: it may be a pod that names another's secret and a registry of its own. */
function secretsForAnybody(): ModelError {
  return new ModelError(
    "INVALID_ARGUMENT",
    "secrets of pods are not read while any registry may be asked with them",
    { hint: "name your registries: registries.allow in the configuration" },
  );
}
