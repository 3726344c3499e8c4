/** A page of `ballast help` that belongs to no single command. */
export interface HelpTopic {
  readonly name: string;
  readonly summary: string;
  readonly text: string;
}

export const helpTopics: readonly HelpTopic[] = [
  {
    name: "references",
    summary: "how models are named",
    text: `REFERENCES

  A reference names a model:

    HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]    a model in a registry
    oci:DIR[:TAG][@DIGEST]                   a model in an OCI image layout folder

  HOST        always written out: there is no default registry. A host has a dot, a
              port or is localhost.
  REPOSITORY  lowercase letters, digits, ".", "_", "-", and "/" between parts.
  TAG         up to 128 letters, digits, ".", "_", "-". It may be moved to other content
              at any time. To read without tag and digest means the tag "latest"; to
              push without a tag leaves the model with its digest as its only name.
  DIGEST      sha256:<64 hex digits>. It names exactly these bytes for ever. With a tag
              and a digest the digest counts.

  There is no "https://" in front. Loopback hosts are spoken to in plain HTTP, all
  others over TLS, unless --plain-http or --no-plain-http is given.

  Examples:
    registry.example.com/team/llama:v2
    registry.example.com:5000/llama@sha256:9f86d0...
    localhost:5000/llama:v1
    oci:./exported:v1`,
  },
  {
    name: "environment",
    summary: "variables that Ballast reads",
    text: `ENVIRONMENT

  BALLAST_STORE             the store, where --store is not given. Without both it is
                            $XDG_CACHE_HOME/ballast, else ~/.cache/ballast
  BALLAST_RUN               the folder of the agent's sockets, where --run is not given.
                            Without both it is /run/ballast
  BALLAST_USERNAME, BALLAST_PASSWORD
                            a login for every registry that asks for one
  BALLAST_TOKEN             a registry token, instead of these two
  BALLAST_REGISTRY_PROFILE  what --registry-profile says
  BALLAST_CA_FILE           a PEM file of CA certificates to trust too
  SSL_CERT_FILE             the same; may name a file that does not exist
  DOCKER_CONFIG, REGISTRY_AUTH_FILE
                            where logins of docker and podman are looked up; the usual
                            places without them
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY
                            proxies
  NO_COLOR                  no colours
  BALLAST_DEBUG             1: errors tell where they came from, without credentials

  Logins are looked up in this order: --username with --password-stdin, BALLAST_*,
  docker's and podman's files with their credential helpers (ballast login writes
  docker's), none.`,
  },
  {
    name: "exit-codes",
    summary: "what the exit status means",
    text: `EXIT CODES

    0  done
    1  something else went wrong
    2  wrong usage: a flag, an argument or a reference
    3  no such registry content, folder or stored model
    4  the registry denies access
    5  the registry cannot be reached or asks for fewer requests: try again later
    6  content is damaged, does not match, or is nothing Ballast can read
    7  the local disk, the store or the output folder
    8  the source: changed, unreadable, unsupported or empty
    9  the registry refuses: tag taken, limit, or it does not speak the protocol
   70  a defect of Ballast
  130  stopped by Ctrl-C (SIGINT)
  143  stopped by SIGTERM

  Each error has a code of its own too, such as NOT_FOUND, in front of its message and
  in the "error" object that --json prints.`,
  },
];
