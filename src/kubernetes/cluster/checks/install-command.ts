/** The command that installs Ballast, or brings what is missing of it. */
export function installCommand(namespace: string): string {
  return `helm upgrade --install ballast deploy/helm/ballast -n ${namespace} --create-namespace`;
}
