import { createWorkerPool } from "../../../core/worker-pool.ts";
import { workerUrl } from "../../../core/worker-url.ts";
import type { WatchedFiles } from "../watched-files.ts";
import type { PasswordSource } from "./accounts.ts";
import type { Htpasswd } from "./htpasswd.ts";

/** What a thread is asked. */
export interface PasswordQuestion {
  readonly password: string;
  readonly hash: string;
}

/** Each check takes 50 to 100 ms of a core. */
const threads = 2;

/** The passwords of an htpasswd file, checked on threads. */
export function createHtpasswdPasswords(
  file: WatchedFiles<Htpasswd>,
): PasswordSource & AsyncDisposable {
  const pool = createWorkerPool<PasswordQuestion, boolean>(
    workerUrl("bcrypt-worker", import.meta.url),
    threads,
  );
  return {
    find: async (username) => {
      const users = await file.current();
      return { kept: users.get(username), nobodys: hashOfNobody(users) };
    },
    matches: (password, hash) => pool.ask({ password, hash }),
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

/** A hash of no password, of the cost that the file's first hash has. */
function hashOfNobody(users: Htpasswd): string {
  const [first = "$2y$10$"] = users.values();
  return `${first.slice(0, 7)}${"N".repeat(21)}u${"N".repeat(31)}`;
}
