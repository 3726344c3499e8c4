import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { listAll } from "../../api/list.ts";
import type { ApiObject } from "../../api/objects.ts";
import type { PolicyNames } from "./cluster-facts.ts";
import { type Known, lookAtAll } from "./known.ts";

interface Binding extends ApiObject {
  readonly spec?: { readonly policyName?: string | undefined } | undefined;
}

/** The admission policies of Ballast. Older API servers have none of a kind. */
export async function lookAtPolicies(
  api: ClusterApi,
  options: Abortable = {},
): Promise<Known<PolicyNames>> {
  const group = "/apis/admissionregistration.k8s.io/v1";
  const list = <T extends ApiObject>(kind: string) =>
    lookAtAll(async () => (await listAll<T>(api, { path: `${group}/${kind}` }, options)).items);
  const [validating, mutating, ...bindings] = await Promise.all([
    list("validatingadmissionpolicies"),
    list("mutatingadmissionpolicies"),
    list<Binding>("validatingadmissionpolicybindings"),
    list<Binding>("mutatingadmissionpolicybindings"),
  ]);
  const refused = [validating, mutating, ...bindings].find((each) => each.refused !== undefined);
  if (refused?.refused !== undefined) return { refused: refused.refused };
  const own = ({ value = [] }: Known<readonly ApiObject[]>) =>
    value.flatMap(({ metadata: { name = "" } }) => (name.startsWith("ballast") ? [name] : []));
  const bound = bindings.flatMap(({ value = [] }) =>
    value.map(({ spec }) => spec?.policyName ?? ""),
  );
  return { value: { validating: own(validating), mutating: own(mutating), bound } };
}
