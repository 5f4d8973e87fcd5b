import t from 'tap'
import { hintedLinks } from '../../src/forward/early-hints.ts'

t.test('each link of a 103 stands alone, whatever lines it came in (RFC 8288 3)', async t => {
  const rows: Array<[lines: string[], links: string[]]> = [
    [[], []],
    [['X-Other', '</a>'], []],
    [['Link', ''], []],
    [['Link', '</a>; rel=preload'], ['</a>; rel=preload']],
    [['link', '</a>;rel=x , </b>', 'LINK', '</c>'], ['</a>;rel=x', '</b>', '</c>']],
    [['Link', '</a,b>; title="c, \\", d", </e>'], ['</a,b>; title="c, \\", d"', '</e>']],
    [['Link', ',, </a>,'], ['</a>']],
    [['Link', '</never-closed, </a>'], ['</never-closed, </a>']]
  ]
  for (const [lines, links] of rows) t.same(hintedLinks(lines), links, JSON.stringify(lines))
})
