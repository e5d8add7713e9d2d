/** Runs a program under a Node that reads TypeScript, whatever the machine's own is: `node scripts/node.js test/bench/run.ts`. */
import { become, nodePath } from './runtime.js';

become(nodePath(), process.argv.slice(2));
