import { forEachConcurrently } from "../../../core/concurrently.ts";
import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { partName, webhookCertificate, webhookName } from "../../names.ts";
import { nodeModelsGroup } from "../../node-models.ts";
import type { RightAnswer } from "./cluster-facts.ts";
import { type Known, look } from "./known.ts";

interface Right {
  readonly role: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name?: string;
  /** Only in the namespace of Ballast. */
  readonly isHome?: boolean;
}

const leases = { group: "coordination.k8s.io", resource: "leases", isHome: true };

/** What the roles cannot do their work without. */
const needed: readonly Right[] = [
  { role: "reporter", verb: "patch", group: "", resource: "nodes" },
  {
    role: "reporter",
    verb: "patch",
    group: nodeModelsGroup,
    resource: "nodemodels",
    subresource: "status",
  },
  { role: "reporter", verb: "create", group: nodeModelsGroup, resource: "nodemodels" },
  { role: "reporter", verb: "patch", ...leases },
  { role: "controller", verb: "patch", group: "", resource: "nodes" },
  { role: "controller", verb: "list", ...leases },
  { role: "controller", verb: "create", group: "", resource: "persistentvolumes" },
  { role: "controller", verb: "list", group: "", resource: "persistentvolumeclaims" },
  {
    role: "webhook",
    verb: "patch",
    group: "",
    resource: "secrets",
    name: webhookCertificate,
    isHome: true,
  },
  {
    role: "webhook",
    verb: "patch",
    group: "admissionregistration.k8s.io",
    resource: "mutatingwebhookconfigurations",
    name: webhookName,
  },
];

const atOnce = 4;

/**
 * Asks the API server what the ServiceAccounts of the roles that are installed may do
 * (SubjectAccessReview, which stores nothing).
 */
export async function lookAtRights(
  api: ClusterApi,
  { namespace, roles, signal }: { namespace: string; roles: readonly string[] } & Abortable,
): Promise<Known<readonly RightAnswer[]>> {
  const answers: RightAnswer[] = [];
  const asked = needed.filter(({ role }) => roles.includes(role));
  const seen = await look(() =>
    forEachConcurrently(asked, atOnce, async ({ role, isHome, ...attributes }) => {
      const { verb, resource, subresource } = attributes;
      const user = `system:serviceaccount:${namespace}:${partName(role)}`;
      const groups = [
        "system:serviceaccounts",
        `system:serviceaccounts:${namespace}`,
        "system:authenticated",
      ];
      const resourceAttributes = isHome === true ? { ...attributes, namespace } : attributes;
      const body = {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        spec: { user, groups, resourceAttributes },
      };
      const path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
      const review = await api.call<{ status: { allowed: boolean } }>(
        { method: "POST", path, body },
        { signal },
      );
      const what = subresource === undefined ? resource : `${resource}/${subresource}`;
      answers.push({ role, right: `${verb} ${what}`, allowed: review.status.allowed });
    }),
  );
  return seen.refused === undefined ? { value: answers } : { refused: seen.refused };
}
