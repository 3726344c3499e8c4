import { X509Certificate } from "node:crypto";
import type { WebhookConfiguration } from "../../api/objects.ts";
import { webhookCertificate, webhookName } from "../../names.ts";
import { type ClusterFacts, workloadOf } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, unseen, warning } from "../finding.ts";
import { installCommand } from "./install-command.ts";

const check = "webhook calls";
const soonMs = 7 * 86_400_000;

/** Whether the API server can call the webhook, and whether a webhook that is dead stops nobody. */
export function checkWebhook(facts: ClusterFacts): Finding[] {
  const { webhook, namespace } = facts;
  if (webhook.refused !== undefined)
    return [unseen(check, "MutatingWebhookConfigurations", webhook)];
  if (workloadOf(facts, "webhook") === undefined && webhook.value === undefined) return [];
  const restart = `kubectl -n ${namespace} rollout restart deployment/${webhookName}`;
  const [first] = webhook.value?.webhooks ?? [];
  if (first === undefined)
    return [
      failed(
        check,
        `there is no MutatingWebhookConfiguration ${webhookName}: nobody calls the webhook`,
        installCommand(namespace),
      ),
    ];
  const findings = [
    ...checkPolicy(first),
    ...checkAuthority(first, facts, restart),
    ...checkServing(first, facts, restart),
    // One that is called by a URL is outside the cluster.
    ...(first.clientConfig.service === undefined ? [] : checkEndpoints(facts)),
  ];
  return findings.some(({ status }) => status === "warning" || status === "failed")
    ? findings
    : [ok(check, "the API server knows the webhook and its certificate"), ...findings];
}

type Hook = NonNullable<WebhookConfiguration["webhooks"]>[number];

function checkPolicy({ failurePolicy }: Hook): Finding[] {
  if (failurePolicy === "Ignore") return [];
  return [
    failed(
      check,
      `failurePolicy is ${failurePolicy}: while the webhook is down, pods with models are refused`,
      `kubectl patch mutatingwebhookconfiguration ${webhookName} --type=json -p '[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]'`,
    ),
  ];
}

function checkAuthority({ clientConfig }: Hook, { now }: ClusterFacts, restart: string): Finding[] {
  const bundle = readCertificates(clientConfig.caBundle);
  if (bundle.length === 0)
    return [
      failed(
        check,
        "the webhook's configuration has no caBundle, so that the API server trusts no certificate of it",
        restart,
      ),
    ];
  const latest = Math.max(...bundle.map(({ validTo }) => Date.parse(validTo)));
  return judgeEnd("the authority in its caBundle", latest, now, restart);
}

function checkServing(hook: Hook, { certificate, now }: ClusterFacts, restart: string): Finding[] {
  if (certificate.refused !== undefined)
    return [unseen("webhook certificate", `Secret ${webhookCertificate}`, certificate)];
  const data = certificate.value?.data ?? {};
  const [serving] = readCertificates(data["tls.crt"]);
  if (serving === undefined)
    return [failed(check, `Secret ${webhookCertificate} holds no certificate`, restart)];
  const bundle = readCertificates(hook.clientConfig.caBundle);
  if (bundle.length > 0 && !bundle.some((each) => isIssuedBy(serving, each)))
    return [
      failed(
        check,
        "the webhook's certificate is of another authority than the caBundle says",
        restart,
      ),
    ];
  return judgeEnd("the webhook's certificate", Date.parse(serving.validTo), now, restart);
}

function judgeEnd(what: string, end: number, now: number, restart: string): Finding[] {
  const day = new Date(end).toISOString().slice(0, 10);
  if (end <= now) return [failed(check, `${what} expired on ${day}: pods get no hints`, restart)];
  return end - now < soonMs
    ? [warning(check, `${what} expires on ${day} and was not renewed`, restart)]
    : [];
}

function checkEndpoints({ endpoints, namespace }: ClusterFacts): Finding[] {
  if (endpoints.refused !== undefined)
    return [unseen("webhook endpoints", `EndpointSlices of ${namespace}`, endpoints)];
  const ready = endpoints.value
    .flatMap((slice) => slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false);
  if (ready.length > 0) return [];
  return [
    warning(
      check,
      "no pod of the webhook is ready to be called: pods start without hints",
      `kubectl -n ${namespace} get pods,endpointslices -l app.kubernetes.io/component=webhook`,
    ),
  ];
}

function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** Certificates in base64 of PEM; none where it is not that. */
function readCertificates(encoded: string | undefined): X509Certificate[] {
  const text = Buffer.from(encoded ?? "", "base64").toString("utf8");
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    return [];
  }
}
