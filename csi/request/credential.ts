import type { WireCredential } from "../../src/agent/api/documents.ts";
import { ModelError } from "../../src/core/errors.ts";
import type { StringMap } from "../rpc/messages.ts";

/** Tokens of the pod's service account, which this version does not use. */
const serviceAccountTokens = "csi.storage.k8s.io/serviceAccount.tokens";

/**
 * The pod's credential in a `nodePublishSecretRef`: a secret of type kubernetes.io/dockerconfigjson, or
 * one with `username` and `password`, or with `token`. Undefined without a secret. Throws
 * INVALID_ARGUMENT, which names keys and never values, for a secret of any other shape: a pod that
 * means to use one should not be served as nobody.
 */
export function readCredential(secrets: StringMap): WireCredential | undefined {
  const { ".dockerconfigjson": dockerConfigJson, username, password, token } = secrets;
  if (dockerConfigJson !== undefined) return { dockerConfigJson };
  if (username !== undefined && password !== undefined) return { username, password };
  if (token !== undefined) return { token };
  const names = Object.keys(secrets).filter((name) => name !== serviceAccountTokens);
  if (names.length === 0) return undefined;
  throw new ModelError("INVALID_ARGUMENT", "the volume's secret holds no credential known here", {
    hint: "it needs .dockerconfigjson, or username and password, or token",
  });
}

/** What to call a credential in a log line. */
export function credentialKind(credential: WireCredential | undefined): string {
  return credential === undefined ? "none" : Object.keys(credential).join("+");
}
