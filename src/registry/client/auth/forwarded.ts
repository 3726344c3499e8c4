import { ModelError } from "../../../core/errors.ts";
import type { Answer } from "../http/answer.ts";
import type { Authorizer, Pass } from "./authorizer.ts";

/** Somebody who logs in himself. */
export interface Forwarded {
  /** Their Authorization header; undefined where they sent none. */
  readonly authorization: string | undefined;
}

/** UNAUTHORIZED, with what the registry asks for: whoever sent the request can answer that. */
export class Challenged extends ModelError {
  /** Values of WWW-Authenticate as they came; none where the registry sent none. */
  readonly challenges: readonly string[];

  constructor(host: string, { authorization }: Forwarded, answer: Pick<Answer, "headers">) {
    const why = authorization === undefined ? "asks for credentials" : "refused the credentials";
    super("UNAUTHORIZED", `${host} ${why}`);
    this.challenges = [answer.headers["www-authenticate"] ?? []].flat();
  }
}

/**
 * Sends what somebody else sent as Authorization, as it is, or nothing; no token is asked for in
 * their name. A 401 rejects with `Challenged`.
 */
export function createForwarder(caller: Forwarded, host: string): Authorizer {
  const pass: Pass = { header: caller.authorization, workedFor: new Set() };
  return {
    authorize: async () => pass,
    renew: async (answer) => {
      throw new Challenged(host, caller, answer);
    },
    refused: (answer) => new Challenged(host, caller, answer),
    anonymousHint: () => undefined,
  };
}
