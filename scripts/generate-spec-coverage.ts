/** Writes docs/spec-coverage.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../test/house/sources.ts';
import { COVERAGE_PAGE, currentCoveragePage } from '../test/house/spec-coverage.ts';

writeFileSync(join(root, COVERAGE_PAGE), await currentCoveragePage());
