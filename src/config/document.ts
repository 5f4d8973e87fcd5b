/**
 * Reads the text of a configuration file (YAML 1.2; JSON is part of it) into plain data, with the line of every
 * place. Environment variables are put into scalars after parsing, so that no value can become structure.
 */
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { Document, Node, Pair, YAMLError } from 'yaml'
import { substitute } from './environment.ts'
import type { Environment } from './environment.ts'
import { pointerTo } from './problems.ts'
import type { ConfigProblem } from './problems.ts'

export interface ConfigDocument {
  /**
   * Plain data of its own; places with problems hold what was written. An option without a value (all of a section commented
   * out) is as if it were not written. `undefined` where reading on made no sense.
   */
  readonly value: unknown
  /** Line of each place, by JSON pointer. */
  readonly lines: ReadonlyMap<string, number>
  /** Text as written of each value that came from the environment, by JSON pointer. */
  readonly written: ReadonlyMap<string, string>
  /** JSON pointers of the options without a value. */
  readonly unset: readonly string[]
  readonly problems: readonly ConfigProblem[]
}

/** Far above any real file (10,000 routes), far below what a few aliases of aliases would make. */
const mostNodes = 1_000_000
const deepestNesting = 64
/** After a slip in the syntax most later complaints are its echo. */
const mostSyntaxProblems = 10

/** Never throws: what is wrong stands in `problems`. */
export function readDocument (text: string, env: Environment): ConfigDocument {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true, merge: false, logLevel: 'error' })
  const faults = [...document.errors, ...document.warnings]
  if (faults.length > 0) {
    return { value: undefined, lines: new Map(), written: new Map(), unset: [], problems: syntaxProblems(faults, lineCounter, text) }
  }
  return new Reader(document, lineCounter, env).read()
}

class Reader {
  readonly #document: Document
  readonly #lineCounter: LineCounter
  readonly #env: Environment
  readonly #lines = new Map<string, number>()
  readonly #anchors = new Map<string, Node>()
  readonly #written = new Map<string, string>()
  readonly #unset: string[] = []
  readonly #problems: ConfigProblem[] = []
  #nodes = 0

  constructor (document: Document, lineCounter: LineCounter, env: Environment) {
    this.#document = document
    this.#lineCounter = lineCounter
    this.#env = env
  }

  read (): ConfigDocument {
    const value = this.#read(this.#document.contents, '', 0)
    return { value: this.#nodes === Infinity ? undefined : value, lines: this.#lines, written: this.#written, unset: this.#unset, problems: this.#problems }
  }

  #read (node: unknown, path: string, depth: number): unknown {
    this.#nodes++
    if (!this.#lines.has(path)) this.#note(path, node)
    if (this.#nodes > mostNodes || depth > deepestNesting) {
      // Said once: an alias within itself would otherwise say it without end.
      if (this.#nodes !== Infinity) this.#report(path, 'size', depth > deepestNesting ? `must not be nested deeper than ${deepestNesting} levels` : `must not have more than ${mostNodes} values, aliases included`)
      this.#nodes = Infinity
      return null
    }

    if (isAlias(node)) {
      const target = this.#anchors.get(node.source)
      if (target === undefined) return this.#report(path, 'yaml', `has an alias *${node.source} without an anchor before it`)
      return this.#read(target, path, depth + 1)
    }
    if (isNode(node) && node.anchor !== undefined) this.#anchors.set(node.anchor, node)
    if (isMap(node)) return this.#readMap(node.items, path, depth)
    if (isSeq(node)) return node.items.map((item, index) => this.#read(item, pointerTo(path, index), depth + 1))
    if (isScalar(node)) return typeof node.value === 'string' ? this.#readText(node.value, path) : node.value
    return null
  }

  #readMap (pairs: readonly Pair[], path: string, depth: number): Record<string, unknown> {
    const map: Record<string, unknown> = {}
    for (const { key, value } of pairs) {
      const name = String(isScalar(key) ? key.value : key)
      const place = pointerTo(path, name)
      this.#note(place, key)
      if (name === '__proto__') {
        this.#report(place, 'unknown-option', 'unknown option')
        continue
      }
      const member = this.#read(value, place, depth + 1)
      if (member !== null) map[name] = member
      else this.#unset.push(place)
    }
    return map
  }

  #readText (text: string, path: string): string {
    const result = substitute(text, this.#env)
    if (result.ok) {
      if (result.replaced) this.#written.set(path, text)
      return result.text
    }
    for (const name of result.missing) {
      this.#report(path, 'environment', `needs the environment variable ${name}, which is not set; \${${name}:-…} would give it a default`)
    }
    if (result.malformed) this.#report(path, 'environment', 'has ${ without a variable name and }; $${ stands for ${ itself') // eslint-disable-line no-template-curly-in-string
    return text
  }

  #note (path: string, node: unknown): void {
    const at = (node as Node | null)?.range?.[0]
    if (at !== undefined) this.#lines.set(path, this.#lineCounter.linePos(at).line)
  }

  #report (path: string, rule: string, message: string): null {
    const line = this.#lines.get(path)
    this.#problems.push({ path, rule, message, ...line !== undefined && { line } })
    return null
  }
}

function syntaxProblems (faults: readonly YAMLError[], lineCounter: LineCounter, text: string): ConfigProblem[] {
  const byLine = new Map<number, ConfigProblem>()
  const lines = text.split('\n')
  for (const fault of faults) {
    const line = Math.max(1, lineCounter.linePos(fault.pos[0]).line)
    if (!byLine.has(line)) byLine.set(line, { path: '', line, rule: 'syntax', message: syntaxMessage(fault, lines[line - 1] ?? '') })
    if (byLine.size === mostSyntaxProblems) break
  }
  return [...byLine.values()]
}

const quotesHint = '; inside [ ] and { } put ${NAME} into quotes' // eslint-disable-line no-template-curly-in-string

/** Messages that would quote the file are replaced: the line at fault may hold a secret. */
function syntaxMessage (fault: YAMLError, line: string): string {
  switch (fault.code) {
    case 'DUPLICATE_KEY': return 'the same option is given twice'
    case 'MULTIPLE_DOCS': return 'the file must hold one document, not several separated by ---'
    case 'TAG_RESOLVE_FAILED': return 'tags (!name) are not understood'
    case 'NON_STRING_KEY': return 'the name of an option must be plain text'
    case 'RESOURCE_EXHAUSTION': return 'the file is nested too deeply'
    case 'UNEXPECTED_TOKEN':
      // The brace after the $ begins a section there.
      return `something stands where YAML does not allow it${/[[{,:]\s*\$\{/.test(line) ? quotesHint : ''}`
    default: return fault.message
  }
}
