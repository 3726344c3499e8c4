import { type Digest, digestHex } from "../core/digest.ts";

/** The CSI driver whose volumes are models, and the provisioner of its StorageClasses. */
export const driverName = "csi.ballast.dev";

/** What labels of nodes begin with that say which models are there. */
export const labelPrefix = "models.ballast.dev/";

/** The value of such a label. */
export const labelValue = "ready";

/** Of a pod: `off` leaves it alone, `on` has its claims looked at, too. */
export const localityAnnotation = "ballast.dev/locality";

/** Of a pod: what the webhook did, or why it did nothing. */
export const decisionAnnotation = "ballast.dev/locality-decision";

/** Of a claim: the model of its volume, where its StorageClass names none. */
export const referenceAnnotation = "ballast.dev/reference";

/** What selects all objects of an installation. */
export const ownObjects = "app.kubernetes.io/name=ballast";

/** What the chart calls a part's workload, ServiceAccount and policies: `csi` is `ballast-csi`. */
export function partName(role: string): string {
  return `ballast-${role}`;
}

/** The Lease of the replicas of the controller, and the author of its Events. */
export const controllerName = "ballast-controller";

/** The webhook's MutatingWebhookConfiguration, Deployment and Service. */
export const webhookName = "ballast-webhook";

/** The Secret that the webhook makes for its replicas. */
export const webhookCertificate = "ballast-webhook-certificate";

/** The ConfigMap that the webhook makes for its replicas. */
export const webhookPins = "ballast-webhook-pins";

/** The namespace that Ballast is installed to, where nothing says another. */
export const defaultNamespace = "ballast-system";

const labelHexDigits = 40;

/**
 * The label by which nodes say that they hold the model of this manifest. A label's name has at most 63
 * characters, one fewer than the hex digits of a sha256; 40 of them are 160 bits.
 */
export function labelKey(digest: Digest): string {
  return `${labelPrefix}${digestHex(digest).slice(0, labelHexDigits)}`;
}

/** The keys of an object's labels that say which models are there. */
export function modelLabels(labels: Readonly<Record<string, string>> | undefined): string[] {
  return Object.keys(labels ?? {}).filter((key) => key.startsWith(labelPrefix));
}

/** The Lease that a node's reporter keeps, in the namespace of Ballast. Node names are DNS subdomains. */
export function reporterLeaseName(node: string): string {
  return `reporter.${node}`;
}

/** The other way around; undefined for other Leases. */
export function nodeOfReporterLease(name: string): string | undefined {
  return name.startsWith("reporter.") ? name.slice("reporter.".length) : undefined;
}
