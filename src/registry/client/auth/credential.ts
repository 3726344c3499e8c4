/** Something that proves who we are to one registry. `origin` says where it was found. */
export type Credential =
  | {
      readonly kind: "password";
      readonly username: string;
      readonly password: string;
      readonly origin: string;
    }
  /** Exchanged for access tokens (OAuth2 refresh token). */
  | { readonly kind: "identity-token"; readonly token: string; readonly origin: string }
  /** Sent to the registry as it is. */
  | { readonly kind: "registry-token"; readonly token: string; readonly origin: string };

export interface CredentialSource {
  /**
   * The credential for a host, undefined when there is none. Rejects with INVALID_ARGUMENT when a
   * file is malformed, UNAUTHORIZED when a credential program fails.
   */
  get(host: string, repository?: string): Promise<Credential | undefined>;
}
