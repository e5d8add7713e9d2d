/** The section "Logging". */
import { key, section } from './key.ts';
import { integer, orNull, text } from './kinds.ts';

export const loggingSection = section('Logging', 'Where the log goes and how much it says.', {
  logConfigPath: key(
    'log_config',
    orNull(text),
    null,
    'File that says what is logged, and where to. Read again on HUP.',
  ),
  logFile: key('log_file', orNull(text), null, 'Log to this file; used where there is no log_config.'),
  verbosity: key('verbose', integer(0, 2), 0, '1 logs debug lines, 2 database statements too, as -v and -vv do.'),
});
