import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key and a self-signed certificate for `localhost`, for servers of tests alone. Valid for a hundred years. */
export const CERTIFICATE = {
  key: `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIA5WZo9cOQgcZgF+A1ip5ePJiE8uqi/9Kj9SpTe38gvQoAoGCCqGSM49
AwEHoUQDQgAE8FokfVX3F9k2W/tb/bhBL3sMkchRLZWejpVVjwG9wJrYtDoKxqBN
RAQjhCHKBua2qZYzWzwxqtVRCKmZgeo/2A==
-----END EC PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUfb1H4U5UyP4Z2i8N6HQe//1IsjAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE2MzkxNFoYDzIxMjYxMDI5
MTYzOTE0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATwWiR9VfcX2TZb+1v9uEEvewyRyFEtlZ6OlVWPAb3Amti0OgrGoE1E
BCOEIcoG5rapljNbPDGq1VEIqZmB6j/Yo28wbTAdBgNVHQ4EFgQUoPAP44uzkmX6
I9kNpTGhi8uHSYQwHwYDVR0jBBgwFoAUoPAP44uzkmX6I9kNpTGhi8uHSYQwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAMfF3R5kop+x7IjJBdCDjQXY4YbTaex2O+9pEMerzT1MAiA8
TP3rPNufThPRvP53tJMJmwiKSPZAALLUm5enJqxMBQ==
-----END CERTIFICATE-----
`,
}

let files: { readonly key: string; readonly cert: string } | null = null

/** The same as files, for servers that read their own. They are gone with the process. */
export function certificateFiles(): { readonly key: string; readonly cert: string } {
  if (files !== null) return files
  const folder = mkdtempSync(join(tmpdir(), 'groupcast-certificate-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') }
  writeFileSync(files.key, CERTIFICATE.key)
  writeFileSync(files.cert, CERTIFICATE.cert)
  return files
}
