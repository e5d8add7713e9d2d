/** How long the event loop is held up, by CPU time: whatever else the machine does counts for nothing. */

const SAMPLE_MS = 10;

/** Watches the turns of the event loop; the call gives the CPU time of the longest one, or some milliseconds more. */
export function watchTurns(): () => number {
  const spentMs = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let longest = 0;
  let before = spentMs();
  const look = (): void => {
    const now = spentMs();
    longest = Math.max(longest, now - before);
    before = now;
  };
  const timer = setInterval(look, SAMPLE_MS);
  return () => {
    clearInterval(timer);
    look();
    return longest;
  };
}
