/**
 * The bound of an LRU cache by the number of its entries, grown into as it fills. lru-cache's own `max` sets all places
 * aside at once: 28 bytes each, which for the caches of a server that nobody uses yet were 6 MB.
 */
export const atMost = (entriesMax: number) => ({ maxSize: entriesMax, sizeCalculation: () => 1 });
