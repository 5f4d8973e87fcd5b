/** A request of an operator or application that cannot be fulfilled as it is, told so that it can be put right. */
import type { TSchema } from 'typebox'
import type { ConfigProblem } from '../config/problems.ts'
import { schemaNode, validate } from '../config/validate.ts'

export class RequestError extends Error {
  override readonly name = 'RequestError'
  /** Stable, lower snake case. */
  readonly code: string
  readonly statusCode = 400
  /** What is wrong, each with the place of it as a JSON pointer. */
  readonly problems: readonly ConfigProblem[]

  constructor (code: string, problems: readonly ConfigProblem[]) {
    super(problems.map(({ path, message }) => `${path === '' ? '/' : path} ${message}`).join('; '))
    this.code = code
    this.problems = problems
  }
}

/** It cannot be done now, or not everywhere; asking again may help. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable'
  readonly code: string
  readonly statusCode = 503

  constructor (code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** One thing that is wrong. */
export function refusal (code: string, path: string, message: string): RequestError {
  return new RequestError(code, [{ path, rule: code.replaceAll('_', '-'), message }])
}

/** Throws a `RequestError` that names every place where `value` does not fit. */
export function mustFit (schema: TSchema, value: unknown): void {
  const problems: ConfigProblem[] = []
  validate(schemaNode(schema), value, '', problem => { problems.push(problem) })
  if (problems.length > 0) throw new RequestError('bad_request', problems)
}
