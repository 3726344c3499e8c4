import { ModelError } from "../../../core/errors.ts";
import { type WatchedFiles, watchFiles } from "../watched-files.ts";
import { type AccessRules, readForAll } from "./access-rules.ts";
import { type Accounts, createAccounts } from "./accounts.ts";
import type { BasicAuth } from "./basic-login.ts";
import { parseHtpasswd } from "./htpasswd.ts";
import { createHtpasswdPasswords } from "./htpasswd-passwords.ts";
import { singleAccount } from "./single-account.ts";

export interface AccountOptions {
  /** The one account there is. */
  readonly auth?: BasicAuth | undefined;
  /** An htpasswd file with bcrypt hashes, instead of one account. Followed while the registry runs. */
  readonly htpasswdFile?: string | undefined;
  /** A file of rules: who may do what. Without it every account may do everything. Followed, too. */
  readonly accessFile?: string | undefined;
  /** Everybody may read; in place of a file of rules. */
  readonly anonymousRead?: boolean | undefined;
}

/** Who is who, and who may do what. */
export interface OpenAccounts extends AsyncDisposable {
  readonly accounts: Accounts | undefined;
  readonly rules: (() => Promise<AccessRules>) | undefined;
  /** Reads the files again. */
  reload(): Promise<void>;
}

/** Rejects with INVALID_ARGUMENT for options that contradict each other, and for broken files. */
export async function openAccounts(
  options: AccountOptions,
  onFault: (error: unknown) => void,
): Promise<OpenAccounts> {
  const { auth, htpasswdFile, accessFile, anonymousRead = false } = options;
  checkOptions(options);
  const watched: Pick<WatchedFiles<unknown>, "reload">[] = [];
  await using cleanups = new AsyncDisposableStack();
  const watch = async <T>(path: string, parse: (text: string, path: string) => T) => {
    const read = ([text = ""]: readonly string[]) => parse(text, path);
    const file = await watchFiles({ paths: [path], parse: read, onFault });
    watched.push(file);
    return file;
  };
  const passwords =
    htpasswdFile === undefined
      ? auth && singleAccount(auth)
      : cleanups.use(createHtpasswdPasswords(await watch(htpasswdFile, parseHtpasswd)));
  const rules = accessFile === undefined ? undefined : await watchRules(accessFile, watch);
  const owned = cleanups.move();
  return {
    accounts: passwords && createAccounts(passwords),
    rules: anonymousRead ? () => Promise.resolve(readForAll) : rules && (() => rules.current()),
    reload: async () => {
      for (const file of watched) await file.reload();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Rules are YAML, which takes 17 ms to load. */
async function watchRules(
  path: string,
  watch: <T>(path: string, parse: (text: string, path: string) => T) => Promise<WatchedFiles<T>>,
): Promise<WatchedFiles<AccessRules>> {
  const { parseAccessFile } = await import("./access-file.ts");
  return watch(path, parseAccessFile);
}

function checkOptions({ auth, htpasswdFile, accessFile, anonymousRead }: AccountOptions): void {
  const refuse = (message: string) => new ModelError("INVALID_ARGUMENT", message);
  if (auth !== undefined && htpasswdFile !== undefined)
    throw refuse("there is either one account or a file of accounts");
  if (anonymousRead !== true) return;
  if (accessFile !== undefined)
    throw refuse("who may read without an account is said by the rules");
  if (auth === undefined && htpasswdFile === undefined)
    throw refuse("without accounts everybody may read and write");
}
