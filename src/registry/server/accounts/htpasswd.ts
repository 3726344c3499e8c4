import { ModelError } from "../../../core/errors.ts";

/** Users and their bcrypt hashes. */
export type Htpasswd = ReadonlyMap<string, string>;

const bcryptPattern = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
/** A higher cost would take seconds for each login. */
const maxCost = 15;

/**
 * Reads lines of `user:hash` as `htpasswd -B` writes them; `#` begins a comment. Throws
 * INVALID_ARGUMENT that names the line of `path` for anything else, never what is in it.
 */
export function parseHtpasswd(text: string, path: string): Htpasswd {
  const users = new Map<string, string>();
  for (const [at, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const refuse = (why: string) =>
      new ModelError("INVALID_ARGUMENT", `${path}, line ${at + 1}: ${why}`, {
        hint: "write it with: htpasswd -B FILE USER",
      });
    const colon = line.indexOf(":");
    const [user, hash] = [line.slice(0, Math.max(0, colon)), line.slice(colon + 1)];
    if (user === "") throw refuse("no user and hash");
    const cost = Number(bcryptPattern.exec(hash)?.[1]);
    if (Number.isNaN(cost)) throw refuse(`the hash of ${user} is not bcrypt`);
    if (cost > maxCost) throw refuse(`the hash of ${user} has a cost above ${maxCost}`);
    if (users.has(user)) throw refuse(`${user} is there twice`);
    users.set(user, hash);
  }
  return users;
}
