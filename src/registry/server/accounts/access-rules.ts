/** What may be done with a repository. */
export type Right = "read" | "write" | "delete";

/** Who asks: an account, or nobody in particular. */
export interface Principal {
  readonly user: string | undefined;
}

/** Decides who may do what. */
export interface AccessRules {
  allows(principal: Principal, right: Right, repository: string): boolean;
  /** Whether there is anything that needs no account. */
  readonly openToAll: boolean;
}

/** Every account may do everything; without accounts, everybody. */
export function allForAccounts(haveAccounts: boolean): AccessRules {
  return { allows: ({ user }) => !haveAccounts || user !== undefined, openToAll: !haveAccounts };
}

/** Everybody may read, every account may do everything. */
export const readForAll: AccessRules = {
  allows: ({ user }, right) => right === "read" || user !== undefined,
  openToAll: true,
};
