/** Texts that come again and again in messages, and what they mean. */

/** Texts remembered for each kind; all are forgotten when there are as many. */
const most = 500

/**
 * @param read depends on its text alone; what it returns is given to all who ask, and must not be changed
 * @param maxLength longer texts are read each time, so that memory is bounded
 */
export function remembering<T> (read: (text: string) => T, maxLength: number): (text: string) => T {
  const remembered = new Map<string, T>()
  return text => {
    const known = remembered.get(text)
    if (known !== undefined) return known
    const meaning = read(text)
    if (text.length > maxLength) return meaning
    if (remembered.size >= most) remembered.clear()
    remembered.set(text, meaning)
    return meaning
  }
}
