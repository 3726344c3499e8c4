import { createHmac, randomBytes } from "node:crypto";
import { tooManyRequests } from "../bounds/request-pace.ts";
import { TokenBuckets } from "../bounds/token-buckets.ts";
import type { BasicAuth } from "./basic-login.ts";

/** Knows who is who. */
export interface Accounts {
  /** Whether that is the user's password. Throws 429 where too many wrong ones came from there. */
  verify(login: BasicAuth, address: string): Promise<boolean>;
}

/** Where passwords are kept, in whatever form. */
export interface PasswordSource {
  /** What is kept for a user, undefined for whoever is none, and for nobody. */
  find(username: string): Promise<{ readonly kept: string | undefined; readonly nobodys: string }>;
  /** Whether a password is the one that is kept. May take long. */
  matches(password: string, kept: string): Promise<boolean>;
}

/** Checks that wait for their turn. */
const mostWaiting = 64;
/** How long a password that was right is not checked again, and of how many that is known. */
const freshMs = 300_000;
const maxFresh = 1000;
/** Wrong passwords that one address may send at once, and then in a minute. */
const wrongPasswords = 20;

/**
 * Accounts with those passwords. Right ones are remembered for a while, as keyed hashes; wrong ones
 * are counted. Whoever has no account takes as long as who has.
 */
export function createAccounts(source: PasswordSource): Accounts {
  const key = randomBytes(32);
  const fresh = new Map<string, number>();
  const waiting = new Map<string, Promise<boolean>>();
  const guesses = new TokenBuckets(wrongPasswords / 60, wrongPasswords);

  const remember = (name: string) => {
    fresh.delete(name);
    fresh.set(name, performance.now() + freshMs);
    const [oldest] = fresh.keys();
    if (fresh.size > maxFresh && oldest !== undefined) fresh.delete(oldest);
  };

  /** Equal questions that are asked at once are one. */
  const check = (name: string, password: string, kept: string) => {
    const running = waiting.get(name);
    if (running !== undefined) return running;
    if (waiting.size >= mostWaiting) throw tooManyRequests("too many logins at once", 1);
    const answer = source.matches(password, kept).finally(() => waiting.delete(name));
    waiting.set(name, answer);
    return answer;
  };

  return {
    async verify({ username, password }, address) {
      const { kept, nobodys } = await source.find(username);
      // With what is kept in it, an old password is not remembered.
      const parts = JSON.stringify([username, kept ?? "", password]);
      const name = createHmac("sha256", key).update(parts).digest("base64");
      if ((fresh.get(name) ?? 0) > performance.now()) return true;
      const waitSeconds = guesses.wait(address);
      if (waitSeconds > 0) throw tooManyRequests("too many wrong passwords", waitSeconds);
      const right = (await check(name, password, kept ?? nobodys)) && kept !== undefined;
      if (right) remember(name);
      else guesses.take(address);
      return right;
    },
  };
}
