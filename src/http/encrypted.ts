/** Whether a connection is one of TLS. */
export function isEncrypted (connection: object): boolean {
  return (connection as { readonly encrypted?: boolean }).encrypted === true
}
