/** An authority, valid for a hundred years; its key is thrown away. */
export const testAuthority: string = `-----BEGIN CERTIFICATE-----
MIIBmTCCAT+gAwIBAgIUfwvP2mdjxHPS8VLIRb79u1ijP9AwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWYmFsbGFzdCB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjEyMjU5
MzdaGA8yMTI2MTAyODIyNTkzN1owITEfMB0GA1UEAwwWYmFsbGFzdCB0ZXN0IGF1
dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABLcA2wYKMiPXc6wvu0nZ
bFnaNgnyxffq24XWc1kmZL1WAIM7HA9PIP5E0QvrzLjJlUbOCUkG4YcQ9+luqkcD
6UijUzBRMB0GA1UdDgQWBBTIPBuiuAG30ZwpIdIIiXPsFPRykDAfBgNVHSMEGDAW
gBTIPBuiuAG30ZwpIdIIiXPsFPRykDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49
BAMCA0gAMEUCIGPV6Eamdk+bblVaTMRIp4LrVfv/OrS1lIt8Z3oZ+lYNAiEAiZql
QijuysAtTjmGyxdVXapfWvOrlcLJkrbPSMJTXlg=
-----END CERTIFICATE-----
`;

/** A certificate of that authority, valid for a little less. */
export const testServing: string = `-----BEGIN CERTIFICATE-----
MIIBNzCB3gIUUV+1cXloiW95Y0I6wVZObTcPjhUwCgYIKoZIzj0EAwIwITEfMB0G
A1UEAwwWYmFsbGFzdCB0ZXN0IGF1dGhvcml0eTAgFw0yNjExMjEyMjU5MzdaGA8y
MTI1MDYxNTIyNTkzN1owGjEYMBYGA1UEAwwPYmFsbGFzdC13ZWJob29rMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAEpPWpm/3arZ9nAJCPBuXNbNgYFyTEWdRTEPgr
i/8IeIMyldH/nCYWlNIuLhwLhOTltbDcBkI8oW+uzW9jEQQW/zAKBggqhkjOPQQD
AgNIADBFAiB/0GD/dRkvwKcEML4g2/qclfGlqu76FgGj+o6YyzKgQwIhAKDe26u9
aGb37pv7ZTbxm/g6QOZMedfNEzjlu36aqtgq
-----END CERTIFICATE-----
`;

/** An authority that signed nothing. */
export const otherAuthority: string = `-----BEGIN CERTIFICATE-----
MIIBjjCCATWgAwIBAgIUCAuYJjzpKe8ynSfYLsPmBLva4WkwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTIxMjI1OTM3WhgP
MjEyNjEwMjgyMjU5MzdaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwukaQ3Xms5XSr0A9YimclxPJgW4JTC2N
q4ijjfDpkpVcza2gmF/aEuEuNEMyVpfw7NvsVoAu+kDeE4H4Mb89dqNTMFEwHQYD
VR0OBBYEFPLiykBIgrR0+gJpYQ4e8nNaJpZpMB8GA1UdIwQYMBaAFPLiykBIgrR0
+gJpYQ4e8nNaJpZpMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIg
EdCunGHtDZKXLvBB1iKp4lnX6cL9H+IpO6DxuFGabF0CIFdtNiFXGKBqQj1mukGp
1cAktgfmPGrtXWSC92mEQ9kt
-----END CERTIFICATE-----
`;

/** As the API writes what is PEM. */
export function inBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}
