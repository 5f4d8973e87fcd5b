/** Who asks, as authentication found out. */
export interface Identity {
  /** Unique among all that the credential's kind lets in on the route; never a credential itself. */
  readonly subject: string
  /** The kind of credential, such as `api-key`. */
  readonly kind: string
  /** What the credential says of its bearer, such as the claims of a token; empty for most kinds. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Who else the further credentials stand for, where the route asks for several. */
  readonly others?: readonly Identity[]
}
