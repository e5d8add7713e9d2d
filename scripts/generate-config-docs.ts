/** Writes docs/config.md from the declarations of the configuration's keys. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configDocs } from '../src/config/docs.ts';

writeFileSync(fileURLToPath(new URL('../docs/config.md', import.meta.url)), configDocs());
