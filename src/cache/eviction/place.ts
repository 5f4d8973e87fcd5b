/**
 * Where an item stands in a policy, written on the item itself: no Map between a hit and its place.
 *
 * A class whose parent returns an object that exists adds its private fields to that object. Private fields are seen by nobody
 * else: not by a spread, not by a comparison, not by JSON, and an item that is frozen takes them too.
 */
class Given {
  constructor (item?: object) {
    if (item !== undefined) return item
  }
}

/** A class of items that extends this has room for the place from the start; added later it is kept apart, which costs 40 bytes. */
export class Placed extends Given {
  #slot = -1

  static of (item: object): number {
    return #slot in item ? item.#slot : -1
  }

  static put (item: object, slot: number): void {
    const placed = #slot in item ? item : new Placed(item) as typeof item & Placed
    placed.#slot = slot
  }
}

/** Slot number of an item, -1 when it has none. Slots are of one policy: compare its item in that slot with this one. */
export const placeOf = Placed.of
export const putPlace = Placed.put
