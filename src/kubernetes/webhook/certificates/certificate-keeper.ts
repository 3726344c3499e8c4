import { describeFault, type Log } from "../../../core/log.ts";
import { pause } from "../../../core/pause.ts";
import { absentIfMissing, isApiError } from "../../api/api-error.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { followObjects } from "../../api/collection.ts";
import {
  type Secret,
  type WebhookConfiguration,
  webhookConfigurationsPath,
} from "../../api/objects.ts";
import { createBell } from "../../bell.ts";
import { webhookCertificate, webhookName } from "../../names.ts";
import type { KeyedCertificate } from "./issue.ts";
import {
  endOf,
  formatKept,
  type KeptCertificate,
  parseKept,
  reviewPath,
  trustedAuthorities,
} from "./kept-certificate.ts";
import { defaultLives, type Lives, renew } from "./renew.ts";
import { calledHosts, introduce } from "./trust.ts";

export interface CertificateKeeperOptions {
  readonly api: ClusterApi;
  readonly namespace: string;
  /** Of the Service that the API server calls. */
  readonly service: string;
  /** Of the Secret. */
  readonly secret?: string | undefined;
  /** Of the MutatingWebhookConfiguration. */
  readonly configuration?: string | undefined;
  readonly lives?: Lives | undefined;
  readonly now?: (() => Date) | undefined;
  /** How often to look whether something is due, beside when something changes. Default: an hour. */
  readonly checkMs?: number | undefined;
  /** How long API servers may take to hear whom to trust, in milliseconds. Default: 5000. */
  readonly settleMs?: number | undefined;
  readonly log: Log;
  /** Takes where reviews will come to, before API servers hear of it. */
  readonly admit: (path: string) => void;
  /** Takes what is to be served from now on. */
  readonly serve: (identity: KeyedCertificate, end: Date) => void;
}

/** Disposing ends it; what is kept stays. */
export interface CertificateKeeper extends AsyncDisposable {
  /** Resolves when something is served. */
  readonly served: Promise<void>;
}

const hourMs = 3_600_000;
const attempts = 10;
const againMs = 2_000;

/**
 * Keeps a certificate in a Secret for all replicas: the first that comes makes it, whoever sees that it is
 * due renews it, and all serve it. API servers are told whom to trust before they meet it, and again when
 * somebody takes that away. What goes wrong is logged and tried again.
 */
export function keepCertificate(options: CertificateKeeperOptions): CertificateKeeper {
  const { api, namespace, service, log, admit, serve } = options;
  const { secret: secretName = webhookCertificate, configuration: name = webhookName } = options;
  const { lives = defaultLives, now = () => new Date() } = options;
  const { checkMs = hourMs, settleMs = 5_000 } = options;
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  const secretPath = `${secrets}/${secretName}`;
  const stop = new AbortController();
  const { signal } = stop;
  const first = Promise.withResolvers<void>();
  first.promise.catch(() => undefined);
  const bell = createBell();
  let served: KeptCertificate | undefined;

  const changed = () => bell.ring();
  const configurations = followObjects<WebhookConfiguration>(
    api,
    { path: webhookConfigurationsPath, fieldSelector: `metadata.name=${name}` },
    { onChange: changed, onOutage: outage("webhook configuration") },
  );
  const secretsSeen = followObjects<Secret>(
    api,
    { path: secrets, fieldSelector: `metadata.name=${secretName}` },
    { onChange: changed, onOutage: outage("certificate") },
  );

  function outage(what: string) {
    return (error: unknown) => {
      if (error !== undefined) log(`${what} cannot be followed`, describeFault(error));
    };
  }

  /** What is kept now, made or renewed where that is due; of several who do, one wins. */
  async function agree(names: readonly string[]): Promise<KeptCertificate> {
    for (let attempt = 1; ; attempt++) {
      const found = await api
        .call<Secret>({ method: "GET", path: secretPath }, { signal })
        .catch(absentIfMissing);
      const kept = parseKept(found?.data);
      const next = await renew(kept, { now: now(), names, lives });
      if (kept !== undefined && next === undefined) return kept;
      if (next === undefined) throw new Error("nothing was kept, nothing made");
      try {
        await write(found, next);
        log("certificate made", { names, end: endOf(next.serving).toISOString() });
        return next;
      } catch (error) {
        if (!isApiError(error, 404, 409) || attempt === attempts) throw error;
      }
    }
  }

  async function write(found: Secret | undefined, kept: KeptCertificate): Promise<void> {
    const data = formatKept(kept);
    if (found === undefined) {
      const metadata = { name: secretName, namespace };
      const body = { apiVersion: "v1", kind: "Secret", type: "Opaque", metadata, data };
      await api.call({ method: "POST", path: secrets, body }, { signal });
      return;
    }
    const { resourceVersion } = found.metadata;
    const body = { metadata: { resourceVersion }, data };
    await api.call({ method: "PATCH", path: secretPath, body }, { signal });
  }

  async function check(): Promise<void> {
    const configuration = configurations.objects.get(name);
    const hosts = configuration === undefined ? [] : calledHosts(configuration);
    const local = `${service}.${namespace}.svc`;
    const kept = await agree([...new Set([local, `${local}.cluster.local`, ...hosts])]);
    const authorities = trustedAuthorities(kept, now()).join("");
    const path = reviewPath(kept);
    admit(path);
    let isNews = false;
    try {
      if (configuration !== undefined)
        isNews = await introduce(api, configuration, { authorities, path }, { signal });
      if (isNews) log("API servers told whom to trust", { configuration: name });
    } catch (error) {
      log("API servers cannot be told whom to trust", describeFault(error));
      setTimeout(changed, againMs).unref();
    }
    if (served?.serving.certificate === kept.serving.certificate) return;
    const isUsable = served !== undefined && endOf(served.serving) > now();
    if (isNews && isUsable) await pause(settleMs, signal);
    served = kept;
    serve(kept.serving, endOf(kept.serving));
    first.resolve();
  }

  async function run(): Promise<void> {
    // Its host names are to be in the first certificate already; without it there are others.
    await Promise.race([configurations.synced.catch(() => undefined), pause(againMs, signal)]);
    while (!signal.aborted) {
      let pauseMs = checkMs;
      try {
        await check();
      } catch (error) {
        if (signal.aborted) break;
        log("certificate cannot be kept", describeFault(error));
        pauseMs = againMs;
      }
      await bell.heard(pauseMs, signal);
    }
    first.reject(signal.reason);
  }

  const running = run();
  return {
    served: first.promise,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      await configurations[Symbol.asyncDispose]();
      await secretsSeen[Symbol.asyncDispose]();
    },
  };
}
