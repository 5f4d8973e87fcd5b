/** Who asks, as authentication found out. */
export interface Identity {
  /** Unique among all that the route lets in; never a credential itself. */
  readonly subject: string
  /** The kind of credential, such as `api-key`. */
  readonly kind: string
  /** What the credential says of its bearer, such as the claims of a token; empty for most kinds. */
  readonly claims: Readonly<Record<string, unknown>>
}
