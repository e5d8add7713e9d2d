/**
 * A reporter for node:test that says little while all is well: one line a file, failures in full, and at the end the
 * counts as JSON in the file that MYELIN_TEST_COUNTS names.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { inspect } from 'node:util';

const indent = (text) => text.replaceAll(/^(?=.)/gm, '    ');

/** The thrown error itself: node:test wraps it in one of its own. */
const causeOf = (error) => error?.cause ?? error;

function* describeFailure(data, path) {
  const where = data.file === undefined ? '' : ` (${relative(process.cwd(), data.file)}:${data.line})`;
  yield `  FAILED ${path.join(' > ')}${where}\n`;
  const cause = causeOf(data.details.error);
  yield `${indent(typeof cause === 'string' ? cause : inspect(cause))}\n`;
}

/** @param {AsyncIterable<{ type: string, data: any }>} source */
export default async function* report(source) {
  let counts = { passed: 0, failed: 0, skipped: 0 };
  const names = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    } else if (type === 'test:fail') {
      // A parent fails with its child: the child has said why.
      if (data.details.error?.failureType === 'subtestsFailed') continue;
      yield* describeFailure(data, [...names.slice(0, data.nesting), data.name]);
    } else if (type === 'test:diagnostic' && data.message.includes('asynchronous activity after the test ended')) {
      // An error that no test awaited: the process ends badly though each test passed.
      yield `  FAILED ${data.message}\n`;
    } else if (type === 'test:stderr' || type === 'test:stdout') {
      yield data.message;
    } else if (type === 'test:summary' && data.file === undefined) {
      const { passed, failed, cancelled, skipped, todo } = data.counts;
      counts = { passed, failed: failed + cancelled, skipped: skipped + todo };
    }
  }
  if (process.env.MYELIN_TEST_COUNTS !== undefined) {
    writeFileSync(process.env.MYELIN_TEST_COUNTS, JSON.stringify(counts));
  }
}
