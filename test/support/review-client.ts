import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";

/** What a webhook answered to a review. */
interface ReviewAnswer {
  readonly status: number;
  readonly body: string;
  readonly allowed: boolean | undefined;
  /** Operations of RFC 6902. */
  readonly patch: readonly { op: string; path: string; value: unknown }[];
}

/** Asks a webhook as an API server does. Disposing closes its connections. */
export interface ReviewClient extends Disposable {
  /** Posts a review of a pod; more of the request may be said. */
  review(pod: unknown, more?: Readonly<Record<string, unknown>>): Promise<ReviewAnswer>;
  /** Posts any body. */
  post(body: string | Uint8Array, path?: string, method?: string): Promise<ReviewAnswer>;
}

/** Speaks to a webhook at this port that has a certificate of one of these authorities for that name. */
export function createReviewClient(options: {
  readonly port: number;
  readonly ca: string;
  readonly servername: string;
  /** Where it takes reviews. */
  readonly path: string;
}): ReviewClient {
  const agent = new Agent({ keepAlive: true, ca: options.ca, servername: options.servername });
  let reviews = 0;

  const post: ReviewClient["post"] = async (body, path = options.path, method = "POST") => {
    const { port } = options;
    const headers = { "content-type": "application/json" };
    const sent = request({ agent, host: "127.0.0.1", port, path, method, headers });
    sent.end(body);
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    return readAnswer(answer.statusCode ?? 0, await text(answer));
  };

  return {
    post,
    review: (pod, more = {}) => {
      reviews += 1;
      const review = {
        uid: `review-${reviews}`,
        namespace: "default",
        operation: "CREATE",
        resource: { group: "", version: "v1", resource: "pods" },
        object: pod,
        ...more,
      };
      const body = { apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", request: review };
      return post(JSON.stringify(body));
    },
    [Symbol.dispose]: () => agent.destroy(),
  };
}

interface Reviewed {
  readonly response?: { readonly allowed?: boolean; readonly patch?: string };
}

function readAnswer(status: number, body: string): ReviewAnswer {
  const { response = {} } = status === 200 ? (JSON.parse(body) as Reviewed) : {};
  const patch = response.patch === undefined ? "[]" : Buffer.from(response.patch, "base64");
  return {
    status,
    body,
    allowed: response.allowed,
    patch: JSON.parse(patch.toString()) as ReviewAnswer["patch"],
  };
}
